"""docs/key-rotation.md: its settings, its program, and its numbers are those of the code."""

import os

import pytest
from cryptography.fernet import Fernet

from django_totp.backup_code_utils import generate_backup_codes, store_backup_codes
from django_totp.checks.database import SAMPLE
from django_totp.encryption import encrypt
from django_totp.management.commands.totp_reencrypt import MAX_BATCH_SIZE
from django_totp.models import BackupCode, Totp
from django_totp.operations.reencryption import BATCH_SIZE, PAUSES
from django_totp.operations.reencryption.tables import LISTED
from tests import markdown

PAGE = "docs/key-rotation.md"


def settings_in(block, monkeypatch):
    """Return the settings of a block, with the old key ``old`` and the new one ``new``."""
    for name in ("old", "new"):
        monkeypatch.setenv(f"{name.upper()}_TOTP_ENCRYPTION_KEY", name)
    names = markdown.run(block, os=os)
    return names["TOTP_ENCRYPTION_KEY"], names["TOTP_ENCRYPTION_KEY_FALLBACKS"]


def test_the_settings_of_each_step(monkeypatch):
    first, second, _ = markdown.blocks(markdown.read(PAGE), "python")
    assert settings_in(first, monkeypatch) == ("old", ["new"])
    assert settings_in(second, monkeypatch) == ("new", ["old"])


@pytest.mark.django_db
def test_the_program_for_a_lost_key_removes_what_cannot_be_read(enrolled_user, make_user, settings):
    settings.TOTP_ENCRYPTION_KEY = Fernet.generate_key()
    bob = make_user("bob")
    Totp.objects.create(user=bob, secret_key=encrypt("readable"))
    store_backup_codes(bob, generate_backup_codes())
    *_, program = markdown.blocks(markdown.read(PAGE), "python")
    markdown.run(program)
    assert [totp.user for totp in Totp.objects.all()] == [bob]
    assert {code.totp.user for code in BackupCode.objects.all()} == {bob}


@pytest.mark.parametrize(
    "words",
    [
        f"at once: 1 to {MAX_BATCH_SIZE}, by default {BATCH_SIZE}",
        f"it names the first {LISTED} by primary key",
        f"comes back to them, for {int(sum(PAUSES))} seconds",
        f"looks at up to {4 * SAMPLE} rows",
    ],
)
def test_numbers_are_those_of_the_code(words):
    assert words in markdown.sentences(PAGE)
