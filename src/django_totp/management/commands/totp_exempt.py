from datetime import date
from typing import Any

from django.core.management.base import CommandError, CommandParser

from django_totp.management.base import UserCommand
from django_totp.models import Account
from django_totp.moments import today
from django_totp.operations.support import end_exemption, exempt

LONGEST = Account._meta.get_field("exempt_reason").max_length or 0


class Command(UserCommand):
    help = (
        "Let a user do without a second factor for a while, although TOTP_REQUIRED_FOR names the "
        "user; or end that. A second factor that is on is asked for all the same. The exit status "
        "is 1 if there is no such user, or no exemption to end."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--until", metavar="DATE", help="The last day, such as 2030-12-31.")
        what.add_argument("--end", action="store_true", help="End the exemption now.")
        parser.add_argument(
            "--reason",
            default="",
            help="Why, for the log and for whoever looks at the user. Needed with --until.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        user, reason, using = self.find_user(options), options["reason"], options["database"]
        name = self.name_of(user)
        if options["end"]:
            end_exemption(user, reason=reason, using=using)
            self.say(f"{name} is not exempt any more.", options)
            return
        until = _day(options["until"])
        exempt(user, until, reason=_reason(reason), using=using)
        self.say(f"{name} is exempt up to and including {until}.", options)


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise CommandError(f"--until must be a date such as 2030-12-31, not {text!r}.") from None
    if day < today():
        raise CommandError(f"--until must be today or later, not {day}.")
    return day


def _reason(text: str) -> str:
    reason = text.strip()
    if not 0 < len(reason) <= LONGEST:
        raise CommandError(f"--reason must have from 1 to {LONGEST} characters.")
    if not _is_storable(reason):
        raise CommandError("--reason has characters that a database cannot hold.")
    return reason


def _is_storable(text: str) -> bool:
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False
