"""What becomes of the devices of other packages, of rows of every kind and whatever happens."""

import base64
import logging
import sys
import types
from collections import deque
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AbstractUser
from django.core.exceptions import ImproperlyConfigured
from django.core.signing import Signer
from django.db import connection
from django.db.models import CharField, EmailField
from django.db.models.signals import post_save
from django.test.utils import CaptureQueriesContext, isolate_apps
from django.utils import timezone

from django_totp.auth import is_totp_enabled, reset_totp
from django_totp.encryption import decrypt, encrypt
from django_totp.models import Account, BackupCode, Event, Totp
from django_totp.operations import importers
from django_totp.operations.importers import (
    SOURCES,
    SourceMissing,
    base,
    import_factors,
    mfa2,
    moving,
)
from django_totp.totp import confirm_totp_setup, start_totp_setup, verify_totp_code
from django_totp.trail import DatabaseHandler
from tests.former import models as former
from tests.memory import peak_of

pytestmark = pytest.mark.django_db

NOW = datetime(2030, 6, 1, 12, 0, 5, tzinfo=UTC)
STEP = int(NOW.timestamp()) // 30
KEY = bytes(range(20))
SECRET = base64.b32encode(KEY).decode()


@pytest.fixture(autouse=True)
def _clock(time_machine):
    time_machine.move_to(NOW, tick=False)


@pytest.fixture(autouse=True)
def _tables(monkeypatch):
    """Let the tables of the other packages be those of ``tests.former``."""

    def model(label):
        if label not in former.TABLES:
            raise SourceMissing
        return former.TABLES[label]

    monkeypatch.setattr(base, "_model", model)


@pytest.fixture
def clock(time_machine):
    return time_machine


@pytest.fixture
def helper(monkeypatch):
    """Return a function that lets a function be there as one of a package that is not."""

    def helper(path, function):
        module, _, name = path.rpartition(".")
        monkeypatch.setitem(sys.modules, module, types.SimpleNamespace(**{name: function}))

    return helper


def run(name="otp", **options):
    """Return how many were imported, and what else there was of each kind."""
    *_, tally = import_factors(name, **options)
    assert tally.seen == tally.total
    return tally.imported, {kind: pks for kind, pks in tally.named.items() if pks}


def device(user, **fields):
    """Add a device of django-otp."""
    return former.TOTPDevice.objects.create(user_id=user.pk, **{"key": KEY.hex(), **fields})


def authenticator(user, secret=SECRET, **fields):
    row = {"data": {"secret": secret, **fields.pop("more", {})}, **fields}
    return former.Authenticator.objects.create(user_id=user.pk, **row)


def enrollment(user):
    return Totp.objects.get(user_id=user.pk)


class TestWhatARowBecomes:
    def test_an_enrollment_that_is_on_from_now_on(self, user):
        device(user, last_t=STEP - 7)
        assert run() == (1, {})
        totp = enrollment(user)
        assert decrypt(totp.secret_key) == SECRET
        assert (totp.digits, totp.period, totp.algorithm) == (6, 30, "SHA1")
        assert (totp.last_used_step, totp.failures, totp.version) == (STEP - 7, 0, 0)
        assert totp.confirmed_at == totp.created_at == NOW
        assert is_totp_enabled(user)
        assert not totp.codes.exists()

    def test_its_codes_are_those_of_the_same_app(self, user, otp):
        device(user, last_t=STEP)
        run()
        assert not verify_totp_code(user, otp(SECRET))
        assert verify_totp_code(user, otp(SECRET, offset=1))

    def test_where_no_step_is_stored_the_present_and_the_next_are_burnt(self, user, otp, clock):
        device(user)
        run()
        assert enrollment(user).last_used_step == STEP + 1
        assert not any(verify_totp_code(user, otp(SECRET, offset=steps)) for steps in (-1, 0, 1))
        clock.shift(30)
        assert verify_totp_code(user, otp(SECRET, offset=1))

    @pytest.mark.parametrize("window", [0, 1, 2])
    @pytest.mark.parametrize("tolerance", [0, 1, 3])
    def test_a_code_that_was_accepted_early_is_refused_when_its_time_has_come(
        self, user, otp, helper, clock, settings, tolerance, window
    ):
        helper("allauth.mfa.utils.decrypt", lambda text: text)
        settings.MFA_TOTP_TOLERANCE, settings.TOTP_VALID_WINDOW = tolerance, window
        authenticator(user)
        run("allauth")
        early = otp(SECRET, offset=tolerance)
        for _ in range(max(tolerance, 1)):
            clock.shift(30)
            assert not verify_totp_code(user, early)
        clock.shift(30)
        assert verify_totp_code(user, otp(SECRET))

    @pytest.mark.parametrize(("ahead", "carried"), [(30, True), (31, False), (10**9, False)])
    def test_a_step_of_the_future_keeps_nobody_out_for_longer_than_any_wait(
        self, user, ahead, carried
    ):
        row = device(user, last_t=STEP + ahead)
        assert run() == (1, {} if carried else {"ahead": [row.pk]})
        assert enrollment(user).last_used_step == STEP + (ahead if carried else 1)

    @pytest.mark.parametrize(("drift", "told"), [(0, False), (-1, False), (2, True), (-2, True)])
    def test_a_clock_that_is_off_is_told_of(self, user, drift, told):
        row = device(user, drift=drift)
        assert run() == (1, {"drifting": [row.pk]} if told else {})

    @pytest.mark.parametrize("parameters", [{"digits": 8}, {"step": 60}, {"step": 15}])
    def test_parameters_are_kept(self, user, parameters):
        device(user, **parameters)
        assert run() == (1, {})
        totp = enrollment(user)
        assert totp.digits == parameters.get("digits", 6)
        assert totp.period == parameters.get("step", 30)
        assert totp.last_used_step == int(NOW.timestamp()) // totp.period + 1

    @pytest.mark.parametrize("parameters", [{"t0": 7}, {"digits": 5}, {"digits": 9}, {"step": 0}])
    def test_parameters_that_are_not_ours(self, user, parameters):
        row = device(user, **parameters)
        assert run() == (0, {"unsupported": [row.pk]})
        assert not Totp.objects.exists()

    @pytest.mark.parametrize("key", ["", "xy", "abc"])
    def test_a_key_that_is_none(self, user, key):
        row = device(user, key=key)
        assert run() == (0, {"unreadable": [row.pk]})

    def test_a_secret_that_is_too_long(self, user):
        older = former.MFAKey.objects.create(user_id=user.pk, secret="A" * 120)
        row = former.MFAKey.objects.create(user_id=user.pk, secret="A" * 128, last_code="1")
        assert run("mfa3") == (1, {"older": [older.pk], "unsupported": [row.pk]})
        assert decrypt(enrollment(user).secret_key) == "A" * 120


class TestWhomItIs:
    def test_several_devices(self, user):
        rows = [device(user, last_t=last_t) for last_t in (STEP - 9, -1, STEP - 2, STEP - 3)]
        assert run() == (1, {"others": [rows[3].pk, rows[0].pk, rows[1].pk]})
        assert enrollment(user).last_used_step == STEP - 2

    def test_steps_of_different_length(self, user):
        other = device(user, last_t=STEP - 9)
        device(user, step=60, last_t=STEP // 2 - 1)
        assert run() == (1, {"others": [other.pk]})
        assert enrollment(user).period == 60

    def test_the_first_good_one(self, user):
        good = device(user)
        bad = device(user, last_t=STEP, key="xy")
        other = device(user, last_t=STEP, t0=3)
        named = {"older": [good.pk], "unreadable": [bad.pk], "unsupported": [other.pk]}
        assert run() == (1, named)
        assert enrollment(user).last_used_step == STEP + 1

    def test_one_that_is_not_confirmed_is_none(self, user):
        device(user, confirmed=False)
        assert run() == (0, {})

    def test_who_is_gone(self, user, make_user):
        gone = make_user("grace")
        row = device(gone)
        device(user)
        gone.delete()
        assert run() == (1, {"nobody": [row.pk]})

    def test_who_is_not_active_has_the_app_if_that_changes(self, user):
        type(user).objects.filter(pk=user.pk).update(is_active=False)
        row = device(user)
        assert run() == (1, {"inactive": [row.pk]})
        assert is_totp_enabled(user)

    def test_of_users_only_that_is_read(self):
        assert base._read_of(get_user_model(), "username") == {"username", "is_active"}
        assert base._read_of(former.TOTPDevice, "pk") == {"pk"}  # as a user model may be

    def test_what_the_manager_of_users_adds_is_left_out(self, user, make_user, monkeypatch):
        manager = type(get_user_model()._default_manager)
        plain = manager.get_queryset

        def adding(self):
            return plain(self).select_related("totp", "totp_account").defer("is_active", "password")

        for other in ("grace", "emmy"):
            device(make_user(other))
        device(user)
        with CaptureQueriesContext(connection) as expected:
            run(dry_run=True)
        monkeypatch.setattr(manager, "get_queryset", adding)
        with CaptureQueriesContext(connection) as captured:
            assert run(dry_run=True) == (3, {})
        assert [one["sql"] for one in captured] == [one["sql"] for one in expected]

    def test_who_is_enrolled_here_stays_so(self, enrolled_user):
        before = Totp.objects.values().get()
        row = device(enrolled_user)
        assert run() == (0, {"enrolled": [row.pk]})
        assert Totp.objects.values().get() == before
        assert BackupCode.objects.count() == 10

    def test_an_enrollment_of_1_1_is_one(self, pending_user):
        BackupCode.objects.create(totp=enrollment(pending_user), code=encrypt("12345678"))
        row = device(pending_user)
        assert run() == (0, {"enrolled": [row.pk]})

    def test_what_is_pending_gives_way(self, user, otp):
        setup = start_totp_setup(user)
        device(user, last_t=STEP - 1)
        assert run() == (1, {})
        totp = enrollment(user)
        assert decrypt(totp.secret_key) == SECRET
        assert (totp.confirmed_at, totp.version) == (NOW, 1)
        with pytest.raises(ValueError, match="already exists"):
            confirm_totp_setup(user, otp(setup.secret))

    def test_what_is_pending_and_moves_meanwhile_stays(self, user, monkeypatch):
        start_totp_setup(user)
        row = device(user)
        columns = moving._columns

        def slowly(device):
            Totp.objects.update(version=7)
            return columns(device)

        monkeypatch.setattr(moving, "_columns", slowly)
        assert run() == (0, {"moved": [row.pk]})
        assert not enrollment(user).is_enabled


class TestWhoWasHereBefore:
    @pytest.fixture
    def row(self, user):
        """Return the device of the user, who was taken over."""
        row = device(user)
        run()
        return row

    @pytest.mark.parametrize("dry_run", [True, False])
    @pytest.mark.parametrize("remove", [reset_totp, lambda user: enrollment(user).delete()])
    def test_what_was_removed_here_does_not_come_back(self, user, row, remove, dry_run):
        """As an app on a phone that was stolen."""
        remove(user)
        assert run(dry_run=dry_run) == (0, {"removed": [row.pk]})
        assert not is_totp_enabled(user)

    def test_nor_from_another_source(self, user, row):
        reset_totp(user)
        other = former.MFAKey.objects.create(user_id=user.pk, secret=SECRET)
        assert run("mfa3") == (0, {"removed": [other.pk]})

    def test_nor_over_a_setup_that_was_begun_since(self, user, row):
        reset_totp(user)
        setup = start_totp_setup(user)
        assert run() == (0, {"removed": [row.pk]})
        assert decrypt(enrollment(user).secret_key) == setup.secret

    def test_unless_it_is_asked_for(self, user, make_user, row):
        reset_totp(user)
        other = device(make_user("grace"))
        run()
        Totp.objects.all().delete()
        assert run(again={user.pk}) == (1, {"removed": [other.pk]})
        assert is_totp_enabled(user)

    def test_what_is_enrolled_is_left_alone_also_then(self, user, row):
        assert run(again={user.pk}) == (0, {"enrolled": [row.pk]})

    def test_a_setup_that_gave_way_is_remembered_too(self, user):
        start_totp_setup(user)
        row = device(user)
        run()
        reset_totp(user)
        assert run() == (0, {"removed": [row.pk]})

    def test_what_else_is_known_of_the_account_stays(self, user):
        until = NOW.date() + timedelta(days=9)
        Account.objects.create(user=user, exempt_until=until, exempt_reason="no phone")
        device(user)
        run()
        account = Account.objects.get()
        assert (account.exempt_until, account.exempt_reason) == (until, "no phone")
        assert account.imported_at == NOW

    def test_who_was_never_taken_over_is_taken_once(self, user):
        """With the app of the other package, also if another one was removed here."""
        start_totp_setup(user)
        reset_totp(user)
        device(user)
        assert run() == (1, {})


class TestHowItIsWritten:
    @pytest.fixture
    def crowd(self, make_user):
        """Return 7 users, two of whom have two devices."""
        users = [make_user(f"user{number}") for number in range(7)]
        for user in [*users, users[2], users[5]]:
            device(user)
        return users

    @pytest.mark.parametrize("size", [1, 2, 3, 1000])
    def test_batches_of_any_size(self, crowd, size):
        imported, named = run(batch_size=size)
        assert (imported, len(named["others"])) == (7, 2)
        assert Totp.objects.count() == 7

    def test_twice_is_once(self, crowd):
        run()
        before = list(Totp.objects.order_by("pk").values())
        imported, named = run()
        assert (imported, len(named["enrolled"])) == (0, 9)
        assert list(Totp.objects.order_by("pk").values()) == before

    def test_a_dry_run_counts_alike_and_writes_nothing(self, crowd, make_user):
        device(crowd[0], key="xy")
        device(make_user("grace"), t0=1)
        start_totp_setup(crowd[3])
        dry = run(dry_run=True)
        assert list(Totp.objects.filter(confirmed_at__isnull=False)) == []
        assert run() == dry

    def test_one_that_was_killed_is_resumed(self, crowd):
        tallies = import_factors("otp", batch_size=2)
        next(tallies)
        assert next(tallies).imported == 2
        tallies.close()
        assert Totp.objects.count() == 2
        assert run()[0] == 5

    def test_a_batch_is_one_transaction_that_begins_with_its_write(self, crowd):
        with CaptureQueriesContext(connection) as captured:
            run()
        writes = [query["sql"] for query in captured if "INSERT" in query["sql"]]
        assert len(writes) == 2  # of the enrollments, and that they came
        at = [query["sql"] for query in captured].index(writes[0])
        assert captured.captured_queries[at - 1]["sql"].startswith(("SAVEPOINT", "BEGIN"))

    def test_who_enrolls_meanwhile_wins(self, crowd, monkeypatch):
        columns = moving._columns

        def slowly(device):
            if not Totp.objects.exists():
                Totp.objects.create(user_id=crowd[4].pk, secret_key="theirs")
            return columns(device)

        monkeypatch.setattr(moving, "_columns", slowly)
        imported, named = run()
        assert (imported, len(named["moved"])) == (6, 1)
        assert enrollment(crowd[4]).secret_key == "theirs"

    def test_who_comes_twice_in_a_batch_is_one(self, user, monkeypatch):
        """As where a database takes two names for one, and so mixes their rows."""
        rows = [device(user, last_t=STEP), device(user), device(user)]
        people = type(SOURCES["otp"]()).people

        def mixed(self, size):
            for devices in people(self, size):
                yield from ([one] for one in devices)

        monkeypatch.setattr(SOURCES["otp"], "people", mixed)
        for size in (1, 2, 1000):
            for options in ({"dry_run": True}, {}):
                found = run(batch_size=size, **options)
                assert found == (1, {"others": [rows[1].pk, rows[2].pk]})
            assert enrollment(user).last_used_step == STEP
            Totp.objects.all().delete()
            Account.objects.all().delete()

    def test_who_watches_is_told(self, crowd):
        told = []

        def note(instance, created, **kwargs):
            told.append((instance.user_id, created))

        post_save.connect(note, sender=Totp)
        try:
            assert run()[0] == 7
        finally:
            post_save.disconnect(note, sender=Totp)
        assert sorted(told, key=str) == sorted([(user.pk, True) for user in crowd], key=str)

    def test_each_is_an_event(self, crowd, caplog):
        with caplog.at_level(logging.INFO, logger="django_totp"):
            run()
            run()
        records = [record for record in caplog.records if record.event == "imported"]
        assert {record.user_pk for record in records} == {str(user.pk) for user in crowd}
        assert len(records) == 7
        assert {(one.reason, one.method, one.actor_pk) for one in records} == {("otp", "totp", "")}
        assert SECRET not in caplog.text

    def test_events_that_are_kept_in_a_table(self, crowd, caplog):
        handler = DatabaseHandler()
        logging.getLogger("django_totp").addHandler(handler)
        try:
            with caplog.at_level(logging.INFO, logger="django_totp"):
                run(batch_size=3)
        finally:
            logging.getLogger("django_totp").removeHandler(handler)
        rows = Event.objects.values_list("event", "user_pk", "actor_pk", "method", "reason")
        assert set(rows) == {("imported", str(user.pk), "", "totp", "otp") for user in crowd}

    @pytest.mark.parametrize("batch_size", [2, 3, 1000])
    def test_an_interruption_leaves_none_who_is_not_told_of(self, crowd, caplog, batch_size):
        """Neither an enrollment without its event nor an event without its enrollment."""
        trail = DatabaseHandler()
        interruption = Interruption(after=5)
        logger = logging.getLogger("django_totp")
        for handler in (trail, interruption):
            logger.addHandler(handler)
        try:
            with caplog.at_level(logging.INFO, logger="django_totp"):
                tallies = import_factors("otp", batch_size=batch_size)
                tally = next(tallies)
                with pytest.raises(KeyboardInterrupt):
                    deque(tallies)
                assert tally.imported == 5 // batch_size * batch_size
                assert_all_are_told_of(tally.imported)
                assert run(batch_size=batch_size)[0] == 7 - tally.imported
        finally:
            for handler in (trail, interruption):
                logger.removeHandler(handler)
        assert_all_are_told_of(7)

    def test_a_receiver_that_raises_leaves_none_who_is_not_told_of(self, crowd, caplog):
        def raising(instance, **kwargs):
            if Totp.objects.count() == 4:
                raise RuntimeError

        post_save.connect(raising, sender=Totp)
        trail = DatabaseHandler()
        logging.getLogger("django_totp").addHandler(trail)
        tallies = import_factors("otp")
        tally = next(tallies)
        try:
            with caplog.at_level(logging.INFO, logger="django_totp"), pytest.raises(RuntimeError):
                next(tallies)
        finally:
            post_save.disconnect(raising, sender=Totp)
            logging.getLogger("django_totp").removeHandler(trail)
        assert tally.imported == 3
        assert_all_are_told_of(3)

    def test_a_database_that_is_named(self, crowd):
        assert run(using="default")[0] == 7

    def test_there_must_be_a_key(self, crowd, settings):
        settings.TOTP_ENCRYPTION_KEY = "none"
        with pytest.raises(ImproperlyConfigured):
            run()

    def test_few_are_named(self, user):
        rows = [device(user, key="xy") for _ in range(25)]
        *_, tally = import_factors("otp")
        assert tally.counts["unreadable"] == 25
        assert tally.named["unreadable"] == [row.pk for row in rows[:20]]
        assert tally.sentences[0].endswith(f"{rows[19].pk} and 5 more).")

    def test_memory_stays_flat(self):
        model = get_user_model()

        def peak(first, count):
            name = model.USERNAME_FIELD
            users = [model(**{name: f"{number}@x.org"}) for number in range(first, first + count)]
            for user in model.objects.bulk_create(users):
                user = model.objects.get(**{name: getattr(user, name)}) if not user.pk else user
            pks = model.objects.values_list("pk", flat=True)
            new = set(pks) - set(former.TOTPDevice.objects.values_list("user_id", flat=True))
            former.TOTPDevice.objects.bulk_create(
                former.TOTPDevice(user_id=pk, key=KEY.hex()) for pk in new
            )
            del users, user, pks, new
            before = Totp.objects.count()
            most = peak_of(import_factors("otp", batch_size=50))
            assert Totp.objects.count() == before + count
            return most

        peak(0, 100)  # what is made once
        assert peak(1000, 2000) < 2 * peak(5000, 200)


class TestSources:
    def test_one_that_is_not_there(self, monkeypatch):
        monkeypatch.undo()
        for name in SOURCES:
            with pytest.raises(SourceMissing):
                run(name)

    def test_one_whose_table_is_not_there(self, monkeypatch):
        monkeypatch.setattr(connection.introspection, "table_names", list)
        with pytest.raises(SourceMissing):
            run()

    def test_names_are_as_the_command_has_them(self):
        names = {"otp", "allauth", "mfa", "mfa2", "mfa3", "trench", "dj_rest_auth", "drf_totp"}
        assert set(SOURCES) == names

    def test_codes_of_otp(self, user):
        former.StaticToken.objects.create(token="abcdefgh")
        tally = next(import_factors("otp"))
        assert (tally.total, tally.codes) == (0, 1)

    def test_codes_of_an_app_that_is_not_there(self, monkeypatch):
        monkeypatch.delitem(former.TABLES, "otp_static.StaticToken")
        assert next(import_factors("otp")).codes == 0

    def test_a_source_without_codes(self, monkeypatch):
        monkeypatch.setattr(SOURCES["otp"], "codes", None)
        assert next(import_factors("otp")).codes == 0

    @pytest.mark.parametrize("tolerance", [0, 1, 2, 30])
    def test_allauth(self, user, helper, settings, tolerance):
        helper("allauth.mfa.utils.decrypt", lambda text: text[::-1])
        settings.MFA_TOTP_DIGITS, settings.MFA_TOTP_PERIOD = 8, 60
        settings.MFA_TOTP_TOLERANCE = tolerance
        authenticator(user, SECRET[::-1])
        authenticator(user, type="recovery_codes")
        assert next(import_factors("allauth")).codes == 1
        assert run("allauth") == (1, {})
        totp = enrollment(user)
        assert (decrypt(totp.secret_key), totp.digits, totp.period) == (SECRET, 8, 60)
        burnt = {0: 1, 1: 1, 2: 2, 30: 15}[tolerance]  # but nobody waits longer than for a wait
        assert totp.last_used_step == int(NOW.timestamp()) // 60 + burnt

    @pytest.mark.parametrize("data", [{}, [], None, "x", {"secret": None}, {"secret": "1"}])
    def test_data_of_another_shape(self, user, helper, data):
        helper("allauth.mfa.utils.decrypt", lambda text: text)
        row = former.Authenticator.objects.create(user_id=user.pk, data=data or {})
        assert run("allauth") == (0, {"unreadable": [row.pk]})

    def test_mfa(self, user, make_user, helper):
        helper("django_mfa.crypto.decrypt", lambda text: text)
        other, odd = make_user("grace"), make_user("emmy")
        authenticator(user, more={"last_verified_counter": STEP - 3})
        authenticator(other)
        row = authenticator(odd, more={"last_verified_counter": "?"})
        assert run("mfa") == (2, {"unreadable": [row.pk]})
        assert enrollment(user).last_used_step == STEP - 3
        assert enrollment(other).last_used_step == STEP + 1

    def test_mfa2(self, user, make_user):
        grace = make_user("grace")
        for name, days in ((user.get_username(), 3), (grace.get_username(), 1)):
            used = timezone.now() - timedelta(days=days)
            for fields in ({"last_used": used}, {}, {"enabled": False}, {"key_type": "FIDO2"}):
                former.UserKeys.objects.create(
                    username=name, properties={"secret_key": SECRET}, **fields
                )
        nobody = former.UserKeys.objects.create(username="x", properties={"secret_key": SECRET})
        empty = former.UserKeys.objects.create(username=user.get_username())
        imported, named = run("mfa2")
        assert (imported, named["nobody"]) == (2, [nobody.pk])
        assert len(named["others"]) == 3
        assert empty.pk in named["others"]
        assert "15 minutes" in next(import_factors("mfa2")).remark

    def test_names_of_mfa2_are_compared_as_the_database_does(self, user, otp):
        names = [name(user.get_username()) for name in (str.upper, str, str.title, str)]
        rows = [
            former.UserKeys.objects.create(username=name, properties={"secret_key": SECRET})
            for name in names
        ]
        pks = [row.pk for row in rows]
        if connection.vendor == "mysql":  # all are one name there
            expected = {"others": pks[1:]}
        else:
            expected = {"others": [pks[3]], "nobody": sorted([pks[0], pks[2]])}
        for options in ({"dry_run": True}, {"dry_run": True, "batch_size": 1}, {}):
            imported, named = run("mfa2", **options)
            assert (imported, {kind: sorted(keys) for kind, keys in named.items()}) == (1, expected)

    @isolate_apps("tests.former")
    def test_a_user_of_mfa2_may_have_no_name_but_the_mail(self, monkeypatch):
        of_former = type("Meta", (), {"app_label": "former"})

        class WithoutName(AbstractUser):
            Meta = of_former
            username = None
            USERNAME_FIELD = "email"

        class WithProperty(AbstractBaseUser):
            Meta = of_former
            email = EmailField()
            username = property(lambda self: self.email)
            USERNAME_FIELD = "email"

        class WithName(AbstractBaseUser):
            Meta = of_former
            username, email = CharField(), EmailField()
            USERNAME_FIELD = "email"

        source = SOURCES["mfa2"]()
        for model, key in ((WithoutName, "email"), (WithProperty, "email"), (WithName, "username")):
            monkeypatch.setattr(mfa2, "get_user_model", lambda model=model: model)
            assert source.user_key == key

    def test_mfa3(self, user, settings):
        first = former.MFAKey.objects.create(user_id=user.pk, secret="B" * 32)
        former.MFAKey.objects.create(user_id=user.pk, secret=SECRET, last_code="123456")
        former.MFAKey.objects.create(user_id=user.pk, secret="C" * 32, method="FIDO2")
        settings.MFA_TOTP_VALID_WINDOW = 2
        assert run("mfa3") == (1, {"others": [first.pk]})
        assert decrypt(enrollment(user).secret_key) == SECRET
        assert enrollment(user).last_used_step == STEP + 2

    def test_trench(self, user, make_user, settings):
        former.MFAMethod.objects.create(user_id=user.pk, secret=SECRET, _backup_codes="a|b")
        former.MFAMethod.objects.create(user_id=user.pk, secret=SECRET, name="email")
        other = former.MFAMethod.objects.create(user_id=user.pk, secret="B" * 32)
        former.MFAMethod.objects.create(user_id=make_user("emmy").pk, secret="", is_active=False)
        settings.TRENCH_AUTH = {"MFA_METHODS": {"app": {"VALIDITY_PERIOD": 60}}}
        assert next(import_factors("trench")).codes == 1
        assert run("trench") == (1, {"others": [other.pk]})
        assert enrollment(user).period == 60

    def test_trench_without_settings_and_with_a_model_of_the_projects_own(self, user, settings):
        former.MFAMethod.objects.create(user_id=user.pk, secret=SECRET)
        assert run("trench", dry_run=True) == (1, {})
        settings.TRENCH_AUTH = {"USER_MFA_MODEL": "former.MFAMethod"}
        with pytest.raises(SourceMissing):
            run("trench")

    def test_dj_rest_auth(self, user, make_user, settings):
        signed = Signer(salt="dj-rest-auth-mfa-totp-secret").sign(SECRET)
        settings.REST_AUTH = {"MFA_TOTP_DIGITS": 8, "MFA_TOTP_PERIOD": 45}
        authenticator(user, signed)
        bad = authenticator(make_user("grace"), signed[:-1])
        assert run("dj_rest_auth") == (1, {"unreadable": [bad.pk]})
        assert (enrollment(user).digits, enrollment(user).period) == (8, 45)

    def test_drf_totp(self, user, make_user, settings):
        fields = {"otp_base32": f"fernet${encrypt(SECRET)}", "last_used_step": STEP - 1}
        former.TOTPAuth.objects.create(user_id=user.pk, **fields)
        former.TOTPAuth.objects.create(
            user_id=make_user("emmy").pk, otp_base32=SECRET, otp_verified=False
        )
        plain = make_user("grace")
        former.TOTPAuth.objects.create(user_id=plain.pk, otp_base32=SECRET)
        bad = [
            former.TOTPAuth.objects.create(user_id=make_user(f"u{number}").pk, otp_base32=secret)
            for number, secret in enumerate([None, "fernet$x", "fernet$"])
        ]
        imported, named = run("drf_totp")
        assert (imported, sorted(named["unreadable"])) == (2, [row.pk for row in bad])
        assert enrollment(user).last_used_step == STEP - 1
        assert enrollment(plain).last_used_step == STEP + 1

    def test_the_one_used_last(self, user, helper):
        """By its moment, whichever the package."""
        helper("allauth.mfa.utils.decrypt", lambda text: text)
        helper("django_mfa.crypto.decrypt", lambda text: text)
        for number, name in enumerate(("allauth", "mfa", "dj_rest_auth"), start=1):
            secret = "ABCD"[number] * 32
            sign = Signer(salt="dj-rest-auth-mfa-totp-secret").sign
            stored = sign(secret) if name == "dj_rest_auth" else secret
            for days in (3, 1, 2):
                used = NOW - timedelta(days=days)
                row = authenticator(user, stored if days == 1 else "0", last_used_at=used)
            assert run(name)[0] == 1
            assert decrypt(enrollment(user).secret_key) == secret
            Totp.objects.all().delete()
            Account.objects.all().delete()
            former.Authenticator.objects.all().delete()
            assert row.pk


class Interruption(logging.Handler):
    """Presses Ctrl-C while the event ``after`` so many is told."""

    def __init__(self, after):
        super().__init__()
        self.left = after

    def handle(self, record):
        self.left -= 1
        if self.left == -1:
            raise KeyboardInterrupt


def assert_all_are_told_of(count):
    pks = [str(pk) for pk in Totp.objects.values_list("user_id", flat=True)]
    told = Event.objects.filter(event="imported").values_list("user_pk", flat=True)
    assert len(pks) == count
    assert sorted(told) == sorted(pks)
    assert Account.objects.exclude(imported_at=None).count() == count


def test_a_source_says_where_it_is():
    for source in importers.SOURCES.values():
        assert source.package
        assert source.app
