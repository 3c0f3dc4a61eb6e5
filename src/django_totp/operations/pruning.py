"""What has had its time goes: old events, trusted devices that are over, setups nobody finished.

Rows are found and removed a batch at a time, each batch in a short transaction or in none, so
that memory stays flat and logins go on. Nothing is remembered between runs: one that was killed
is resumed by another one, and two at once do no harm.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from django.db import models, router
from django.db.models import Q, QuerySet

from django_totp.conf import conf
from django_totp.encryption import made_at
from django_totp.models import Event, Moved, Totp, TrustedDevice, fetch
from django_totp.retrying import retried

from .support import State, in_state

BATCH_SIZE = 1000


@dataclass
class Tally:
    """What became of one kind of rows so far.

    Of the rows that were ``seen`` some were ``removed``; the ``left`` ones somebody had changed
    meanwhile.
    """

    name: str
    total: int
    seen: int = 0
    removed: int = 0
    left: int = 0


def prune(
    older_than: timedelta,
    using: str | None = None,
    *,
    batch_size: int = BATCH_SIZE,
    dry_run: bool = False,
) -> Iterator[Tally]:
    """Remove events that are ``older_than`` that, and all else that has had its time.

    That is in the database ``using``, or in those that the routers name. Yield the tally of a
    kind of rows at its start and after each batch. A dry run counts and removes nothing. Call
    it outside of any transaction.
    """
    for kind in (Events, Devices, Setups, Replacements):
        alias = using or router.db_for_write(kind.model)
        if using and not router.allow_migrate_model(alias, kind.model):
            continue  # the table is in another database
        rows = kind(alias, datetime.now(UTC), older_than)
        tally = Tally(kind.name, rows.over.count())
        yield tally
        for pks in rows.batches(batch_size):
            rows.deal_with(pks, tally, dry_run=dry_run)
            tally.seen += len(pks)
            yield tally


class Rows(ABC):
    """Rows of one kind that are over. ``key`` is a column with an index, to find them by."""

    name: ClassVar[str]
    model: ClassVar[type[models.Model]]
    key: ClassVar[str] = "pk"

    def __init__(self, using: str, now: datetime, older_than: timedelta) -> None:
        self.now, self.older_than = now, older_than
        self.over = self.model._default_manager.using(using).filter(self.condition())

    @abstractmethod
    def condition(self) -> Q:
        """Return what rows meet that are over."""

    def batches(self, size: int) -> Iterator[list[Any]]:
        """Yield the primary keys in the order of ``key``."""
        columns = list(dict.fromkeys([self.key, "pk"]))
        rows = self.over.order_by(*columns).values_list(*columns)
        batch = list(fetch(rows[:size]))
        while batch:
            yield [pk for *_, pk in batch]
            batch = list(fetch(rows.filter(self._is_after(*batch[-1]))[:size]))

    def deal_with(self, pks: Sequence[Any], tally: Tally, *, dry_run: bool) -> None:
        """Remove the rows of ``pks``, or count them."""
        tally.removed += len(pks) if dry_run else self._delete(self.over.filter(pk__in=pks))

    def _is_after(self, *last: Any) -> Q:
        value, pk = last[0], last[-1]
        later = Q(**{f"{self.key}__gt": value}) | Q(pk__gt=pk)
        return later & Q(**{f"{self.key}__gte": value})  # which an index serves

    @retried
    def _delete(self, rows: QuerySet[Any]) -> int:
        """Delete ``rows`` by one statement or, where others watch, as the ORM does then."""
        _all, deleted = rows.delete()
        return deleted.get(self.model._meta.label, 0)


class Events(Rows):
    """Events that are older than they are to be kept."""

    name, model, key = "events", Event, "at"

    def condition(self) -> Q:
        return Q(at__lt=self.now - self.older_than)


class Devices(Rows):
    """Trusted devices whose time is over, or would be by the setting of today."""

    name, model = "trusted devices", TrustedDevice

    def condition(self) -> Q:
        longest = timedelta(seconds=conf.TOTP_TRUSTED_DEVICE_MAX_AGE)
        return Q(expires_at__lte=self.now) | Q(created_at__lte=self.now - longest)


class Setups(Rows):
    """Enrollments that were not confirmed in time. Each goes if it is still as it was read."""

    name, model = "abandoned setups", Totp

    def condition(self) -> Q:
        return in_state(State.EXPIRED)

    def deal_with(self, pks: Sequence[Any], tally: Tally, *, dry_run: bool) -> None:
        for totp in fetch(self.over.filter(pk__in=pks)):
            if not self.is_over(totp):
                continue
            ended = dry_run or self._ends(totp)
            tally.removed += ended
            tally.left += not ended

    def is_over(self, totp: Totp) -> bool:
        """Return what the database cannot tell: by local time, an hour may come twice."""
        return not totp.is_pending

    def end(self, totp: Totp) -> None:
        """Let ``totp`` not be any more. Raise Moved."""
        totp.remove()

    @retried
    def _ends(self, totp: Totp) -> bool:
        try:
            self.end(totp)
        except Moved:
            return False
        return True


class Replacements(Setups):
    """Secrets that were to take the place of another one, and were not confirmed in time."""

    name = "abandoned replacements"

    def condition(self) -> Q:
        return ~Q(replacement="")

    def is_over(self, totp: Totp) -> bool:
        age = self.now.timestamp() - made_at(totp.replacement)  # whatever key it is under
        return age >= conf.TOTP_SETUP_MAX_AGE

    def end(self, totp: Totp) -> None:
        totp.move(replacement="")
