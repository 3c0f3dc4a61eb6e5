"""How devices of a source become enrollments: what each row holds, and how it gets there."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import IntegrityError, transaction
from django.db.models.signals import post_save
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from django_totp import events, oath
from django_totp.adoption import has_codes
from django_totp.attempts import retried
from django_totp.conf import conf
from django_totp.factor import Factor
from django_totp.models import Moved, Totp, fetch
from django_totp.users import is_active

from .base import Device, Source, Unreadable, Unsupported
from .inserts import insert
from .tally import Tally

LONGEST_TOKEN = 255  # of Totp.secret_key
DIGITS, PERIODS = range(6, 9), range(1, 2**15)


@dataclass(frozen=True)
class Move:
    """A device that is to be the enrollment of ``user``, with the columns of that.

    ``pk`` is its key at the source, and ``old`` what is pending here.
    """

    user: AbstractBaseUser
    pk: Any
    columns: dict[str, Any] = field(repr=False)
    old: Totp | None


class Mover:
    """Takes people of ``source`` over, and counts them in ``tally``."""

    def __init__(
        self, name: str, source: Source, tally: Tally, using: str, *, dry_run: bool
    ) -> None:
        self.name, self.source, self.tally = name, source, tally
        self.using, self.dry_run = using, dry_run

    def take(self, people: list[list[Any]]) -> None:
        """Take a batch of people, each with the rows of the devices there are."""
        moves = list(self._moves(people))
        if self.dry_run:
            self.tally.imported += len(moves)
        else:
            self._write(moves)
        self.tally.seen += sum(map(len, people))

    def _moves(self, people: list[list[Any]]) -> Iterator[Move]:
        owners = [getattr(devices[0], self.source.owner) for devices in people]
        users = self.source.users(owners, self.using)
        enrollments = self._enrollments(user.pk for user in users.values())
        for owner, devices in zip(owners, people, strict=True):
            user = users.get(owner)
            old = enrollments.get(user.pk) if user else None
            if user is None:
                self._name("nobody", devices)
            elif old and (old.is_enabled or old.has_codes):  # that is an enrollment of 1.1.x
                self._name("enrolled", devices)
            else:
                yield from self._moves_of(user, devices, old)

    def _enrollments(self, pks: Iterable[Any]) -> dict[Any, Totp]:
        """Return the enrollments that there are of users, pending ones too."""
        rows = Totp.objects.using(self.using).filter(user_id__in=list(pks))
        return {totp.user_id: totp for totp in fetch(rows.annotate(has_codes=has_codes()))}

    def _moves_of(
        self, user: AbstractBaseUser, devices: list[Any], old: Totp | None
    ) -> Iterator[Move]:
        """Yield what becomes of the first of ``devices`` that is good, and name the others."""
        for place, row in enumerate(devices, start=1):
            columns = self._columns(row)
            if columns is None:
                continue
            self._name("others", devices[place:])
            self._name("inactive", [] if is_active(user) else [row])
            yield Move(user, row.pk, columns, old)
            return

    @sensitive_variables("device", "columns")
    def _columns(self, row: Any) -> dict[str, Any] | None:
        """Return what the enrollment of ``row`` holds, or ``None`` if it is none of ours.

        The adapter of a project may raise whatever it likes over a secret.
        """
        try:
            device = self.source.device(row)
            columns = {**_columns(device), "last_used_step": self._last_used_step(device)}
        except Exception as error:
            self._name("unsupported" if isinstance(error, Unsupported) else "unreadable", [row])
            return None
        self._name("drifting", [row] if abs(device.drift) > conf.TOTP_VALID_WINDOW else [])
        self._name("ahead", [row] if _is_ahead(device) else [])
        return columns

    def _last_used_step(self, device: Device) -> int:
        """Return the last step whose code shall not work here."""
        if device.step is not None and not _is_ahead(device):
            return device.step
        return _present(device) + max(self.source.ahead, 1)

    def _name(self, kind: str, rows: list[Any]) -> None:
        self.tally.add(kind, [row.pk for row in rows])

    def _write(self, moves: list[Move]) -> None:
        now = timezone.now()
        new = [move for move in moves if not move.old]
        written = [*self._inserted(new, now), *self._replaced(moves, now)]
        self.tally.imported += len(written)
        with transaction.atomic(using=self.using):  # else the trail waits for the disk each time
            for move in written:
                events.record("imported", move.user, None, method="totp", reason=self.name)

    def _inserted(self, moves: list[Move], now: datetime) -> Iterator[Move]:
        """Insert a row for each of ``moves``, and yield those that were not too late."""
        if not moves or (not _is_watched() and self._insert_all(moves, now)):
            yield from moves
            return
        for move in moves:
            if self._insert(move, now):
                yield move
            else:
                self.tally.add("moved", [move.pk])

    @retried
    def _insert_all(self, moves: list[Move], now: datetime) -> bool:
        """Insert all of ``moves``, or none if one is in the way, and return whether."""
        try:
            with transaction.atomic(using=self.using):
                insert([(move.user.pk, move.columns) for move in moves], now, self.using)
        except IntegrityError:
            return False
        return True

    @retried
    def _insert(self, move: Move, now: datetime) -> bool:
        """Insert one, as the ORM does where others watch, and return whether it could."""
        row = Totp(user_id=move.user.pk, confirmed_at=now, **move.columns)
        try:
            with transaction.atomic(using=self.using):
                row.save(using=self.using, force_insert=True)
        except IntegrityError:
            return False
        return True

    def _replaced(self, moves: list[Move], now: datetime) -> Iterator[Move]:
        """Let what is pending be what is confirmed at the source, and yield those moves."""
        for move in moves:
            if not move.old:
                continue
            try:
                move.old.move(confirmed_at=now, failures=0, waiting_until=None, **move.columns)
            except Moved:
                self.tally.add("moved", [move.pk])
            else:
                yield move


@sensitive_variables("device")
def _columns(device: Device) -> dict[str, Any]:
    """Return what a row that is ``device`` holds. Raise Unsupported, Unreadable."""
    if device.digits not in DIGITS or device.period not in PERIODS:
        raise Unsupported
    if not oath.is_secret(device.secret):
        raise Unreadable
    columns = Factor(device.secret, device.digits, device.period, "SHA1").columns
    if len(columns["secret_key"]) > LONGEST_TOKEN:
        raise Unsupported
    return columns


def _is_ahead(device: Device) -> bool:
    """Return whether to wait for the last used step would take longer than the longest wait."""
    longest = conf.TOTP_LOCKOUT_MAX_SECONDS // device.period
    return device.step is not None and device.step > _present(device) + longest


def _present(device: Device) -> int:
    return oath.time_step(time.time(), device.period)


def _is_watched() -> bool:
    """Return whether others follow what is saved: they would not hear of a bulk INSERT."""
    return post_save.has_listeners(Totp)
