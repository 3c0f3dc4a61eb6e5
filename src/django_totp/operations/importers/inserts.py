"""Many enrollments inserted in one go.

The ORM takes longer to prepare a row than everything else that it costs (benchmarks/importing.py):
it brings each value of each column into shape, and most columns of a new enrollment hold their
default, which the database knows. The names here are those of our own model.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from django.db import connections

from django_totp.models import Totp

NAMES = ("secret_key", "last_used_step", "digits", "period", "algorithm")  # what users differ in
Row = tuple[Any, Mapping[str, Any]]  # the key of the user, and what the columns are to hold


def insert(rows: Sequence[Row], now: datetime, using: str) -> None:
    """Insert ``rows`` as enrollments that are confirmed ``now``.

    Raise IntegrityError if one of the users has an enrollment, or is not there.
    """
    connection, meta = connections[using], cast(Any, Totp._meta)
    fields = [meta.get_field(name) for name in ("user", "created_at", "confirmed_at")]
    user, *moments = fields
    same = [moment.get_db_prep_save(now, connection) for moment in moments]
    values = [
        (user.get_db_prep_save(pk, connection), *same, *(row[name] for name in NAMES))
        for pk, row in rows
    ]
    columns = [field.column for field in fields] + [meta.get_field(name).column for name in NAMES]
    _insert(connection, meta.db_table, columns, values)


def _insert(
    connection: Any, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> None:
    table, *names = map(connection.ops.quote_name, [table, *columns])
    head, place = f"INSERT INTO {table} ({', '.join(names)}) VALUES", _places("%s", len(columns))
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":  # whose executemany() sends row by row
            places = _places(place, len(rows))[1:-1]
            cursor.execute(f"{head} {places}", [value for row in rows for value in row])
        else:
            cursor.executemany(f"{head} {place}", rows)


def _places(one: str, count: int) -> str:
    return f"({', '.join([one] * count)})"
