"""What the commands share: which user, in which database, the question, and errors."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser, OutputWrapper
from django.db import connections
from django.utils import translation
from django.utils.timezone import is_aware, localtime

from django_totp.exceptions import TotpError, TotpNotEnrolled
from django_totp.operations.support import act_upon, enrollment_of, find_user
from django_totp.users import name_of

CHANGED = (
    "The enrollment was replaced or removed while you were asked, and nothing was done. See "
    "totp_status, and decide again."
)


class EnglishCommand(BaseCommand):
    """A command that speaks English in every project: for logs, scripts and whoever helps.

    What is wrong with the project or with an argument is a sentence, without a traceback.
    """

    def execute(self, *args: Any, **options: Any) -> str | None:
        with translation.override(None):
            try:
                return super().execute(*args, **options)
            except (TotpError, ImproperlyConfigured) as error:
                raise CommandError(str(error)) from error


class DatabaseCommand(EnglishCommand):
    """A command that works on the database which the routers name, or on another."""

    requires_system_checks = ()  # as changepassword: help must not wait for a perfect project

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--database",
            metavar="ALIAS",
            choices=tuple(connections),
            help="The database to work on. By default the one that the routers name.",
        )

    @property
    def out(self) -> Any:
        """Return the file that the output goes to: ``None`` if it was closed before."""
        return getattr(self.stdout, "_out", self.stdout)  # before 5.1 Django's wrapper has none

    def printable(self, text: str) -> str:
        """Return ``text`` as the terminal can show it, and takes it for nothing else."""
        return printable(text, getattr(self.out, "encoding", None) or "utf-8")

    def say(self, text: str, options: dict[str, Any]) -> None:
        """Write ``text`` unless ``--verbosity 0`` asks for silence."""
        if options["verbosity"] > 0:
            self.stdout.write(text)


class UserCommand(DatabaseCommand):
    """A command about one user, whom it finds by USERNAME_FIELD or by primary key."""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        who = parser.add_mutually_exclusive_group(required=True)
        name = get_user_model().USERNAME_FIELD
        who.add_argument("user", nargs="?", metavar="USER", help=f"The {name} of the user.")
        who.add_argument("--pk", help="The primary key of the user, instead of USER.")

    def find_user(self, options: dict[str, Any]) -> AbstractBaseUser:
        return find_user(options["user"], pk=options["pk"], using=options["database"])

    def name_of(self, user: AbstractBaseUser) -> str:
        """Return what ``user`` is called, as text that a terminal takes for nothing else."""
        return self.printable(name_of(user))

    def add_reason(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--reason", default="", help="Why, for the log. Do not put a secret here."
        )

    def add_yes(self, parser: CommandParser) -> None:
        parser.add_argument("--yes", action="store_true", help="Do not ask for confirmation.")

    def confirm(self, question: str, options: dict[str, Any]) -> None:
        """Ask ``question``, unless ``--yes`` answers it. Raise CommandError if it is no yes."""
        if not options["yes"] and not confirms(question):
            raise CommandError("Nothing was changed.")


class EnrollmentCommand(UserCommand):
    """A command that asks, and then does something to the enrollment that was there before."""

    question: str  # with the ``name`` of the user in it, as in ``done``
    done: str
    act: Callable[..., None]

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        self.add_reason(parser)
        self.add_yes(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        user = self.find_user(options)
        seen = enrollment_of(user, using=options["database"])  # fails before it asks
        name = self.name_of(user)
        self.confirm(self.question.format(name=name), options)
        try:
            act_upon(seen, type(self).act, user=user, reason=options["reason"])
        except TotpNotEnrolled:
            raise CommandError(CHANGED) from None
        self.say(self.done.format(name=name), options)


def confirms(question: str, *, out: OutputWrapper | None = None) -> bool:
    """Return whether somebody answers ``question`` with yes. It is written to ``out``, if given."""
    prompt = f"{question} [y/N] "
    if out is not None:
        out.write(prompt, style_func=str, ending="")
        out.flush()
        prompt = ""
    try:
        return input(prompt).strip().lower() in {"y", "yes"}
    except EOFError:
        return False


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
