"""The record of what happened: a logging handler that writes events into a table.

``logging.config`` imports this before there are apps, so nothing here imports a model at once.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from typing import Any

from django.db import connections, router, transaction

LOGGER = "django_totp"
PREFIX = "totp_"  # of our names where the project's record factory sets one of them itself
COLUMNS = ("event", "user_pk", "actor_pk", "method", "reason", "address", "user_agent")
OF_THE_CLIENT = {"address", "user_agent"}  # as it has written them
WRITTEN = "_is_in_the_trail"
DEEPEST = 3  # events that come of each other, by receivers of the project

_running = threading.local()


class DatabaseHandler(logging.Handler):
    """Writes each event that the logger ``django_totp`` tells of as a row of ``Event``.

    What fails is told on standard error, as ``logging`` does of handlers, and breaks nothing.
    """

    def handle(self, record: logging.LogRecord) -> Any:
        # Without the lock of logging: whoever holds it would wait for the database, and might
        # wait there for somebody who waits for the lock.
        kept = self.filter(record)
        if kept:
            self.emit(kept if isinstance(kept, logging.LogRecord) else record)
        return kept

    def emit(self, record: logging.LogRecord) -> None:
        """Write the event of ``record``, if it has one and no other handler has written it."""
        try:
            told = _told(record)
            if told and not hasattr(record, WRITTEN):
                setattr(record, WRITTEN, True)
                with _not_without_end():
                    _write(record.created, told)
        except Exception:
            self.handleError(record)


@contextmanager
def _not_without_end() -> Iterator[None]:
    """Raise RecursionError where the writing of an event brings about one event after another."""
    depth = getattr(_running, "depth", 0)
    if depth >= DEEPEST:
        raise RecursionError("What hears of events makes events without end.")
    _running.depth = depth + 1
    try:
        yield
    finally:
        _running.depth = depth


def _told(record: logging.LogRecord) -> dict[str, Any]:
    """Return what ``record`` says of an event, or nothing: errors are sentences without one."""
    if record.name != LOGGER or record.levelno >= logging.ERROR:
        return {}
    said = vars(record)
    prefix = PREFIX if f"{PREFIX}event" in said else ""
    if f"{prefix}event" not in said:
        return {}
    return {column: said.get(prefix + column, "") for column in COLUMNS}


def _write(created: float, told: dict[str, Any]) -> None:
    """Insert one row: a single statement, beside a savepoint where a transaction is open."""
    from .models import Event

    using = router.db_for_write(Event)
    meta: Any = Event._meta
    values = {
        name: _storable(name, value, meta.get_field(name).max_length)
        for name, value in told.items()
    }
    with _of_its_own(using):
        Event(at=datetime.fromtimestamp(created, UTC), **values).save(
            using=using, force_insert=True
        )


def _of_its_own(using: str) -> AbstractContextManager[Any]:
    """Return what keeps a failure from the transaction of others, where there is one."""
    connection = connections[using]
    is_open = connection.in_atomic_block or not connection.get_autocommit()
    return transaction.atomic(using=using) if is_open else nullcontext()


def _storable(name: str, value: object, longest: int) -> str:
    """Return ``value`` as text that every database takes for the column ``name``.

    What a client has written becomes ASCII, for a database may not have all letters, and nobody
    shall send one so that there is no record of it.
    """
    text = str(value).replace("\0", "\N{REPLACEMENT CHARACTER}")
    if name in OF_THE_CLIENT:
        text = text.encode("ascii", "backslashreplace").decode()
    return text.encode(errors="backslashreplace").decode()[:longest]
