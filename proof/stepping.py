"""What makes SQL statements steps, and tells who waits for whom in the database."""

import contextlib
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any
from unittest import mock

from django.db import connection, connections

from proof.scheduler import Actor, Dropped, Kind, Step, pause

NO_STEPS = ("BEGIN", "SAVEPOINT", "RELEASE SAVEPOINT")
READS = ("SELECT", "WITH")
WRITES_ONE_TABLE = "UPDATE"  # all else that writes meets foreign keys
OURS = re.compile(r"\bdjango_totp_\w+")  # quoted or not: some of our SQL is written out
# Of those who wait in a circle, who came last, so that it is always the same one. Ask each of
# them at once, before the next one comes. Only a superuser may: else it takes a second.
LAST_GIVES_WAY = (
    "SELECT set_config('deadlock_timeout', '1ms', false) "
    "FROM pg_roles WHERE rolname = current_user AND rolsuper"
)
WRITER = "the place of the only writer"  # of SQLite


class Database:
    """The database of the proof as a world of actors, each with a connection of its own."""

    def __init__(self, actors: Sequence[Actor]) -> None:
        self.sessions = [_in_thread(actor, Session) for actor in actors]
        prepare(connection)
        self.blocking = connection.cursor() if connection.vendor == "postgresql" else None

    def may_run(self, who: int, steps: Sequence[Step | None]) -> bool:
        """On SQLite nobody writes beside a writer. Who has read in his transaction cannot wait
        for the end of the other one: he gets an error, and so will he here."""
        step = steps[who]
        if self.blocking or step is None or step.kind in (Kind.READ, Kind.SLEEP):
            return True
        others = [one for at, one in enumerate(self.sessions) if at != who]
        return self.sessions[who].began_with_read or not any(one.has_written for one in others)

    def may_wait(self, who: int) -> bool:
        others = [one for at, one in enumerate(self.sessions) if at != who]
        return self.blocking is not None and any(one.first for one in others)

    def waits(self, who: int) -> bool:
        if self.blocking is None:
            return False
        self.blocking.execute("SELECT pg_blocking_pids(%s)", [self.sessions[who].pid])
        return bool(self.blocking.fetchone()[0])

    def begin(self) -> None:
        """Forget what the sessions did before."""
        for session in self.sessions:
            session.late_writes.clear()

    @property
    def late_writes(self) -> list[str]:
        """Return how each transaction began that did not begin with its write."""
        return [text for session in self.sessions for text in session.late_writes]


class Session:
    """The connection of one actor. Made in its thread."""

    def __init__(self) -> None:
        self.first = ""  # statement of the open transaction
        self.has_written = False
        self.touched: frozenset[str] | None = frozenset()
        self.late_writes: list[str] = []
        own: Any = connections["default"]
        own.ensure_connection()
        self.connection = own
        self.pid = prepare(own)
        own.execute_wrappers.append(self._execute)
        roll_back = own._rollback
        own._commit = self._ending("COMMIT", own._commit, roll_back)
        own._rollback = self._ending("ROLLBACK", roll_back, roll_back)

    @property
    def began_with_read(self) -> bool:
        return self.first.startswith(READS)

    def _execute(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        if sql.startswith(NO_STEPS) or _only_reads_users(sql):
            return execute(sql, params, many, context)
        step = self._step(sql)
        pause(step)
        if self.connection.in_atomic_block:
            self._note(step)
        return execute(sql, params, many, context)

    def _note(self, step: Step) -> None:
        writes = not step.text.startswith(READS)
        self.first = self.first or step.text
        if writes and not self.has_written and self.began_with_read:
            self.late_writes.append(self.first)
        self.has_written |= writes
        known = None not in (self.touched, step.touches)
        self.touched = self.touched | step.touches if known else None

    def _step(self, sql: str) -> Step:
        """A read in a transaction of SQLite decides what that may write later on."""
        inside, reads = self.connection.in_atomic_block, sql.startswith(READS)
        keeps_out = "FOR UPDATE" in sql or (inside and self.connection.vendor == "sqlite")
        if reads and not keeps_out:
            return Step(sql, Kind.READ, self._touches(sql, {}))
        hidden = inside and (not reads or "FOR UPDATE" in sql)
        return Step(sql, Kind.HIDDEN if hidden else Kind.SEEN, self._touches(sql, {WRITER}))

    def _touches(self, sql: str, besides: Iterable[str]) -> frozenset[str] | None:
        tables = frozenset(OURS.findall(sql))
        if not tables or not sql.startswith((*READS, WRITES_ONE_TABLE)):
            return None
        return tables | (frozenset(besides) if self.connection.vendor == "sqlite" else set())

    def _ending(
        self, text: str, end: Callable[[], None], roll_back: Callable[[], None]
    ) -> Callable[[], None]:
        def paused() -> None:
            try:
                if self.first:
                    pause(Step(text, touches=self.touched))
            except Dropped:
                roll_back()  # Django does so only upon errors of the database
                raise
            finally:
                self.first, self.has_written, self.touched = "", False, frozenset()
            end()

        return paused


def prepare(own: Any) -> int:
    """Make commits cheap and errors quick, and return the number of the session."""
    with own.cursor() as cursor:
        if own.vendor != "postgresql":
            cursor.execute("PRAGMA synchronous = OFF")
            cursor.execute("PRAGMA busy_timeout = 0")
            return 0
        cursor.execute("SET synchronous_commit = off")
        cursor.execute(LAST_GIVES_WAY)
        cursor.execute("SELECT pg_backend_pid()")
        pid: int = cursor.fetchone()[0]
        return pid


@contextlib.contextmanager
def pauses(module: str) -> Iterator[None]:
    """Make each sleep in ``module`` a step, which ends when somebody else has come on."""
    clock = mock.Mock(wraps=time)
    clock.sleep = lambda seconds: pause(Step("sleep", Kind.SLEEP)) if seconds else None
    with mock.patch(f"{module}.time", clock):
        yield


def _only_reads_users(sql: str) -> bool:
    """Return whether nobody here could tell when this is done: no operation writes a user."""
    return sql.startswith("SELECT") and "django_totp" not in sql


def _in_thread(actor: Actor, make: Callable[[], Any]) -> Any:
    actor.jobs.put(make)
    return actor.told.get().result
