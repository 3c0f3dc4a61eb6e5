import csv
import io
import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser

from django_totp.management.base import DatabaseCommand
from django_totp.operations.support import FEW_CODES, Adoption, Duty, adoption, duties

NOTES = (
    "",
    "enabled: logins ask for a second factor",
    "pending: set up, and can still be confirmed",
    "waiting: TOTP codes are refused after too many wrong ones",
    f"low on codes: enabled, with fewer than {FEW_CODES} unused backup codes",
)
NOTES_OF_DUTIES = (
    "required: named by TOTP_REQUIRED_FOR, enrolled or not, exempt or not",
    "in grace: required and not enabled, and may still log in without",
    "overdue: required and not enabled, and must enroll to log in",
    "exempt: required and not enabled, and exempt today",
)


class Command(DatabaseCommand):
    help = (
        "Report how many users have two-factor authentication on: all, and those who are active, "
        "staff or superusers as far as the user model knows. With TOTP_REQUIRED_FOR also how many "
        "must have it, and of those without it how many are in grace, overdue and exempt. With "
        "millions of users it takes a while."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--format", choices=["table", "json", "csv"], default="table", help="Default: table."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        using = options["database"]
        required = duties(using=using)
        groups = [_facts(group, required.get(group.group)) for group in adoption(using=using)]
        if options["format"] == "json":
            self.stdout.write(json.dumps(groups, indent=2))
        elif options["format"] == "csv":
            self.stdout.write(_csv(groups))
        else:
            self.stdout.write(_table(groups, options["verbosity"]))


def _facts(group: Adoption, duty: Duty | None) -> dict[str, Any]:
    facts = {**asdict(group), "percent_enabled": group.percent_enabled}
    return facts if duty is None else {**facts, **asdict(duty)}


def _csv(groups: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, groups[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(groups)
    return text.getvalue()


def _table(groups: list[dict[str, Any]], verbosity: int) -> str:
    headings = [name.replace("_", " ") for name in groups[0]]
    rows = [headings, *([str(fact) for fact in group.values()] for group in groups)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_line(row, widths) for row in rows]
    notes = [*NOTES, *(NOTES_OF_DUTIES if "required" in groups[0] else ())]
    return "\n".join([*lines[verbosity < 1 :], *(notes if verbosity > 1 else ())])


def _line(row: list[str], widths: list[int]) -> str:
    group, *facts = zip(row, widths, strict=True)
    return "  ".join([group[0].ljust(group[1]), *(fact.rjust(width) for fact, width in facts)])
