"""How fast ``totp_import`` takes people over, and what memory it takes.

    python -m benchmarks.importing --users 1000000

It runs on PostgreSQL, or on what ``DATABASE`` names as for the tests, in a database of its own that
it drops at the end. Each user has a device in a table like that of django-otp; one in ten has two.
With ``--trail``, events are kept in a table as well.
"""

import argparse
import base64
import itertools
import logging
import os
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

from cryptography.fernet import Fernet

from benchmarks.processes import in_a_process
from benchmarks.reencryption import DIFFERENT, Project, insert, memory, report_machine, secret_of

EARLY = 10_000  # devices after which the memory is looked at for the first time
FORMER = ("tests.former",)  # tables like those of other packages
TRAIL = "BENCHMARK_TRAIL"  # a variable of the environment: each run is a process
SECOND = 10  # one in so many users has a second device


def set_up(project: Project) -> None:
    """Let the tables of ``FORMER`` stand in for django-otp's."""
    project.set_up()
    from django_totp.operations.importers import base
    from tests.former.models import TABLES

    base._model = TABLES.__getitem__  # type: ignore[assignment]
    if TRAIL in os.environ:
        from django_totp.trail import DatabaseHandler

        logger = logging.getLogger("django_totp")
        logger.setLevel(logging.INFO)
        logger.addHandler(DatabaseHandler())


def fill(users: int) -> int:
    """Create the users and their devices, and return how many devices there are.

    In little memory: the kernel counts that of a process as the least that its children had.
    """
    from django.contrib.auth.models import User
    from django.db import connection

    from tests.former.models import TOTPDevice

    keys = [base64.b32decode(secret_of(pk)).hex() for pk in range(DIFFERENT)]
    pks = range(1, users + 1)
    insert(User(), ("id", "username"), ((pk, f"user{pk}") for pk in pks))
    owners = itertools.chain(pks, range(SECOND, users + 1, SECOND))
    insert(
        TOTPDevice(),
        ("id", "user_id", "key", "last_t"),
        ((pk, owner, keys[pk % DIFFERENT], pk) for pk, owner in enumerate(owners, start=1)),
    )
    if connection.vendor == "postgresql":
        connection.cursor().execute("ANALYZE")
    return users + users // SECOND


def move(project: Project, pipe: Connection, *, dry_run: bool) -> None:
    """Import, and send how many users that were, how long it took, and the memory in MB."""
    set_up(project)
    from django_totp.operations.importers import import_factors

    start, early = time.perf_counter(), 0.0
    for tally in import_factors("otp", dry_run=dry_run):
        early = early or (memory() if tally.seen >= EARLY else 0.0)
    left = tally.counts["enrolled"]
    pipe.send((tally.imported, left, time.perf_counter() - start, early, memory()))


def dry(project: Project, pipe: Connection) -> None:
    move(project, pipe, dry_run=True)


def real(project: Project, pipe: Connection) -> None:
    move(project, pipe, dry_run=False)


def measure(project: Project, users: int) -> None:
    start = time.perf_counter()
    devices = fill(users)
    print(f"{users:,} users with {devices:,} devices, made in {time.perf_counter() - start:.0f} s")
    runs: dict[str, tuple[Callable[..., None], int]] = {
        "a dry run": (dry, users),
        "the import": (real, users),
        "once more": (real, 0),
    }
    for name, (run, expected) in runs.items():
        imported, left, seconds, early, late = in_a_process(run, project)
        assert (imported, left) == (expected, 0 if expected else devices)
        print(
            f"{name}: {imported:,} users taken, {seconds:,.0f} s ({users / seconds:,.0f} users a "
            f"second); at most {early:.0f} MB of memory up to device {EARLY:,} and {late:.0f} MB "
            "to the end"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--trail", action="store_true", help="keep events in a table")
    arguments = parser.parse_args()
    if arguments.trail:
        os.environ[TRAIL] = "1"
    os.environ.setdefault("DATABASE", "postgresql")
    keys = (Fernet.generate_key().decode(), Fernet.generate_key().decode())
    set_up(Project(f"benchmark_{os.getpid()}", keys, FORMER))
    from django.db import connection

    name = connection.settings_dict["NAME"]
    database = connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        measure(Project(database, keys, FORMER), arguments.users)
        report_machine(connection)
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


if __name__ == "__main__":
    import multiprocessing

    multiprocessing.set_start_method("spawn")
    main()
