from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import reset_queries

from django_totp.management.base import DatabaseCommand
from django_totp.management.progress import Progress
from django_totp.operations.importers import SOURCES, SourceMissing, Tally, import_factors

MISSING = (
    "{package}'s tables are not here: put {app} back in INSTALLED_APPS while you import, and "
    "migrate."
)
CODES = (
    "{count} of the source's records of backup codes stay behind: they are too short, or only "
    "hashes are stored. People have none here until they make new ones."
)
UNREADABLE = "Some secrets could not be read: see above. Nothing is lost at the source."


class Command(DatabaseCommand):
    help = (
        "Take over the authenticator apps that people have set up with another package. Who is "
        "enrolled here is left alone, so it may be interrupted, and run again. Logins go on "
        "meanwhile. The exit status is 1 if there are secrets that cannot be read."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "source", metavar="SOURCE", choices=tuple(SOURCES), help=f"One of {', '.join(SOURCES)}."
        )
        parser.add_argument("--dry-run", action="store_true", help="Count, and write nothing.")

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
        if any(tally.counts["unreadable"] for tally in tallies):
            raise CommandError(UNREADABLE)

    def _run(self, tallies: list[Tally], options: dict[str, Any]) -> None:
        """Take everything over. There is a tally in ``tallies`` once that has begun."""
        progress = Progress(self.stdout, wordy=options["verbosity"] > 1)
        name, dry_run = options["source"], options["dry_run"]
        try:
            for tally in import_factors(name, options["database"], dry_run=dry_run):
                tallies[:] = [tally]
                if options["verbosity"]:
                    progress.show("Devices", tally)
                reset_queries()  # DEBUG keeps the last 9000, and ours are long
        except SourceMissing:
            source = SOURCES[name]
            raise CommandError(MISSING.format(package=source.package, app=source.app)) from None
        finally:
            progress.clear()

    def _report(self, tallies: list[Tally], options: dict[str, Any]) -> None:
        for tally in tallies:
            verb = "Would take over" if options["dry_run"] else "Took over"
            lines = [f"{verb} the apps of {tally.imported} users.", *tally.sentences]
            lines += [CODES.format(count=tally.codes)] if tally.codes else []
            lines += [tally.remark] if tally.remark else []
            self.say("\n".join(map(self.printable, lines)), options)
