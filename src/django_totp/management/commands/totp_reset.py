from typing import Any

from django.core.management.base import CommandError, CommandParser

from django_totp.auth import reset_totp
from django_totp.exceptions import TotpNotEnrolled
from django_totp.management.base import UserCommand
from django_totp.operations.support import act_upon, enrollment_of

CHANGED = (
    "The enrollment was replaced or removed while you were asked, and nothing was done. See "
    "totp_status, and decide again."
)


class Command(UserCommand):
    help = (
        "Remove the two-factor authentication of a user who has lost the authenticator, with the "
        "backup codes, and end all logins. The user signs in with the password alone until "
        "enrolling again: make sure who it is that asks. The exit status is 1 if there is nothing "
        "to remove."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        self.add_reason(parser)
        self.add_yes(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        user = self.find_user(options)
        seen = enrollment_of(user, using=options["database"])  # fails before it asks
        name = self.name_of(user)
        self.confirm(f"Reset two-factor authentication of {name}?", options)
        try:
            act_upon(seen, reset_totp, user=user, reason=options["reason"])
        except TotpNotEnrolled:
            raise CommandError(CHANGED) from None
        self.say(f"Two-factor authentication of {name} was reset.", options)
