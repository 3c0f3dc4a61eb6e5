"""Key rotation: what is stored moves to the first key while people log in.

Rows are read by primary key, a batch at a time and outside of any transaction. A write is
guarded by the token that was read, so a row that a rotation or a reset has changed meanwhile is
not touched but read again; a login changes other columns, so neither undoes the other. A row
that somebody has locked is not waited for but come back to: who never waits is part of no
deadlock, and a login waits for one small UPDATE at most.

Nothing is remembered between runs. A row that the first key reads is done, so a run that was
killed is resumed by another one, and two at once do no harm.
"""

import time
from collections.abc import Iterator, Sequence
from typing import Any

from django.db import IntegrityError, OperationalError, router

from django_totp.models import Totp

from .tables import Codes, Replacements, Secrets, Tally
from .updates import Change, guarded_update

__all__ = ["BATCH_SIZE", "Tally", "reencrypt"]

BATCH_SIZE = 500
PAUSES = (0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)  # seconds before each try at a batch


def reencrypt(
    using: str | None = None, *, batch_size: int = BATCH_SIZE, dry_run: bool = False
) -> Iterator[Tally]:
    """Move all secrets and backup codes in the database ``using`` to the first key.

    Yield the tally of a table at its start and after each batch. Raise ImproperlyConfigured
    where no valid key is configured. Call it outside of any transaction.
    """
    using = using or router.db_for_write(Totp)
    for table in (Secrets(using), Replacements(using), Codes(using)):
        tally = Tally(table.model, table.rows.count(), of=table.of)
        if table.of and not tally.total:
            continue
        yield tally
        for batch in table.batches(batch_size):
            if dry_run:
                tally.moved += len(table.changes(batch, tally))
            else:
                _move(table, batch, tally)
            yield tally


def _move(table: Secrets, batch: list[Any], tally: Tally) -> None:
    """Write what ``batch`` becomes; what others change or lock meanwhile, try again."""
    for pause in PAUSES:
        time.sleep(pause)
        changes = table.changes(batch, tally)
        try:
            written = guarded_update(table.rows.all(), table.written, changes)
        except (IntegrityError, OperationalError) as error:
            if pause == PAUSES[-1]:
                raise
            table.wary |= isinstance(error, IntegrityError)
            written = 0
        if written == len(changes):
            tally.moved += written
            return
        batch = _left(table, changes, tally)
    tally.busy += len(batch)


def _left(table: Secrets, changes: Sequence[Change], tally: Tally) -> list[Any]:
    """Return the rows of ``changes`` as they are now, without those that were written."""
    wanted = {change.pk: change.values for change in changes}
    rows = table.fetch(table.rows.filter(pk__in=wanted))
    left = [row for row in rows if row.values != wanted[row.pk]]
    tally.moved += len(rows) - len(left)
    return left
