"""Which device of whom becomes an enrollment, and what that holds."""

import time
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.views.decorators.debug import sensitive_variables

from django_totp import oath
from django_totp.adoption import has_codes
from django_totp.conf import conf
from django_totp.factor import Factor
from django_totp.models import Account, Totp, fetch
from django_totp.users import is_active

from .base import Device, Source, Unreadable, Unsupported
from .tally import Tally
from .writing import Move, Writer

LONGEST_TOKEN = 255  # of Totp.secret_key
DIGITS, PERIODS = range(6, 9), range(1, 2**15)


class Mover:
    """Takes people of ``source`` over, and counts them in ``tally``.

    Who was taken over before, and has no enrollment now, must be one of ``again``.
    """

    def __init__(
        self, source: Source, tally: Tally, writer: Writer, *, again: Collection[Any], dry_run: bool
    ) -> None:
        self.source, self.tally, self.writer = source, tally, writer
        self.again, self.dry_run = again, dry_run
        self.using = writer.using
        self.before: set[Any] = set()  # who was taken, as far as the batch before had them

    def take(self, people: list[list[Any]]) -> None:
        """Take a batch of people, each with the rows of the devices there are."""
        moves = list(self._moves(people))
        if self.dry_run:
            self.tally.imported += len(moves)
        else:
            self.writer.write(moves)
        self.tally.seen += sum(map(len, people))

    def _moves(self, people: list[list[Any]]) -> Iterator[Move]:
        owners = [getattr(devices[0], self.source.owner) for devices in people]
        users = self.source.users(owners, self.using)
        pks = {user.pk for user in users.values()}
        enrollments = self._enrollments(pks)
        left = self._left(pks, enrollments)
        for owner, devices in zip(owners, people, strict=True):
            user = users.get(owner)
            if user is None or user.pk in left:
                self._name("nobody" if user is None else left[user.pk], devices)
                continue
            for move in self._moves_of(user, devices, enrollments.get(user.pk)):
                left[user.pk] = "others"
                yield move
        self.before = {pk for pk in pks if left.get(pk) == "others"}

    def _left(self, pks: set[Any], enrollments: dict[Any, Totp]) -> dict[Any, str]:
        """Return which of the users ``pks`` are not taken, and as what they are counted.

        A database to which two names are one has their rows side by side: of these, the first is
        taken, and it may have been in the batch before.
        """
        enrolled = {  # with codes, it is an enrollment of 1.1.x
            pk for pk, old in enrollments.items() if old.is_enabled or old.has_codes
        }
        removed = self._taken_before(pks - enrolled).difference(self.again)
        kinds = {"removed": removed, "enrolled": enrolled, "others": self.before}
        return {pk: kind for kind, users in kinds.items() for pk in users}

    def _taken_before(self, pks: set[Any]) -> set[Any]:
        """Return which of the users ``pks`` have come from another package once."""
        rows = Account.objects.using(self.using).filter(user_id__in=pks)
        return set(fetch(rows.exclude(imported_at=None).values_list("user_id", flat=True)))

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
            self._name("older", [row] if place > 1 else [])
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
        return _present(device) + max(min(self.source.ahead, _longest_wait(device)), 1)

    def _name(self, kind: str, rows: list[Any]) -> None:
        self.tally.add(kind, [row.pk for row in rows])


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
    return device.step is not None and device.step > _present(device) + _longest_wait(device)


def _longest_wait(device: Device) -> int:
    """Return how many steps somebody may be kept out."""
    return conf.TOTP_LOCKOUT_MAX_SECONDS // device.period


def _present(device: Device) -> int:
    return oath.time_step(time.time(), device.period)
