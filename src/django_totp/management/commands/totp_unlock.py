from typing import Any

from django.core.management.base import CommandParser

from django_totp.management.base import UserCommand
from django_totp.totp import end_wait


class Command(UserCommand):
    help = (
        "Forget the wrong codes of a user, so that TOTP codes are accepted again at once. The "
        "enrollment stays. The exit status is 1 if there is no such user or no enrollment."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        self.add_reason(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        user = self.find_user(options)
        end_wait(user, reason=options["reason"], using=options["database"])
        self.say(f"TOTP codes of {self.name_of(user)} are accepted again.", options)
