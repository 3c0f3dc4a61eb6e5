"""What the services raise: one tree, each error with a stable code and a sentence for people."""

from django.core.signing import BadSignature, SignatureExpired
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

# What a login that is good all the same is told where more is wanted: by pages and by tokens.
INSUFFICIENT = "insufficient_user_authentication"  # RFC 9470 section 3
CONFIRM = _("This needs your second factor: confirm it with a code.")
CONFIRM_AGAIN = _("This needs a recent second factor: confirm it once more with a code.")
SET_UP = _("Set up two-factor authentication first.")


class TotpError(ValueError):
    """The base of every error of django-totp. ``code`` is for programs, ``str()`` for people."""

    code: str = "totp_error"
    message: str | Promise = _("Two-factor authentication failed.")

    def __str__(self) -> str:
        return str(self.message)


class TotpNotEnrolled(TotpError):
    """The user has no enrollment, or none in the state that the call needs."""

    code = "totp_not_enrolled"
    message = _("User does not have an associated TOTP secret.")


class TotpAlreadyExists(TotpError):
    """The user has a confirmed enrollment; it must be disabled before another is made."""

    code = "totp_already_exists"
    message = _("TOTP already exists for this user.")


class TotpNotEnabled(TotpError):
    """A second factor was given for a user who has none."""

    code = "totp_not_enabled"
    message = _("TOTP is not enabled for this user.")


class InvalidTotpCode(TotpError):
    """A TOTP code was wrong, replayed or malformed: which of them is not told."""

    code = "invalid_totp_code"
    message = _("Invalid TOTP code.")


class InvalidBackupCode(TotpError):
    """A backup code was wrong, used or malformed: which of them is not told."""

    code = "invalid_backup_code"
    message = _("Invalid backup code.")


class ReauthenticationRequired(TotpError):
    """The call came without the proof that it needs: see ``FreshProof``."""

    code = "reauthentication_required"
    message = _("Confirm that it is you: send a valid otp_code, backup_code or password.")


class LoginOutdated(TotpError):
    """The login is from before the logins of the account were ended: by a reset, for example."""

    code = "login_outdated"
    message = _("This login was ended. Log in again.")


class SecondFactorRequired(TotpError):
    """The login never gave the second factor that its account has."""

    code = "second_factor_required"
    message = _("This login lacks the second factor. Confirm it with a code, or log in again.")


class EnrollmentRequired(TotpError):
    """The account must have a second factor, and has none."""

    code = "enrollment_required"
    message = _("This account must have two-factor authentication. Log in again to set it up.")


class TotpRequired(TotpError):
    """The second factor of an account that must have one cannot be switched off."""

    code = "totp_required"
    message = _("This account must have two-factor authentication: it cannot be turned off.")


class PolicyUnavailable(TotpError):
    """``TOTP_REQUIRED_FOR`` cannot be decided: a predicate raised. The log tells why."""

    code = "policy_unavailable"
    message = _(
        "It cannot be told now whether this account must have two-factor authentication. Try "
        "again later."
    )


class RecoveryUnavailable(TotpError):
    """The second factor of an account cannot be recovered by mail: an administrator can help."""

    code = "recovery_unavailable"
    message = _("You cannot set up a new authenticator app by mail here. Ask an administrator.")


class RecoveryOff(RecoveryUnavailable):
    """No second factor can be recovered by mail: ``TOTP_RECOVERY_DELAY`` is not set."""


class InvalidRecoveryToken(TotpError, BadSignature):
    """A token from a mail was forged, is too old, or the account has changed since."""

    code = "invalid_recovery_token"
    message = _("This link is not valid any more.")


class MailUnavailable(TotpError):
    """A mail that somebody waits for could not be sent. The log tells why."""

    code = "mail_unavailable"
    message = _("The mail could not be sent. Try again later.")


class TooManyAttempts(TotpError):
    """TOTP codes of the account wait; the code was neither evaluated nor counted.

    ``retry_after`` is the wait in whole seconds, or ``None`` where waiting does not help.
    """

    code = "too_many_attempts"

    def __init__(self, retry_after: int | None) -> None:
        super().__init__(retry_after)
        self.retry_after = retry_after

    def __str__(self) -> str:
        if self.retry_after is None:
            return str(
                _("Too many wrong codes in a row. Use a backup code or ask an administrator.")
            )
        return ngettext(
            "Too many wrong codes. Try again in %(seconds)d second.",
            "Too many wrong codes. Try again in %(seconds)d seconds.",
            self.retry_after,
        ) % {"seconds": self.retry_after}


class InvalidChallenge(TotpError, BadSignature):
    """A challenge token was forged, used, or made before the account changed."""

    code = "invalid_challenge"
    message = _("Invalid or expired challenge token.")


class ExpiredChallenge(InvalidChallenge, SignatureExpired):
    """A challenge token is older than ``TOTP_TOKEN_MAX_AGE``."""
