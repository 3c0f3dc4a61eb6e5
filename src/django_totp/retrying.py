"""Decisions that are made again because somebody else was faster.

Who decides on a row that somebody moves meanwhile has lost a race, and reads it again. So has who
is told by the database to give way: in a deadlock, or because it runs transactions as if one came
after the other (SERIALIZABLE). Each loss is somebody else's progress, so this ends.
A database may take those for rivals who are none: pauses of random length part them.
"""

import functools
import random
import time
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from django.db import DatabaseError, IntegrityError, OperationalError, connections, router
from django.views.decorators.debug import sensitive_variables

from .exceptions import TooManyAttempts
from .models import Moved, Totp, codes_of

P = ParamSpec("P")
R = TypeVar("R")

TRIES = 30
LONGEST_PAUSE = 0.05  # seconds
GAVE_WAY = {"40P01", "40001", 1213, 1020}  # deadlock, conflict: of PostgreSQL, of MariaDB
GOT_CODES = {"23503", 1451}  # other rows refer to the one that was to be deleted


def retried(decide: Callable[P, R]) -> Callable[P, R]:
    """Run ``decide`` again while others move the row that it has read.

    Or while the database makes it give way to others: two deletions of one set of codes may
    take different indexes in MariaDB, and so deadlock; and a row that was to be deleted may just
    have got codes from a process of 1.1.x. After ``TRIES`` losses the account is under more fire
    than a person makes: raise TooManyAttempts, or what the database said of rows that are in the
    way. In somebody else's transaction, which the database has ended, that comes at once.
    """

    @functools.wraps(decide)
    @sensitive_variables("args", "kwargs")
    def decide_again(*args: P.args, **kwargs: P.kwargs) -> R:
        for losses in range(1, TRIES + 1):
            try:
                return decide(*args, **kwargs)
            except Moved:
                continue
            except (OperationalError, IntegrityError) as error:
                is_last = losses == TRIES
                if not _gave_way(error) or (isinstance(error, IntegrityError) and is_last):
                    raise
            _pause(losses)
        raise TooManyAttempts(retry_after=1)

    return decide_again


def is_in_transaction() -> bool:
    """Return whether a transaction is open: by ``atomic``, or by hand."""
    connection = _connection()
    is_open = connection.connection is not None
    return connection.in_atomic_block or (is_open and not connection.autocommit)


def is_in_transaction_of_others() -> bool:
    """Return whether a transaction is open that is not a test case's."""
    connection = _connection()
    if not connection.in_atomic_block:
        return is_in_transaction()
    return any(not getattr(block, "_from_testcase", False) for block in connection.atomic_blocks)


def _gave_way(error: DatabaseError) -> bool:
    """Return whether the database wants it decided again, and it can be."""
    return bool(codes_of(error) & (GAVE_WAY | GOT_CODES)) and not is_in_transaction()


def _pause(losses: int) -> None:
    """Wait for a moment that is longer each time, so that rivals who have met part."""
    time.sleep(random.uniform(0, min(0.001 * 2**losses, LONGEST_PAUSE)))  # noqa: S311 - no secret


def _connection() -> Any:
    return connections[router.db_for_write(Totp)]
