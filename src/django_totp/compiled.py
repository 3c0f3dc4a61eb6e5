"""Rows by one value, in SQL that Django compiles once: to compile it takes longer than to ask.

What is kept is Django's own compiler in the state that it has once it has compiled, and the rows
are made of it in Django's own way. Where the project has a say in the query (a manager, a
queryset or a field of its own), there is none that could be kept.
"""

import copy
import uuid
from collections.abc import Iterator
from typing import Any

from django.db import connections, models
from django.db.models.manager import BaseManager
from django.db.models.query import ModelIterable

# Values to compile with, by the kinds of fields of Django that compare all values in one way.
SAMPLES = {models.IntegerField: 1, models.CharField: "1", models.UUIDField: uuid.UUID(int=1)}
LARGEST = 2**31 - 1  # any column of integers holds it; what no column holds, Django sorts out


class Compiled:
    """A query for those of some rows whose field has a value that is given later."""

    def __init__(self, rows: "models.QuerySet[Any]", field: "models.Field[Any, Any]") -> None:
        self.rows, self.field = rows, field
        self.compiler = rows.filter(**{field.name: sample_of(field)}).query.get_compiler(rows.db)
        self.sql, (*self.other_values, _sample) = self.compiler.as_sql()

    def fetch(self, value: Any) -> Iterator[Any]:
        """Yield the rows whose field has ``value``, which the field has prepared."""
        compiler = copy.copy(self.compiler)
        compiler.connection = connections[self.rows.db]
        value = self.field.get_db_prep_value(value, compiler.connection, prepared=True)
        compiled = (self.sql, (*self.other_values, value))
        compiler.as_sql = lambda *args, **kwargs: compiled
        yield from ModelIterable(_Asked(self.rows, compiler))  # type: ignore[arg-type]


class _Asked:
    """A queryset as the iterable of its rows sees it, whose compiler has compiled already."""

    def __init__(self, rows: "models.QuerySet[Any]", compiler: Any) -> None:
        self.rows, self.compiler, self.query = rows, compiler, self

    def get_compiler(self, using: str) -> Any:
        return self.compiler

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rows, name)


def is_plain(manager: "models.Manager[Any]", field: "models.Field[Any, Any]") -> bool:
    """Return whether neither the manager nor the field has anything of the project's own."""
    own = type(manager).get_queryset is not BaseManager.get_queryset
    has_plain_rows = not own and manager._queryset_class is models.QuerySet  # type: ignore[attr-defined]
    return has_plain_rows and sample_of(field) is not None


def is_in_range(value: Any) -> bool:
    """Return whether a prepared value is one that Django compares as it does all others."""
    return value is not None and (not isinstance(value, int) or abs(value) <= LARGEST)


def sample_of(field: "models.Field[Any, Any]") -> Any:
    """Return a value that ``field`` may have, or ``None`` for a field that is not Django's own."""
    kinds = (type(field), field.get_lookup("exact"))
    if not all(kind.__module__.startswith("django.db.models.") for kind in kinds):
        return None
    samples = [sample for kind, sample in SAMPLES.items() if isinstance(field, kind)]
    return next(iter(samples), None)
