from collections.abc import Iterator
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError, CommandParser

from django_totp.management.base import DatabaseCommand
from django_totp.management.batches import BatchCommand
from django_totp.operations.importers import SOURCES, SourceMissing, Tally, import_factors
from django_totp.operations.support import find_user

MISSING = (
    "{package}'s tables are not here: put {app} back in INSTALLED_APPS while you import, and "
    "migrate."
)
CODES = (
    "{count} of the source's records of backup codes stay behind: they are too short, or only "
    "hashes are stored. People have none here until they make new ones."
)
UNREADABLE = (
    "The secrets of some rows could not be read, by primary key: {keys}. Nothing is lost at the "
    "source."
)


class Command(BatchCommand, DatabaseCommand):
    help = (
        "Take over the authenticator apps that people have set up with another package. Who is "
        "enrolled here is left alone, and so is who was taken over before: it may be "
        "interrupted, and run again. Logins go on meanwhile. The exit status is 1 if there are "
        "secrets that cannot be read."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "source", metavar="SOURCE", choices=tuple(SOURCES), help=f"One of {', '.join(SOURCES)}."
        )
        parser.add_argument("--dry-run", action="store_true", help="Count, and write nothing.")
        parser.add_argument(
            "--again",
            metavar="USER",
            action="append",
            default=[],
            help=(
                "A user who was taken over before and has no enrollment now: take the app over "
                f"that is at the source, all the same. Named by {get_user_model().USERNAME_FIELD}, "
                "as often as there are users."
            ),
        )

    def batches(self, options: dict[str, Any]) -> Iterator[Tally]:
        name, using, dry_run = options["source"], options["database"], options["dry_run"]
        again = {find_user(user, using=using).pk for user in options["again"]}
        try:
            yield from import_factors(name, using, again=again, dry_run=dry_run)
        except SourceMissing:
            source = SOURCES[name]
            raise CommandError(MISSING.format(package=source.package, app=source.app)) from None

    def kind(self, tally: Tally) -> str:
        return "Devices"

    def report(self, tallies: list[Tally], options: dict[str, Any]) -> None:
        for tally in tallies:
            verb = "Would take over" if options["dry_run"] else "Took over"
            users = "user" if tally.imported == 1 else "users"
            lines = [f"{verb} the apps of {tally.imported} {users}.", *tally.sentences]
            lines += [CODES.format(count=tally.codes)] if tally.codes else []
            lines += [tally.remark] if tally.remark else []
            self.stdout.write("\n".join(map(self.printable, lines)))

    def refuse_leftovers(self, tallies: list[Tally]) -> None:
        """Raise CommandError if there are secrets that could not be read."""
        for tally in tallies:
            if tally.counts["unreadable"]:
                raise CommandError(UNREADABLE.format(keys=tally.keys("unreadable")))
