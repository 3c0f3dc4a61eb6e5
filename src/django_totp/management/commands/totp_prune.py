import argparse
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import reset_queries

from django_totp.management.base import DatabaseCommand
from django_totp.management.progress import Progress
from django_totp.operations.pruning import Tally, prune

LONGEST = 36_500  # days


class Command(DatabaseCommand):
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

    def handle(self, *args: Any, **options: Any) -> None:
        tallies: list[Tally] = []
        try:
            self._run(tallies, options)
        except KeyboardInterrupt:
            self._report(tallies, options)
            raise CommandError(
                "Interrupted. What is done stays done: run the command again for the rest.",
                returncode=130,
            ) from None
        self._report(tallies, options)

    def _run(self, tallies: list[Tally], options: dict[str, Any]) -> None:
        """Remove everything. There is a tally in ``tallies`` for each kind that was begun."""
        progress = Progress(self.stdout, wordy=options["verbosity"] > 1)
        days, dry_run = timedelta(days=options["older_than"]), options["dry_run"]
        try:
            for tally in prune(days, options["database"], dry_run=dry_run):
                if tally not in tallies:
                    tallies.append(tally)
                if options["verbosity"]:
                    progress.show(tally.name.capitalize(), tally)
                reset_queries()  # DEBUG keeps the last 9000, and ours are long
        finally:
            progress.clear()

    def _report(self, tallies: list[Tally], options: dict[str, Any]) -> None:
        if not options["verbosity"]:
            return
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
