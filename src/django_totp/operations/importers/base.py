"""What a source is: the tables of another package, read without importing it.

Each module beside this one says of one package where its devices are, which of them count, and
how a row becomes a ``Device``. The package must be in ``INSTALLED_APPS`` while its tables are
read, and only a helper that reads its secrets is imported from it.
"""

import base64
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, ClassVar

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import FieldDoesNotExist
from django.db import connections, models, router
from django.db.models import Q
from django.views.decorators.debug import sensitive_variables

from django_totp.models import fetch


class SourceMissing(LookupError):
    """The tables of the source are not here."""


class Unreadable(ValueError):
    """The secret of a row cannot be read, or is none."""


class Unsupported(ValueError):
    """A row makes codes in a way that we do not."""


@dataclass(frozen=True)
class Device:
    """An authenticator app as the source knows it.

    ``secret`` is base32. ``step`` is the last time step that the source has accepted, if it
    stores one; ``drift`` by how many steps the clock of the device is off, if it knows.
    """

    secret: str = field(repr=False)
    digits: int = 6
    period: int = 30
    step: int | None = None
    drift: int = 0


class Source(ABC):
    """A package whose users move here.

    ``model`` has a row for each device, ``columns`` are what is read of it beside the primary
    key and the ``owner``, whose value is the ``user_key`` of a user.
    """

    package: ClassVar[str]
    app: ClassVar[str]  # as INSTALLED_APPS has it
    model: str
    columns: ClassVar[Sequence[str]]
    owner: ClassVar[str] = "user_id"
    codes: tuple[str, Q] | None = None  # where its backup codes are
    remark: ClassVar[str] = ""  # what else is to be known of all its devices

    def __init__(self, using: str | None = None) -> None:
        model = _model(self.model)
        self.using = using or router.db_for_write(model)
        self.key = model._meta.label
        self.devices = model._base_manager.using(self.using).filter(self.condition())
        tables = connections[self.using].introspection.table_names()
        if model._meta.db_table not in tables:
            raise SourceMissing

    @abstractmethod
    def condition(self) -> Q:
        """Return what rows meet that are confirmed devices."""

    @abstractmethod
    def device(self, row: Any) -> Device:
        """Return the device of ``row``. Raise Unsupported, or whatever is wrong with the row."""

    def used(self, row: Any) -> Any:
        """Return what is greater the later the device of ``row`` was used."""
        return 0

    @property
    def ahead(self) -> int:
        """Return how many steps ahead the source accepts codes."""
        return 1

    @property
    def user_key(self) -> str:
        """Return the field of a user that ``owner`` has the value of."""
        return "pk"

    def people(self, size: int) -> Iterator[list[Any]]:
        """Yield the rows of each owner, all at once and the one used last first."""
        for _owner, rows in groupby(self._rows(size), lambda row: getattr(row, self.owner)):
            devices = list(rows)
            yield sorted(devices, key=self.used, reverse=True) if devices[1:] else devices

    def users(self, owners: Iterable[Any], using: str) -> dict[Any, AbstractBaseUser]:
        """Return the users that ``owners`` name, by that name, in the database ``using``."""
        model: Any = get_user_model()
        named = {f"{self.user_key}__in": list(owners)}
        rows = model._default_manager.using(using).filter(**named)
        plain = rows.select_related(None).defer(None)  # whatever the manager adds
        found = fetch(plain.only(*_read_of(model, self.user_key)))
        return {getattr(user, self.user_key): user for user in found}

    def count_codes(self) -> int:
        """Return how many backup codes, or sets of them, the source has."""
        if self.codes is None:
            return 0
        name, condition = self.codes
        try:
            model = _model(name)
        except SourceMissing:
            return 0
        return model._base_manager.using(self.using).filter(condition).count()

    def _rows(self, size: int) -> Iterator[Any]:
        """Yield all rows in the order of their owners, as named tuples."""
        rows = self.devices.order_by(self.owner, "pk")
        named = rows.values_list("pk", self.owner, *self.columns, named=True)
        batch = list(fetch(named[:size]))
        while batch:
            yield from batch
            owner, pk = getattr(batch[-1], self.owner), batch[-1].pk
            later = Q(**{f"{self.owner}__gt": owner}) | Q(pk__gt=pk)
            at_least = Q(**{f"{self.owner}__gte": owner})  # which an index serves
            batch = list(fetch(named.filter(later & at_least)[:size]))


@sensitive_variables("secret", "key")
def base32(key: bytes) -> str:
    """Return a secret of bytes as base32."""
    return base64.b32encode(key).decode().rstrip("=")


def moment(at: Any) -> float:
    """Return a moment of the source as a number, and 0 of none."""
    return at.timestamp() if at else 0.0


def _model(label: str) -> type[models.Model]:
    try:
        return apps.get_model(label)
    except LookupError:
        raise SourceMissing from None


def _read_of(model: type[models.Model], key: str) -> set[str]:
    """Return the columns of a user that are looked at."""
    try:
        active = {model._meta.get_field("is_active").name}
    except FieldDoesNotExist:
        active = set()
    return {key, *active}
