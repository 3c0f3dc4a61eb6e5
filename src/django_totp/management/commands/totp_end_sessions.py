from typing import Any

from django.core.management.base import CommandParser

from django_totp.auth import end_sessions
from django_totp.management.base import UserCommand


class Command(UserCommand):
    help = (
        "End all logins of a user, with or without two-factor authentication: whoever is signed "
        "in must log in again, password and all. The second factor stays. The exit status is 1 if "
        "there is no such user or the answer is no."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        self.add_reason(parser)
        self.add_yes(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        user = self.find_user(options)
        name = self.name_of(user)
        self.confirm(f"End all logins of {name}?", options)
        end_sessions(user, reason=options["reason"], using=options["database"])
        self.say(f"All logins of {name} were ended.", options)
