"""The life of an enrollment: start, confirm, verify, replace, disable."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import IntegrityError, router, transaction
from django.dispatch import Signal
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.views.decorators.debug import sensitive_variables

from . import events, oath, policy, qr, signals, threads
from .adoption import has_codes
from .attempts import Proof, answer, read, read_enrolled, read_secret, trusted
from .backup_code_utils import generate_backup_codes, insert_codes
from .conf import conf
from .exceptions import (
    InvalidTotpCode,
    ReauthenticationRequired,
    TotpAlreadyExists,
    TotpNotEnrolled,
)
from .factor import (
    Confirmation,
    Factor,
    Recovery,
    Succession,
    TotpGuess,
    clock_was_ahead,
    login_of,
    recovery_of,
    replacement_of,
)
from .models import Account, Moved, Totp, relate
from .moments import CLOCK_SKEW, age, next_second
from .retrying import TRIES, retried
from .users import name_of


@dataclass(frozen=True)
class TotpSetup:
    """What a pending enrollment hands to the user, once: the secret and its URI."""

    secret: str = field(repr=False)
    otpauth_uri: str = field(repr=False)

    @property
    @sensitive_variables()
    def groups(self) -> str:
        """Return the secret in groups of four, for typing in."""
        return " ".join(self.secret[at : at + 4] for at in range(0, len(self.secret), 4))

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


def start_totp_replacement(
    user: AbstractBaseUser,
    *,
    request: Any = None,
    proof: Proof | None = None,
    sid: str = "",
    in_recovery: bool = False,
) -> TotpSetup:
    """Return a new secret for ``user``: ``confirm_totp_setup`` puts it in the place of the old.

    Until then nothing changes: the old secret works, and a replacement that is not confirmed
    within ``TOTP_SETUP_MAX_AGE`` is forgotten. ``proof`` decides whether the row may be changed;
    the login ``sid`` that has given it need not give it again to confirm. ``in_recovery`` begins
    one that is part of the recovery there is, and good in nothing else. Raise TotpNotEnrolled if
    there is no confirmed enrollment, or no such recovery, and ReauthenticationRequired.
    """
    setup = _start_replacement(user, proof or trusted, sid, in_recovery)
    events.record("replacement_started", user, request, method="totp")
    return setup


@sensitive_variables("secret", "factor")
def pending_setup(
    user: AbstractBaseUser, secret: str, *, in_recovery: bool = False
) -> TotpSetup | None:
    """Return the setup that is pending, of an enrollment or a replacement, if ``secret`` is its.

    So a page that has shown it can show it again, and nobody else learns it.
    """
    factor = _pending_factor(read(user, has_codes=has_codes()), in_recovery)
    if factor is None or not constant_time_compare(factor.secret, secret):
        return None
    return _setup(user, factor)


@sensitive_variables("input_code", "codes")
def confirm_totp_setup(
    user: AbstractBaseUser,
    input_code: str,
    *,
    request: Any = None,
    sid: str = "",
    proof: Proof | None = None,
    still: Callable[[], None] = lambda: None,
    in_recovery: bool = False,
) -> list[str]:
    """Confirm the pending enrollment of ``user`` with a code and return the backup codes.

    Or the pending replacement, with a code of the new authenticator: the old one and its backup
    codes stop working. The code is used up: it does not log in. ``sid`` names the login that
    confirms, which the enrollment does not outdate (``assurance``). ``proof`` decides whether it
    may confirm a replacement that another login has begun. ``still`` is called in the
    transaction that confirms, and raises if that shall not be. ``in_recovery`` confirms what was
    begun in the recovery there is, and ends all logins. Raise TotpNotEnrolled if nothing is
    pending (any more), TotpAlreadyExists if it is confirmed already, InvalidTotpCode,
    TooManyAttempts.
    """
    told = {"confirmed_sid": sid}
    signal, codes = _confirm(user, input_code, request, told, proof or trusted, still, in_recovery)
    if codes is None:
        raise InvalidTotpCode
    events.send(signal, user, request)
    return codes


@retried
@sensitive_variables("input_code")
def verify_totp_code(user: AbstractBaseUser, input_code: str, *, request: Any = None) -> bool:
    """Return whether ``input_code`` is a right and unused code of ``user``, and use it up.

    A pending enrollment verifies nothing. Raise TotpNotEnrolled if the user has no enrollment,
    and TooManyAttempts while TOTP codes of the account wait.
    """
    totp = read_enrolled(user)
    return totp.is_enabled and answer(totp, TotpGuess(input_code), user, request)


@sensitive_variables("input_code")
async def averify_totp_code(
    user: AbstractBaseUser, input_code: str, *, request: Any = None
) -> bool:
    """See ``verify_totp_code()``."""
    return await threads.run(lambda: verify_totp_code(user, input_code, request=request))


def disable_totp(
    user: AbstractBaseUser,
    *,
    request: Any = None,
    reason: str = "",
    proof: Proof | None = None,
) -> None:
    """Remove the enrollment of ``user``, pending or confirmed, with its backup codes.

    It is the owner who does so, and the owner's logins go on: ``auth.reset_totp`` is for
    administrators. ``reason`` goes to the log; ``proof`` decides whether the row may be removed.
    Raise TotpNotEnrolled if there is no enrollment, TotpRequired if it is confirmed and must be
    there, PolicyUnavailable, and ReauthenticationRequired.
    """
    removed = _remove(user, proof or trusted)
    events.record("disabled", user, request, reason=reason, was=removed)
    events.send(signals.totp_disabled, user, request)


def end_wait(
    user: AbstractBaseUser,
    *,
    request: Any = None,
    reason: str = "",
    using: str | None = None,
    seen: Totp | None = None,
) -> None:
    """Forget the wrong codes of ``user``, so that TOTP codes are accepted again at once.

    A last used step and a confirmation that a clock once ahead has left in the future are
    forgotten as well.
    ``reason`` goes to the log; ``using`` names the database, if not the routers do; ``seen`` is
    the enrollment that somebody has looked at, if not what is there by now. Raise TotpNotEnrolled
    if there is no such enrollment.
    """
    _forget_failures(user, using, seen)
    events.record("wait_ended", user, request, reason=reason)


@retried
@sensitive_variables("factor", "new", "value", "query", "uri")
def _start(user: AbstractBaseUser) -> TotpSetup:
    factor = Factor.new()
    new = factor.columns
    totp = read(user, has_codes=has_codes())
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
    return _setup(user, factor)


@retried
@sensitive_variables("factor", "sealed")
def _start_replacement(
    user: AbstractBaseUser, proof: Proof, sid: str, in_recovery: bool
) -> TotpSetup:
    totp, factor = read_enrolled(user), Factor.new()
    if not totp.is_enabled or (in_recovery and not totp.is_recovery_ready):
        raise TotpNotEnrolled
    sealed = factor.sealed(recovery_of(totp) if in_recovery else login_of(sid))
    if not proof(totp, lambda totp, changes: totp.move(replacement=sealed, **changes)):
        raise ReauthenticationRequired
    return _setup(user, factor)


@sensitive_variables("factor", "uri")
def _setup(user: AbstractBaseUser, factor: Factor) -> TotpSetup:
    uri = oath.provisioning_uri(
        factor.secret, account=name_of(user), issuer=conf.TOTP_ISSUER, **factor.parameters
    )
    return TotpSetup(factor.secret, uri)


@sensitive_variables("secret")
def _pending_factor(totp: Totp | None, in_recovery: bool) -> Factor | None:
    if totp is None or totp.is_enabled:
        return None if totp is None else replacement_of(totp, in_recovery=in_recovery)
    secret = read_secret(totp) if totp.is_pending else None
    return None if secret is None else Factor(secret, totp.digits, totp.period, totp.algorithm)


def _insert(user: AbstractBaseUser, new: dict[str, Any]) -> None:
    """Insert the row of ``user``. Raise Moved if somebody else has, and what else is wrong.

    A row that was in the way may be gone when it is looked for.
    """
    for _ in range(TRIES):
        with suppress(IntegrityError):
            return _create(user, new)
        if Totp.objects.find(user) is not None:
            raise Moved
    _create(user, new)


@sensitive_variables("new")
def _create(user: AbstractBaseUser, new: dict[str, Any]) -> None:
    with transaction.atomic(using=router.db_for_write(Totp)):
        Totp.objects.create(user_id=user.pk, **new)


@retried
@sensitive_variables("input_code", "codes")
def _confirm(
    user: AbstractBaseUser,
    input_code: str,
    request: Any,
    told: Mapping[str, Any],
    proof: Proof,
    still: Callable[[], None],
    in_recovery: bool,
) -> tuple[Signal, list[str] | None]:
    """Confirm and return the codes, or count a wrong code and return none."""
    totp = read_enrolled(user, has_codes=has_codes())
    guess = _confirmation(totp, in_recovery)(input_code)
    if guess.asks_proof and not _may_confirm(totp, told["confirmed_sid"], proof):
        raise ReauthenticationRequired
    codes, moment = generate_backup_codes(), timezone.now()
    if totp.is_enabled:
        moment = next_second(moment)  # or logins of this very second would not be from before
    account = Account.objects.db_manager(totp.database).of(user) if in_recovery else None

    @sensitive_variables("codes")
    def act(totp: Totp, changes: Mapping[str, Any]) -> None:
        with transaction.atomic(using=totp.database):
            if account is not None:
                account.end_logins()
            if totp.is_enabled:
                totp.drop_codes()
            totp.move(confirmed_at=moment, **told, **changes)
            insert_codes(totp, codes)
            still()

    if not answer(totp, guess, user, request, act=act):
        return guess.signal, None
    if account is not None:
        relate(Account, user, account)
    return guess.signal, codes


def _may_confirm(totp: Totp, sid: str, proof: Proof) -> bool:
    """Return whether the login ``sid`` has begun the replacement of ``totp``, or has a proof."""
    factor = replacement_of(totp)
    was_begun_here = bool(sid) and factor is not None and factor.begun == login_of(sid)
    return was_begun_here or proof(totp, lambda totp, changes: None)


def _confirmation(totp: Totp, in_recovery: bool) -> type[Confirmation | Succession]:
    """Return what a code for ``totp`` confirms. Raise TotpAlreadyExists or TotpNotEnrolled."""
    if totp.is_enabled:
        if replacement_of(totp, in_recovery=in_recovery) is None:
            raise TotpAlreadyExists
        return Recovery if in_recovery else Succession
    if not totp.is_pending:
        raise TotpNotEnrolled
    return Confirmation


@retried
def _remove(user: AbstractBaseUser, proof: Proof) -> str:
    """Remove the enrollment and return what it was, for the log."""
    totp = read_enrolled(user)
    if totp.is_enabled:
        policy.refuse_to_disable(user)
    if not proof(totp, lambda totp, changes: totp.remove()):
        raise ReauthenticationRequired
    return "" if totp.is_enabled else "pending"


@retried
def _forget_failures(user: AbstractBaseUser, using: str | None, seen: Totp | None) -> None:
    totp = as_seen(read_enrolled(user, using), seen)
    step = None if clock_was_ahead(totp) else totp.last_used_step
    changes: dict[str, Any] = {"failures": 0, "waiting_until": None, "last_used_step": step}
    if totp.confirmed_at is not None and age(totp.confirmed_at) < -CLOCK_SKEW:
        changes["confirmed_at"] = timezone.now()  # no login could be from after it
    totp.move(**changes)


def as_seen(totp: Totp, seen: Totp | None) -> Totp:
    """Return ``totp`` if it is the enrollment that was ``seen``. Raise TotpNotEnrolled.

    One of 1.1.x may have been adopted since: it was confirmed when it was created.
    """
    if seen is None:
        return totp
    was_adopted = seen.confirmed_at is None and totp.confirmed_at == totp.created_at
    is_same = was_adopted or totp.confirmed_at == seen.confirmed_at
    if not is_same or (totp.pk, totp.created_at) != (seen.pk, seen.created_at):
        raise TotpNotEnrolled
    return totp
