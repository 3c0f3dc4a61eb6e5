from typing import Any

from django.core.management.base import CommandError, CommandParser

from django_totp.exceptions import TotpNotEnrolled
from django_totp.management.base import UserCommand
from django_totp.operations.support import act_upon, enrollment_of
from django_totp.totp import disable_totp

CHANGED = (
    "The enrollment was replaced or removed while you were asked, and nothing was done. See "
    "totp_status, and decide again."
)


class Command(UserCommand):
    help = (
        "Remove the two-factor authentication of a user who has lost the authenticator, with the "
        "backup codes. The user signs in with the password alone until enrolling again: make "
        "sure who it is that asks. The exit status is 1 if there is nothing to remove."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        self.add_reason(parser)
        parser.add_argument("--yes", action="store_true", help="Do not ask for confirmation.")

    def handle(self, *args: Any, **options: Any) -> None:
        user = self.find_user(options)
        seen = enrollment_of(user, using=options["database"])  # fails before it asks
        name = self.name_of(user)
        if not options["yes"] and not _confirms(f"Reset two-factor authentication of {name}?"):
            raise CommandError("Nothing was changed.")
        try:
            act_upon(seen, disable_totp, user=user, reason=options["reason"])
        except TotpNotEnrolled:
            raise CommandError(CHANGED) from None
        self.say(f"Two-factor authentication of {name} was reset.", options)


def _confirms(question: str) -> bool:
    try:
        return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        return False
