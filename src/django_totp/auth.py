"""The two steps of a login, and its end: who needs which factor, and what a code completes."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import transaction
from django.views.decorators.debug import sensitive_variables

from . import challenges, events, policy, recovery, signals, threads
from .accounts import join
from .assurance import (
    Assurance,
    Standing,
    counted,
    new_login,
    standing,
    totp_of,
)
from .attempts import Guess, answer, read, read_enrolled
from .backup_code_utils import BackupCodeGuess
from .exceptions import (
    InvalidBackupCode,
    InvalidChallenge,
    InvalidTotpCode,
    LoginOutdated,
    TotpNotEnabled,
    TotpNotEnrolled,
)
from .factor import TotpGuess
from .models import Account, Totp, relate
from .retrying import retried
from .totp import (
    TotpSetup,
    as_seen,
    confirm_totp_setup,
    start_totp_replacement,
    start_totp_setup,
)
from .users import is_active, session_hashes


@dataclass(frozen=True)
class NextStep:
    """What a login needs after the first factor: a ``challenge`` to meet, or nothing.

    ``is_enrollment`` says that the challenge is to enroll. ``required_from`` is when a login
    that needs nothing yet will need that. ``recovery`` is a challenge to enroll anew, beside the
    other, for who may do so without a code (``recovery``).
    """

    challenge: str = field(default="", repr=False)
    is_enrollment: bool = False
    required_from: datetime | None = None
    recovery: str = field(default="", repr=False)


def is_totp_enabled(user: AbstractBaseUser) -> bool:
    """Return whether logins of ``user`` ask for a second factor."""
    return _enabled(read(user)) is not None


async def ais_totp_enabled(user: AbstractBaseUser) -> bool:
    """See ``is_totp_enabled()``."""
    return await threads.run(lambda: is_totp_enabled(user))


def generate_challenge_token(user: AbstractBaseUser) -> str:
    """Return a signed token which says that ``user`` has passed the first step of a login.

    It lives for ``TOTP_TOKEN_MAX_AGE`` seconds and until the login that it is used for.
    """
    join(user)
    return challenges.make(user, challenges.VERIFY)


def challenge_if_enabled(user: AbstractBaseUser) -> str | None:
    """Return a challenge token, or ``None`` if ``user`` has no second factor."""
    join(user)
    return challenges.make(user, challenges.VERIFY) if _enabled(totp_of(user)) else None


def next_step(user: AbstractBaseUser) -> NextStep:
    """Return what a login of ``user`` needs after the first factor.

    Raise PolicyUnavailable if nobody can tell who must have a second factor.
    """
    challenge = challenge_if_enabled(user)
    if challenge is not None:
        return NextStep(challenge, recovery=recovery_challenge(user))
    begin = policy.required_from(user)
    if begin is None or begin > datetime.now(UTC):
        return NextStep(required_from=begin)
    return NextStep(challenges.make(user, challenges.ENROLL), is_enrollment=True)


def recovery_challenge(user: AbstractBaseUser) -> str:
    """Return a challenge to enroll anew without a code, if ``user`` may do that, or ``""``.

    ``user`` is joined with what judges a login.
    """
    return challenges.make(user, challenges.ENROLL) if recovery.is_possible(user) else ""


@sensitive_variables("token")
def verify_challenge_token(token: str) -> Any:
    """Return the primary key of the user of a challenge token that is good for a login.

    Raise InvalidChallenge (a BadSignature), or ExpiredChallenge (a SignatureExpired).
    """
    return get_user_from_challenge_token(token).pk


@sensitive_variables("token", "claims")
def get_user_from_challenge_token(token: str) -> AbstractBaseUser:
    """Return the user of a challenge token that is good for a login.

    Raise InvalidChallenge if it is not, or not any more: it is forged or used, the user is
    deleted or inactive, the password or the enrollment has changed. Raise ExpiredChallenge if
    it is too old.
    """
    return challenges.challenged(token, challenges.VERIFY, is_active)


@retried
@sensitive_variables("otp_code", "backup_code", "token", "claims")
def finish_login(
    token: str,
    *,
    otp_code: str | None = None,
    backup_code: str | None = None,
    may_sign_in: Callable[[AbstractBaseUser], bool] = is_active,
    request: Any = None,
) -> AbstractBaseUser:
    """Return the user of ``token`` if the code is right; the token and the code are used up.

    Raise InvalidChallenge, ExpiredChallenge, TotpNotEnabled, InvalidTotpCode,
    InvalidBackupCode or TooManyAttempts. Call it outside of any transaction, or the error
    may take the count of wrong codes with it.
    """
    claims = challenges.claims_of(token, challenges.VERIFY)
    user = challenges.user_of(claims, may_sign_in)
    if _enabled(totp_of(user)) is None:
        raise TotpNotEnabled
    if not challenges.is_current(claims, user, totp_of(user)):
        raise InvalidChallenge
    _check(user, guess_of(otp_code, backup_code), request)
    return user


@sensitive_variables("token", "otp_code", "backup_code", "codes")
async def afinish_login(
    token: str,
    *,
    otp_code: str | None = None,
    backup_code: str | None = None,
    may_sign_in: Callable[[AbstractBaseUser], bool] = is_active,
    request: Any = None,
) -> AbstractBaseUser:
    """See ``finish_login()``."""
    codes: dict[str, Any] = {"otp_code": otp_code, "backup_code": backup_code}
    return await threads.run(
        lambda: finish_login(token, **codes, may_sign_in=may_sign_in, request=request)
    )


@sensitive_variables("token")
def start_owed_enrollment(
    token: str,
    *,
    may_sign_in: Callable[[AbstractBaseUser], bool] = is_active,
    request: Any = None,
) -> TotpSetup:
    """Start the enrollment that the user of ``token`` owes: see ``start_totp_setup``.

    Or, in a recovery, a new one in the place of that there is. Raise InvalidChallenge,
    ExpiredChallenge, TotpAlreadyExists or PolicyUnavailable.
    """
    user = _owing(token, may_sign_in)
    if _enabled(totp_of(user)) is None:
        return start_totp_setup(user, request=request)
    try:
        return start_totp_replacement(user, request=request, in_recovery=True)
    except TotpNotEnrolled:
        raise InvalidChallenge from None  # somebody has stopped it a moment ago


@sensitive_variables("token", "input_code", "codes")
def finish_owed_enrollment(
    token: str,
    input_code: str,
    *,
    methods: Sequence[str] = ("pwd",),
    may_sign_in: Callable[[AbstractBaseUser], bool] = is_active,
    request: Any = None,
) -> tuple[AbstractBaseUser, Assurance, list[str]]:
    """Confirm the enrollment that the user of ``token``, who came by ``methods``, owes.

    Or, in a recovery, the one that takes the place of that there is; then all other logins end.
    Return the user, the login that this completes, and the backup codes. The token and the code
    are used up. Raise InvalidChallenge, ExpiredChallenge, PolicyUnavailable, and what
    ``confirm_totp_setup`` raises.
    """
    started = time.time()
    user = _owing(token, may_sign_in)
    login = new_login(user, *methods, "otp", "mfa", at=started)

    recovers = _enabled(totp_of(user)) is not None

    @sensitive_variables()
    def still() -> None:
        claims = challenges.claims_of(token, challenges.ENROLL)
        by_now = challenges.user_of(claims, may_sign_in)
        # What is replaced in a recovery has been compared with the row that it moves.
        is_current = recovers or challenges.is_current(claims, by_now, None)
        if not is_current or next(session_hashes(by_now)) != next(session_hashes(user)):
            raise InvalidChallenge

    codes = confirm_totp_setup(
        user, input_code, request=request, sid=login.sid, still=still, in_recovery=recovers
    )
    # In a recovery all logins before it were ended.
    return user, replace(login, time=counted(user, started)), codes


@retried
@sensitive_variables("otp_code", "backup_code")
def step_up(
    find: Callable[[], AbstractBaseUser],
    login: Assurance,
    *,
    otp_code: str | None = None,
    backup_code: str | None = None,
    request: Any = None,
) -> tuple[AbstractBaseUser, Assurance]:
    """Return the user whom ``find`` finds, and ``login`` with the second factor given now.

    ``find`` reads the user by ``accounts.account_by``, and again if the row has moved. Raise
    LoginOutdated, TotpNotEnabled, InvalidTotpCode, InvalidBackupCode or TooManyAttempts.
    """
    started = time.time()
    user = find()
    if standing(user, login) is Standing.OUTDATED:
        raise LoginOutdated
    if _enabled(totp_of(user)) is None:
        raise TotpNotEnabled
    _check(user, guess_of(otp_code, backup_code), request)
    return user, login.stepped_up(at=counted(user, started))


def _check(user: AbstractBaseUser, guess: Guess, request: Any) -> None:
    """Raise InvalidTotpCode or InvalidBackupCode unless ``guess`` is right for ``user``."""
    totp = totp_of(user)
    if totp is None or not answer(totp, guess, user, request):
        raise InvalidBackupCode if isinstance(guess, BackupCodeGuess) else InvalidTotpCode


@retried
def end_sessions(
    user: AbstractBaseUser, *, request: Any = None, reason: str = "", using: str | None = None
) -> None:
    """End all logins of ``user``: whoever is signed in must log in again, password and all.

    The second factor stays as it is. ``reason`` goes to the log; ``using`` names the database,
    if not the routers do.
    """
    account = Account.objects.db_manager(using).of(user)
    with transaction.atomic(using=account._state.db):
        account.end_logins()
        Totp.objects.db_manager(account._state.db).drop_replacement(user)
    relate(Account, user, account)
    events.record("sessions_ended", user, request, reason=reason)
    events.send(signals.sessions_ended, user, request)


def reset_totp(
    user: AbstractBaseUser,
    *,
    request: Any = None,
    reason: str = "",
    using: str | None = None,
    seen: Totp | None = None,
) -> None:
    """Remove the enrollment of ``user`` as an administrator does, and end all logins.

    Also where there must be an enrollment: the next login makes a new one. ``reason`` and
    ``using`` are those of ``end_sessions``; ``seen`` is what is to be removed, if not what is
    there by now. Raise TotpNotEnrolled if there is no such enrollment.
    """
    removed = _reset(user, using, seen)
    events.record("disabled", user, request, reason=reason, was=removed)
    events.send(signals.totp_disabled, user, request)


@retried
def _reset(user: AbstractBaseUser, using: str | None, seen: Totp | None) -> str:
    totp = as_seen(read_enrolled(user, using), seen)
    account = Account.objects.db_manager(totp.database).of(user)
    with transaction.atomic(using=totp.database):
        account.end_logins()
        totp.remove()
    relate(Account, user, account)
    return "" if totp.is_enabled else "pending"


@sensitive_variables("otp_code", "backup_code")
def guess_of(otp_code: str | None, backup_code: str | None) -> Guess:
    """Return the guess that was sent: that of a backup code, if there is no TOTP code."""
    return BackupCodeGuess(backup_code or "") if otp_code is None else TotpGuess(otp_code)


def _owing(token: str, may_sign_in: Callable[[AbstractBaseUser], bool]) -> AbstractBaseUser:
    """Return the user of a challenge to enroll who still owes the enrollment, or recovers."""
    user = challenges.challenged(token, challenges.ENROLL, may_sign_in)
    has_factor = _enabled(totp_of(user)) is not None
    if not (recovery.is_possible(user) if has_factor else policy.owes(user)):
        raise InvalidChallenge
    return user


def _enabled(totp: Totp | None) -> Totp | None:
    return totp if totp is not None and totp.is_enabled else None
