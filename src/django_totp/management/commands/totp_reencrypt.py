import argparse
from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import connections
from django.utils.text import capfirst

from django_totp.management.batches import BatchCommand
from django_totp.operations.reencryption import BATCH_SIZE, Tally, reencrypt

MAX_BATCH_SIZE = 10_000
WAY_OUT = (
    "Put the key that fits into TOTP_ENCRYPTION_KEY_FALLBACKS and run this again, or, if it is "
    "lost, reset these enrollments."
)


class Command(BatchCommand):
    help = (
        "Move secrets and backup codes to the first key, TOTP_ENCRYPTION_KEY, so that those in "
        "TOTP_ENCRYPTION_KEY_FALLBACKS can go. Logins go on meanwhile. It may be interrupted, "
        "and run again. The exit status is 1 if there are rows that no configured key can read."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--database",
            choices=tuple(connections),
            help="The database to work on; by default the one that enrollments are written to.",
        )
        parser.add_argument(
            "--batch-size",
            type=_batch_size,
            default=BATCH_SIZE,
            help=f"Rows that are written, and locked, at once ({BATCH_SIZE} by default).",
        )
        parser.add_argument("--dry-run", action="store_true", help="Count, and write nothing.")

    def batches(self, options: dict[str, Any]) -> Iterator[Tally]:
        size, dry_run = options["batch_size"], options["dry_run"]
        return reencrypt(options["database"], batch_size=size, dry_run=dry_run)

    def kind(self, tally: Tally) -> str:
        return capfirst(tally.name)

    def report(self, tallies: list[Tally], options: dict[str, Any]) -> None:
        moved = "to be moved" if options["dry_run"] else "moved"
        for tally in tallies:
            self.stdout.write(
                f"{self.kind(tally)}: {tally.moved} {moved}, {tally.current} already current, "
                f"{tally.unreadable} unreadable."
            )

    def refuse_leftovers(self, tallies: list[Tally]) -> None:
        """Raise CommandError if there are rows that still need another key."""
        sentences = [_unreadable(tally) for tally in tallies if tally.unreadable]
        if sentences:
            sentences.append(WAY_OUT)
        sentences += [
            f"{tally.busy} {tally.name} were locked or changed all the time: run the command again."
            for tally in tallies
            if tally.busy
        ]
        if sentences:
            raise CommandError("\n".join(sentences))


def _unreadable(tally: Tally) -> str:
    pks = ", ".join(map(str, tally.unreadable_pks))
    more = tally.unreadable - len(tally.unreadable_pks)
    return (
        f"No configured key can read these {tally.name}, by primary "
        f"key: {pks}{f' and {more} more' if more else ''}."
    )


def _batch_size(text: str) -> int:
    size = int(text)
    if not 1 <= size <= MAX_BATCH_SIZE:
        raise argparse.ArgumentTypeError(f"must be from 1 to {MAX_BATCH_SIZE}")
    return size
