"""What is encrypted, where it stands, and what it becomes under the first key."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import starmap
from typing import Any, ClassVar, NamedTuple

from cryptography.fernet import Fernet, InvalidToken
from django.db import models

from django_totp import spelling
from django_totp.encryption import keyed_digests, resolve_fernet_keys
from django_totp.models import BackupCode, Totp

from .updates import Change

LISTED = 20  # primary keys of unreadable rows that are named


@dataclass
class Tally:
    """What became of the rows of one table so far.

    No configured key reads the ``unreadable`` ones; ``unreadable_pks`` names the first of them.
    The ``busy`` ones were locked, or changed by somebody, at each of our tries.
    """

    model: type[models.Model]
    total: int
    moved: int = 0
    current: int = 0
    unreadable: int = 0
    busy: int = 0
    unreadable_pks: list[int] = field(default_factory=list)
    of: str = ""  # what of each row, if not that which the rows are named after

    @property
    def name(self) -> str:
        """Return what is moved, in the plural."""
        return self.of or str(self.model._meta.verbose_name_plural)

    @property
    def seen(self) -> int:
        """Return the number of rows that are dealt with."""
        return self.moved + self.current + self.unreadable + self.busy

    def add_unreadable(self, pk: int) -> None:
        """Count the row ``pk``, and name it while there are few."""
        self.unreadable += 1
        if len(self.unreadable_pks) < LISTED:
            self.unreadable_pks.append(pk)


class Keys:
    """The configured keys. The one that fitted last is tried first: neighbours share theirs."""

    def __init__(self) -> None:
        self._ciphers = [Fernet(key) for key in resolve_fernet_keys()]
        self._first = self._ciphers[0]

    def move(self, token: str) -> tuple[str, bytes]:
        """Return ``token`` under the first key, and what it holds. Raise InvalidToken."""
        for place, cipher in enumerate(self._ciphers):
            try:
                value = cipher.decrypt(token.encode())
            except InvalidToken:
                continue
            self._ciphers.insert(0, self._ciphers.pop(place))
            if cipher is self._first:
                return token, value
            made = cipher.extract_timestamp(token.encode())  # it gets no younger by it
            return self._first.encrypt_at_time(value, made).decode(), value
        raise InvalidToken


class Secret(NamedTuple):
    """An enrollment as it was read."""

    pk: int
    token: str

    @property
    def values(self) -> tuple[str | None, ...]:
        """Return what may change."""
        return (self.token,)


class Code(NamedTuple):
    """A backup code as it was read."""

    pk: int
    token: str
    digest: str | None
    totp_id: int

    @property
    def values(self) -> tuple[str | None, ...]:
        """Return what may change."""
        return (self.token, self.digest)


class Secrets:
    """The enrollments in one database, and what their secrets become."""

    model: ClassVar[type[models.Model]] = Totp
    row: ClassVar[Any] = Secret
    read: ClassVar[Sequence[str]] = ("pk", "secret_key")
    written: ClassVar[Sequence[str]] = ("secret_key",)
    of = ""

    def __init__(self, using: str) -> None:
        self.rows = self.model._default_manager.using(using)
        self.keys = Keys()
        self.wary = False  # a write has violated a constraint

    def batches(self, size: int) -> Iterator[list[Any]]:
        """Yield all rows in the order of their primary keys."""
        batch = self.fetch(self.rows, size)
        while batch:
            yield batch
            batch = self.fetch(self.rows.filter(pk__gt=batch[-1].pk), size)

    def fetch(self, rows: models.QuerySet[Any], size: int | None = None) -> list[Any]:
        """Return the first ``size`` of ``rows``, or all."""
        return list(starmap(self.row, rows.order_by("pk").values_list(*self.read)[:size]))

    def changes(self, batch: Iterable[Any], tally: Tally) -> list[Change]:
        """Return what to write; rows that stay as they are go into ``tally``."""
        moved = list(self._moved(batch, tally))
        changes = [
            Change(row.pk, row.token, values)
            for row, values in self._values(moved)
            if values != row.values
        ]
        tally.current += len(moved) - len(changes)
        return changes

    def _moved(self, batch: Iterable[Any], tally: Tally) -> Iterator[tuple[Any, str, bytes]]:
        """Yield each readable row, with its token under the first key and its plain text."""
        for row in batch:
            try:
                yield row, *self.keys.move(row.token)
            except InvalidToken:
                tally.add_unreadable(row.pk)

    def _values(self, moved: Sequence[Any]) -> Iterator[tuple[Any, tuple[str | None, ...]]]:
        """Yield each row with what its columns are to hold."""
        for row, token, _ in moved:
            yield row, (token,)


class Replacements(Secrets):
    """The secrets that are to replace others, which few enrollments have."""

    read = ("pk", "replacement")
    written = ("replacement",)
    of = "replacements of TOTP enrollments"

    def __init__(self, using: str) -> None:
        super().__init__(using)
        self.rows = self.rows.exclude(replacement="")


class Codes(Secrets):
    """The backup codes in one database, and what they and their digests become."""

    model = BackupCode
    row = Code
    read = ("pk", "code", "digest", "totp_id")
    written = ("code", "digest")

    def _values(self, moved: Sequence[Any]) -> Iterator[tuple[Any, tuple[str | None, ...]]]:
        holders = self._holders(row for row, _, _ in moved)
        for row, token, plain in moved:
            code = spelling.backup_code(plain.decode(errors="replace"))
            digest = None if code is None else self._digest(row, keyed_digests(code), holders)
            holders.pop((row.totp_id, row.digest), None)
            holders[row.totp_id, digest] = row.pk
            yield row, (token, digest)

    def _holders(self, rows: Iterable[Code]) -> dict[tuple[int, str | None], int]:
        """Return which row holds which digest, in the enrollments where two might want one."""
        totp_ids = {row.totp_id for row in rows if self.wary or row.digest is None}
        holders = self.rows.filter(totp_id__in=totp_ids, digest__isnull=False)
        return {
            (totp_id, digest): pk
            for totp_id, digest, pk in holders.values_list("totp_id", "digest", "pk")
        }

    def _digest(
        self, row: Code, digests: list[str], holders: dict[tuple[int, str | None], int]
    ) -> str | None:
        """Return the digest under the first key, or ``None`` if another row has the same code.

        A code that is there twice is found, and used up, by one of the rows alone.
        """
        taken = any(holders.get((row.totp_id, digest), row.pk) != row.pk for digest in digests)
        return None if taken and row.digest != digests[0] else digests[0]
