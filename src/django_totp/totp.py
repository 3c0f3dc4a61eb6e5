"""The life of an enrollment: start, confirm, verify, disable."""

import logging
import time
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import IntegrityError, router, transaction
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from . import events, oath, qr, signals
from .attempts import read_secret, refuse_while_waiting, retried, right, wrong
from .backup_code_utils import generate_backup_codes, insert_codes
from .conf import conf
from .encryption import encrypt
from .exceptions import InvalidTotpCode, TooManyAttempts, TotpAlreadyExists, TotpNotEnrolled
from .models import BackupCode, Moved, Totp


@dataclass(frozen=True)
class TotpSetup:
    """What a pending enrollment hands to the user, once: the secret and its URI."""

    secret: str = field(repr=False)
    otpauth_uri: str = field(repr=False)

    @property
    @sensitive_variables()
    def svg(self) -> str:
        """Return the QR code of the URI as an ``<svg>`` element."""
        return qr.svg(self.otpauth_uri)


def generate_totp_secret() -> str:
    """Return a new base32 secret of 160 bits (RFC 4226 section 4, R6)."""
    return oath.generate_secret()


def create_totp_setup(user: AbstractBaseUser) -> str:
    """Start an enrollment of ``user`` and return its QR code as an ``<svg>`` element.

    A pending enrollment is replaced. Raise TotpAlreadyExists if one is confirmed.
    """
    return start_totp_setup(user).svg


def start_totp_setup(user: AbstractBaseUser, *, request: Any = None) -> TotpSetup:
    """Start an enrollment like ``create_totp_setup`` and return all that the user may need."""
    setup = _start(user)
    events.record("enrollment_started", user, request, method="totp")
    return setup


@sensitive_variables("input_code", "codes")
def confirm_totp_setup(
    user: AbstractBaseUser, input_code: str, *, request: Any = None
) -> list[str]:
    """Confirm the pending enrollment of ``user`` with a code and return the backup codes.

    The code is used up: it does not log in. Raise TotpNotEnrolled if nothing is pending (any
    more), TotpAlreadyExists if it is confirmed already, InvalidTotpCode, TooManyAttempts.
    """
    codes = _confirm(user, input_code, request)
    if codes is None:
        raise InvalidTotpCode
    events.record("enrollment_confirmed", user, request, method="totp")
    events.send(signals.totp_created, user, request)
    return codes


@retried
@sensitive_variables("input_code")
def verify_totp_code(user: AbstractBaseUser, input_code: str, *, request: Any = None) -> bool:
    """Return whether ``input_code`` is a right and unused code of ``user``, and use it up.

    A pending enrollment verifies nothing. Raise TotpNotEnrolled if the user has no enrollment,
    and TooManyAttempts while TOTP codes of the account wait.
    """
    return answer_totp_code(Totp.objects.of(user), user, input_code, request)


def disable_totp(
    user: AbstractBaseUser, *, request: Any = None, reason: str = "", using: str | None = None
) -> None:
    """Remove the enrollment of ``user``, pending or confirmed, with its backup codes.

    ``reason`` goes to the log; ``using`` names the database, if not the routers do. Raise
    TotpNotEnrolled if there is no enrollment.
    """
    _remove(user, using)
    events.record("disabled", user, request, reason=reason)
    events.send(signals.totp_disabled, user, request)


def end_wait(
    user: AbstractBaseUser, *, request: Any = None, reason: str = "", using: str | None = None
) -> None:
    """Forget the wrong codes of ``user``, so that TOTP codes are accepted again at once.

    ``reason`` goes to the log; ``using`` names the database, if not the routers do. Raise
    TotpNotEnrolled if the user has no enrollment.
    """
    _forget_failures(user, using)
    events.record("wait_ended", user, request, reason=reason)


@sensitive_variables("input_code")
def answer_totp_code(
    totp: Totp, user: AbstractBaseUser, input_code: str, request: Any = None
) -> bool:
    """Return whether ``input_code`` is a right and unused code of ``totp``, and count it.

    Raise Moved, and TooManyAttempts while TOTP codes wait.
    """
    if not totp.is_enabled:
        return False
    _refuse_aloud_while_waiting(totp, user, request)
    step, refused = evaluate(totp, input_code, at=time.time())
    if step is not None:
        right(totp, last_used_step=step)
    elif refused != "unreadable":
        wrong(totp)
    events.verified(user, request, method="totp", refused=refused)
    return step is not None


@sensitive_variables("input_code", "secret", "code", "value")
def evaluate(totp: Totp, input_code: str, *, at: float) -> tuple[int | None, str]:
    """Return the time step that ``input_code`` uses up, or ``None`` and the reason for the log.

    A step is used up with all before it (RFC 6238 section 5.2). ``at`` is in seconds since
    the epoch.
    """
    secret = read_secret(totp)
    if secret is None:
        return None, "unreadable"
    code = oath.parse_code(input_code, totp.digits)
    if code is None:
        return None, "malformed"
    try:
        step = oath.matching_step(
            secret,
            code,
            at=at,
            digits=totp.digits,
            period=totp.period,
            algorithm=totp.algorithm,
            window=conf.TOTP_VALID_WINDOW,
        )
    except (KeyError, ValueError, ZeroDivisionError):
        events.logger.error(
            "TOTP enrollment %r has a secret or a parameter that makes no codes: codes for it "
            "are refused. Reset the enrollment.",
            totp.pk,
        )
        return None, "unreadable"
    if step is None:
        return None, "wrong"
    if totp.last_used_step is not None and step <= totp.last_used_step:
        return None, "replayed"
    return step, ""


@retried
@sensitive_variables("secret", "new", "value", "query", "uri")
def _start(user: AbstractBaseUser) -> TotpSetup:
    secret = generate_totp_secret()
    parameters: dict[str, Any] = {
        "digits": conf.TOTP_DIGITS,
        "period": conf.TOTP_PERIOD,
        "algorithm": conf.TOTP_ALGORITHM,
    }
    new = {"secret_key": encrypt(secret), **parameters}
    totp = Totp.objects.find(user)
    if totp is None:
        _insert(user, new)
    elif totp.is_enabled:
        raise TotpAlreadyExists
    else:
        totp.move(
            created_at=timezone.now(),
            failures=0,
            waiting_until=None,
            last_used_step=None,
            **new,
        )
    uri = oath.provisioning_uri(
        secret, account=str(user.get_username()), issuer=conf.TOTP_ISSUER, **parameters
    )
    return TotpSetup(secret, uri)


def _insert(user: AbstractBaseUser, new: dict[str, Any]) -> None:
    try:
        with transaction.atomic(using=router.db_for_write(Totp)):
            Totp.objects.create(user_id=user.pk, **new)
    except IntegrityError:
        raise Moved from None


@retried
@sensitive_variables("input_code", "codes")
def _confirm(user: AbstractBaseUser, input_code: str, request: Any) -> list[str] | None:
    """Confirm and return the codes, or count a wrong code and return ``None``."""
    totp = Totp.objects.of(user)
    if totp.is_enabled:
        raise TotpAlreadyExists
    if not totp.is_pending:
        raise TotpNotEnrolled
    _refuse_aloud_while_waiting(totp, user, request)
    step, refused = evaluate(totp, input_code, at=time.time())
    if step is None:
        if refused != "unreadable":
            wrong(totp)
        events.verified(user, request, method="totp", refused=refused)
        return None
    codes = generate_backup_codes()
    with transaction.atomic(using=totp.database):
        right(totp, last_used_step=step, confirmed_at=timezone.now())
        insert_codes(totp, codes)
    return codes


@retried
def _remove(user: AbstractBaseUser, using: str | None) -> None:
    totp = Totp.objects.db_manager(using).of(user)
    with transaction.atomic(using=totp.database):
        BackupCode.objects.using(totp.database).filter(totp_id=totp.pk).delete()
        totp.remove()


@retried
def _forget_failures(user: AbstractBaseUser, using: str | None) -> None:
    Totp.objects.db_manager(using).of(user).move(failures=0, waiting_until=None)


def _refuse_aloud_while_waiting(totp: Totp, user: AbstractBaseUser, request: Any) -> None:
    try:
        refuse_while_waiting(totp)
    except TooManyAttempts:
        events.record(
            "verification_refused",
            user,
            request,
            level=logging.WARNING,
            method="totp",
            reason="waiting",
        )
        raise
