"""Guessing, made slow: every guess that gets an answer moves the enrollment by one
compare-and-swap.

An attempt reads the row, refuses while it waits, evaluates the guess, writes that it was right
or wrong, and tells. It writes only if the row is still as it was read; else it raises ``Moved``,
and ``retried`` lets the caller begin anew. So the guesses at one account form a line, whatever
the number of processes and the isolation of the database: parallel guesses buy nothing, a code
is accepted once, and the count forgets none. The limits are those of RFC 4226 section 7.3 and
NIST SP 800-63B section 3.2.2.

A kind of guess brings what differs: how it is evaluated, whether it waits, and what it changes.
What is done with a right one (``Act``) is written with it, so that an action is decided on the
very row that its proof was given for.
"""

import logging
import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from cryptography.fernet import InvalidToken
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import transaction
from django.utils import timezone

from . import events
from .adoption import adopted
from .conf import conf
from .encryption import decrypt
from .exceptions import TooManyAttempts, TotpNotEnrolled
from .models import Totp
from .retrying import is_in_transaction_of_others

RECOVERED = "recovered"  # the event of the one code that completes a recovery
READ_AHEAD = "_totp_read_ahead"
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Verdict:
    """What came of a guess: why it was ``refused``, or the ``changes`` that use it up."""

    refused: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict)
    counts: bool = True  # if it is refused


Act = Callable[[Totp, Mapping[str, Any]], None]  # writes a row with the changes of a right guess
Proof = Callable[[Totp, Act], bool]  # acts if the row may be acted on, and returns whether


class Guess(Protocol):
    """A code that somebody has sent."""

    @property
    def method(self) -> str:
        """What the log calls it."""

    @property
    def success(self) -> str:
        """The event that a right one is."""

    @property
    def waits(self) -> bool:
        """Whether it is refused while TOTP codes wait."""

    @property
    def writes(self) -> bool:
        """Whether to evaluate it is to write, in one transaction with the row."""

    def evaluate(self, totp: Totp) -> Verdict:
        """Return what came of it."""


def read(user: AbstractBaseUser, using: str | None = None, **told: Any) -> Totp | None:
    """Return the enrollment of ``user``, pending or confirmed, or ``None``.

    ``using`` names the database, if not the routers do. What the query has ``told`` of the row
    need not be asked for.
    """
    if using is None and READ_AHEAD in vars(user) and told.keys() <= {"has_codes"}:
        return adopted(vars(user).pop(READ_AHEAD))
    return adopted(Totp.objects.db_manager(using).find(user, **told))


def read_ahead(user: AbstractBaseUser, totp: Totp | None) -> None:
    """Let the next ``read`` of ``user`` be ``totp``, which was read just now, with its codes.

    For a request that has read the row already. A row that has moved since is noticed when it
    is moved, and then read from the database.
    """
    vars(user)[READ_AHEAD] = totp


def forget_ahead(user: AbstractBaseUser) -> None:
    """Let the next ``read`` of ``user`` read: the request that has read ahead is over."""
    vars(user).pop(READ_AHEAD, None)


def read_enrolled(user: AbstractBaseUser, using: str | None = None, **told: Any) -> Totp:
    """Return the enrollment of ``user`` like ``read``. Raise TotpNotEnrolled if there is none."""
    totp = read(user, using, **told)
    if totp is None:
        raise TotpNotEnrolled
    return totp


def move(totp: Totp, changes: Mapping[str, Any]) -> None:
    """Write that a guess was right, and nothing beside it. Raise Moved."""
    totp.move(**changes)


def answer(
    totp: Totp,
    guess: Guess,
    user: AbstractBaseUser,
    request: Any = None,
    *,
    act: Act = move,
) -> bool:
    """Return whether ``guess`` is right for ``totp``; if it is, ``act``, and else count it.

    Raise Moved, and TooManyAttempts while guesses of its kind wait.
    """
    if guess.waits:
        _refuse_aloud_while_waiting(totp, guess, user, request)
    was_recovering, began = totp.is_recovery_pending, None
    with _transaction(totp) if guess.writes else nullcontext():
        verdict = guess.evaluate(totp)
        if not verdict.refused:
            act(totp, verdict.changes)
        elif verdict.counts and not is_waiting(totp):
            began = wrong(totp)
    _tell(guess, verdict, user, request)
    if began:
        facts = {"method": guess.method, **began}
        events.record("wait_began", user, request, level=logging.WARNING, **facts)
    if was_recovering and not verdict.refused and guess.success != RECOVERED:
        events.record("recovery_cancelled", user, request, method=guess.method)
    return not verdict.refused


def trusted(totp: Totp, act: Act) -> bool:
    """Act: who calls is trusted to. The ``Proof`` of calls that need none."""
    act(totp, {})
    return True


def is_waiting(totp: Totp) -> bool:
    """Return whether TOTP codes of the account wait or are off."""
    try:
        refuse_while_waiting(totp)
    except TooManyAttempts:
        return True
    return False


def refuse_while_waiting(totp: Totp) -> None:
    """Raise TooManyAttempts if TOTP codes of the account wait or are off."""
    if _is_capped(totp.failures):
        raise TooManyAttempts(retry_after=None)
    left = remaining_wait(totp).total_seconds()
    if left > 0:
        raise TooManyAttempts(retry_after=max(math.ceil(left), 1))


def remaining_wait(totp: Totp) -> timedelta:
    """Return how much longer TOTP codes of the account wait; not at all is zero.

    A wait longer than any that is ever begun was begun by a clock that was ahead. What is left
    of it then is the longest wait, from now on. Raise Moved.
    """
    until: datetime | None = totp.waiting_until
    if until is None:
        return timedelta()
    now = datetime.now(UTC)
    longest = now + timedelta(seconds=conf.TOTP_LOCKOUT_MAX_SECONDS)
    if until > longest:
        totp.move(waiting_until=longest)
    return max(min(until, longest) - now, timedelta())


def read_secret(totp: Totp) -> str | None:
    """Return the secret of ``totp`` in base32, or ``None`` if no configured key can read it.

    Then no code can be right, and none is counted: a lost key must not lock accounts as well.
    """
    try:
        return decrypt(totp.secret_key)
    except InvalidToken:
        events.complain(
            "No configured key can read the secret of TOTP enrollment %r: codes for it are "
            "refused. Put its key into TOTP_ENCRYPTION_KEY_FALLBACKS, or reset the enrollment.",
            totp.pk,
        )
        return None


def right(totp: Totp, **changes: Any) -> dict[str, Any]:
    """Return what a right code changes: it ends the count, the wait and any recovery."""
    return {
        "verifications": totp.verifications + 1,
        "last_verified_at": timezone.now(),
        "failures": 0,
        "waiting_until": None,
        "recovery_ready_at": None,  # who has a code needs none
        "is_recovery_allowed": False,
        **changes,
    }


def wrong(totp: Totp) -> dict[str, str] | None:
    """Write that a code was wrong: the count grows and so, after the limit, the wait.

    Return what is known of the wait that begins: until when, which is empty where waiting does
    not help, and whether its ``notice`` is due. Return ``None`` if none begins.
    """
    failures = totp.failures + 1
    until, is_off = _waiting_until(failures), _is_capped(failures)
    is_due = bool(until or is_off) and _owner_is_to_be_told(totp)
    told = {"wait_told_at": datetime.now(UTC)} if is_due else {}
    totp.move(failures=failures, waiting_until=until, **told)
    if not until and not is_off:
        return None
    return {
        "until": until.isoformat() if until and not is_off else "",
        "notice": "due" if is_due else "",
    }


def _owner_is_to_be_told(totp: Totp) -> bool:
    """Return whether a wait is worth a mail: somebody has logged in before, and none was sent.

    A mail of the hour to come was sent by a clock that is ahead.
    """
    last: datetime | None = totp.wait_told_at
    is_new = last is None or abs(datetime.now(UTC) - last) >= HOUR
    return is_new and totp.is_enabled and conf.TOTP_SEND_NOTICES


def _is_capped(failures: int) -> bool:
    return conf.TOTP_FAILURE_CAP is not None and failures >= conf.TOTP_FAILURE_CAP


def _waiting_until(failures: int) -> datetime | None:
    excess = failures - conf.TOTP_FAILURE_LIMIT
    if excess <= 0:
        return None
    doublings = min(excess - 1, 32)
    seconds = min(conf.TOTP_LOCKOUT_SECONDS * 2**doublings, conf.TOTP_LOCKOUT_MAX_SECONDS)
    return datetime.now(UTC) + timedelta(seconds=seconds)


def _refuse_aloud_while_waiting(
    totp: Totp, guess: Guess, user: AbstractBaseUser, request: Any
) -> None:
    try:
        refuse_while_waiting(totp)
    except TooManyAttempts:
        facts = {"method": guess.method, "reason": "waiting"}
        events.record("verification_refused", user, request, level=logging.WARNING, **facts)
        raise


def _tell(guess: Guess, verdict: Verdict, user: AbstractBaseUser, request: Any) -> None:
    if verdict.refused:
        events.refused(user, request, method=guess.method, reason=verdict.refused)
    else:
        events.record(guess.success, user, request, method=guess.method)
    if is_in_transaction_of_others():
        events.complain(
            "The guess of user %r was answered inside a transaction of the caller: if that is "
            "rolled back, the guess is forgotten and a used code works again. Call django_totp "
            "outside of transaction.atomic(), and in views with non_atomic_requests.",
            str(user.pk),
        )


def _transaction(totp: Totp) -> AbstractContextManager[None]:
    return transaction.atomic(using=totp.database)
