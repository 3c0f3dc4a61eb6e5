"""Many rows written in one go, each only if it still holds what was read, and without waiting.

The ORM's ``bulk_update`` has no such guard, and its CASE expression costs many times what the
encryption does (benchmarks/reencryption.py). So here is SQL, as in ``importers.inserts``; the names
in it are those of our own models.
"""

# ruff: noqa: S608

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from django.db import OperationalError, connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

SEPARATOR = "\x1f"  # in no Fernet token; in a broken one it makes guards fail
LOCK_WAIT_TIMEOUT = 1205  # MariaDB's number; only the statement is rolled back


class Change(NamedTuple):
    """``values`` for the row ``pk``, whose first field held ``old`` when it was read."""

    pk: int
    old: str
    values: tuple[str | None, ...]


def guarded_update(
    rows: models.QuerySet[Any], fields: Sequence[str], changes: Sequence[Change]
) -> int:
    """Write ``changes`` into the text ``fields`` of ``rows`` and return how many were written.

    A row stays as it is if its first field has changed since, or if somebody has locked it.
    ``changes`` are in the order of their primary keys.
    """
    connection = connections[rows.db]
    names = _names(rows.model, fields, connection)
    with transaction.atomic(using=rows.db), connection.cursor() as cursor:
        changes = _unlocked(rows, changes, connection)
        if not changes:
            return 0
        if connection.vendor == "postgresql":
            cursor.execute(_update_from_arrays(*names), _as_texts(changes))
        elif _is_mariadb(connection):
            return _update_in_mariadb(cursor, names, changes)
        else:
            is_old = _is_same if connection.vendor == "mysql" else _is_equal
            cursor.executemany(_update_of_one(*names, is_old=is_old), _rows(changes))
        written: int = cursor.rowcount
        return written


def _names(
    model: type[models.Model], fields: Sequence[str], connection: BaseDatabaseWrapper
) -> list[str]:
    """Return the names of the table, of its primary key and of ``fields``, quoted for SQL."""
    meta: Any = model._meta
    columns = [meta.get_field(field).column for field in fields]
    return [connection.ops.quote_name(name) for name in (meta.db_table, meta.pk.column, *columns)]


def _unlocked(
    rows: models.QuerySet[Any], changes: Sequence[Change], connection: BaseDatabaseWrapper
) -> Sequence[Change]:
    """Lock the rows of ``changes`` that are free, and return these.

    SQLite has no row locks, and a transaction there must begin with its write.
    """
    features = connection.features
    if not changes or not features.has_select_for_update_skip_locked:
        return changes
    free = rows.filter(pk__range=(changes[0].pk, changes[-1].pk)).select_for_update(
        skip_locked=True, no_key=features.has_select_for_no_key_update
    )
    pks = set(free.order_by("pk").values_list("pk", flat=True))
    return [change for change in changes if change.pk in pks]


def _update_from_arrays(table: str, pk: str, *columns: str) -> str:
    """Return PostgreSQL's UPDATE of many rows, from one array for each column.

    The arrays come as texts: psycopg takes longer to quote the elements of a list than
    PostgreSQL takes to update the rows.
    """
    array = f"string_to_array(%s, '{SEPARATOR}', '')"  # an empty element is NULL
    arrays = ", ".join([f"{array}::bigint[]", *[array] * (1 + len(columns))])
    new = ", ".join(f"{column} = new.{column}" for column in columns)
    return (
        f"UPDATE {table} SET {new} FROM unnest({arrays}) AS new (pk, old, {', '.join(columns)}) "
        f"WHERE {table}.{pk} = new.pk AND {table}.{columns[0]} = new.old"
    )


def _as_texts(changes: Sequence[Change]) -> list[str]:
    table = ((str(pk), old, *new) for pk, old, new in changes)
    return [SEPARATOR.join(text or "" for text in column) for column in zip(*table, strict=True)]


def _update_of_one(table: str, pk: str, *columns: str, is_old: Callable[[str, str], str]) -> str:
    """Return the UPDATE of one row, for any database."""
    new = ", ".join(f"{column} = %s" for column in columns)
    return f"UPDATE {table} SET {new} WHERE {pk} = %s AND {is_old(columns[0], '%s')}"


def _is_equal(text: str, other: str) -> str:
    """Return the condition that two texts are equal, where a database tells all texts apart."""
    return f"{text} = {other}"


def _is_same(text: str, other: str) -> str:
    """Return the condition for MariaDB and MySQL, which go by the collation of the column.

    It may know no case, and its character set may be another than that of ``other``.
    """
    return " = ".join(f"CAST(CONVERT({each} USING utf8mb4) AS BINARY)" for each in (text, other))


def _rows(changes: Sequence[Change]) -> list[tuple[Any, ...]]:
    return [(*new, pk, old) for pk, old, new in changes]


def _is_mariadb(connection: BaseDatabaseWrapper) -> bool:
    """Return whether this is MariaDB from 10.6 on, which has SKIP LOCKED and JSON_TABLE."""
    is_mariadb: bool = getattr(connection, "mysql_is_mariadb", False)
    return is_mariadb and connection.features.has_select_for_update_skip_locked


def _update_in_mariadb(
    cursor: CursorWrapper, names: Sequence[str], changes: Sequence[Change]
) -> int:
    """Write ``changes`` in one statement, or one by one if it would have to wait for a lock."""
    rows = _rows(changes)
    update = _update_of_one(*names, is_old=_is_same)
    return _without_waiting(cursor, _update_from_json(*names), [json.dumps(rows)]) or sum(
        _without_waiting(cursor, update, row) for row in rows
    )


def _update_from_json(table: str, pk: str, *columns: str) -> str:
    """Return MariaDB's UPDATE of many rows, from one array for each row."""
    fields = [f"{column} VARCHAR(255)" for column in columns] + ["pk BIGINT", "old VARCHAR(255)"]
    paths = ", ".join(f"{field} PATH '$[{place}]'" for place, field in enumerate(fields))
    new = ", ".join(f"{table}.{column} = new.{column}" for column in columns)
    return (
        f"UPDATE {table} JOIN JSON_TABLE(%s, '$[*]' COLUMNS ({paths})) AS new "
        f"ON {table}.{pk} = new.pk SET {new} "
        f"WHERE {_is_same(f'{table}.{columns[0]}', 'new.old')}"
    )


def _without_waiting(cursor: CursorWrapper, update: str, values: Sequence[Any]) -> int:
    """Return how many rows MariaDB has updated: none if it would have to wait for one of them.

    It locks the entry of the index that it finds a row by, beside the row. A login comes by the
    digest and we by the primary key, so we could wait for each other; and of the two InnoDB
    makes the one start anew that has written less, which is the login.
    """
    try:
        cursor.execute(f"SET STATEMENT innodb_lock_wait_timeout = 0 FOR {update}", values)
    except OperationalError as error:
        if error.args[0] != LOCK_WAIT_TIMEOUT:
            raise
        return 0
    updated: int = cursor.rowcount
    return updated
