"""``manage.py totp_audit``: what it prints, and its exit status."""

import json

import pytest
from django.contrib.auth.views import LoginView
from django.core.management import CommandError, call_command
from django.urls import path

from django_totp.management.commands.totp_audit import Command
from tests.test_checks import ADMIN_LOGIN, urls

pytestmark = pytest.mark.usefixtures("unguarded")


ALLOWED = {ADMIN_LOGIN: "Only from the office."}


def test_a_table_and_an_exit_status(capsys):
    with pytest.raises(
        CommandError, match=r"\A1 way in never asks for the second factor\.\Z"
    ) as end:
        call_command("totp_audit")
    assert end.value.returncode == 1
    url, view, why, do = capsys.readouterr().out.splitlines()
    assert (url, view) == ("/admin/login/", f"  view  {ADMIN_LOGIN}")
    assert why == "  why   It turns a password into a session."
    assert do.startswith("  do    ")


def test_findings_are_set_apart(settings, capsys):
    settings.ROOT_URLCONF = urls(path("a/", LoginView.as_view()), path("b/", LoginView.as_view()))
    with pytest.raises(CommandError, match=r"\A2 ways in never ask for the second factor\.\Z"):
        call_command("totp_audit")
    first, second = capsys.readouterr().out.split("\n\n")
    assert first.startswith("/a/\n")
    assert second.startswith("/b/\n")


def test_json(capsys):
    with pytest.raises(CommandError):
        call_command("totp_audit", format="json")
    [finding] = json.loads(capsys.readouterr().out)
    assert list(finding) == ["url", "view", "why", "hint"]
    assert (finding["url"], finding["view"]) == ("/admin/login/", ADMIN_LOGIN)


def test_nothing_is_found(settings, capsys):
    settings.TOTP_AUDIT_ALLOWED = ALLOWED
    call_command("totp_audit")
    captured = capsys.readouterr()
    assert (
        captured.out == "Every way in that was found asks for the second factor, or is allowed.\n"
    )
    assert captured.err == ""


@pytest.mark.parametrize("format", ["table", "json"])
def test_a_stale_entry_is_told_and_no_failure(settings, capsys, format):
    settings.TOTP_AUDIT_ALLOWED = {**ALLOWED, "gone.Login": "Gone."}
    call_command("totp_audit", format=format)
    captured = capsys.readouterr()
    assert captured.err == (
        "TOTP_AUDIT_ALLOWED names gone.Login, which is no way in: remove the entry.\n"
    )
    assert format == "table" or json.loads(captured.out) == []


@pytest.mark.parametrize(
    ("urlconf", "reason"),
    [
        ("tests.no_such_module", r"ModuleNotFoundError: No module named 'tests\.no_such_module'"),
        ("tests.run", r"ImproperlyConfigured: .+tests\.run"),
    ],
)
def test_urls_that_cannot_be_loaded(settings, urlconf, reason):
    settings.ROOT_URLCONF = urlconf
    wanted = rf"\AThe URLs of this project cannot be loaded\. {reason}"
    with pytest.raises(CommandError, match=wanted):
        call_command("totp_audit")


def test_a_project_without_urls(settings):
    del settings.ROOT_URLCONF
    with pytest.raises(CommandError, match=r"cannot be loaded\. AttributeError"):
        call_command("totp_audit")


def test_help(capsys):
    with pytest.raises(SystemExit) as end:
        Command().create_parser("manage.py", "totp_audit").parse_args(["--help"])
    assert end.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "never ask for the second factor" in text
    assert "TOTP_AUDIT_ALLOWED" in text
    assert "--format {table,json}" in text
