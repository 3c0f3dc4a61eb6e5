from typing import Any

from django_totp.management.base import UserCommand, show
from django_totp.operations.support import Status, status_of


class Command(UserCommand):
    help = (
        "Show how the two-factor authentication of a user stands; never a secret or a code. "
        "The exit status is 1 if there is no such user or no enrollment."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        user = self.find_user(options)
        status = status_of(user, using=options["database"])
        lines = [self.name_of(user), *(f"  {name:15}{fact}" for name, fact in _facts(status))]
        self.say("\n".join(lines), options)


def _facts(status: Status) -> list[tuple[str, object]]:
    return [
        ("State", status.state.value),
        ("Set up", show(status.created_at)),
        ("Enabled since", show(status.enabled_since, "not enabled")),
        ("Last verified", show(status.last_verified_at, "never")),
        ("Waiting until", _wait(status)),
        ("Failures", f"{status.failures} wrong codes in a row"),
        ("Backup codes", f"{status.codes.left} of {status.codes.total} left"),
    ]


def _wait(status: Status) -> str:
    if status.refused_until is not None:
        return (
            f"{show(status.refused_until)}: the server's clock was once ahead, and codes are "
            "refused until it is there again; totp_unlock ends it"
        )
    if status.is_capped:
        return "a backup code, totp_unlock or totp_reset ends it"
    return show(status.waiting_until, "not waiting")
