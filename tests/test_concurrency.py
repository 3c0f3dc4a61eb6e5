"""What holds when requests come at one moment, with threads and connections that are real.

Runs on the database that ``DATABASE`` names. Whoever loses a race must get an error of this
package: an error of the database in one of the answers fails the test.
"""

from collections import Counter
from functools import partial

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from django_totp import devices
from django_totp.accounts import accounts
from django_totp.assurance import Standing, new_login, standing
from django_totp.auth import (
    end_sessions,
    finish_login,
    finish_owed_enrollment,
    generate_challenge_token,
    next_step,
    reset_totp,
    start_owed_enrollment,
    step_up,
)
from django_totp.backup_code_utils import (
    generate_backup_codes,
    rotate_backup_codes,
    store_backup_codes,
    verify_backup_code,
)
from django_totp.encryption import decrypt, encrypt
from django_totp.exceptions import (
    InvalidBackupCode,
    InvalidChallenge,
    InvalidTotpCode,
    TooManyAttempts,
    TotpAlreadyExists,
    TotpNotEnabled,
    TotpNotEnrolled,
)
from django_totp.models import Account, BackupCode, Totp, TrustedDevice
from django_totp.policy import required_from
from django_totp.tokens import token_pair
from django_totp.totp import (
    TotpSetup,
    confirm_totp_setup,
    disable_totp,
    generate_totp_secret,
    start_totp_setup,
    verify_totp_code,
)

from .rivals import at_once

pytestmark = pytest.mark.django_db(transaction=True)

CROWD = 10
ROUNDS = range(3)
WRONG = "wrong"


@pytest.fixture
def patient(settings):
    """Let no number of wrong codes lead to a wait."""
    settings.TOTP_FAILURE_LIMIT = 1000


def totp():
    return Totp.objects.get()


def kinds(answers):
    """Count the answers by what they are: the type of an error, or else the value."""
    return Counter(type(each) if isinstance(each, Exception) else each for each in answers)


def errors(answers):
    return {type(answer) for answer in answers if isinstance(answer, Exception)}


def unused_codes():
    return sorted(decrypt(code.code) for code in BackupCode.objects.filter(is_used=False))


# --- Codes ---


def test_of_many_uses_of_a_code_one_is_accepted(enrolled_user, secret, otp, patient):
    answers = at_once(*[partial(verify_totp_code, enrolled_user, otp(secret))] * CROWD)
    assert kinds(answers) == {True: 1, False: CROWD - 1}
    assert totp().verifications == 1


def test_of_many_uses_of_a_backup_code_one_is_accepted(enrolled_user, backup_codes, patient):
    answers = at_once(*[partial(verify_backup_code, enrolled_user, backup_codes[0])] * CROWD)
    assert kinds(answers) == {True: 1, False: CROWD - 1}
    assert unused_codes() == sorted(backup_codes[1:])


def test_all_backup_codes_are_accepted_at_once(enrolled_user, backup_codes):
    answers = at_once(*[partial(verify_backup_code, enrolled_user, code) for code in backup_codes])
    assert kinds(answers) == {True: len(backup_codes)}
    assert totp().verifications == len(backup_codes)


def test_all_wrong_codes_are_counted(enrolled_user, patient):
    guesses = [partial(verify_totp_code, enrolled_user, WRONG)] * CROWD
    guesses += [partial(verify_backup_code, enrolled_user, WRONG)] * CROWD
    assert kinds(at_once(*guesses)) == {False: 2 * CROWD}
    assert totp().failures == 2 * CROWD


def test_parallel_guesses_buy_no_extra_ones(enrolled_user):
    answers = at_once(*[partial(verify_totp_code, enrolled_user, WRONG)] * 2 * CROWD)
    assert kinds(answers) == {False: 6, TooManyAttempts: 2 * CROWD - 6}
    assert totp().failures == 6


def test_a_right_code_among_wrong_ones_is_accepted_once(enrolled_user, secret, otp, patient):
    guesses = [partial(verify_totp_code, enrolled_user, WRONG)] * CROWD
    guesses += [partial(verify_totp_code, enrolled_user, otp(secret))] * 3
    assert kinds(at_once(*guesses)) == {True: 1, False: CROWD + 2}
    assert totp().failures <= CROWD + 2
    assert totp().version >= CROWD + 3


# --- Logins ---


def test_a_challenge_raced_with_different_codes_ends_one_login(
    enrolled_user, secret, otp, backup_codes
):
    challenge = generate_challenge_token(enrolled_user)
    tries = [{"otp_code": otp(secret, offset=offset)} for offset in (-1, 0, 1)]
    tries += [{"backup_code": code} for code in backup_codes[:5]]
    answers = at_once(*[partial(finish_login, challenge, **code) for code in tries])
    assert kinds(answers) == {enrolled_user: 1, InvalidChallenge: len(tries) - 1}
    assert totp().verifications == 1
    assert BackupCode.objects.filter(is_used=True).count() <= 1


def test_a_code_raced_with_different_challenges_ends_one_login(enrolled_user, secret, otp):
    challenges = [generate_challenge_token(enrolled_user) for _ in range(CROWD)]
    login = [partial(finish_login, challenge, otp_code=otp(secret)) for challenge in challenges]
    answers = at_once(*login)
    assert kinds(answers)[enrolled_user] == 1
    assert errors(answers) <= {InvalidChallenge, InvalidTotpCode}


def test_wrong_codes_beside_a_login_do_not_end_it(enrolled_user, secret, otp, patient):
    challenge = generate_challenge_token(enrolled_user)
    guesses = [partial(verify_totp_code, enrolled_user, WRONG)] * CROWD
    *_, answer = at_once(*guesses, partial(finish_login, challenge, otp_code=otp(secret)))
    assert answer == enrolled_user


@pytest.mark.parametrize("attempt", ROUNDS)
def test_logins_at_once_all_get_tokens(user, simplejwt, attempt):
    """What is written beside a token must not fail: the code is used up by then."""
    simplejwt(UPDATE_LAST_LOGIN=True)
    answers = at_once(*[partial(token_pair, user, "pwd")] * CROWD)
    assert errors(answers) == set()
    assert get_user_model().objects.get().last_login


# --- Trusted devices ---


@pytest.fixture
def device(settings, enrolled_user):
    """Return what a trusted device of the user keeps."""
    settings.TOTP_TRUSTED_DEVICE_MAX_AGE = 86400
    user = accounts().get(pk=enrolled_user.pk)
    return devices.trust(user, new_login(user, "pwd", "otp"))


def by_device(user, value):
    return devices.use(accounts().get(pk=user.pk), value)


@pytest.mark.parametrize("attempt", ROUNDS)
def test_of_many_uses_of_a_device_at_most_one_is_a_login(enrolled_user, device, caplog, attempt):
    answers = at_once(*[partial(by_device, enrolled_user, device)] * CROWD)
    assert errors(answers) == set()
    assert len([one for one in answers if one is not None]) == 1
    assert not TrustedDevice.objects.exists()  # a copy was used, and nobody knows which
    assert not [one.getMessage() for one in caplog.records if one.levelname == "ERROR"]


@pytest.mark.parametrize("attempt", ROUNDS)
def test_devices_do_not_hold_each_other_up(enrolled_user, device, attempt):
    user = accounts().get(pk=enrolled_user.pk)
    values = [devices.trust(user, new_login(user, "pwd", "otp")) for _ in range(CROWD)]
    answers = at_once(*[partial(by_device, enrolled_user, value) for value in values])
    assert None not in answers
    assert errors(answers) == set()
    assert TrustedDevice.objects.count() == CROWD + 1


@pytest.mark.parametrize("attempt", ROUNDS)
def test_a_device_is_removed_by_one(enrolled_user, device, attempt):
    key = str(TrustedDevice.objects.get().pk)
    answers = at_once(*[partial(devices.remove, enrolled_user, key)] * CROWD)
    assert kinds(answers) == {True: 1, False: CROWD - 1}


@pytest.mark.parametrize("attempt", ROUNDS)
def test_a_device_raced_with_its_removal(enrolled_user, device, attempt):
    uses = [partial(by_device, enrolled_user, device)]
    answers = at_once(*uses, *[partial(devices.remove_all, enrolled_user)] * 3)
    assert errors(answers) == set()
    assert not TrustedDevice.objects.exists()


@pytest.mark.parametrize("attempt", ROUNDS)
def test_a_device_raced_with_the_end_of_all_logins(enrolled_user, device, attempt):
    """A login that it gives is from before, or there is none: none outlives the end."""
    used, _ = at_once(
        partial(by_device, enrolled_user, device), partial(end_sessions, enrolled_user)
    )
    user = accounts().get(pk=enrolled_user.pk)
    assert devices.devices_of(user) == []
    if used is not None:
        assert by_device(user, used.value) is None


# --- Enrollments ---


def test_of_many_confirmations_one_gives_codes(pending_user, secret, otp):
    answers = at_once(*[partial(confirm_totp_setup, pending_user, otp(secret))] * CROWD)
    [codes] = [answer for answer in answers if isinstance(answer, list)]
    assert errors(answers) == {TotpAlreadyExists}
    assert unused_codes() == sorted(codes)


def test_of_many_setups_one_stands(user, otp):
    setups = at_once(*[partial(start_totp_setup, user)] * CROWD)
    assert all(isinstance(setup, TotpSetup) for setup in setups)
    [standing] = [setup for setup in setups if setup.secret == decrypt(totp().secret_key)]
    assert confirm_totp_setup(user, otp(standing.secret))


@pytest.mark.parametrize("attempt", ROUNDS)
def test_what_was_confirmed_is_what_is_on(pending_user, secret, otp, attempt):
    confirm = partial(confirm_totp_setup, pending_user, otp(secret))
    *answers, codes = at_once(*[partial(start_totp_setup, pending_user)] * 3, confirm)
    if isinstance(codes, list):
        assert decrypt(totp().secret_key) == secret
        assert (totp().is_enabled, unused_codes()) == (True, sorted(codes))
    else:
        assert isinstance(codes, InvalidTotpCode)
        assert not totp().is_enabled
    assert errors(answers) <= {TotpAlreadyExists}


@pytest.mark.parametrize("attempt", ROUNDS)
def test_a_set_of_backup_codes_is_replaced_as_a_whole(enrolled_user, attempt):
    given = [generate_backup_codes() for _ in range(3)]
    stores = [partial(store_backup_codes, enrolled_user, codes) for codes in given]
    answers = at_once(*[partial(rotate_backup_codes, enrolled_user)] * 3, *stores)
    assert errors(answers) == set()
    assert unused_codes() in [sorted(codes) for codes in answers]


@pytest.mark.parametrize("attempt", ROUNDS)
def test_a_rotation_beside_logins_leaves_a_whole_new_set(enrolled_user, backup_codes, attempt):
    challenge = generate_challenge_token(enrolled_user)
    logins = [partial(finish_login, challenge, backup_code=code) for code in backup_codes[:5]]
    *answers, codes = at_once(*logins, partial(rotate_backup_codes, enrolled_user))
    assert unused_codes() == sorted(codes)
    assert kinds(answers)[enrolled_user] <= 1
    assert errors(answers) <= {InvalidChallenge, InvalidBackupCode}


# --- The end of an enrollment ---


@pytest.mark.parametrize("attempt", ROUNDS)
def test_one_of_many_removals_removes(enrolled_user, attempt):
    answers = at_once(*[partial(disable_totp, enrolled_user)] * CROWD)
    assert kinds(answers) == {None: 1, TotpNotEnrolled: CROWD - 1}
    assert (Totp.objects.count(), BackupCode.objects.count()) == (0, 0)


@pytest.mark.parametrize("attempt", ROUNDS)
def test_a_removal_beside_everything_else_leaves_nothing(
    enrolled_user, secret, otp, backup_codes, attempt
):
    challenge = generate_challenge_token(enrolled_user)
    disabled, *answers = at_once(
        partial(disable_totp, enrolled_user),
        partial(rotate_backup_codes, enrolled_user),
        partial(store_backup_codes, enrolled_user, generate_backup_codes()),
        partial(verify_totp_code, enrolled_user, WRONG),
        partial(verify_backup_code, enrolled_user, backup_codes[0]),
        partial(finish_login, challenge, otp_code=otp(secret)),
        partial(finish_login, challenge, backup_code=backup_codes[1]),
    )
    assert disabled is None
    assert errors(answers) <= {TotpNotEnrolled, TotpNotEnabled, InvalidChallenge, InvalidBackupCode}
    assert (Totp.objects.count(), BackupCode.objects.count()) == (0, 0)


@pytest.mark.parametrize("attempt", ROUNDS)
def test_a_removal_beside_a_confirmation_leaves_nothing(pending_user, secret, otp, attempt):
    disabled, *answers = at_once(
        partial(disable_totp, pending_user),
        *[partial(confirm_totp_setup, pending_user, otp(secret))] * 3,
        partial(store_backup_codes, pending_user, generate_backup_codes()),
    )
    assert disabled is None
    assert errors(answers) <= {TotpNotEnrolled, TotpAlreadyExists}
    assert (Totp.objects.count(), BackupCode.objects.count()) == (0, 0)


@pytest.mark.parametrize("attempt", ROUNDS)
def test_a_removal_beside_setups_leaves_one_or_none(pending_user, attempt):
    answers = at_once(
        *[partial(disable_totp, pending_user)] * 3, *[partial(start_totp_setup, pending_user)] * 3
    )
    assert errors(answers) <= {TotpNotEnrolled}
    assert Totp.objects.count() <= 1


def test_accounts_do_not_hold_each_other_up(make_user, otp):
    secrets = {make_user(f"user{number}"): generate_totp_secret() for number in range(CROWD)}
    for user, secret in secrets.items():
        Totp.objects.create(user=user, secret_key=encrypt(secret))
        store_backup_codes(user, [])
    uses = [partial(verify_totp_code, user, otp(secret)) for user, secret in secrets.items()]
    assert kinds(at_once(*uses)) == {True: CROWD}


# --- The end of logins ---


@pytest.mark.parametrize("attempt", ROUNDS)
@pytest.mark.parametrize("was_there", [False, True])
def test_all_who_end_logins_at_once_succeed(user, was_there, attempt):
    if was_there:
        Account.objects.create(user=user, required_since=timezone.now())
    login = new_login(user, "pwd")
    assert kinds(at_once(*[partial(end_sessions, user)] * CROWD)) == {None: CROWD}
    assert standing(accounts().get(pk=user.pk), login) is Standing.OUTDATED


@pytest.mark.parametrize("attempt", ROUNDS)
def test_of_many_resets_one_resets(enrolled_user, attempt):
    answers = at_once(*[partial(reset_totp, enrolled_user)] * CROWD)
    assert kinds(answers) == {None: 1, TotpNotEnrolled: CROWD - 1}
    assert not Totp.objects.exists()
    assert Account.objects.get().valid_from is not None


@pytest.mark.parametrize("attempt", ROUNDS)
def test_a_reset_beside_a_confirmation_leaves_nothing(pending_user, secret, otp, attempt):
    reset, *answers = at_once(
        partial(reset_totp, pending_user),
        *[partial(confirm_totp_setup, pending_user, otp(secret))] * 3,
        partial(end_sessions, pending_user),
    )
    assert reset is None
    assert errors(answers) <= {TotpNotEnrolled, TotpAlreadyExists}
    assert not Totp.objects.exists()


@pytest.mark.parametrize("attempt", ROUNDS)
def test_a_step_up_is_one_use_of_a_code(enrolled_user, secret, otp, patient, attempt):
    login = new_login(enrolled_user, "pwd")
    step = partial(step_up, lambda: accounts().get(pk=enrolled_user.pk), login)
    answers = at_once(*[partial(step, otp_code=otp(secret))] * CROWD)
    assert errors(answers) == {InvalidTotpCode}
    [(_user, stepped_up)] = [one for one in answers if not isinstance(one, Exception)]
    assert stepped_up.has_second_factor
    assert totp().verifications == 1


def test_an_owed_enrollment_is_finished_once(settings, user, otp, patient):
    settings.TOTP_REQUIRED_FOR = ["everyone"]
    token = next_step(user).challenge
    code = otp(start_owed_enrollment(token).secret)
    answers = at_once(*[partial(finish_owed_enrollment, token, code)] * CROWD)
    assert errors(answers) <= {InvalidChallenge, TotpAlreadyExists}
    [(owner, _login, codes)] = [one for one in answers if not isinstance(one, Exception)]
    assert owner == user
    assert unused_codes() == sorted(codes)


@pytest.mark.parametrize("attempt", ROUNDS)
@pytest.mark.parametrize("is_known", [False, True])
def test_the_first_who_finds_that_a_factor_is_owed_is_right(settings, user, is_known, attempt):
    settings.TOTP_REQUIRED_FOR = ["everyone"]
    if is_known:
        Account.objects.create(user=user)
    answers = at_once(*[partial(required_from, user)] * CROWD)
    assert errors(answers) == set()
    assert Account.objects.get().required_since in answers
