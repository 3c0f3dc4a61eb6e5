"""docs/operating.md: its commands, actions and permissions are those of the code."""

import re
from dataclasses import fields

from django.contrib import admin
from django.core.management import get_commands, load_command_class

from django_totp.admin import (
    ALLOW_RECOVERY,
    END_SESSIONS,
    REMOVE_DEVICES,
    RESET,
    STOP_RECOVERY,
    UNLOCK,
    TotpAdmin,
)
from django_totp.conf import conf
from django_totp.models import Account, Totp
from django_totp.operations.support import Duty

from .markdown import ROOT, blocks, sections, sentences

REMEDIES = (RESET, ALLOW_RECOVERY, STOP_RECOVERY, UNLOCK, END_SESSIONS, REMOVE_DEVICES)
PAGE = (ROOT / "docs/operating.md").read_text()


def test_names_every_command():
    ours = {name for name, app in get_commands().items() if app == "django_totp"}
    assert set(re.findall(r"^\| `manage.py (\w+)", PAGE, re.MULTILINE)) == ours


def test_names_the_actions_and_their_permissions():
    rows = re.findall(r"^\| ([A-Z][^|`]+) \| `(\w+)` \|", PAGE, re.MULTILINE)
    assert {title for title, _ in rows} == {str(remedy.title) for remedy in REMEDIES}
    permissions = [*Totp._meta.permissions, *Account._meta.permissions]
    assert {name for _, name in rows} == {name for name, _ in permissions}


def test_names_every_number_of_the_report():
    rows = re.findall(r"^\| `(\w+)` \| ", PAGE, re.MULTILINE)
    assert rows == [field.name for field in fields(Duty)]


def test_the_subclass_works():
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    try:
        exec(program, {"__name__": "docs"})  # noqa: S102
        registered = admin.site.get_model_admin(Totp)
    finally:
        admin.site.unregister(Totp)
        admin.site.register(Totp, TotpAdmin)
    assert type(registered).__name__ == "ThemedTotpAdmin"
    assert isinstance(registered, TotpAdmin)


def test_the_remedies_that_it_advises_are_actions_of_the_admin():
    advice = sections(PAGE, 2)["When somebody asks for help"]
    named = set(re.findall(r"\*\*([^*]+)\*\*", advice))
    assert named == {str(remedy.title) for remedy in REMEDIES}


def test_what_cron_runs_are_commands():
    [lines] = blocks(PAGE, "text")
    for line in lines.splitlines():
        *_, command = line.partition("manage.py ")
        name, *options = command.split()
        load_command_class(get_commands()[name], name).create_parser("", name).parse_args(options)


def test_the_numbers_it_gives_are_the_defaults():
    text = sentences("docs/operating.md")
    assert "the wait is 15 minutes at most" in text
    assert conf.TOTP_LOCKOUT_MAX_SECONDS == 15 * 60
    assert "After a hundred wrong codes" in text
    assert conf.TOTP_FAILURE_CAP == 100
