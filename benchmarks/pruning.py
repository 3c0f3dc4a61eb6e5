"""How long ``totp_prune`` takes for many events, what memory it takes, and the pages of the rest.

    python -m benchmarks.pruning --events 1000000

It runs on PostgreSQL, or on what ``DATABASE`` names as for the tests, in a database of its own that
it drops at the end. Nine in ten of the events are old; they are of a tenth as many users.
"""

import argparse
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from typing import Any

from cryptography.fernet import Fernet

from benchmarks.processes import in_a_process
from benchmarks.reencryption import Project, insert, memory, report_machine

EARLY = 10_000  # rows after which the memory is looked at for the first time
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
NEWEST = 10_000  # events that the admin pages through
RARE = 100_000  # events, of which one is a reset


def fill(events: int) -> None:
    from django.db import connection

    from django_totp.models import Event
    from django_totp.moments import EPOCH, MICROSECOND

    now = datetime.now(UTC)
    oldest = now - timedelta(days=400)
    step = timedelta(days=396) / events  # nine in ten are older than 40 days
    like = Event(address="203.0.113.7", user_agent=AGENT, method="totp")
    insert(
        like,
        ("id", "at", "event", "user_pk", "actor_pk", "reason"),
        (
            (
                pk,
                (oldest + step * pk - EPOCH) // MICROSECOND,
                "login" if pk % RARE else "disabled",
                *[str(pk % (events // 10))] * 2,
                "",
            )
            for pk in range(1, events + 1)
        ),
    )
    if connection.vendor == "postgresql":
        connection.cursor().execute("ANALYZE")


def prune(project: Project, pipe: Connection) -> None:
    """Remove what is old, and send how many rows, how long it took, and the memory in MB."""
    project.set_up()
    from django_totp.operations import pruning

    start, early = time.perf_counter(), 0.0
    removed = []
    for tally in pruning.prune(timedelta(days=40)):
        if tally.name == "events":
            removed.append(tally.removed)
            early = early or (memory() if tally.seen >= EARLY else 0.0)
    pipe.send((removed[-1], time.perf_counter() - start, early, memory()))


def timed(what: str, act: Callable[[], Any]) -> None:
    start = time.perf_counter()
    act()
    print(f"{what}: {1000 * (time.perf_counter() - start):,.0f} ms")


def look() -> None:
    """Print how long the statements of the pages of the admin take."""
    from django_totp.models import Event

    newest = Event.objects.order_by("-pk")

    def page(rows: Any, number: int = 0) -> None:
        rows.order_by()[:NEWEST].count()
        list(rows[100 * number : 100 * (number + 1)])

    page(newest)  # connects
    timed("a page of the newest", lambda: page(newest))
    timed("the last page that there is", lambda: page(newest, NEWEST // 100 - 1))
    timed("the events of a user", lambda: page(newest.filter(user_pk="4711")))
    timed("a frequent event", lambda: page(newest.filter(event="login")))
    timed("a rare event", lambda: page(newest.filter(event="disabled")))
    timed("an event that never was", lambda: page(newest.filter(event="exempted")))


def measure(project: Project, events: int) -> None:
    start = time.perf_counter()
    fill(events)
    print(f"{events:,} events, made in {time.perf_counter() - start:.0f} s")
    look()
    removed, seconds, early, late = in_a_process(prune, project)
    print(
        f"totp_prune: {removed:,} events in {seconds:.0f} s ({removed / seconds:,.0f} a second); "
        f"at most {early:.0f} MB of memory up to event {EARLY:,} and {late:.0f} MB to the end"
    )
    look()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=100_000)
    arguments = parser.parse_args()
    os.environ.setdefault("DATABASE", "postgresql")
    keys = (Fernet.generate_key().decode(), Fernet.generate_key().decode())
    Project(f"benchmark_{os.getpid()}", keys).set_up()
    from django.db import connection

    name = connection.settings_dict["NAME"]
    database = connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        measure(Project(database, keys), arguments.events)
        report_machine(connection)
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


if __name__ == "__main__":
    import multiprocessing

    multiprocessing.set_start_method("spawn")
    main()
