"""The life of an enrollment: start, confirm, verify, disable."""

import base64
import inspect
import logging
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta
from functools import partial

import pyotp
import pytest
from django.db import IntegrityError

from django_totp import oath, qr
from django_totp.backup_code_utils import rotate_backup_codes, verify_backup_code
from django_totp.encryption import decrypt, encrypt
from django_totp.exceptions import (
    InvalidTotpCode,
    TooManyAttempts,
    TotpAlreadyExists,
    TotpNotEnrolled,
)
from django_totp.models import BackupCode, Totp
from django_totp.totp import (
    confirm_totp_setup,
    create_totp_setup,
    disable_totp,
    end_wait,
    generate_totp_secret,
    start_totp_setup,
    verify_totp_code,
)

from .receivers import connected, heard
from .rivals import act_after_reading

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def clock(time_machine):
    time_machine.move_to(NOON, tick=False)
    return time_machine


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.INFO, "django_totp")
    return caplog


@pytest.fixture
def waiting_user(enrolled_user):
    """Return the enrolled user, whose TOTP codes wait for a minute."""
    Totp.objects.update(failures=7, waiting_until=NOON + timedelta(seconds=60))
    return enrolled_user


@pytest.fixture
def unreadable_user(enrolled_user):
    """Return the enrolled user, whose secret is under a key that was lost."""
    Totp.objects.update(secret_key="gAAAA-of-a-lost-key")
    return enrolled_user


@pytest.fixture
def expired_user(pending_user, clock):
    """Return the user with a pending enrollment that is too old to be confirmed."""
    clock.shift(3600)
    return pending_user


@pytest.fixture
def sent():
    with heard() as calls:
        yield calls


def totp():
    return Totp.objects.get()


def wrong_code(secret):
    """Return six digits that are the code of no step near now."""
    now = int(NOON.timestamp()) // 30
    codes = {pyotp.HOTP(secret).at(step) for step in range(now - 2, now + 60)}
    return next(code for code in ("000000", "111111", "222222") if code not in codes)


# --- Start ---


def test_a_secret_has_160_bits():
    assert len(base64.b32decode(generate_totp_secret())) == 20


def test_a_setup_stays_as_it_was_made(user):
    setup = start_totp_setup(user)
    with pytest.raises(FrozenInstanceError):
        setup.secret = "other"


@pytest.mark.parametrize(
    "function", [start_totp_setup, confirm_totp_setup, verify_totp_code, disable_totp, end_wait]
)
def test_what_is_optional_is_given_by_name_and_the_user_as_the_caller_likes(function):
    first, *others = inspect.signature(function).parameters.values()
    assert (first.name, first.kind) == ("user", first.POSITIONAL_OR_KEYWORD)
    optional = [other for other in others if other.default is not other.empty]
    assert {other.kind for other in optional} == {first.KEYWORD_ONLY}


def test_a_setup_is_handed_out_as_a_qr_code(user, monkeypatch):
    monkeypatch.setattr(oath, "generate_secret", lambda: "JBSWY3DPEHPK3PXP" * 2)
    svg = create_totp_setup(user)
    uri = oath.provisioning_uri(
        "JBSWY3DPEHPK3PXP" * 2,
        account=user.get_username(),
        issuer="MyApp",
        digits=6,
        period=30,
        algorithm="SHA1",
    )
    assert svg == qr.svg(uri)


def test_a_setup_is_a_pending_enrollment_with_its_secret_encrypted(user):
    setup = start_totp_setup(user)
    assert (totp().is_pending, totp().is_enabled) == (True, False)
    assert decrypt(totp().secret_key) == setup.secret
    assert pyotp.parse_uri(setup.otpauth_uri).secret == setup.secret
    assert setup.svg == qr.svg(setup.otpauth_uri)


def test_a_setup_shows_no_secret_by_itself(user):
    assert repr(start_totp_setup(user)) == "TotpSetup()"


def test_a_setup_has_the_parameters_of_the_settings(user, settings):
    settings.TOTP_ISSUER = "Example"
    settings.TOTP_DIGITS, settings.TOTP_PERIOD, settings.TOTP_ALGORITHM = 8, 60, "SHA256"
    app = pyotp.parse_uri(start_totp_setup(user).otpauth_uri)
    assert (app.issuer, app.name) == ("Example", user.get_username())
    assert (app.digits, app.interval, app.digest().name) == (8, 60, "sha256")
    assert (totp().digits, totp().period, totp().algorithm) == (8, 60, "SHA256")


def test_a_pending_enrollment_is_replaced(pending_user, secret, otp, clock):
    Totp.objects.update(failures=9, waiting_until=NOON + timedelta(hours=1))
    clock.shift(3000)
    setup = start_totp_setup(pending_user)
    assert (totp().failures, totp().waiting_until) == (0, None)
    assert totp().created_at == NOON + timedelta(seconds=3000)
    with pytest.raises(InvalidTotpCode):
        confirm_totp_setup(pending_user, otp(secret))
    assert confirm_totp_setup(pending_user, otp(setup.secret))


def test_an_enrollment_that_has_expired_is_replaced(expired_user, otp):
    setup = start_totp_setup(expired_user)
    assert confirm_totp_setup(expired_user, otp(setup.secret))


def test_a_confirmed_enrollment_is_not_replaced(enrolled_user):
    before = Totp.objects.values().get()
    with pytest.raises(TotpAlreadyExists):
        create_totp_setup(enrolled_user)
    assert Totp.objects.values().get() == before


def test_of_two_setups_at_once_the_last_one_stands(user, otp, monkeypatch):
    setups = []
    act_after_reading(monkeypatch, lambda: setups.append(start_totp_setup(user)))
    last = start_totp_setup(user)
    with pytest.raises(InvalidTotpCode):
        confirm_totp_setup(user, otp(setups[0].secret))
    assert confirm_totp_setup(user, otp(last.secret))


def test_a_setup_does_not_replace_what_was_confirmed_meanwhile(
    pending_user, secret, otp, monkeypatch
):
    confirm = partial(confirm_totp_setup, pending_user, otp(secret))
    act_after_reading(monkeypatch, confirm)
    with pytest.raises(TotpAlreadyExists):
        start_totp_setup(pending_user)
    assert decrypt(totp().secret_key) == secret


def test_a_setup_is_recorded_without_its_secret(user, log):
    setup = start_totp_setup(user)
    [record] = log.records
    assert (record.event, record.user_pk) == ("enrollment_started", str(user.pk))
    assert setup.secret not in log.text


# --- Confirm ---


def test_a_right_code_confirms_and_gives_backup_codes(pending_user, secret, otp):
    codes = confirm_totp_setup(pending_user, otp(secret))
    assert totp().confirmed_at == totp().last_verified_at == NOON
    assert totp().is_enabled
    assert len(codes) == 10
    assert verify_backup_code(pending_user, codes[0])


def test_an_enrollment_without_backup_codes_can_be_confirmed(pending_user, secret, otp, settings):
    settings.TOTP_MAX_BACKUP_CODES = 0
    assert confirm_totp_setup(pending_user, otp(secret)) == []
    assert totp().is_enabled


def test_the_code_that_confirmed_is_used_up(pending_user, secret, otp):
    confirm_totp_setup(pending_user, otp(secret))
    assert not verify_totp_code(pending_user, otp(secret))
    assert verify_totp_code(pending_user, otp(secret, offset=1))


def test_a_wrong_code_confirms_nothing_and_is_counted(pending_user, secret):
    with pytest.raises(InvalidTotpCode):
        confirm_totp_setup(pending_user, wrong_code(secret))
    assert not totp().is_enabled
    assert totp().failures == 1
    assert not BackupCode.objects.exists()


def test_wrong_codes_end_in_a_wait(pending_user, secret, otp):
    for _ in range(6):
        with pytest.raises(InvalidTotpCode):
            confirm_totp_setup(pending_user, wrong_code(secret))
    with pytest.raises(TooManyAttempts) as raised:
        confirm_totp_setup(pending_user, otp(secret))
    assert raised.value.retry_after == 30
    assert not totp().is_enabled


def test_a_right_code_ends_the_count(pending_user, secret, otp):
    Totp.objects.update(failures=5)
    confirm_totp_setup(pending_user, otp(secret))
    assert totp().failures == 0


def test_a_malformed_code_confirms_nothing_and_is_counted(pending_user):
    with pytest.raises(InvalidTotpCode):
        confirm_totp_setup(pending_user, "12345")
    assert (totp().confirmed_at, totp().failures) == (None, 1)


def test_there_must_be_something_to_confirm(user):
    with pytest.raises(TotpNotEnrolled):
        confirm_totp_setup(user, "123456")


def test_an_enrollment_is_confirmed_once(enrolled_user, secret, otp):
    with pytest.raises(TotpAlreadyExists):
        confirm_totp_setup(enrolled_user, otp(secret))


def test_an_enrollment_that_has_expired_is_not_confirmed(expired_user, secret, otp):
    with pytest.raises(TotpNotEnrolled):
        confirm_totp_setup(expired_user, otp(secret))
    assert not totp().is_enabled


def test_a_secret_that_nobody_can_read_is_not_confirmed_and_nothing_is_counted(pending_user, log):
    Totp.objects.update(secret_key="gAAAA-of-a-lost-key")
    with pytest.raises(InvalidTotpCode):
        confirm_totp_setup(pending_user, "123456")
    assert totp().failures == 0
    assert f"secret of TOTP enrollment {totp().pk}" in log.text


def test_a_code_for_a_secret_that_was_replaced_meanwhile_confirms_nothing(
    pending_user, secret, otp, monkeypatch
):
    act_after_reading(monkeypatch, lambda: start_totp_setup(pending_user))
    with pytest.raises(InvalidTotpCode):
        confirm_totp_setup(pending_user, otp(secret))
    assert not totp().is_enabled


def test_of_two_confirmations_at_once_one_gives_codes(pending_user, secret, otp, monkeypatch):
    confirm = partial(confirm_totp_setup, pending_user, otp(secret))
    act_after_reading(monkeypatch, confirm)
    with pytest.raises(TotpAlreadyExists):
        confirm()
    assert BackupCode.objects.count() == 10


def test_a_confirmation_is_told(pending_user, secret, otp, sent, log):
    codes = confirm_totp_setup(pending_user, otp(secret), request=None)
    [(name, arguments)] = sent
    assert (name, arguments["user"], arguments["request"]) == ("totp_created", pending_user, None)
    assert arguments["sender"] is type(pending_user)
    assert [record.event for record in log.records] == ["enrollment_confirmed"]
    assert not [told for told in (secret, otp(secret), *codes) if told in log.text]


def test_a_confirmation_that_failed_is_told(pending_user, secret, sent, log):
    with pytest.raises(InvalidTotpCode):
        confirm_totp_setup(pending_user, wrong_code(secret))
    assert [name for name, _ in sent] == ["totp_verification_failed"]
    assert [record.reason for record in log.records] == ["wrong"]


# --- Verify ---


def test_a_right_code_is_accepted_once(enrolled_user, secret, otp):
    assert verify_totp_code(enrolled_user, otp(secret)) is True
    assert verify_totp_code(enrolled_user, otp(secret)) is False


@pytest.mark.parametrize("form", ["{0[0]} {0[1]}", "{0[0]}-{0[1]}", " {0[0]}{0[1]}\r\n"])
def test_spelling_buys_no_second_use(enrolled_user, secret, otp, form):
    halves = otp(secret)[:3], otp(secret)[3:]
    assert verify_totp_code(enrolled_user, form.format(halves))
    assert not verify_totp_code(enrolled_user, "".join(halves))


@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_a_neighbouring_step_is_accepted(enrolled_user, secret, otp, offset):
    assert verify_totp_code(enrolled_user, otp(secret, offset=offset))


@pytest.mark.parametrize("offset", [-3, -2, 2, 3])
def test_a_step_further_away_is_refused(enrolled_user, secret, otp, offset):
    assert not verify_totp_code(enrolled_user, otp(secret, offset=offset))


@pytest.mark.parametrize(("window", "accepted"), [(0, {0}), (2, {-2, -1, 0, 1, 2})])
def test_the_window_is_a_setting(enrolled_user, secret, otp, settings, window, accepted):
    settings.TOTP_VALID_WINDOW = window
    offsets = range(-3, 4)  # upwards, for a step is used up with all before it
    assert {
        offset for offset in offsets if verify_totp_code(enrolled_user, otp(secret, offset=offset))
    } == accepted


def test_a_code_taken_one_step_early_is_dead_in_its_own_step(enrolled_user, secret, otp, clock):
    code = otp(secret, offset=1)
    assert verify_totp_code(enrolled_user, code)
    clock.shift(30)
    assert not verify_totp_code(enrolled_user, code)


def test_after_a_step_no_earlier_one_is_accepted(enrolled_user, secret, otp):
    assert verify_totp_code(enrolled_user, otp(secret))
    assert not verify_totp_code(enrolled_user, otp(secret, offset=-1))
    assert verify_totp_code(enrolled_user, otp(secret, offset=1))


def test_a_clock_that_is_set_back_revives_no_code(enrolled_user, secret, otp, clock):
    code = otp(secret)
    assert verify_totp_code(enrolled_user, code)
    clock.shift(-30)
    assert not verify_totp_code(enrolled_user, code)


@pytest.mark.parametrize("code", ["", "12345", "１２３４５６", "abcdef", "\0" * 6, None, 123456])
def test_a_malformed_code_is_refused_and_counted(enrolled_user, code):
    assert verify_totp_code(enrolled_user, code) is False
    assert totp().failures == 1


def test_a_code_of_somebody_else_is_refused(enrolled_user, make_user, otp):
    other = start_totp_setup(make_user("grace"))
    assert not verify_totp_code(enrolled_user, otp(other.secret))


def test_a_right_code_is_noted(waiting_user, secret, otp, clock):
    clock.shift(60)
    before = totp()
    assert verify_totp_code(waiting_user, otp(secret))
    assert totp().last_used_step == int(NOON.timestamp() + 60) // 30
    assert totp().last_verified_at == NOON + timedelta(seconds=60)
    assert totp().verifications == before.verifications + 1
    assert (totp().failures, totp().waiting_until) == (0, None)


def test_a_pending_enrollment_verifies_nothing(pending_user, secret, otp, sent):
    assert verify_totp_code(pending_user, otp(secret)) is False
    assert (totp().is_enabled, totp().failures, totp().last_used_step) == (False, 0, None)
    assert sent == []


def test_without_an_enrollment_there_is_nothing_to_verify(user):
    with pytest.raises(TotpNotEnrolled):
        verify_totp_code(user, "123456")


def test_a_code_during_the_wait_is_neither_evaluated_nor_counted(waiting_user, secret, otp):
    before = Totp.objects.values().get()
    for code in (otp(secret), wrong_code(secret), "malformed"):
        with pytest.raises(TooManyAttempts) as raised:
            verify_totp_code(waiting_user, code)
        assert raised.value.retry_after == 60
    assert Totp.objects.values().get() == before


def test_an_enrollment_keeps_its_parameters_when_settings_change(user, settings):
    settings.TOTP_DIGITS, settings.TOTP_PERIOD, settings.TOTP_ALGORITHM = 8, 60, "SHA512"
    app = pyotp.parse_uri(start_totp_setup(user).otpauth_uri)
    settings.TOTP_DIGITS, settings.TOTP_PERIOD, settings.TOTP_ALGORITHM = 6, 30, "SHA1"
    assert confirm_totp_setup(user, app.at(NOON))
    assert verify_totp_code(user, app.at(NOON + timedelta(seconds=60)))
    assert not verify_totp_code(user, pyotp.TOTP(app.secret).at(NOON))


def test_a_code_under_a_fallback_key_is_accepted(enrolled_user, secret, otp, settings):
    settings.TOTP_ENCRYPTION_KEY_FALLBACKS = [settings.TOTP_ENCRYPTION_KEY]
    settings.TOTP_ENCRYPTION_KEY = base64.urlsafe_b64encode(b"n" * 32)
    assert verify_totp_code(enrolled_user, otp(secret))


def test_a_secret_that_nobody_can_read_verifies_nothing_and_counts_nothing(
    unreadable_user, secret, otp, log, sent
):
    assert verify_totp_code(unreadable_user, otp(secret)) is False
    assert (totp().failures, totp().verifications) == (0, 0)
    error, refusal = log.records
    assert (error.levelname, error.args) == ("ERROR", (totp().pk,))
    assert refusal.reason == "unreadable"
    assert [name for name, _ in sent] == ["totp_verification_failed"]


@pytest.mark.parametrize(
    "broken",
    [
        {"secret_key": ""},
        {"secret_key": "1nv@lid!"},
        {"secret_key": "JBSWY3DPEHPK3PXP", "algorithm": "MD5"},
        {"secret_key": "JBSWY3DPEHPK3PXP" * 2, "period": 0},
    ],
    ids=str,
)
def test_a_row_that_makes_no_codes_verifies_nothing_and_counts_nothing(enrolled_user, broken, log):
    broken["secret_key"] = encrypt(broken["secret_key"])
    Totp.objects.update(**broken)
    assert verify_totp_code(enrolled_user, "123456") is False
    assert totp().failures == 0
    assert (log.records[0].levelname, log.records[0].args) == ("ERROR", (totp().pk,))


def test_of_two_uses_of_one_code_at_once_one_is_accepted(enrolled_user, secret, otp, monkeypatch):
    answers = []
    use = partial(verify_totp_code, enrolled_user, otp(secret))
    act_after_reading(monkeypatch, lambda: answers.append(use()))
    answers.append(use())
    assert answers == [True, False]


def test_a_wrong_code_at_once_with_another_is_counted(enrolled_user, secret, monkeypatch):
    guess = partial(verify_totp_code, enrolled_user, wrong_code(secret))
    act_after_reading(monkeypatch, guess)
    guess()
    assert totp().failures == 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda code: code, "replayed"),
        (lambda code: f"{code}0", "malformed"),
        (lambda code: "".join(str(9 - int(digit)) for digit in code), "wrong"),
    ],
)
def test_the_log_tells_why_a_code_was_refused(enrolled_user, secret, otp, log, change, reason):
    verify_totp_code(enrolled_user, otp(secret))
    verify_totp_code(enrolled_user, change(otp(secret)))
    right, wrong = log.records
    assert (right.event, wrong.event) == ("verified", "verification_failed")
    assert (wrong.method, wrong.reason) == ("totp", reason)
    assert otp(secret) not in log.text


def test_the_log_tells_of_codes_during_the_wait(waiting_user, log, sent):
    with pytest.raises(TooManyAttempts):
        verify_totp_code(waiting_user, "123456")
    [record] = log.records
    assert (record.event, record.levelname) == ("verification_refused", "WARNING")
    assert (record.method, record.reason) == ("totp", "waiting")
    assert sent == []


# --- Disable ---


@pytest.mark.parametrize(
    "state", ["pending_user", "expired_user", "enrolled_user", "waiting_user", "unreadable_user"]
)
def test_an_enrollment_is_removed_with_its_codes_in_any_state(request, state, sent, log):
    user = request.getfixturevalue(state)
    disable_totp(user, reason="asked for")
    assert not Totp.objects.exists()
    assert not BackupCode.objects.exists()
    assert [(name, arguments["user"]) for name, arguments in sent] == [("totp_disabled", user)]
    assert (log.records[-1].event, log.records[-1].reason) == ("disabled", "asked for")


def test_without_an_enrollment_there_is_nothing_to_remove(user, sent, log):
    with pytest.raises(TotpNotEnrolled):
        disable_totp(user)
    assert (sent, log.records) == ([], [])


def test_the_enrollments_of_others_stay(enrolled_user, make_user):
    other = make_user("grace")
    start_totp_setup(other)
    disable_totp(enrolled_user)
    assert totp().user == other


def test_an_enrollment_that_others_move_is_removed_all_the_same(enrolled_user, monkeypatch):
    act_after_reading(monkeypatch, lambda: rotate_backup_codes(enrolled_user))
    disable_totp(enrolled_user)
    assert not Totp.objects.exists()


def test_who_disables_second_is_told(enrolled_user, monkeypatch):
    act_after_reading(monkeypatch, lambda: disable_totp(enrolled_user))
    with pytest.raises(TotpNotEnrolled):
        disable_totp(enrolled_user)


def test_a_user_can_enroll_again(enrolled_user, secret, otp):
    disable_totp(enrolled_user)
    setup = start_totp_setup(enrolled_user)
    with pytest.raises(InvalidTotpCode):
        confirm_totp_setup(enrolled_user, otp(secret))
    assert confirm_totp_setup(enrolled_user, otp(setup.secret))


# --- End the wait ---


def test_after_the_wait_was_ended_codes_are_accepted_at_once(waiting_user, secret, otp, log):
    end_wait(waiting_user, reason="asked for")
    assert (totp().failures, totp().waiting_until) == (0, None)
    assert (log.records[-1].event, log.records[-1].reason) == ("wait_ended", "asked for")
    assert verify_totp_code(waiting_user, otp(secret))


def test_a_wait_that_others_move_is_ended_all_the_same(enrolled_user, secret, monkeypatch):
    act_after_reading(monkeypatch, partial(verify_totp_code, enrolled_user, wrong_code(secret)))
    end_wait(enrolled_user)
    assert totp().failures == 0


def test_ending_the_wait_keeps_used_codes_used(enrolled_user, secret, otp):
    verify_totp_code(enrolled_user, otp(secret))
    end_wait(enrolled_user)
    assert not verify_totp_code(enrolled_user, otp(secret))


def test_without_an_enrollment_there_is_no_wait_to_end(user):
    with pytest.raises(TotpNotEnrolled):
        end_wait(user)


# --- Receivers ---


def test_receivers_that_raise_break_nothing(pending_user, secret, otp, sent):
    with connected(lambda name, arguments: 1 / 0):
        assert confirm_totp_setup(pending_user, otp(secret))
        assert verify_totp_code(pending_user, otp(secret)) is False
        assert rotate_backup_codes(pending_user)
        disable_totp(pending_user)
    assert [name for name, _ in sent] == [
        "totp_created",
        "totp_verification_failed",
        "backup_codes_rotated",
        "totp_disabled",
    ]


def refusing(monkeypatch, times):
    """Make the database refuse so many insertions of an enrollment."""
    create, left = Totp.objects.create, [None] * times

    def create_or_refuse(**values):
        if left:
            left.pop()
            raise IntegrityError("there is one")
        return create(**values)

    monkeypatch.setattr(Totp.objects, "create", create_or_refuse)


@pytest.mark.parametrize("times", [0, 1, 7])
def test_a_row_that_was_in_the_way_and_is_gone_again(monkeypatch, user, times):
    refusing(monkeypatch, times)
    start_totp_setup(user)
    assert Totp.objects.get().user_id == user.pk


def test_what_the_database_has_against_a_row_is_told(monkeypatch, user):
    refusing(monkeypatch, 1000)
    with pytest.raises(IntegrityError):
        start_totp_setup(user)
