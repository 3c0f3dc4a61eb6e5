"""What other people's projects put around the services: logs, clocks, transactions, caches."""

import logging
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from django.contrib.auth import get_user_model
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models import QuerySet
from django.db.models.signals import post_delete
from django.urls import reverse
from rest_framework_simplejwt.tokens import RefreshToken

from django_totp import auth, events, oath
from django_totp.backup_code_utils import (
    rotate_backup_codes,
    store_backup_codes,
    verify_backup_code,
)
from django_totp.encryption import encrypt
from django_totp.exceptions import (
    InvalidChallenge,
    ReauthenticationRequired,
    TooManyAttempts,
    TotpNotEnrolled,
)
from django_totp.models import BackupCode, Totp
from django_totp.moments import aware
from django_totp.reauthentication import FreshProof, reauthenticate
from django_totp.retrying import retried
from django_totp.signals import totp_created
from django_totp.totp import (
    confirm_totp_setup,
    disable_totp,
    end_wait,
    start_totp_setup,
    verify_totp_code,
)
from tests.endpoints import assert_error, wrong_code
from tests.rivals import act_after_reading

pytestmark = pytest.mark.django_db

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
YEAR = timedelta(days=365)


def row():
    return Totp.objects.get()


# --- Proof and action are decided on one row ---


@pytest.mark.parametrize("name", ["totp-disable", "totp-rotate-backup-codes"])
def test_no_action_without_its_proof_at_the_moment_of_the_confirmation(
    settings, monkeypatch, pending_user, secret, otp, signed_in, name
):
    settings.TOTP_REAUTHENTICATE = True
    confirm = lambda: confirm_totp_setup(pending_user, otp(secret))  # noqa: E731
    act_after_reading(monkeypatch, confirm)
    response = signed_in.post(reverse(name))
    assert row().is_enabled
    assert response.status_code in (400, 403)
    assert_error(signed_in.post(reverse(name)), 403)


@pytest.mark.parametrize("act", [disable_totp, rotate_backup_codes])
@pytest.mark.parametrize("kind", ["otp_code", "backup_code", "password"])
def test_a_proof_and_its_action_are_one_step(
    enrolled_user, secret, otp, backup_codes, password, act, kind, monkeypatch
):
    """Somebody else's wrong code in between takes neither the proof nor the action away."""
    proofs = {"otp_code": otp(secret), "backup_code": backup_codes[0], "password": password}
    act_after_reading(monkeypatch, lambda: verify_totp_code(enrolled_user, "wrong"))
    act(enrolled_user, proof=FreshProof(enrolled_user, **{kind: proofs[kind]}))
    assert Totp.objects.exists() is (act is rotate_backup_codes)
    assert not BackupCode.objects.filter(is_used=True).exists()


@pytest.mark.parametrize("act", [disable_totp, rotate_backup_codes])
@pytest.mark.parametrize("proof", [{}, {"otp_code": "1"}, {"backup_code": "1"}, {"password": "1"}])
def test_without_a_good_proof_nothing_is_done(enrolled_user, act, proof):
    with pytest.raises(ReauthenticationRequired):
        act(enrolled_user, proof=FreshProof(enrolled_user, **proof))
    assert BackupCode.objects.count() == 10
    assert row().failures == ("otp_code" in proof or "backup_code" in proof)


@pytest.mark.parametrize("act", [auth.reset_totp, end_wait])
def test_only_what_was_seen_is_acted_upon(pending_user, secret, otp, act):
    seen = row()
    confirm_totp_setup(pending_user, otp(secret))
    with pytest.raises(TotpNotEnrolled):
        act(pending_user, seen=seen)
    seen = row()
    verify_totp_code(pending_user, "wrong")
    act(pending_user, seen=seen)


# --- Transactions of others ---


class Undone(Exception):
    """What rolls a transaction back."""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "guess",
    [
        lambda user: verify_totp_code(user, "1"),
        lambda user: verify_backup_code(user, "1"),
        lambda user: auth.finish_login(auth.generate_challenge_token(user), otp_code="1"),
        lambda user: reauthenticate(user, otp_code="1"),
    ],
)
def test_a_guess_in_somebody_elses_transaction_is_told(enrolled_user, caplog, guess):
    def undo():
        with transaction.atomic():
            guess(enrolled_user)
            raise Undone

    with pytest.raises((Undone, ValueError)):
        undo()
    assert row().failures == 0
    [error] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert error.name == "django_totp"
    assert "rolled back" in error.getMessage()
    caplog.clear()
    verify_totp_code(enrolled_user, "1")
    assert "rolled back" not in caplog.text


def test_a_test_case_is_nobody_elses_transaction(enrolled_user, caplog):
    verify_totp_code(enrolled_user, "1")
    assert "rolled back" not in caplog.text


def test_a_middleware_that_opens_one_is_told_of(enrolled_user, login, secret, settings, caplog):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "tests.test_projects.Rollback"]
    assert_error(login(enrolled_user, otp_code=wrong_code(secret)), 400)
    assert "inside a transaction of the caller" in caplog.text


class Rollback:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        with transaction.atomic():
            response = self.get_response(request)
            transaction.set_rollback(response.status_code >= 400)
            return response


def test_the_error_of_the_database_is_raised_in_the_end():
    error = DatabaseError("not ours")

    @retried
    def fail():
        raise error

    with pytest.raises(DatabaseError) as raised:
        fail()
    assert raised.value is error


# --- True errors ---


@pytest.mark.django_db(transaction=True)
def test_a_user_who_is_not_saved_is_no_sign_of_too_many_codes():
    with pytest.raises(IntegrityError):
        start_totp_setup(get_user_model()())


@pytest.mark.django_db(transaction=True)
def test_nor_is_a_user_who_is_deleted(user):
    again = get_user_model()._default_manager.get(pk=user.pk)
    user.delete()
    with pytest.raises(IntegrityError):
        start_totp_setup(again)


@pytest.mark.parametrize("code", ["x" * 128, "x" * 130, "x-" * 64, "é", "", "\0", "1\u00a02"])
def test_nor_is_a_code_that_cannot_be_stored(enrolled_user, code):
    with pytest.raises(ValueError, match="127 at the most"):
        store_backup_codes(enrolled_user, [code])
    assert BackupCode.objects.count() == 10


def test_the_longest_code_fits(enrolled_user):
    store_backup_codes(enrolled_user, ["x" * 127])
    assert verify_backup_code(enrolled_user, "X" * 127)


# --- Clocks ---


def test_a_clock_that_was_ahead_costs_no_count(
    settings, time_machine, enrolled_user, login, secret, otp, caplog
):
    settings.TOTP_THROTTLE_RATE = settings.TOTP_ADDRESS_THROTTLE_RATE = None
    time_machine.move_to(NOON + YEAR)
    assert login(enrolled_user, otp_code=otp(secret)).status_code == 200
    time_machine.move_to(NOON)
    for _ in range(8):
        assert_error(login(enrolled_user, otp_code=otp(secret)), 400)
    assert row().failures == 0
    assert "clock was ahead" in caplog.text
    assert "totp_unlock" in caplog.text
    assert_error(login(enrolled_user, otp_code=wrong_code(secret)), 400)
    assert row().failures == 1
    end_wait(enrolled_user)
    assert login(enrolled_user, otp_code=otp(secret)).status_code == 200


def test_an_unlock_makes_no_used_code_good(enrolled_user, secret, otp):
    code = otp(secret)
    assert verify_totp_code(enrolled_user, code)
    end_wait(enrolled_user)
    assert not verify_totp_code(enrolled_user, code)


def test_no_wait_is_longer_than_the_longest(time_machine, enrolled_user, login, secret, otp):
    time_machine.move_to(NOON + YEAR, tick=False)
    Totp.objects.update(failures=9)
    assert not verify_totp_code(enrolled_user, "wrong")
    for minutes, left in ((0, 900), (5, 600), (14, 60)):
        time_machine.move_to(NOON + timedelta(minutes=minutes), tick=False)
        with pytest.raises(TooManyAttempts) as raised:
            verify_totp_code(enrolled_user, otp(secret))
        assert raised.value.retry_after == left
    time_machine.move_to(NOON + timedelta(minutes=15), tick=False)
    assert verify_totp_code(enrolled_user, otp(secret))


@pytest.mark.parametrize(("ahead", "is_good"), [(0, True), (4, True), (7, False), (3600, False)])
def test_a_challenge_from_the_future_is_refused(time_machine, enrolled_user, ahead, is_good):
    time_machine.move_to(NOON + timedelta(seconds=ahead), tick=False)
    token = auth.generate_challenge_token(enrolled_user)
    time_machine.move_to(NOON, tick=False)
    if is_good:
        assert auth.verify_challenge_token(token) == enrolled_user.pk
        return
    with pytest.raises(InvalidChallenge):
        auth.verify_challenge_token(token)


def test_a_setup_from_the_future_is_none(time_machine, user, otp):
    time_machine.move_to(NOON + YEAR, tick=False)
    setup = start_totp_setup(user)
    time_machine.move_to(NOON, tick=False)
    with pytest.raises(TotpNotEnrolled):
        confirm_totp_setup(user, otp(setup.secret))


# --- Logs and receivers that raise ---


@pytest.fixture
def journey(login, user, enrolled_user, secret, otp):
    """Return a function that guesses wrong and logs in."""

    def journey():
        assert login(user, otp_code=wrong_code(secret)).status_code == 400
        assert login(user, otp_code=otp(secret)).status_code == 200

    return journey


@pytest.mark.parametrize("name", ["event", "method", "user_pk", "reason", "address"])
def test_a_record_factory_may_own_our_names(journey, caplog, name):
    caplog.set_level(logging.INFO, "django_totp")
    before = logging.getLogRecordFactory()

    def factory(*args, **kwargs):
        record = before(*args, **kwargs)
        setattr(record, name, "theirs")
        return record

    logging.setLogRecordFactory(factory)
    try:
        journey()
    finally:
        logging.setLogRecordFactory(before)
    records = [record for record in caplog.records if record.name == "django_totp"]
    told = [vars(record).get("totp_event") or vars(record)["event"] for record in records]
    assert told == ["verification_failed", "verified", "login"]
    assert {getattr(record, name) for record in records} == {"theirs"}


@pytest.mark.parametrize("where", ["factory", "filter", "handler"])
def test_logging_that_raises_breaks_no_login(journey, monkeypatch, capsys, where):
    def fail(*args, **kwargs):
        raise RuntimeError("no log today")

    if where == "factory":
        monkeypatch.setattr(events.logger, "makeRecord", fail)
    else:
        monkeypatch.setattr(events.logger, "filter" if where == "filter" else "callHandlers", fail)
    monkeypatch.setattr(events.logger, "level", logging.INFO)
    journey()
    assert "no log today" in capsys.readouterr().err


def test_a_receiver_that_raises_while_logging_raises(monkeypatch, pending_user, secret, otp):
    def fail(*args, **kwargs):
        raise RuntimeError("no")

    monkeypatch.setattr(logging.getLogger("django.dispatch"), "handle", fail)
    totp_created.connect(fail)
    try:
        assert confirm_totp_setup(pending_user, otp(secret))
    finally:
        totp_created.disconnect(fail)


def test_a_lost_key_and_a_log_that_raises(monkeypatch, enrolled_user, secret, otp):
    Totp.objects.update(secret_key="of a lost key")
    monkeypatch.setattr(events.logger, "callHandlers", lambda record: 1 / 0)
    assert not verify_totp_code(enrolled_user, otp(secret))


# --- Tables ---


@pytest.mark.parametrize("count", [2**31 - 1, 2**31, 2**62])
def test_counters_have_64_bits(settings, enrolled_user, secret, otp, count):
    settings.TOTP_FAILURE_CAP = None
    Totp.objects.update(failures=count, verifications=count, version=count)
    assert not verify_totp_code(enrolled_user, "wrong")
    assert row().failures == count + 1
    end_wait(enrolled_user)
    assert verify_totp_code(enrolled_user, otp(secret))
    assert row().verifications == count + 1


@pytest.mark.parametrize(
    "spell",
    [
        str.lower,
        lambda secret: " ".join(secret[at : at + 4] for at in range(0, len(secret), 4)),
        lambda secret: f"{secret}====\n",
        lambda secret: "-".join([secret[:9], secret[9:]]).lower(),
        lambda secret: f"\ufeff{secret}\u00a0",
    ],
)
@pytest.mark.parametrize("algorithm", ["SHA1", "sha1"])
def test_a_secret_is_read_however_it_was_stored(user, secret, otp, login, spell, algorithm):
    Totp.objects.create(user=user, secret_key=encrypt(spell(secret)), algorithm=algorithm)
    assert confirm_totp_setup(user, otp(secret, offset=-1))
    assert login(user, otp_code=otp(secret)).status_code == 200


@pytest.mark.parametrize("name", ["\N{GRINNING FACE}" * 20_000, "e\u0301" * 9999, ":" * 9999])
def test_a_long_name_is_quoted_once(user, name, monkeypatch):
    quoted = []

    def note(text, *args, **options):
        quoted.append(text)
        return quote(text, *args, **options)

    monkeypatch.setattr(oath, "quote", note)
    setattr(user, user.USERNAME_FIELD, name)
    assert start_totp_setup(user).svg
    assert sum(map(len, quoted)) < 2000  # once it was a million


# --- Caches of querysets ---


@pytest.fixture
def cached_querysets(monkeypatch):
    """Make each queryset remember what it has once fetched, as cacheops does."""
    fetch, kept = QuerySet._fetch_all, {}

    def fetch_all(rows):
        if rows._result_cache is None:
            key = str(rows.query)
            if key in kept:
                rows._result_cache = kept[key]
            fetch(rows)
            kept[key] = rows._result_cache

    monkeypatch.setattr(QuerySet, "_fetch_all", fetch_all)


def test_reads_that_decide_pass_a_cache_by(cached_querysets, user, enrolled_user, secret, otp):
    token = auth.generate_challenge_token(enrolled_user)
    assert auth.finish_login(token, otp_code=otp(secret)) == enrolled_user
    with pytest.raises(InvalidChallenge):
        auth.finish_login(token, otp_code=otp(secret, offset=1))
    assert not verify_totp_code(enrolled_user, otp(secret))
    token = auth.generate_challenge_token(enrolled_user)
    assert auth.verify_challenge_token(token)
    get_user_model()._default_manager.filter(pk=user.pk).update(is_active=False)
    with pytest.raises(InvalidChallenge):
        auth.verify_challenge_token(token)
    disable_totp(enrolled_user)
    assert not auth.is_totp_enabled(enrolled_user)


def test_a_refresh_passes_a_cache_by(cached_querysets, user, api):
    body = {"refresh": str(RefreshToken.for_user(user))}
    assert api.post(reverse("jwt-refresh"), body).status_code == 200
    get_user_model()._default_manager.filter(pk=user.pk).update(is_active=False)
    assert api.post(reverse("jwt-refresh"), body).status_code == 401


# --- A password that is given as a proof ---


def test_a_password_with_an_old_hash_keeps_the_caller_signed_in(
    settings, login, enrolled_user, secret, otp, api, password
):
    settings.SIMPLE_JWT = {"CHECK_REVOKE_TOKEN": True}
    settings.TOTP_REAUTHENTICATE = True
    settings.TOTP_REAUTHENTICATE_MAX_AGE = 0
    tokens = login(enrolled_user, otp_code=otp(secret)).json()
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.PBKDF2PasswordHasher",
        *settings.PASSWORD_HASHERS,
    ]
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens['access']}")
    rotate = reverse("totp-rotate-backup-codes")
    for _ in range(2):
        assert api.post(rotate, {"password": password}).status_code == 200
    assert connection.is_usable()


# --- Whoever watches the end of our rows ---


@pytest.mark.parametrize("act", [disable_totp, rotate_backup_codes])
def test_receivers_see_rows_go(enrolled_user, act):
    seen = []

    def watch(sender, **kwargs):
        seen.append(sender)

    post_delete.connect(watch)
    try:
        act(enrolled_user)
    finally:
        post_delete.disconnect(watch)
    assert seen.count(BackupCode) == 10
    assert (Totp in seen) is (act is disable_totp)


def test_logging_that_is_told_to_be_silent_is(monkeypatch, enrolled_user, capsys):
    monkeypatch.setattr(logging, "raiseExceptions", False)
    monkeypatch.setattr(events.logger, "callHandlers", lambda record: 1 / 0)
    assert not verify_totp_code(enrolled_user, "wrong")
    assert capsys.readouterr().err == ""


def test_a_password_that_was_changed_meanwhile_stays_changed(enrolled_user, password):
    stale = get_user_model()._default_manager.get(pk=enrolled_user.pk)
    enrolled_user.set_password("a new one")
    enrolled_user.save()
    reauthenticate(stale, password="a new one")
    enrolled_user.refresh_from_db()
    assert enrolled_user.check_password("a new one")


@pytest.mark.django_db(transaction=True)
def test_a_transaction_that_is_opened_by_hand_is_told_of(enrolled_user, caplog):
    transaction.set_autocommit(False)
    try:
        verify_totp_code(enrolled_user, "wrong")
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)
    assert "inside a transaction of the caller" in caplog.text


def test_a_manager_that_defers_breaks_no_second_step(
    enrolled_user, login, secret, otp, monkeypatch
):
    model = get_user_model()
    few = lambda manager: QuerySet(model, using="default").only("pk", "password")  # noqa: E731
    monkeypatch.setattr(type(model._default_manager), "get_queryset", few)
    assert login(enrolled_user, otp_code=otp(secret)).status_code == 200


def test_local_time_of_the_project(settings):
    settings.USE_TZ, settings.TIME_ZONE = False, "Asia/Tokyo"
    assert aware(datetime(2030, 1, 1)) == datetime(2029, 12, 31, 15, tzinfo=UTC)


def test_local_time_of_the_system(settings, enrolled_user, secret, otp):
    settings.USE_TZ, settings.TIME_ZONE = False, None
    assert not row().is_pending
    assert aware(datetime(2030, 1, 1)).tzinfo is not None
