import json
from typing import Any

from django.core.management.base import CommandError, CommandParser

from django_totp.management.base import EnglishCommand
from django_totp.operations.audit import Finding, side_doors, stale_allowances


class Command(EnglishCommand):
    help = (
        "List the URLs of this project that give a session or a token and never ask for the "
        "second factor. Each comes with the view, the reason and what to do. The exit status is "
        "1 if there is one, and 0 otherwise. To allow a view, name it in the setting "
        "TOTP_AUDIT_ALLOWED, with a reason."
    )
    requires_system_checks = ()  # it must also work in a project that is not perfect yet

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--format", choices=["table", "json"], default="table", help="Default: table."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            findings, stale = side_doors(), stale_allowances()
        except Exception as error:  # the URLconf is the project's own code
            reason = f"{type(error).__name__}: {error}"
            raise CommandError(f"The URLs of this project cannot be loaded. {reason}") from error
        in_json = options["format"] == "json"
        self.stdout.write(_json(findings) if in_json else _table(findings))
        for view in stale:
            notice = f"TOTP_AUDIT_ALLOWED names {view}, which is no way in: remove the entry."
            self.stderr.write(self.style.NOTICE(notice))
        if findings:
            raise CommandError(_summary(len(findings)))


def _json(findings: list[Finding]) -> str:
    return json.dumps([finding.as_dict() for finding in findings], indent=2)


def _table(findings: list[Finding]) -> str:
    if not findings:
        return "Every way in that was found asks for the second factor, or is allowed."
    return "\n\n".join(
        f"{finding.url}\n  view  {finding.view}\n  why   {finding.why}\n  do    {finding.hint}"
        for finding in findings
    )


def _summary(count: int) -> str:
    return (
        "1 way in never asks for the second factor."
        if count == 1
        else f"{count} ways in never ask for the second factor."
    )
