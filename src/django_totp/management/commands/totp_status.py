from typing import Any

from django_totp.management.base import UserCommand, show
from django_totp.operations.support import (
    AccountStatus,
    Status,
    account_status_of,
    status_of,
)

NOT_YET = "yes, and it will be noted at the next login"


class Command(UserCommand):
    help = (
        "Show how the two-factor authentication of a user stands, whether there must be one, and "
        "which logins count; never a secret or a code. The exit status is 1 if there is no such "
        "user or no enrollment."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        user, using = self.find_user(options), options["database"]
        account = account_status_of(user, using=using)
        facts = [(name, self.printable(fact)) for name, fact in _facts_of_account(account)]
        try:
            facts = [*_facts(status_of(user, using=using)), *facts]
        finally:  # who has no enrollment may have to have one
            lines = [self.name_of(user), *(f"  {name:15}{fact}" for name, fact in facts)]
            self.say("\n".join(lines), options)


def _facts(status: Status) -> list[tuple[str, str]]:
    return [
        ("State", status.state.value),
        ("Set up", show(status.created_at)),
        ("Enabled since", show(status.enabled_since, "not enabled")),
        ("Last verified", show(status.last_verified_at, "never")),
        ("Waiting until", _wait(status)),
        ("Failures", f"{status.failures} wrong codes in a row"),
        ("Backup codes", f"{status.codes.left} of {status.codes.total} left"),
        *_changes(status),
    ]


def _changes(status: Status) -> list[tuple[str, str]]:
    """Return what is to become of the enrollment, if anything is."""
    facts = [("Replacement", "begun, not confirmed yet")] * status.is_being_replaced
    if status.recovery_ready_at is not None:
        whose = "an administrator has allowed it" if status.is_recovery_allowed else "by mail"
        facts += [("Recovery", f"from {show(status.recovery_ready_at)} on, {whose}")]
    return facts


def _wait(status: Status) -> str:
    if status.refused_until is not None:
        return (
            f"{show(status.refused_until)}: the server's clock was once ahead, and codes are "
            "refused until it is there again; totp_unlock ends it"
        )
    if status.is_capped:
        return "a backup code, totp_unlock or totp_reset ends it"
    return show(status.waiting_until, "not waiting")


def _facts_of_account(account: AccountStatus) -> list[tuple[str, str]]:
    facts = [("Required", _required(account))]
    if account.is_required and account.required_from != account.required_since:
        facts += [("In grace until", show(account.required_from))]
    if account.exempt_until:
        facts += [("Exempt until", f"{account.exempt_until} ({account.exempt_reason})")]
    begin = account.logins_count_from
    return [*facts, ("Logins count", f"from {show(begin)} on" if begin else "all")]


def _required(account: AccountStatus) -> str:
    if account.is_required is None:
        return "nobody can tell: a word of TOTP_REQUIRED_FOR fails, and the log tells why"
    if not account.is_required:
        return "no"
    return f"yes, since {show(account.required_since)}" if account.required_since else NOT_YET
