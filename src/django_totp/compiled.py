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

# Two values to compile with, by the kinds of fields of Django that compare all in one way.
SAMPLES = {
    models.IntegerField: (1, 2),
    models.CharField: ("1", "2"),
    models.UUIDField: (uuid.UUID(int=1), uuid.UUID(int=2)),
}
LARGEST = 2**31 - 1  # any column of integers holds it; what no column holds, Django sorts out


class Compiled:
    """A query for those of some rows whose field has a value that is given later.

    ``compiler`` has compiled it to ``sql``, and ``place`` is where the value stands among the
    ``parameters``.
    """

    def __init__(
        self,
        rows: "models.QuerySet[Any]",
        field: "models.Field[Any, Any]",
        compiler: Any,
        sql: str,
        parameters: list[Any],
        place: int,
    ) -> None:
        self.rows, self.field = rows, field
        self.sql, self.before, self.after = sql, parameters[:place], parameters[place + 1 :]
        self.compiler = compiler
        self.compiler.connection = None  # it is that of a thread

    def fetch(self, value: Any) -> Iterator[Any]:
        """Yield the rows whose field has ``value``, which the field has prepared."""
        compiler = copy.copy(self.compiler)
        compiler.connection = connections[self.rows.db]
        value = self.field.get_db_prep_value(value, compiler.connection, prepared=True)
        compiled = (self.sql, (*self.before, value, *self.after))
        compiler.as_sql = lambda *args, **kwargs: compiled
        yield from ModelIterable(_Asked(self.rows, compiler))  # type: ignore[arg-type]


def compile_once(rows: "models.QuerySet[Any]", field: "models.Field[Any, Any]") -> Compiled | None:
    """Return the query for ``rows`` by ``field``, or ``None`` if it is not the same for all values.

    It is compiled for two values, and they must differ in one place alone.
    """
    compilers = [_compiler(rows, field, sample) for sample in samples_of(field)]
    (sql, one), (other_sql, other) = (compiler.as_sql() for compiler in compilers)
    places = [place for place, pair in enumerate(zip(one, other, strict=True)) if len({*pair}) > 1]
    if sql != other_sql or len(places) != 1:
        return None
    return Compiled(rows, field, compilers[0], sql, list(one), places[0])


def _compiler(rows: Any, field: "models.Field[Any, Any]", value: Any) -> Any:
    return rows.filter(**{field.name: value}).query.get_compiler(rows.db)


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
    return has_plain_rows and bool(samples_of(field))


def is_in_range(value: Any) -> bool:
    """Return whether a prepared value is one that Django compares as it does all others."""
    return value is not None and (not isinstance(value, int) or abs(value) <= LARGEST)


def samples_of(field: "models.Field[Any, Any]") -> tuple[Any, ...]:
    """Return two values that ``field`` may have, or none for a field that is not Django's own."""
    kinds = (type(field), field.get_lookup("exact"))
    if not all(kind.__module__.startswith("django.db.models.") for kind in kinds):
        return ()
    samples = [samples for kind, samples in SAMPLES.items() if isinstance(field, kind)]
    return next(iter(samples), ())
