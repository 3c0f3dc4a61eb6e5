from typing import Any

from django.core.management.base import CommandError, CommandParser

from django_totp.exceptions import TotpNotEnrolled
from django_totp.management.base import UserCommand
from django_totp.operations.support import act_upon, enrollment_of
from django_totp.recovery import allow_recovery

CHANGED = (
    "The enrollment was replaced or removed while you were asked, and nothing was done. See "
    "totp_status, and decide again."
)


class Command(UserCommand):
    help = (
        "Let a user who has lost the authenticator, with the backup codes, set up a new one at "
        "the next login with the password. Until then the old one counts. Make sure who it is "
        "that asks. The exit status is 1 if there is nothing to recover."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        self.add_reason(parser)
        self.add_yes(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        user = self.find_user(options)
        seen = enrollment_of(user, using=options["database"])  # fails before it asks
        name = self.name_of(user)
        self.confirm(f"Let {name} set up a new authenticator with the password alone?", options)
        try:
            act_upon(seen, allow_recovery, user=user, reason=options["reason"])
        except TotpNotEnrolled:
            raise CommandError(CHANGED) from None
        self.say(f"{name} may set up a new authenticator now, for seven days.", options)
