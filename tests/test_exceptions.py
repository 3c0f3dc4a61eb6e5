"""The tree of errors: stable codes for programs, sentences for people."""

import pickle

import pytest
from django.core.signing import BadSignature, SignatureExpired
from django.utils import translation
from django.utils.functional import Promise
from django.utils.translation import trans_real

from django_totp import exceptions
from django_totp.exceptions import ExpiredChallenge, InvalidChallenge, TooManyAttempts, TotpError

BY_MAIL = "You cannot set up a new authenticator app by mail here. Ask an administrator."
ERRORS = [
    (exceptions.TotpError, "totp_error", "Two-factor authentication failed."),
    (
        exceptions.TotpNotEnrolled,
        "totp_not_enrolled",
        "User does not have an associated TOTP secret.",
    ),
    (
        exceptions.TotpAlreadyExists,
        "totp_already_exists",
        "TOTP already exists for this user.",
    ),
    (exceptions.TotpNotEnabled, "totp_not_enabled", "TOTP is not enabled for this user."),
    (exceptions.InvalidTotpCode, "invalid_totp_code", "Invalid TOTP code."),
    (exceptions.InvalidBackupCode, "invalid_backup_code", "Invalid backup code."),
    (
        exceptions.ReauthenticationRequired,
        "reauthentication_required",
        "Confirm that it is you: send a valid otp_code, backup_code or password.",
    ),
    (exceptions.LoginOutdated, "login_outdated", "This login was ended. Log in again."),
    (
        exceptions.SecondFactorRequired,
        "second_factor_required",
        "This login lacks the second factor. Confirm it with a code, or log in again.",
    ),
    (
        exceptions.EnrollmentRequired,
        "enrollment_required",
        "This account must have two-factor authentication. Log in again to set it up.",
    ),
    (
        exceptions.TotpRequired,
        "totp_required",
        "This account must have two-factor authentication: it cannot be turned off.",
    ),
    (
        exceptions.PolicyUnavailable,
        "policy_unavailable",
        "It cannot be told now whether this account must have two-factor authentication. Try "
        "again later.",
    ),
    (exceptions.RecoveryUnavailable, "recovery_unavailable", BY_MAIL),
    (exceptions.RecoveryOff, "recovery_unavailable", BY_MAIL),
    (
        exceptions.InvalidRecoveryToken,
        "invalid_recovery_token",
        "This link is not valid any more.",
    ),
    (
        exceptions.MailUnavailable,
        "mail_unavailable",
        "The mail could not be sent. Try again later.",
    ),
    (exceptions.InvalidChallenge, "invalid_challenge", "Invalid or expired challenge token."),
    (exceptions.ExpiredChallenge, "invalid_challenge", "Invalid or expired challenge token."),
]
WAITS = [
    (1, "Too many wrong codes. Try again in 1 second."),
    (900, "Too many wrong codes. Try again in 900 seconds."),
    (None, "Too many wrong codes in a row. Use a backup code or ask an administrator."),
]


@pytest.fixture
def quoting(monkeypatch):
    """Speak a language in which every sentence is put into quotation marks."""
    catalog = trans_real.translation("de")
    monkeypatch.setattr(catalog, "gettext", "»{}«".format)
    monkeypatch.setattr(catalog, "ngettext", lambda one, many, n: f"»{one if n == 1 else many}«")
    with translation.override("de"):
        yield


@pytest.mark.parametrize(("error", "code", "sentence"), ERRORS)
def test_an_error_has_a_code_and_a_sentence(error, code, sentence):
    assert error.code == error().code == code
    assert str(error()) == sentence


@pytest.mark.parametrize(("retry_after", "sentence"), WAITS)
def test_the_sentence_of_a_wait_says_how_long(retry_after, sentence):
    error = TooManyAttempts(retry_after)
    assert (error.code, error.retry_after) == ("too_many_attempts", retry_after)
    assert str(error) == sentence


@pytest.mark.parametrize("error", [error for error, _, _ in ERRORS] + [TooManyAttempts])
def test_every_error_is_a_totp_error_and_a_value_error(error):
    assert issubclass(error, TotpError)
    assert issubclass(error, ValueError)


def test_no_error_is_missing_here():
    tree = {value for value in vars(exceptions).values() if isinstance(value, type)}
    named = {error for error, _, _ in ERRORS} | {TooManyAttempts}
    assert {error for error in tree if error.__module__ == exceptions.__name__} == named


def test_challenge_errors_are_those_of_django_signing_too():
    assert issubclass(InvalidChallenge, BadSignature)
    assert not issubclass(InvalidChallenge, SignatureExpired)
    assert issubclass(ExpiredChallenge, InvalidChallenge)
    assert issubclass(ExpiredChallenge, SignatureExpired)


@pytest.mark.parametrize(("error", "sentence"), [(error, text) for error, _, text in ERRORS])
def test_a_sentence_is_translated_when_it_is_read(error, sentence, quoting):
    assert isinstance(error.message, Promise)
    assert str(error()) == f"»{sentence}«"


@pytest.mark.parametrize(("retry_after", "sentence"), WAITS)
def test_the_sentence_of_a_wait_is_translated_when_it_is_read(retry_after, sentence, quoting):
    assert str(TooManyAttempts(retry_after)) == f"»{sentence}«"


@pytest.mark.parametrize("error", [error() for error, _, _ in ERRORS] + [TooManyAttempts(30)])
def test_an_error_survives_pickling(error):
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))
