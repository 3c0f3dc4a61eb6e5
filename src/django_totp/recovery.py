"""A new authenticator for who has lost the old one, and the backup codes with it.

It takes the password (a recovery begins with the challenge of a login), the mailbox, and time: a
mailed link starts a wait, in which the owner can stop it. Then a login with the password may
enroll anew; the old factor counts until that is confirmed, so it is never off. Any right code,
of the app or of the list, ends it in the very UPDATE that the code makes: all of it stands in
the row of the enrollment. The mailed tokens are challenges of purposes of their own. So they are
no password-reset tokens, and these are no such tokens.

An administrator may let a user do so at once, also where the users themselves may not.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.urls import NoReverseMatch, reverse
from django.views.decorators.debug import sensitive_variables

from . import challenges, events, notices, policy, signals
from .assurance import totp_of
from .attempts import read, read_enrolled, retried
from .challenges import CANCEL, RECOVER
from .conf import conf
from .exceptions import (
    InvalidChallenge,
    InvalidRecoveryToken,
    MailUnavailable,
    PolicyUnavailable,
    RecoveryOff,
    RecoveryUnavailable,
    TotpNotEnabled,
    TotpNotEnrolled,
)
from .models import Totp
from .moments import MICROSECOND
from .totp import as_seen
from .users import email_of, is_active

PAGE = "two-factor-recovery"
BETWEEN_MAILS = timedelta(hours=1)
CONFIRM_ACTION, CANCEL_ACTION = "confirm", "cancel"
PURPOSES = {CONFIRM_ACTION: (RECOVER, is_active), CANCEL_ACTION: (CANCEL, lambda user: True)}


@retried
@sensitive_variables("token")
def request_recovery(token: str, *, request: Any = None) -> None:
    """Mail the user of a challenge token a link that starts a recovery, at most once an hour.

    Raise RecoveryOff, RecoveryUnavailable, InvalidChallenge, TotpNotEnabled, PolicyUnavailable,
    and MailUnavailable if the mail could not be handed over.
    """
    _delay()
    user = challenges.challenged(token, challenges.VERIFY, is_active)
    totp = _enabled(user)
    _refuse_unless_possible(user)
    now, last = datetime.now(UTC), totp.recovery_asked_at
    if last is not None and now - BETWEEN_MAILS < last <= now:
        return
    totp.move(recovery_asked_at=now)
    events.record("recovery_asked", user, request)
    link = link_of(CONFIRM_ACTION, challenges.make(user, RECOVER), request)
    if not notices.send(user, "recovery_asked", request, link=link):
        totp.move(recovery_asked_at=last)
        raise MailUnavailable


@retried
@sensitive_variables("token")
def start_recovery(token: str, *, request: Any = None) -> datetime:
    """Return from when on the user of a mailed token may enroll anew; it is mailed as well.

    One that has been started goes on. Raise RecoveryOff, RecoveryUnavailable,
    InvalidRecoveryToken or PolicyUnavailable.
    """
    delay = _delay()
    user = user_of(token, CONFIRM_ACTION)
    totp = _enabled(user)
    _refuse_unless_possible(user)
    if totp.is_recovery_pending:
        return totp.recovery_ready_at  # type: ignore[no-any-return]
    ready_at = (datetime.now(UTC) + timedelta(seconds=delay)).replace(microsecond=0)
    totp.move(recovery_ready_at=ready_at, is_recovery_allowed=False)
    moment = ready_at.isoformat()
    events.record("recovery_started", user, request, ready_at=moment)
    events.send(signals.totp_recovery_started, user, request)
    link = link_of(CANCEL_ACTION, challenges.make(user, CANCEL), request)
    notices.send(user, "recovery_started", request, link=link, ready_at=moment)
    return ready_at


@retried
@sensitive_variables("token")
def cancel_recovery(token: str, *, request: Any = None) -> None:
    """Stop the recovery that a mailed token is about. Raise InvalidRecoveryToken."""
    user = user_of(token, CANCEL_ACTION)
    _cancel(_enabled(user), user, request)


@retried
def cancel_recovery_of(user: AbstractBaseUser, *, request: Any = None) -> None:
    """Stop what there is of a recovery of ``user``, who is signed in: also a mail that was sent."""
    totp = read(user)
    if totp is not None and (totp.recovery_asked_at is not None or totp.is_recovery_pending):
        _cancel(totp, user, request)


def allow_recovery(
    user: AbstractBaseUser,
    *,
    request: Any = None,
    reason: str = "",
    using: str | None = None,
    seen: Totp | None = None,
) -> None:
    """Let ``user`` enroll anew at the next login with the password, as an administrator does.

    The factor that there is counts until then. ``reason``, ``using`` and ``seen`` are those of
    ``auth.reset_totp``. Raise TotpNotEnrolled if there is no such enrollment that is confirmed.
    """
    _allow(user, using, seen)
    events.record("recovery_allowed", user, request, reason=reason)


def is_possible(user: AbstractBaseUser) -> bool:
    """Return whether ``user``, joined with what judges a login, may enroll anew now."""
    totp = totp_of(user)
    if totp is None or not totp.is_enabled or not totp.is_recovery_ready:
        return False
    if totp.is_recovery_allowed:
        return True
    try:
        return conf.TOTP_RECOVERY_DELAY is not None and not policy.must_have(user)
    except PolicyUnavailable:
        return False


@sensitive_variables("token")
def user_of(token: str, action: str) -> AbstractBaseUser:
    """Return the user of a mailed token that is good for ``action``. Raise InvalidRecoveryToken."""
    purpose, may_act = PURPOSES[action]
    try:
        return challenges.challenged(token, purpose, may_act)
    except InvalidChallenge:
        raise InvalidRecoveryToken from None


@sensitive_variables("token")
def action_of(token: str) -> str:
    """Return what a mailed token is for, if it is still good. Raise InvalidRecoveryToken."""
    is_cancel = challenges.challenge_subject(token, CANCEL) is not None
    action = CANCEL_ACTION if is_cancel else CONFIRM_ACTION
    user_of(token, action)
    return action


@sensitive_variables("token", "url", "path")
def link_of(action: str, token: str, request: Any) -> str:
    """Return the address that a mail leads to: of the project's choice, or of our page.

    It is empty where there is neither.
    """
    url = conf.TOTP_RECOVERY_URL
    if url:
        return url.replace("{action}", action).replace("{token}", token)
    try:
        path = reverse(PAGE, args=[token])
    except NoReverseMatch:
        return ""
    return path if request is None else str(request.build_absolute_uri(path))


def _delay() -> int:
    """Return how many seconds a recovery waits. Raise RecoveryOff."""
    if conf.TOTP_RECOVERY_DELAY is None:
        raise RecoveryOff
    if not link_of(CONFIRM_ACTION, "token", None):
        events.complain(
            "TOTP_RECOVERY_DELAY is set, and there is no page that a mail could lead to: include "
            "django_totp.urls.pages, or set TOTP_RECOVERY_URL."
        )
        raise RecoveryOff
    return conf.TOTP_RECOVERY_DELAY


def _enabled(user: AbstractBaseUser) -> Totp:
    """Return the confirmed enrollment of ``user``. Raise TotpNotEnabled."""
    totp = totp_of(user)
    if totp is None or not totp.is_enabled:
        raise TotpNotEnabled
    return totp


def _refuse_unless_possible(user: AbstractBaseUser) -> None:
    """Raise RecoveryUnavailable for whom nobody but an administrator can help."""
    if policy.must_have(user) or not email_of(user):
        raise RecoveryUnavailable


def _cancel(totp: Totp, user: AbstractBaseUser, request: Any) -> None:
    """Stop a recovery. A mail that is on its way is dead, and there is no other one for an hour."""
    now, last = datetime.now(UTC), totp.recovery_asked_at
    later = now if last is None else max(now, last + MICROSECOND)
    totp.move(recovery_asked_at=later, recovery_ready_at=None, is_recovery_allowed=False)
    events.record("recovery_cancelled", user, request)


@retried
def _allow(user: AbstractBaseUser, using: str | None, seen: Totp | None) -> None:
    totp = as_seen(read_enrolled(user, using), seen)
    if not totp.is_enabled:
        raise TotpNotEnrolled
    totp.move(recovery_ready_at=datetime.now(UTC), is_recovery_allowed=True)
