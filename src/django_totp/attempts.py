"""Guessing, made slow: every guess that gets an answer moves the enrollment by one
compare-and-swap.

A caller reads the row, refuses while it waits, evaluates the code, and answers with ``right``
or ``wrong``. Both write only if the row is still as it was read; else they raise ``Moved``,
and ``retried`` lets the caller begin anew. So the guesses at one account form a line, whatever
the number of processes and the isolation of the database: parallel guesses buy nothing, a code
is accepted once, and the count forgets none. The limits are those of RFC 4226 section 7.3 and
NIST SP 800-63B section 3.2.2.
"""

import functools
import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, ParamSpec, TypeVar

from cryptography.fernet import InvalidToken
from django.db import OperationalError
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from . import events
from .conf import conf
from .encryption import decrypt
from .exceptions import TooManyAttempts
from .models import Moved, Totp

P = ParamSpec("P")
R = TypeVar("R")

TRIES = 30
GAVE_WAY = {"40P01", "40001", 1213, 1020}  # deadlock, conflict: of PostgreSQL, of MariaDB


def retried(decide: Callable[P, R]) -> Callable[P, R]:
    """Run ``decide`` again while others move the row that it has read.

    Or while the database makes it give way to others: two deletions of one set of codes may
    take different indexes in MariaDB, and so deadlock. Each loss is somebody else's progress,
    so this ends. After ``TRIES`` of them the account is under more fire than a person makes:
    raise TooManyAttempts.
    """

    @functools.wraps(decide)
    @sensitive_variables("args", "kwargs")
    def decide_again(*args: P.args, **kwargs: P.kwargs) -> R:
        for _ in range(TRIES):
            try:
                return decide(*args, **kwargs)
            except Moved:
                continue
            except OperationalError as error:
                if not _gave_way(error):
                    raise
        raise TooManyAttempts(retry_after=1)

    return decide_again


def refuse_while_waiting(totp: Totp) -> None:
    """Raise TooManyAttempts if TOTP codes of the account wait or are off."""
    if conf.TOTP_FAILURE_CAP is not None and totp.failures >= conf.TOTP_FAILURE_CAP:
        raise TooManyAttempts(retry_after=None)
    if totp.waiting_until is not None and totp.waiting_until > timezone.now():
        wait = totp.waiting_until - timezone.now()
        raise TooManyAttempts(retry_after=max(math.ceil(wait.total_seconds()), 1))


def read_secret(totp: Totp) -> str | None:
    """Return the secret of ``totp`` in base32, or ``None`` if no configured key can read it.

    Then no code can be right, and none is counted: a lost key must not lock accounts as well.
    """
    try:
        return decrypt(totp.secret_key)
    except InvalidToken:
        events.logger.error(
            "No configured key can read the secret of TOTP enrollment %r: codes for it are "
            "refused. Put its key into TOTP_ENCRYPTION_KEY_FALLBACKS, or reset the enrollment.",
            totp.pk,
        )
        return None


def right(totp: Totp, **changes: Any) -> None:
    """Write that a code was right: it ends the count and the wait. Raise Moved."""
    totp.move(
        verifications=totp.verifications + 1,
        last_verified_at=timezone.now(),
        failures=0,
        waiting_until=None,
        **changes,
    )


def wrong(totp: Totp) -> None:
    """Write that a code was wrong: the count grows and so, after the limit, the wait."""
    failures = totp.failures + 1
    totp.move(failures=failures, waiting_until=_waiting_until(failures))


def _waiting_until(failures: int) -> datetime | None:
    excess = failures - conf.TOTP_FAILURE_LIMIT
    if excess <= 0:
        return None
    doublings = min(excess - 1, 32)
    seconds = min(conf.TOTP_LOCKOUT_SECONDS * 2**doublings, conf.TOTP_LOCKOUT_MAX_SECONDS)
    return timezone.now() + timedelta(seconds=seconds)


def _gave_way(error: OperationalError) -> bool:
    """Return whether the database rolled a transaction back in favour of another one."""
    cause = error.__cause__
    codes = {getattr(cause, "sqlstate", None), getattr(cause, "pgcode", None), *error.args[:1]}
    return bool(codes & GAVE_WAY)
