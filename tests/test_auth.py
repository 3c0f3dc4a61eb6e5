"""The second factor of a login: challenge tokens, and the codes that answer them."""

from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial

import pytest
from django.core import signing
from django.core.signing import BadSignature, SignatureExpired
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from django_totp import challenges
from django_totp.auth import (
    challenge_if_enabled,
    finish_login,
    generate_challenge_token,
    get_user_from_challenge_token,
    is_totp_enabled,
    verify_challenge_token,
)
from django_totp.backup_code_utils import rotate_backup_codes, store_backup_codes
from django_totp.challenges import challenge_subject
from django_totp.encryption import encrypt
from django_totp.exceptions import (
    ExpiredChallenge,
    InvalidBackupCode,
    InvalidChallenge,
    InvalidTotpCode,
    TooManyAttempts,
    TotpNotEnabled,
)
from django_totp.models import BackupCode, Totp
from django_totp.totp import disable_totp, verify_totp_code

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def clock(time_machine):
    time_machine.move_to(NOON, tick=False)
    return time_machine


@pytest.fixture
def challenge(enrolled_user):
    """Return a challenge token of ``enrolled_user``, who has passed the first step at noon."""
    return generate_challenge_token(enrolled_user)


@pytest.fixture
def forge(challenge):
    """Return a function that signs the claims of ``challenge`` with changes, as nobody else can."""

    def forge(*dropped, **changes):
        claims = signing.loads(challenge, salt="django-totp-token-salt") | changes
        claims = {name: value for name, value in claims.items() if name not in dropped}
        return signing.dumps(claims, salt="django-totp-token-salt")

    return forge


@pytest.fixture
def act_before_writing(monkeypatch):
    """Return a function that makes ``act`` run between the check of a challenge and its use."""

    def act_before_writing(act):
        is_current, left = challenges.is_current, [act]

        def check_and_act(*arguments):
            answer = is_current(*arguments)
            if left:
                left.pop()()
            return answer

        monkeypatch.setattr(challenges, "is_current", check_and_act)

    return act_before_writing


@contextmanager
def refused(error=InvalidChallenge):
    """Expect that a challenge is refused, and with an error that is not a narrower one."""
    with pytest.raises(error) as raised:
        yield
    assert raised.type is error


def totp():
    return Totp.objects.get()


# --- Is it on? ---


def test_the_second_factor_is_on_once_it_is_confirmed(user):
    assert is_totp_enabled(user) is False
    row = Totp.objects.create(user=user, secret_key=encrypt("secret"))
    assert is_totp_enabled(user) is False
    row.move(confirmed_at=NOON)
    assert is_totp_enabled(user) is True
    disable_totp(user)
    assert is_totp_enabled(user) is False


def test_the_second_factor_is_on_without_backup_codes(enrolled_user):
    BackupCode.objects.all().delete()
    assert is_totp_enabled(enrolled_user)


def test_the_second_factor_is_on_while_its_secret_is_unreadable(enrolled_user):
    Totp.objects.update(secret_key="gAAAA-of-a-lost-key")
    assert is_totp_enabled(enrolled_user)


@pytest.mark.parametrize(
    ("state", "is_challenged"), [("user", False), ("pending_user", False), ("enrolled_user", True)]
)
def test_who_has_a_second_factor_is_challenged(request, state, is_challenged):
    token = challenge_if_enabled(request.getfixturevalue(state))
    assert (token is not None) == is_challenged


# --- A challenge that is good ---


def test_a_challenge_names_its_user(enrolled_user, challenge):
    assert verify_challenge_token(challenge) == enrolled_user.pk
    assert get_user_from_challenge_token(challenge) == enrolled_user
    assert challenge_subject(challenge) == str(enrolled_user.pk)


def test_a_challenge_shows_nothing_but_the_key_of_the_user(enrolled_user, challenge):
    claims = signing.loads(challenge, salt="django-totp-token-salt")
    assert claims.pop("user_id") == str(enrolled_user.pk)
    assert claims.pop("purpose") == "totp_verification"
    assert len(bytes.fromhex(claims.pop("fingerprint"))) == 32
    assert claims == {}


def test_a_challenge_can_be_made_for_who_has_no_second_factor(user):
    token = generate_challenge_token(user)
    assert verify_challenge_token(token) == user.pk
    with pytest.raises(TotpNotEnabled):
        finish_login(token, otp_code="123456")


def test_looking_at_a_challenge_does_not_use_it_up(enrolled_user, challenge, secret, otp):
    verify_challenge_token(challenge)
    assert finish_login(challenge, otp_code=otp(secret)) == enrolled_user


@pytest.mark.parametrize(("age", "is_good"), [(0, True), (110, True), (120, True), (121, False)])
def test_a_challenge_lives_for_two_minutes(challenge, clock, age, is_good):
    clock.shift(age)
    if is_good:
        assert verify_challenge_token(challenge)
    else:
        with refused(ExpiredChallenge):
            verify_challenge_token(challenge)


def test_the_life_of_a_challenge_is_a_setting(challenge, clock, settings):
    settings.TOTP_TOKEN_MAX_AGE = 10
    clock.shift(11)
    with refused(ExpiredChallenge):
        verify_challenge_token(challenge)


def test_a_challenge_survives_the_rotation_of_the_secret_key(
    enrolled_user, challenge, settings, secret, otp
):
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another-secret-key"
    assert finish_login(challenge, otp_code=otp(secret)) == enrolled_user


def test_a_challenge_of_a_dropped_secret_key_is_refused(challenge, settings):
    settings.SECRET_KEY = "another-secret-key"
    with refused():
        verify_challenge_token(challenge)


# --- A challenge that is not, or not any more ---


@pytest.mark.parametrize(
    "token",
    ["", "garbage", "a:b:c", ":::", "\0", "\ud800", "ä:b:c", "x" * 100_000, None, 5, b"", [], {}],
    ids=lambda token: repr(token)[:10],
)
def test_garbage_is_no_challenge(db, token):
    for read in (verify_challenge_token, get_user_from_challenge_token, finish_login):
        with refused():
            read(token)
    assert challenge_subject(token) is None


def test_a_challenge_that_was_changed_is_refused(challenge):
    for place in (0, 10, len(challenge) // 2, -1):
        symbols = list(challenge)
        symbols[place] = "A" if symbols[place] != "A" else "B"
        with refused():
            verify_challenge_token("".join(symbols))


def test_a_challenge_under_another_salt_is_refused(challenge, settings):
    settings.TOTP_TOKEN_SALT = "another-salt"
    with refused():
        verify_challenge_token(challenge)


def test_a_challenge_for_another_purpose_is_refused(forge):
    with refused():
        verify_challenge_token(forge(purpose="email_verification"))


@pytest.mark.parametrize("name", ["purpose", "fingerprint", "user_id"])
def test_a_challenge_without_a_claim_is_refused(forge, name):
    with refused():
        verify_challenge_token(forge(name))


def test_a_challenge_that_names_nobody_counts_for_nobody(forge):
    assert challenge_subject(forge("user_id")) is None


@pytest.mark.parametrize("claims", ["text", 5, None, ["purpose"]])
def test_signed_values_that_are_no_claims_are_refused(db, claims):
    with refused():
        verify_challenge_token(signing.dumps(claims, salt="django-totp-token-salt"))


@pytest.mark.parametrize("key", ["-1", "none", "00000000-0000-4000-8000-000000000000"])
def test_a_challenge_of_an_unknown_user_is_refused(forge, key):
    with refused():
        verify_challenge_token(forge(user_id=key))


def test_a_challenge_of_somebody_else_does_not_fit(forge, make_user):
    with refused():
        verify_challenge_token(forge(user_id=str(make_user("grace").pk)))


@pytest.mark.parametrize("kind", [AccessToken, RefreshToken])
def test_a_token_of_the_api_is_no_challenge(enrolled_user, kind):
    with refused():
        verify_challenge_token(str(kind.for_user(enrolled_user)))


def change_password(user):
    user.set_password("another password")
    user.save()


def deactivate(user):
    user.is_active = False
    user.save()


def enroll_again(user):
    disable_totp(user)
    Totp.objects.create(user=user, secret_key=encrypt("secret"))
    store_backup_codes(user, ["code"])


def delete(user):
    user.delete()


@pytest.mark.parametrize(
    "change", [change_password, deactivate, enroll_again, delete, disable_totp]
)
def test_a_challenge_ends_when_the_account_changes(enrolled_user, challenge, change):
    change(enrolled_user)
    with refused():
        verify_challenge_token(challenge)


@pytest.mark.parametrize("change", [change_password, deactivate, enroll_again, delete])
def test_no_login_ends_with_a_challenge_from_before_a_change(
    enrolled_user, challenge, change, secret, otp
):
    change(enrolled_user)
    with refused():
        finish_login(challenge, otp_code=otp(secret))


def test_no_login_ends_with_a_second_factor_that_was_disabled(
    enrolled_user, challenge, secret, otp
):
    disable_totp(enrolled_user)
    with pytest.raises(TotpNotEnabled):
        finish_login(challenge, otp_code=otp(secret))


def test_a_rotation_of_the_backup_codes_leaves_a_challenge_good(enrolled_user, challenge):
    codes = rotate_backup_codes(enrolled_user)
    assert finish_login(challenge, backup_code=codes[0]) == enrolled_user


def test_errors_are_those_of_django_signing(challenge, clock):
    with pytest.raises(BadSignature):
        verify_challenge_token("forged")
    clock.shift(121)
    with pytest.raises(SignatureExpired):
        verify_challenge_token(challenge)


def test_whom_a_used_challenge_names_can_still_be_counted(
    enrolled_user, challenge, clock, secret, otp
):
    finish_login(challenge, otp_code=otp(secret))
    assert challenge_subject(challenge) == str(enrolled_user.pk)
    clock.shift(121)
    assert challenge_subject(challenge) is None


# --- The end of a login ---


def test_a_right_code_ends_a_login(enrolled_user, challenge, secret, otp):
    assert finish_login(challenge, otp_code=otp(secret)) == enrolled_user


def test_a_backup_code_ends_a_login(enrolled_user, challenge, backup_codes):
    assert finish_login(challenge, backup_code=backup_codes[0]) == enrolled_user


def test_a_code_ends_one_login(enrolled_user, secret, otp):
    challenges = [generate_challenge_token(enrolled_user) for _ in range(2)]
    finish_login(challenges[0], otp_code=otp(secret))
    with refused(InvalidTotpCode):
        finish_login(generate_challenge_token(enrolled_user), otp_code=otp(secret))


@pytest.mark.parametrize("first", ["otp_code", "backup_code"])
@pytest.mark.parametrize("second", ["otp_code", "backup_code"])
def test_a_challenge_ends_one_login(challenge, secret, otp, backup_codes, first, second):
    firsts = {"otp_code": otp(secret), "backup_code": backup_codes[0]}
    seconds = {"otp_code": otp(secret, offset=1), "backup_code": backup_codes[1]}
    finish_login(challenge, **{first: firsts[first]})
    with refused():
        finish_login(challenge, **{second: seconds[second]})
    assert totp().verifications == 1


def test_a_code_that_a_used_challenge_came_with_is_not_used_up(
    enrolled_user, challenge, secret, otp, backup_codes
):
    finish_login(challenge, otp_code=otp(secret))
    with refused():
        finish_login(challenge, backup_code=backup_codes[0])
    assert not BackupCode.objects.filter(is_used=True).exists()


def test_a_challenge_ends_one_login_when_raced_with_different_codes(
    challenge, secret, otp, act_before_writing
):
    act_before_writing(partial(finish_login, challenge, otp_code=otp(secret)))
    with refused():
        finish_login(challenge, otp_code=otp(secret, offset=1))
    assert totp().last_used_step == int(NOON.timestamp()) // 30


@pytest.mark.parametrize("change", [change_password, enroll_again, rotate_backup_codes])
def test_a_wrong_code_is_not_lost_when_the_account_changes(
    enrolled_user, challenge, change, act_before_writing
):
    act_before_writing(partial(change, enrolled_user))
    with pytest.raises((InvalidTotpCode, InvalidChallenge)):
        finish_login(challenge, otp_code="wrong")


@pytest.mark.parametrize("change", [enroll_again, delete])
def test_a_challenge_that_ends_between_check_and_use_is_refused(
    enrolled_user, challenge, secret, otp, change, act_before_writing
):
    act_before_writing(partial(change, enrolled_user))
    with refused():
        finish_login(challenge, otp_code=otp(secret))


def test_a_second_factor_that_is_disabled_between_check_and_use_ends_no_login(
    enrolled_user, challenge, secret, otp, act_before_writing
):
    act_before_writing(partial(disable_totp, enrolled_user))
    with pytest.raises(TotpNotEnabled):
        finish_login(challenge, otp_code=otp(secret))


def test_a_login_goes_on_when_a_stranger_guesses_meanwhile(
    enrolled_user, challenge, secret, otp, act_before_writing
):
    act_before_writing(partial(verify_totp_code, enrolled_user, "wrong"))
    assert finish_login(challenge, otp_code=otp(secret)) == enrolled_user


def test_a_wrong_code_is_counted_and_costs_no_new_login(enrolled_user, challenge, secret, otp):
    with refused(InvalidTotpCode):
        finish_login(challenge, otp_code="wrong")
    assert totp().failures == 1
    with refused(InvalidBackupCode):
        finish_login(challenge, backup_code="wrong")
    assert totp().failures == 2
    assert finish_login(challenge, otp_code=otp(secret)) == enrolled_user


def test_no_code_at_all_ends_no_login(challenge):
    with refused(InvalidBackupCode):
        finish_login(challenge)


def test_new_challenges_buy_no_guesses(enrolled_user, secret, otp):
    for _ in range(6):
        with refused(InvalidTotpCode):
            finish_login(generate_challenge_token(enrolled_user), otp_code="wrong")
    with refused(TooManyAttempts):
        finish_login(generate_challenge_token(enrolled_user), otp_code=otp(secret))


def test_a_backup_code_ends_a_login_during_the_wait(enrolled_user, challenge, backup_codes):
    Totp.objects.update(failures=100)
    with refused(TooManyAttempts):
        finish_login(challenge, otp_code="123456")
    assert finish_login(challenge, backup_code=backup_codes[0]) == enrolled_user


def test_codes_of_somebody_else_end_no_login(challenge, make_user, otp):
    other = make_user("grace")
    Totp.objects.create(user=other, secret_key=encrypt("JBSWY3DPEHPK3PXP" * 2))
    store_backup_codes(other, ["code"])
    with refused(InvalidTotpCode):
        finish_login(challenge, otp_code=otp("JBSWY3DPEHPK3PXP" * 2))
    with refused(InvalidBackupCode):
        finish_login(challenge, backup_code="code")


def test_who_may_sign_in_is_for_the_caller_to_say(enrolled_user, challenge, secret, otp):
    with refused():
        finish_login(challenge, otp_code=otp(secret), may_sign_in=lambda user: False)
    deactivate(enrolled_user)
    login = finish_login(challenge, otp_code=otp(secret), may_sign_in=lambda user: True)
    assert login == enrolled_user


def test_a_login_costs_one_query_and_one_update(
    challenge, secret, otp, django_assert_max_num_queries
):
    with django_assert_max_num_queries(2):
        finish_login(challenge, otp_code=otp(secret))
