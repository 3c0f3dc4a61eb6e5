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
from django.db.models import F
from django.urls import NoReverseMatch, reverse
from django.views.decorators.debug import sensitive_variables

from . import challenges, events, notices, policy, signals
from .accounts import join
from .assurance import totp_of
from .attempts import read, read_enrolled
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
from .retrying import retried
from .totp import as_seen
from .users import email_of, is_active

PAGE = "two-factor-recovery"
BETWEEN_MAILS = timedelta(hours=1)
CONFIRM_ACTION, CANCEL_ACTION = "confirm", "cancel"
PURPOSES = {CONFIRM_ACTION: (RECOVER, is_active), CANCEL_ACTION: (CANCEL, lambda user: True)}


@retried
@sensitive_variables("token", "link")
def request_recovery(token: str, *, request: Any = None) -> None:
    """Mail the user of a challenge token a link that starts a recovery, at most once an hour.

    Raise RecoveryOff, RecoveryUnavailable, InvalidChallenge, TotpNotEnabled, PolicyUnavailable,
    and MailUnavailable if the mail could not be handed over.
    """
    _delay()
    user = challenges.challenged(token, challenges.VERIFY, is_active)
    totp = _asking(user)
    now, last = datetime.now(UTC), totp.recovery_asked_at
    if last is not None and now - BETWEEN_MAILS < last <= now:
        return
    _refuse_without_page(request)
    totp.move(recovery_asked_at=now)
    events.record("recovery_asked", user, request)
    link = _link(CONFIRM_ACTION, challenges.make(user, RECOVER), request)
    if not notices.send(user, "recovery_asked", request, link=link):
        _take_back(totp, recovery_asked_at=last)
        raise MailUnavailable


@retried
@sensitive_variables("token", "link")
def start_recovery(token: str, *, request: Any = None) -> datetime:
    """Return from when on the user of a mailed token may enroll anew; it is mailed as well.

    One that has been started goes on. Raise RecoveryOff, RecoveryUnavailable,
    InvalidRecoveryToken, PolicyUnavailable, and MailUnavailable: no wait begins that the owner
    cannot be told of.
    """
    delay = _delay()
    user = user_of(token, CONFIRM_ACTION)
    totp = _asking(user)
    if totp.is_recovery_pending:
        return totp.recovery_ready_at  # type: ignore[no-any-return]
    ready_at = (datetime.now(UTC) + timedelta(seconds=delay)).replace(microsecond=0)
    totp.move(recovery_ready_at=ready_at, is_recovery_allowed=False)
    link = _link(CANCEL_ACTION, challenges.make(user, CANCEL), request)
    moment = ready_at.isoformat()
    if not notices.send(user, "recovery_started", request, link=link, ready_at=moment):
        _take_back(totp, recovery_ready_at=None)
        raise MailUnavailable
    events.record("recovery_started", user, request, ready_at=moment)
    events.send(signals.totp_recovery_started, user, request)
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
    if totp is not None and (totp.is_recovery_pending or totp.recovery_asked_at is not None):
        _cancel(totp, user, request)


@sensitive_variables("link")
def allow_recovery(
    user: AbstractBaseUser,
    *,
    request: Any = None,
    reason: str = "",
    using: str | None = None,
    seen: Totp | None = None,
) -> None:
    """Let ``user`` enroll anew at the next login with the password, as an administrator does.

    The factor that there is counts until then. It is mailed, as far as there is an address.
    ``reason``, ``using`` and ``seen`` are those of ``auth.reset_totp``. Raise TotpNotEnrolled if
    there is no such enrollment that is confirmed.
    """
    _allow(user, using, seen)
    events.record("recovery_allowed", user, request, reason=reason)
    join(user)
    link = _link(CANCEL_ACTION, challenges.make(user, CANCEL), request)
    notices.send(user, "recovery_allowed", request, link=link)


def is_possible(user: AbstractBaseUser) -> bool:
    """Return whether ``user``, joined with what judges a login, may enroll anew now."""
    totp = totp_of(user)
    return totp is not None and totp.is_recovery_ready and _goes_on(user, totp)


def outlook_of(user: AbstractBaseUser) -> datetime | None:
    """Return from when on ``user``, joined with what judges a login, may enroll anew, if ever."""
    totp = totp_of(user)
    is_pending = totp is not None and totp.is_recovery_pending and _goes_on(user, totp)
    return totp.recovery_ready_at if totp is not None and is_pending else None


def may_ask(user: AbstractBaseUser) -> bool:
    """Return whether ``user`` may recover by mail: others need an administrator.

    Raise PolicyUnavailable.
    """
    is_on = conf.TOTP_RECOVERY_DELAY is not None
    return is_on and bool(email_of(user)) and not policy.must_have(user)


@sensitive_variables("token")
def user_of(token: str, action: str) -> AbstractBaseUser:
    """Return the user of a mailed token that is good for ``action``. Raise InvalidRecoveryToken."""
    purpose, may_act = PURPOSES[action]
    try:
        user = challenges.challenged(token, purpose, may_act)
    except InvalidChallenge:
        raise InvalidRecoveryToken from None
    if action == CANCEL_ACTION and not _enabled(user).is_recovery_pending:
        raise InvalidRecoveryToken
    return user


@sensitive_variables("token")
def action_of(token: str) -> str:
    """Return what a mailed token is for, whether it is still good or not."""
    is_cancel = challenges.challenge_subject(token, CANCEL) is not None
    return CANCEL_ACTION if is_cancel else CONFIRM_ACTION


@sensitive_variables("token", "url", "path")
def _link(action: str, token: str, request: Any) -> str:
    """Return the address that a mail leads to: of the project's choice, or of our page.

    It is empty where there is neither, or nobody can tell of which site.
    """
    url = conf.TOTP_RECOVERY_URL
    if url:
        return url.replace("{action}", action).replace("{token}", token)
    try:
        path = reverse(PAGE, args=[token])
    except NoReverseMatch:
        return ""
    return "" if request is None else str(request.build_absolute_uri(path))


def _refuse_without_page(request: Any) -> None:
    """Raise RecoveryOff if there is no page that a mail could lead to."""
    if not _link(CONFIRM_ACTION, "token", request):
        events.complain(
            "TOTP_RECOVERY_DELAY is set, and there is no page that a mail could lead to: include "
            "django_totp.urls.pages, and pass the request, or set TOTP_RECOVERY_URL."
        )
        raise RecoveryOff


def _delay() -> int:
    """Return how many seconds a recovery waits. Raise RecoveryOff."""
    if conf.TOTP_RECOVERY_DELAY is None:
        raise RecoveryOff
    return conf.TOTP_RECOVERY_DELAY


def _enabled(user: AbstractBaseUser) -> Totp:
    """Return the confirmed enrollment of ``user``. Raise TotpNotEnabled."""
    totp = totp_of(user)
    if totp is None or not totp.is_enabled:
        raise TotpNotEnabled
    return totp


def _asking(user: AbstractBaseUser) -> Totp:
    """Return the confirmed enrollment of ``user``. Raise TotpNotEnabled, RecoveryUnavailable."""
    totp = _enabled(user)
    if not may_ask(user):
        raise RecoveryUnavailable
    return totp


def _goes_on(user: AbstractBaseUser, totp: Totp) -> bool:
    """Return whether nothing has become of the settings that stands against a recovery."""
    if totp.is_recovery_allowed:
        return True
    try:
        return conf.TOTP_RECOVERY_DELAY is not None and not policy.must_have(user)
    except PolicyUnavailable:
        return False


def _cancel(totp: Totp, user: AbstractBaseUser, request: Any) -> None:
    """Stop a recovery. A mail that is on its way is dead by it."""
    was_pending, last = totp.is_recovery_pending, totp.recovery_asked_at
    later = None if last is None else last + MICROSECOND
    totp.move(recovery_asked_at=later, recovery_ready_at=None, is_recovery_allowed=False)
    if was_pending:
        events.record("recovery_cancelled", user, request)


def _take_back(totp: Totp, **before: Any) -> None:
    """Let the row be as it was: the owner could not be told. Whoever has moved it since, may."""
    after = {name: getattr(totp, name) for name in before}
    rows = type(totp).objects.using(totp.database).filter(pk=totp.pk, **after)
    rows.update(**before, version=F("version") + 1)


@retried
def _allow(user: AbstractBaseUser, using: str | None, seen: Totp | None) -> None:
    totp = as_seen(read_enrolled(user, using), seen)
    if not totp.is_enabled:
        raise TotpNotEnrolled
    totp.move(recovery_ready_at=datetime.now(UTC), is_recovery_allowed=True)
