"""docs/operating.md: its commands, actions and permissions are those of the code."""

import re
from dataclasses import fields

from django.contrib import admin
from django.core.management import get_commands

from django_totp.admin import (
    ALLOW_RECOVERY,
    END_SESSIONS,
    REMOVE_DEVICES,
    RESET,
    UNLOCK,
    TotpAdmin,
)
from django_totp.models import Account, Totp
from django_totp.operations.support import Duty

from .markdown import ROOT

PAGE = (ROOT / "docs/operating.md").read_text()


def test_names_every_command():
    ours = {name for name, app in get_commands().items() if app == "django_totp"}
    assert set(re.findall(r"^\| `manage.py (\w+)", PAGE, re.MULTILINE)) == ours


def test_names_the_actions_and_their_permissions():
    rows = re.findall(r"^\| ([A-Z][^|`]+) \| `(\w+)` \|", PAGE, re.MULTILINE)
    assert {title for title, _ in rows} == {
        str(remedy.title)
        for remedy in (RESET, ALLOW_RECOVERY, UNLOCK, END_SESSIONS, REMOVE_DEVICES)
    }
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
