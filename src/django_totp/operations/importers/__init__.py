"""Moving in: the authenticator apps that people have set up with another package.

Devices are read in the order of their owners, a batch at a time and outside of any transaction.
A batch is written in one transaction, and each user is here wholly or not at all: with the row, the
memory of it and the event. If somebody has enrolled since the batch was read, its rows are
inserted one by one, and the unique column of the user decides. Who is enrolled is left alone, so
a run that was killed is resumed by another one. Who was taken over once and is not enrolled any
more has lost or left the app here: it does not come back by itself (``Account.imported_at``).

A code that the source has accepted must not work here. Its last step is carried where the source
stores it, and else those are burnt that it would accept by now, the present and the next. A step
from a future that is further away than the longest wait would keep its owner out for as long: it
is not carried.

Who has an app here from now on is asked for a code: the enrollment is confirmed now, whenever
that was at the source, so that no login counts that may have come by the password alone.
"""

from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import Any

from django.db import router

from django_totp.encryption import resolve_fernet_keys
from django_totp.models import Totp

from .allauth import Allauth
from .base import Source, SourceMissing
from .dj_rest_auth import DjRestAuth
from .drf_totp import DrfTotp
from .mfa import Mfa
from .mfa2 import Mfa2
from .mfa3 import Mfa3
from .moving import Mover
from .otp import Otp
from .tally import Tally
from .trench import Trench
from .writing import Writer

__all__ = ["BATCH_SIZE", "SOURCES", "Source", "SourceMissing", "Tally", "import_factors"]

SOURCES: Mapping[str, type[Source]] = {
    "otp": Otp,
    "allauth": Allauth,
    "mfa": Mfa,
    "mfa2": Mfa2,
    "mfa3": Mfa3,
    "trench": Trench,
    "dj_rest_auth": DjRestAuth,
    "drf_totp": DrfTotp,
}
BATCH_SIZE = 1000


def import_factors(
    name: str,
    using: str | None = None,
    *,
    again: Collection[Any] = (),
    batch_size: int = BATCH_SIZE,
    dry_run: bool = False,
) -> Iterator[Tally]:
    """Take over the devices of the source ``name``; yield the tally at first and by batches.

    ``using`` names the database, if not the routers do. ``again`` has the primary keys of users
    who are taken over also if they were before. A dry run counts alike and writes nothing. Raise
    SourceMissing, and ImproperlyConfigured where no valid key is configured. Call it outside of
    any transaction.
    """
    resolve_fernet_keys()  # else each row would be unreadable
    source = SOURCES[name](using)
    tally = Tally(source.devices.count(), codes=source.count_codes(), remark=source.remark)
    writer = Writer(name, tally, using or router.db_for_write(Totp))
    mover = Mover(source, tally, writer, again=again, dry_run=dry_run)
    yield tally
    people = source.people(batch_size)
    while batch := list(islice(people, batch_size)):
        mover.take(batch)
        yield tally
