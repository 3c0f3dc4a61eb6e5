"""What the commands about one user share: which user, in which database, and errors."""

from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections
from django.utils.timezone import is_aware, localtime

from django_totp.exceptions import TotpError
from django_totp.operations.support import find_user
from django_totp.users import name_of


class DatabaseCommand(BaseCommand):
    """A command that works on the database which the routers name, or on another."""

    requires_system_checks = ()  # as changepassword: help must not wait for a perfect project

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--database",
            metavar="ALIAS",
            choices=tuple(connections),
            help="The database to work on. By default the one that the routers name.",
        )


class UserCommand(DatabaseCommand):
    """A command about one user, whom it finds by USERNAME_FIELD or by primary key."""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        who = parser.add_mutually_exclusive_group(required=True)
        name = get_user_model().USERNAME_FIELD
        who.add_argument("user", nargs="?", metavar="USER", help=f"The {name} of the user.")
        who.add_argument("--pk", help="The primary key of the user, instead of USER.")

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except TotpError as error:
            raise CommandError(str(error)) from error

    def find_user(self, options: dict[str, Any]) -> AbstractBaseUser:
        return find_user(options["user"], pk=options["pk"], using=options["database"])

    def name_of(self, user: AbstractBaseUser) -> str:
        """Return what ``user`` is called, as text that a terminal takes for nothing else."""
        out = getattr(self.stdout, "_out", self.stdout)  # before 5.1 Django's wrapper has none
        return printable(name_of(user), getattr(out, "encoding", None) or "utf-8")

    def add_reason(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--reason", default="", help="Why, for the log. Do not put a secret here."
        )

    def say(self, text: str, options: dict[str, Any]) -> None:
        """Write ``text`` unless ``--verbosity 0`` asks for silence."""
        if options["verbosity"] > 0:
            self.stdout.write(text)


def printable(text: str, encoding: str = "utf-8") -> str:
    """Return ``text`` with what a terminal does not show as a letter escaped.

    That is what steers the terminal or the direction of writing, for a name is chosen by its
    owner and read by whoever is about to decide, and what ``encoding`` does not have.
    """
    shown = "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )
    return shown.encode(encoding, "backslashreplace").decode(encoding)


def show(moment: datetime | None, otherwise: str = "") -> str:
    """Return ``moment`` in the time zone of the project, with its offset."""
    if moment is None:
        return otherwise
    local = localtime(moment) if is_aware(moment) else moment
    return local.isoformat(sep=" ", timespec="seconds")
