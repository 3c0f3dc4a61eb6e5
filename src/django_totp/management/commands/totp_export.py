import os
import sys
from typing import Any, NoReturn

from django.core.management.base import CommandError, CommandParser

from django_totp.management.base import DatabaseCommand, confirms
from django_totp.operations.export import Export

QUESTION = "Write the secrets of all second factors, in the clear?"
TERMINAL = "Secrets do not belong on a screen: send the output to a file or to a program."
LISTED = 20
CLOSED = "Standard output is closed: send it to a file or to a program."
BROKEN_PIPE = 141  # as the shell has it of who was ended by SIGPIPE


class Command(DatabaseCommand):
    help = (
        "Write all confirmed enrollments to standard output, with their secrets in the clear: one "
        "JSON object a line. Whoever has that can log in as everybody whose password they know. "
        "The exit status is 1 if there are secrets that cannot be read."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--yes", action="store_true", help="Do not ask for confirmation.")

    def handle(self, *args: Any, **options: Any) -> None:
        self._refuse_output()
        if not options["yes"] and not confirms(QUESTION, out=self.stderr):
            raise CommandError("Nothing was written.")
        export = Export(options["database"])
        try:
            for line in export:
                self.stdout.write(line)
            self.stdout.flush()
        except BrokenPipeError:
            if self.out is not sys.stdout:
                raise
            _leave()
        _refuse_leftovers(export)

    def _refuse_output(self) -> None:
        """Raise CommandError where secrets must not go, or nothing can."""
        if self.out is None:  # as Python has an output that was closed before
            raise CommandError(CLOSED)
        if self.stdout.isatty():
            raise CommandError(TERMINAL)


def _leave() -> NoReturn:
    """End, for nobody reads on, without a word of the interpreter's at its exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(BROKEN_PIPE)


def _refuse_leftovers(export: Export) -> None:
    """Raise CommandError if there are secrets that were not written."""
    if not export.unreadable:
        return
    pks, more = export.unreadable[:LISTED], len(export.unreadable) - LISTED
    raise CommandError(
        "These TOTP enrollments have no secret that a configured key can read, by primary key: "
        f"{', '.join(map(str, pks))}{f' and {more} more' if more > 0 else ''}."
    )
