import argparse
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser

from django_totp.management.base import DatabaseCommand
from django_totp.management.batches import BatchCommand
from django_totp.operations.pruning import Tally, prune

LONGEST = 36_500  # days


class Command(BatchCommand, DatabaseCommand):
    help = (
        "Remove events that are older than DAYS, trusted devices that are over, and setups and "
        "replacements that were not confirmed in time. Logins go on meanwhile. It may be "
        "interrupted, and run again: run it every night."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--older-than",
            metavar="DAYS",
            type=_days,
            required=True,
            help="How long events are kept, in days.",
        )
        parser.add_argument("--dry-run", action="store_true", help="Count, and remove nothing.")

    def batches(self, options: dict[str, Any]) -> Iterator[Tally]:
        days = timedelta(days=options["older_than"])
        return prune(days, options["database"], dry_run=options["dry_run"])

    def kind(self, tally: Tally) -> str:
        return tally.name.capitalize()

    def report(self, tallies: list[Tally], options: dict[str, Any]) -> None:
        counts = [f"{tally.removed} {tally.name}" for tally in tallies] or ["nothing"]
        verb = "Would remove" if options["dry_run"] else "Removed"
        self.stdout.write(f"{verb}: {', '.join(counts)}.")
        left = sum(tally.left for tally in tallies)
        if left:
            self.stdout.write(f"Left alone, since somebody changed them meanwhile: {left}.")


def _days(text: str) -> int:
    days = int(text)
    if not 1 <= days <= LONGEST:
        raise argparse.ArgumentTypeError(f"must be from 1 to {LONGEST}")
    return days
