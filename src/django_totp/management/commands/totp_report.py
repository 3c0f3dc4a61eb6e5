import csv
import io
import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser

from django_totp.management.base import DatabaseCommand
from django_totp.operations.support import FEW_CODES, Adoption, adoption

NOTES = (
    "",
    "enabled: logins ask for a second factor",
    "pending: set up, and can still be confirmed",
    "waiting: TOTP codes are refused after too many wrong ones",
    f"low on codes: enabled, with fewer than {FEW_CODES} unused backup codes",
)


class Command(DatabaseCommand):
    help = (
        "Report how many users have two-factor authentication on: all, and those who are active, "
        "staff or superusers as far as the user model knows. The database counts; with millions "
        "of users it takes a while."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--format", choices=["table", "json", "csv"], default="table", help="Default: table."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        groups = [_facts(group) for group in adoption(using=options["database"])]
        if options["format"] == "json":
            self.stdout.write(json.dumps(groups, indent=2))
        elif options["format"] == "csv":
            self.stdout.write(_csv(groups))
        else:
            self.stdout.write(_table(groups, options["verbosity"]))


def _facts(group: Adoption) -> dict[str, Any]:
    return {**asdict(group), "percent_enabled": group.percent_enabled}


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
    return "\n".join([*lines[verbosity < 1 :], *(NOTES if verbosity > 1 else ())])


def _line(row: list[str], widths: list[int]) -> str:
    group, *facts = zip(row, widths, strict=True)
    return "  ".join([group[0].ljust(group[1]), *(fact.rjust(width) for fact, width in facts)])
