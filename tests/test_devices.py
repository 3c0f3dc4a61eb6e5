"""Trusted devices: what they spare, what ends them, and that nothing about them breaks a login."""

import dataclasses
import hashlib
import logging
import random
import string
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.hashers import make_password
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from django_totp import devices
from django_totp.accounts import account_by, join
from django_totp.assurance import Standing, new_login, standing
from django_totp.auth import end_sessions, reset_totp
from django_totp.models import Account, Totp, TrustedDevice
from django_totp.reauthentication import reauthenticate
from django_totp.totp import disable_totp
from tests.browsing import age_enrollment

DAY = 86400
MONTH = 30 * DAY
OLD, NEW = "MD5PasswordHasher", "PBKDF2PasswordHasher"


@pytest.fixture(autouse=True)
def _on(settings):
    settings.TOTP_TRUSTED_DEVICE_MAX_AGE = MONTH


@pytest.fixture
def ada(enrolled_user):
    """Return a user whose second factor is a day old, with all that judges a login."""
    age_enrollment(enrolled_user)
    return read(enrolled_user)


def read(user):
    return account_by("pk", user.pk)


def trust(user, name="laptop", *, ago=0):
    """Return what a device keeps for which ``user`` gave a code so many seconds ago."""
    login = new_login(user, "pwd", "otp")
    return devices.trust(user, dataclasses.replace(login, time=int(time.time()) - ago), name)


def device():
    return TrustedDevice.objects.get()


@pytest.fixture
def events(caplog):
    """Return a function that gives what the log says, as (event, reason), since it was asked."""
    caplog.set_level(logging.INFO, "django_totp")

    def events():
        told = [(each.event, getattr(each, "reason", "")) for each in caplog.records]
        caplog.clear()
        return told

    return events


# --- Use ---


def test_a_device_stands_in_for_a_code(ada):
    begin = int(time.time())
    used = devices.use(ada, trust(ada))
    assert used.key == str(device().pk)
    assert begin <= used.at <= time.time()
    login = used.login(ada, "pwd")
    assert login.methods == ("pwd", "otp", "mfa")
    assert (login.time, login.device) == (used.at, used.key)
    assert standing(ada, login) is Standing.GOOD


def test_each_use_gives_the_next_value(ada):
    value, seen = trust(ada), set()
    for _ in range(5):
        seen.add(value)
        value = devices.use(ada, value).value
    assert len(seen | {value}) == 6
    assert TrustedDevice.objects.count() == 1


def test_the_login_tells_the_moment_of_the_code_however_often_it_was_used(ada, time_machine):
    begin = int(time.time())
    time_machine.move_to(begin, tick=False)
    value = trust(ada)
    for days in range(1, 30):
        time_machine.move_to(begin + days * DAY, tick=False)
        used = devices.use(ada, value)
        value = used.value
        login = used.login(ada, "pwd")
        assert login.time == begin
        assert not login.is_recent(10**9)


def test_a_value_that_was_used_before_ends_the_device(ada, events):
    first = trust(ada)
    second = devices.use(ada, first).value
    events()
    assert devices.use(ada, first) is None
    assert events() == [("device_refused", "used")]
    assert devices.use(ada, second) is None
    assert events() == []
    assert not TrustedDevice.objects.exists()


def test_a_device_of_somebody_else_is_never_touched(ada, make_user):
    value, eve = trust(ada), make_user("eve")
    join(eve)
    assert devices.use(eve, value) is None
    stolen = devices.tag_of(eve) + value[8:]
    assert devices.use(eve, stolen) is None
    assert devices.use(ada, value) is not None


@pytest.mark.parametrize("part", range(5))
def test_each_part_of_a_value_counts(ada, part):
    value = trust(ada)
    parts = value.split(".")
    last = parts[part][-1]
    other = next(one for one in ("5", "7") if one != last)
    parts[part] = parts[part][:-1] + other
    assert devices.use(ada, ".".join(parts)) is None
    # A wrong secret or moment comes from somebody who has seen the rest.
    assert (devices.use(ada, value) is not None) == (part not in (1, 4))


ODD = [
    None,
    True,
    7,
    1.5,
    b"x",
    [],
    {},
    ["x"],
    "",
    ".",
    "....",
    "\0",
    "\ud800",
    "ä" * 99,
    "x" * 10**6,
]


@pytest.mark.parametrize("value", ODD, ids=lambda value: repr(value)[:9])
def test_whatever_is_no_value_asks_for_a_code_and_nobody_is_asked(ada, value, caplog):
    with CaptureQueriesContext(connection) as queries:
        assert devices.use(ada, value) is None
    assert not queries
    assert not caplog.records


@given(st.text(max_size=300) | st.from_regex(devices.VALUE) | st.integers() | st.binary())
def test_parsing_never_raises(value):
    kept = devices.parsed(value)
    assert kept is None or devices.parsed(kept.text) == kept


def test_keys_that_no_column_holds_are_nobodys(ada, caplog):
    tag, at, _key, series, secret = trust(ada).split(".")
    for key in ("0", "9" * 18, "0" * 18):
        assert devices.use(ada, f"{tag}.{at}.{key}.{series}.{secret}") is None
    assert devices.use(ada, f"{tag}.{'9' * 12}.{device().pk}.{series}.{secret}") is None
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR]


def test_nothing_that_is_stored_opens_anything(ada):
    value = trust(ada)
    secrets = value.split(".")[3:]
    row = TrustedDevice.objects.values().get()
    assert not [secret for secret in secrets if secret in str(row)]
    assert row["series"] == hashlib.sha256(secrets[0].encode()).hexdigest()
    assert value not in str(row)
    assert not [secret for secret in secrets if secret in repr(devices.parsed(value))]
    assert not [secret for secret in secrets if secret in repr(devices.use(ada, value))]


def test_values_are_random(ada):
    values = [trust(ada).split(".")[3:] for _ in range(20)]
    assert len({part for value in values for part in value}) == 40


# --- Trust ---


def test_names_are_what_can_be_shown(ada):
    for name, shown in [
        ("My laptop", "My laptop"),
        ("  a\nb\0c\x1b[31m ", "abc[31m"),
        ("\u202egnp.exe\ud800", "gnp.exe"),
        ("x" * 500, "x" * 100),
        ("<b>", "<b>"),
        ("", ""),
    ]:
        assert trust(ada, name)
        assert device().name == shown
        TrustedDevice.objects.all().delete()


def test_off_means_off(settings, ada):
    value = trust(ada)
    settings.TOTP_TRUSTED_DEVICE_MAX_AGE = 0
    with CaptureQueriesContext(connection) as queries:
        assert devices.use(ada, value) is None
        assert trust(ada) == ""
        assert devices.devices_of(ada) == []
    assert not queries
    assert TrustedDevice.objects.count() == 1


# --- The end ---


def test_the_end_is_fixed_by_the_moment_of_the_code(ada, time_machine):
    begin = int(time.time())
    time_machine.move_to(begin, tick=False)
    value = trust(ada)
    time_machine.move_to(begin + MONTH - 1, tick=False)
    value = devices.use(ada, value).value
    assert devices.devices_of(ada)
    time_machine.move_to(begin + MONTH, tick=False)
    assert devices.devices_of(ada) == []
    assert devices.use(ada, value) is None


def test_a_lowered_setting_ends_it_sooner_and_a_raised_one_prolongs_none(settings, ada):
    value = trust(ada, ago=2 * DAY)
    settings.TOTP_TRUSTED_DEVICE_MAX_AGE = DAY
    assert devices.devices_of(ada) == []
    assert not devices.is_live(device())
    assert devices.use(ada, value) is None
    settings.TOTP_TRUSTED_DEVICE_MAX_AGE = DAY
    value = trust(ada, ago=2 * DAY)
    settings.TOTP_TRUSTED_DEVICE_MAX_AGE = MONTH
    assert devices.devices_of(ada) == []
    assert devices.use(ada, value) is None


def test_a_clock_that_was_ahead_prolongs_nothing(ada):
    value = trust(ada, ago=-DAY)
    assert devices.devices_of(ada) == []
    assert devices.use(ada, value) is None


def set_password(user):
    user.set_password("another")
    user.save()


def set_password_alone(user):
    user.set_password("another")
    user.save(update_fields=["password"])


def set_the_same(user):
    user.set_password("correct horse battery staple")
    user.save(update_fields=["password"])


def set_unusable(user):
    user.set_unusable_password()
    user.save(update_fields=["password"])


def update(user):
    rows = type(user)._base_manager.filter(pk=user.pk)
    rows.update(password=make_password("another"))


def make(user):
    user.password = make_password("another")
    user.save(update_fields=["password"])


def check_and_make(user):
    """The hash is upgraded, and then there is a new password, of one and the same object."""
    assert user.check_password("correct horse battery staple")
    make(user)


def check_and_set(user):
    assert user.check_password("correct horse battery staple")
    set_password_alone(user)


def end_all(user):
    end_sessions(user)


def end_all_again(user):
    end_sessions(user)
    end_sessions(user)


def reset(user):
    reset_totp(user)


def disable(user):
    disable_totp(user)


def enroll_anew(user):
    Totp.objects.filter(user_id=user.pk).update(
        confirmed_at=datetime.now(UTC) + timedelta(microseconds=1)
    )


ENDS = [
    *(set_password, set_password_alone, set_the_same, set_unusable, update, make),
    *(check_and_make, check_and_set, end_all, end_all_again, reset, disable, enroll_anew),
]


@pytest.mark.parametrize("end", ENDS)
def test_what_ends_a_device(ada, end, events):
    value = trust(ada)
    end(read(ada))
    now = read(ada)
    assert devices.devices_of(now) == []
    assert not devices.is_live(device())
    events()
    assert devices.use(now, value) is None
    assert events() == [("device_refused", "changed")]
    assert not TrustedDevice.objects.exists()


@pytest.mark.parametrize("end", ENDS)
def test_what_ends_a_device_does_so_too_where_hashes_are_old(settings, ada, end):
    value = trust(ada)
    settings.PASSWORD_HASHERS = [f"django.contrib.auth.hashers.{name}" for name in (NEW, OLD)]
    end(read(ada))
    assert devices.use(read(ada), value) is None


def test_what_does_not_end_a_device(ada, secret, otp):
    value = trust(ada)
    user = read(ada)
    user.save()
    user.check_password("wrong")
    user.last_login = datetime.now(UTC)
    user.save(update_fields=["last_login"])
    Totp.objects.update(failures=3, verifications=7)
    Account.objects.create(user_id=ada.pk, required_since=datetime.now(UTC))
    assert devices.use(read(ada), value) is not None


# --- Hashes ---


@pytest.fixture
def stronger(settings):
    """Let the hash of each password be made anew at the next login."""

    def stronger():
        names = (NEW, OLD) if OLD in settings.PASSWORD_HASHERS[0] else (OLD, NEW)
        settings.PASSWORD_HASHERS = [f"django.contrib.auth.hashers.{name}" for name in names]

    return stronger


def log_in(user, password):
    return authenticate(None, username=user.get_username(), password=password)


def log_in_async(user, password):
    assert async_to_sync(user.acheck_password)(password)
    return user


@pytest.mark.parametrize("log_in", [log_in, log_in_async])
def test_a_password_that_is_hashed_anew_is_the_same_password(ada, password, stronger, log_in):
    value, before = trust(ada), read(ada).password
    for _ in range(3):
        stronger()
        user = log_in(read(ada), password)
        assert user.password == read(ada).password != before
        before = user.password
        assert devices.devices_of(user)
        value = devices.use(read(ada), value).value


def test_only_devices_that_were_good_are_good_after_an_upgrade(ada, password, stronger):
    value = trust(ada)
    update(ada)
    rows = type(ada)._base_manager.filter(pk=ada.pk)
    rows.update(password=make_password(password))
    stronger()
    assert log_in(ada, password)
    assert devices.use(read(ada), value) is None


def test_a_row_with_a_password_of_no_hasher_upgrades_nothing(ada, password, stronger):
    """As of another system, which some backend of the project reads, written a moment before."""
    value, user = trust(ada), read(ada)
    stronger()
    type(ada)._base_manager.filter(pk=ada.pk).update(password="0" * 40)
    assert user.check_password(password)
    assert devices.use(read(ada), value) is None


def test_an_upgrade_that_is_undone_by_a_proof_is_undone_here_too(ada, password, stronger):
    value, before = trust(ada), read(ada).password
    stronger()
    reauthenticate(read(ada), password=password)
    assert read(ada).password == before
    assert devices.use(read(ada), value) is not None


def test_an_upgrade_costs_nothing_where_there_are_no_devices(settings, ada, password, stronger):
    stronger()
    with CaptureQueriesContext(connection) as on:
        log_in(ada, password)
    stronger()
    settings.TOTP_TRUSTED_DEVICE_MAX_AGE = 0
    with CaptureQueriesContext(connection) as off:
        log_in(ada, password)
    assert len(on) - len(off) >= 2
    assert not [one for one in off if "django_totp" in one["sql"]]


def test_keys_of_the_project_rotate(settings, ada):
    value, before = trust(ada), settings.SECRET_KEY
    settings.SECRET_KEY = "another key of the project that is long enough"
    settings.SECRET_KEY_FALLBACKS = [before]
    assert devices.devices_of(ada)
    value = devices.use(ada, value).value
    settings.SECRET_KEY_FALLBACKS = []
    assert devices.devices_of(ada)
    value = devices.use(ada, value).value
    settings.SECRET_KEY = "and a third key which nobody has ever told of"
    assert devices.use(ada, value) is None


def test_a_model_without_session_hashes(monkeypatch, ada):
    model = get_user_model()
    for name in ("get_session_auth_hash", "get_session_auth_fallback_hash"):
        owner = next(base for base in model.__mro__ if name in vars(base))
        monkeypatch.delattr(owner, name)
    value = devices.use(ada, trust(ada)).value
    update(ada)
    assert devices.use(read(ada), value) is None


# --- Faults ---


@pytest.fixture(params=["table", "router"])
def broken(request, monkeypatch):
    """Let devices be unreadable."""

    def fail(*args, **kwargs):
        raise DatabaseError("no such table")

    if request.param == "router":
        monkeypatch.setattr(devices.router, "db_for_write", fail)
    else:
        monkeypatch.setattr(type(TrustedDevice.objects), "get_queryset", fail)
        monkeypatch.setattr(type(TrustedDevice.objects), "create", fail)


def complaints(caplog):
    return [each.getMessage() for each in caplog.records if each.levelno == logging.ERROR]


def test_what_cannot_be_read_asks_for_a_code(ada, broken, caplog):
    value = f"{devices.tag_of(ada)}.1.1.{'x' * 22}.{'y' * 32}"
    assert devices.use(ada, value) is None
    assert trust(ada) == ""
    devices.rehashed(ada, before="a", after="b")
    assert len(complaints(caplog)) == 3
    assert not [text for text in caplog.messages if "y" * 32 in text]


def test_an_upgrade_is_not_held_up(ada, password, stronger, monkeypatch, caplog):
    def fail(*args):
        raise DatabaseError("no such table")

    monkeypatch.setattr(devices, "account_by", fail)
    stronger()
    assert log_in(ada, password)
    assert len(complaints(caplog)) == 1


@contextmanager
def without_table(model):
    """Let statements name a table that there is not. The fields keep the name once they use it."""
    meta = model._meta
    table, meta.db_table = meta.db_table, "there_is_none"
    try:
        yield
    finally:
        meta.db_table = table
        for field in meta.fields:
            vars(field).pop("cached_col", None)


def test_a_real_error_of_the_database_ends_no_transaction(ada, caplog):
    value = devices.use(ada, trust(ada)).value
    with transaction.atomic():
        with without_table(TrustedDevice):
            assert devices.use(ada, value) is None
            assert trust(ada) == ""
        assert read(ada) == ada
    assert len(complaints(caplog)) == 2
    assert devices.use(ada, value) is not None


def test_a_user_whom_the_table_refuses(user, caplog):
    """One who is gone meanwhile: the database may say so at once, or at the end."""
    Totp.objects.create(user=user, secret_key="x", confirmed_at=datetime.now(UTC))
    user = read(user)
    user.pk = type(user)._meta.pk.to_python(
        "99999" if isinstance(user.pk, int) else "12345678-1234-5678-1234-567812345678"
    )
    with transaction.atomic():
        trust(user)
        transaction.set_rollback(True)


# --- List and removal ---


def test_a_list_is_of_ones_own_and_of_what_is_live(ada, make_user):
    names = ["laptop", "phone", "desktop"]
    for ago, name in enumerate(names):
        trust(ada, name, ago=ago)
    trust(ada, "old", ago=MONTH)
    eve = make_user("eve")
    Totp.objects.create(user=eve, secret_key="x", confirmed_at=datetime.now(UTC))
    trust(read(eve), "hers")
    assert [each.name for each in devices.devices_of(ada)] == names
    assert {each.name: devices.is_live(each) for each in TrustedDevice.objects.all()} == {
        **dict.fromkeys(names, True),
        "old": False,
        "hers": True,
    }


def test_a_list_is_one_query(ada, django_assert_num_queries):
    for _ in range(3):
        trust(ada)
    user = get_user_model()._default_manager.get(pk=ada.pk)
    with django_assert_num_queries(1):
        assert len(devices.devices_of(user)) == 3


def test_removal(ada, make_user, events):
    mine, hers = trust(ada), trust(ada, "phone")
    laptop, phone = TrustedDevice.objects.order_by("pk")
    eve = make_user("eve")
    events()
    assert not devices.remove(eve, str(laptop.pk))
    assert events() == []
    assert devices.remove(ada, str(laptop.pk), reason="lost")
    assert events() == [("device_removed", "lost")]
    assert not devices.remove(ada, str(laptop.pk))
    assert devices.use(ada, mine) is None
    assert devices.use(ada, hers).key == str(phone.pk)


KEYS = ["", "x", "-1", "1.0", " 1", "٣", "9" * 18, "9" * 40, "\0", "\ud800", "1' OR '1'='1"]


@pytest.mark.parametrize("key", KEYS)
def test_keys_of_nothing(ada, key):
    trust(ada)
    assert not devices.remove(ada, key)
    assert TrustedDevice.objects.count() == 1


def test_removal_of_all_is_of_ones_own(ada, make_user, events):
    for _ in range(3):
        trust(ada)
    eve = make_user("eve")
    events()
    devices.remove_all(eve)
    assert events() == []
    assert TrustedDevice.objects.count() == 3
    devices.remove_all(ada)
    assert events() == [("device_removed", "all")]
    assert not TrustedDevice.objects.exists()


def test_a_name_in_the_log_is_no_line_of_it(ada, caplog):
    caplog.set_level(logging.INFO, "django_totp")
    trust(ada, "a\nlogin user_pk='1'")
    [record] = caplog.records
    assert record.event == "device_trusted"
    assert record.device == "alogin user_pk='1'"
    assert "\n" not in record.getMessage()


def test_guesses_end_nothing(ada):
    value = trust(ada)
    tag, at, key, _series, _secret = value.split(".")
    letters = string.ascii_letters + string.digits
    for _ in range(20):
        series, secret = ("".join(random.choices(letters, k=size)) for size in (22, 32))
        assert devices.use(ada, f"{tag}.{at}.{key}.{series}.{secret}") is None
    assert devices.use(ada, value) is not None
