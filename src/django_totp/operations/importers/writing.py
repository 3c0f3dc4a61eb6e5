"""How enrollments that another package had get into our tables.

What belongs together is in one transaction: the enrollment, the memory that it came from
elsewhere and, where events are kept in a table of the same database, the event. So whatever
interrupts it, who is here is counted and told of. The log may name those of a batch twice that
was written once: a database may refuse a batch at its very end.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import IntegrityError, connections, transaction
from django.db.models.signals import post_save
from django.utils import timezone

from django_totp import events
from django_totp.models import Account, Moved, Totp
from django_totp.retrying import retried

from .inserts import insert
from .tally import Tally


@dataclass(frozen=True)
class Move:
    """A device that is to be the enrollment of ``user``, with the columns of that.

    ``pk`` is its key at the source, and ``old`` what is pending here.
    """

    user: AbstractBaseUser
    pk: Any
    columns: dict[str, Any] = field(repr=False)
    old: Totp | None


class Writer:
    """Writes what comes from the source ``name`` into the database ``using``."""

    def __init__(self, name: str, tally: Tally, using: str) -> None:
        self.name, self.tally, self.using = name, tally, using

    def write(self, moves: Sequence[Move]) -> None:
        """Write ``moves``, and count them and those that were too late."""
        new = [move for move in moves if not move.old]
        at_once = bool(new) and not _is_watched() and self._insert_all(new)
        for move in moves:
            if not (at_once and not move.old) and not self._write_one(move):
                self.tally.add("moved", [move.pk])

    @retried
    def _insert_all(self, moves: Sequence[Move]) -> bool:
        """Insert all of ``moves``, or none if one is in the way, and return whether."""
        now = timezone.now()
        try:
            with self._taking(moves, now):
                insert([(move.user.pk, move.columns) for move in moves], now, self.using)
        except IntegrityError:
            return False
        return True

    @retried
    def _write_one(self, move: Move) -> bool:
        """Write one, as the ORM does where others watch, and return whether it could.

        What is pending becomes what is confirmed at the source.
        """
        now = timezone.now()
        try:
            with self._taking([move], now):
                self._save(move, now)
        except (IntegrityError, Moved):
            return False
        return True

    def _save(self, move: Move, now: datetime) -> None:
        if move.old:
            move.old.move(confirmed_at=now, failures=0, waiting_until=None, **move.columns)
        else:
            row = Totp(user_id=move.user.pk, confirmed_at=now, **move.columns)
            row.save(using=self.using, force_insert=True)

    @contextmanager
    def _taking(self, moves: Sequence[Move], now: datetime) -> Iterator[None]:
        """Let what is written inside be all or nothing, with all that goes with it."""
        with transaction.atomic(using=self.using):
            yield
            _remember(moves, now, self.using)
            for move in moves:
                events.record("imported", move.user, None, method="totp", reason=self.name)
        self.tally.imported += len(moves)


def _remember(moves: Sequence[Move], now: datetime, using: str) -> None:
    """Note in the accounts of ``moves`` that they were taken over."""
    has_target = connections[using].features.supports_update_conflicts_with_target
    Account.objects.using(using).bulk_create(
        [Account(user_id=move.user.pk, imported_at=now) for move in moves],
        update_conflicts=True,
        update_fields=["imported_at"],
        unique_fields=["user"] if has_target else None,
    )


def _is_watched() -> bool:
    """Return whether others follow what is saved: they would not hear of a bulk INSERT."""
    return post_save.has_listeners(Totp)
