"""A router that goes by the name of the model."""

import pytest
from django.core.management import call_command
from django.db import connections
from django.db.migrations.recorder import MigrationRecorder

pytestmark = pytest.mark.django_db(databases=["default", "other"], transaction=True)


def test_the_other_database_was_migrated_without_our_tables():
    """The test runner has migrated both."""
    applied = MigrationRecorder(connections["other"]).applied_migrations()
    assert ("django_totp", "0002_attempts_and_digests") in applied
    tables = connections["other"].introspection.table_names()
    assert not [table for table in tables if table.startswith("django_totp")]
    assert "django_totp_totp" in connections["default"].introspection.table_names()


def test_back_and_forth():
    for name in ("0001", "0002"):
        call_command("migrate", "django_totp", name, database="other", verbosity=0)


def test_a_login(login, enrolled_user, secret, otp):
    assert login(enrolled_user, otp_code=otp(secret)).status_code == 200
