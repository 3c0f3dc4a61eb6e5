"""``manage.py check --database``: can the configured keys read what is stored?"""

import io

import pytest
from cryptography.fernet import Fernet
from django.core.checks import INFO, Tags, run_checks
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_totp.backup_code_utils import generate_backup_codes, store_backup_codes
from django_totp.checks.database import SAMPLE, check_adoption, check_stored_rows
from django_totp.encryption import encrypt
from django_totp.models import BackupCode, Totp

pytestmark = pytest.mark.django_db


def check(databases=("default",)):
    """Return the messages of this package."""
    messages = run_checks(tags=[Tags.database], databases=databases)
    return [message for message in messages if message.id.startswith("django_totp.")]


@pytest.fixture
def lose_key(settings):
    """Return a function that replaces the key, without keeping the old one."""

    def lose_key():
        settings.TOTP_ENCRYPTION_KEY = Fernet.generate_key()

    return lose_key


def test_rows_that_can_be_read_are_no_news(enrolled_user, settings):
    assert check() == []
    settings.TOTP_ENCRYPTION_KEY_FALLBACKS = [settings.TOTP_ENCRYPTION_KEY]
    settings.TOTP_ENCRYPTION_KEY = Fernet.generate_key()
    assert check() == []


def test_rows_that_no_key_reads_are_named(enrolled_user, lose_key):
    lose_key()
    secrets, codes = check()
    assert {secrets.id, codes.id} == {"django_totp.W090"}
    pks = BackupCode.objects.order_by("pk").values_list("pk", flat=True)
    assert secrets.msg.endswith(f"'default', by primary key: {Totp.objects.get().pk}.")
    assert codes.msg.endswith(f"'default', by primary key: {', '.join(map(str, pks))}.")
    assert "TOTP_ENCRYPTION_KEY_FALLBACKS" in codes.hint


def test_one_row_is_enough(enrolled_user):
    first = BackupCode.objects.order_by("pk").first()
    BackupCode.objects.filter(pk=first.pk).update(code="no token")
    [message] = check()
    assert "1 backup codes" in message.msg
    assert message.msg.endswith(f": {first.pk}.")


@pytest.mark.parametrize("place", [0, -1])
def test_the_oldest_and_the_newest_are_looked_at(enrolled_user, settings, place):
    settings.TOTP_MAX_BACKUP_CODES = 2 * SAMPLE + 3
    store_backup_codes(enrolled_user, generate_backup_codes())
    pks = list(BackupCode.objects.order_by("pk").values_list("pk", flat=True))
    BackupCode.objects.filter(pk=pks[SAMPLE + 1]).update(code="no token")
    assert check() == []
    BackupCode.objects.filter(pk=pks[place]).update(code="no token")
    assert len(check()) == 1


def test_it_takes_a_bounded_number_of_queries(enrolled_user):
    with CaptureQueriesContext(connection) as queries:
        check_stored_rows(databases=["default"])
    samples = [query["sql"] for query in queries if "ORDER BY" in query["sql"]]
    assert sum("django_totp_" in sql and "LIMIT 25" in sql for sql in samples) == 6
    assert len(queries) < 40
    with CaptureQueriesContext(connection) as queries:
        check_adoption(databases=["default"])
    assert sum("django_totp_backupcode" in query["sql"] for query in queries) == 1


@pytest.mark.parametrize("databases", [[], ()])  # None is all of them from Django 6.1 on
def test_no_database_is_asked_that_is_not_named(enrolled_user, lose_key, databases):
    lose_key()
    assert check(databases) == []


def test_keys_that_are_wrong_are_left_to_their_own_check(enrolled_user, settings):
    settings.TOTP_ENCRYPTION_KEY = "no key"
    assert check() == []


def test_tables_that_are_not_there_yet_are_no_news(monkeypatch, lose_key, enrolled_user):
    lose_key()
    monkeypatch.setattr(connection.introspection, "table_names", lambda: [])
    assert check() == []


def test_a_database_that_has_no_such_tables_is_left_alone(enrolled_user, lose_key, settings):
    class Router:
        def allow_migrate(self, db, app_label, **hints):
            return app_label != "django_totp"

    lose_key()
    settings.DATABASE_ROUTERS = [Router()]
    assert check() == []


def test_enrollments_of_1_1_are_counted(enrolled_user, make_user):
    Totp.objects.create(user=make_user("grace"), secret_key=encrypt("S"))
    assert check() == []
    Totp.objects.update(confirmed_at=None)
    [message] = check()
    assert message.id == "django_totp.W091"
    assert message.msg.startswith("1 enrollments in the database 'default' were made by")
    assert message.level == INFO


def test_a_database_that_has_not_been_migrated_is_not_asked(enrolled_user, monkeypatch):
    Totp.objects.update(confirmed_at=None)
    monkeypatch.setattr(connection.introspection, "get_table_description", lambda *_: [])
    assert check() == []


def test_the_command_tells(enrolled_user, lose_key):
    lose_key()
    out = io.StringIO()
    call_command("check", databases=["default"], stdout=out, stderr=out)
    assert "django_totp.W090" in out.getvalue()
    out = io.StringIO()
    call_command("check", stdout=out, stderr=out)
    assert "django_totp.W090" not in out.getvalue()
