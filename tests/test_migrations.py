"""From the tables of django-totp 1.1 to ours and back: nobody enrolls again."""

import importlib
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from django.urls import reverse

from django_totp.auth import is_totp_enabled
from django_totp.backup_code_utils import verify_backup_code
from django_totp.encryption import encrypt
from django_totp.models import BackupCode, Totp
from tests.endpoints import BAD_BACKUP, assert_error

pytestmark = pytest.mark.django_db(transaction=True)

OLD = "0001_initial"
TABLES = ["django_totp_backupcode", "django_totp_totp"]


@pytest.fixture
def migrate(transactional_db: None) -> Iterator[Callable[..., Any]]:
    """Return a function that migrates and gives the models as they are then."""

    def migrate(name: str | None = None) -> Any:
        executor = MigrationExecutor(connection)
        targets = [("django_totp", name)] if name else executor.loader.graph.leaf_nodes()
        executor.migrate(targets)
        state = MigrationExecutor(connection).loader.project_state(targets).apps
        return SimpleNamespace(
            Totp=state.get_model("django_totp", "Totp"),
            BackupCode=state.get_model("django_totp", "BackupCode"),
        )

    yield migrate
    with connection.cursor() as cursor:
        for table in TABLES:
            if table in connection.introspection.table_names():
                cursor.execute(f"DELETE FROM {table}")  # noqa: S608
    migrate()


@pytest.fixture
def enroll(migrate: Any) -> Callable[..., Any]:
    """Migrate back, and return a function that enrolls a user as django-totp 1.1 did."""
    old = migrate(OLD)

    def enroll(user: Any, secret: str, codes: list[str], *, key: bytes | None = None) -> Any:
        seal = (lambda text: Fernet(key).encrypt(text.encode()).decode()) if key else encrypt
        totp = old.Totp.objects.create(user_id=user.pk, secret_key=seal(secret))
        rows = [old.BackupCode(totp=totp, code=seal(code)) for code in codes]
        old.BackupCode.objects.bulk_create(rows)
        return totp

    enroll.models = old
    return enroll


def old_codes(number: int = 10) -> list[str]:
    """Return codes as django-totp 1.1 made them, with a dash in the first."""
    return [f"ab-{secrets.token_urlsafe(9)}"[:16], *map(secrets.token_urlsafe, [12] * (number - 1))]


def columns(table: str) -> set[str]:
    with connection.cursor() as cursor:
        return {c.name for c in connection.introspection.get_table_description(cursor, table)}


class TestForwards:
    @pytest.mark.parametrize("target", ["0002_attempts_and_digests", None])
    def test_what_was_enabled_is_confirmed(self, migrate, enroll, user, secret, target):
        enroll(user, secret, old_codes())
        new = migrate(target)
        totp = new.Totp.objects.get()
        assert totp.confirmed_at == totp.created_at
        assert (totp.digits, totp.period, totp.algorithm) == (6, 30, "SHA1")
        assert (totp.failures, totp.waiting_until, totp.last_used_step) == (0, None, None)
        assert not new.BackupCode.objects.filter(digest=None).exists()

    def test_users_log_in_as_before(self, migrate, enroll, login, user, secret, otp):
        codes = old_codes()
        enroll(user, secret, codes)
        migrate()
        assert is_totp_enabled(user)
        assert login(user, otp_code=otp(secret)).status_code == 200
        for typed in (codes[0], codes[1].upper(), codes[2].lower(), f" {codes[3]} "):
            assert login(user, backup_code=typed).status_code == 200
            assert_error(login(user, backup_code=typed), 400, BAD_BACKUP)
        assert BackupCode.objects.filter(is_used=True).count() == 4

    def test_used_codes_stay_used(self, migrate, enroll, login, user, secret):
        codes = old_codes()
        enroll(user, secret, codes)
        first = enroll.models.BackupCode.objects.order_by("pk").first()
        enroll.models.BackupCode.objects.filter(pk=first.pk).update(is_used=True)
        migrate()
        assert_error(login(user, backup_code=codes[0]), 400, BAD_BACKUP)
        assert login(user, backup_code=codes[1]).status_code == 200

    def test_all_codes_used(self, migrate, enroll, login, user, secret, otp):
        enroll(user, secret, old_codes())
        enroll.models.BackupCode.objects.update(is_used=True)
        migrate()
        assert login(user, otp_code=otp(secret)).status_code == 200

    def test_what_was_pending_stays_pending(self, migrate, enroll, signed_in, user, secret, otp):
        enroll(user, secret, [])
        migrate()
        assert Totp.objects.get().confirmed_at is None
        assert not is_totp_enabled(user)
        body = {"input_code": otp(secret)}
        assert signed_in.post(reverse("totp-confirm"), body).status_code == 200

    def test_codes_under_a_fallback_key(self, settings, migrate, enroll, login, user, secret, otp):
        key, codes = Fernet.generate_key(), old_codes()
        enroll(user, secret, codes, key=key)
        settings.TOTP_ENCRYPTION_KEY_FALLBACKS = [key]
        migrate()
        assert login(user, otp_code=otp(secret)).status_code == 200
        assert login(user, backup_code=codes[0]).status_code == 200

    def test_unreadable_codes_are_counted_aloud(self, capsys, migrate, enroll, login, user, secret):
        codes = old_codes()
        totp = enroll(user, secret, codes)
        for unreadable in (Fernet(Fernet.generate_key()).encrypt(b"x").decode(), "no token", ""):
            enroll.models.BackupCode.objects.create(totp=totp, code=unreadable)
        migrate()
        assert "3 unreadable" in capsys.readouterr().out
        assert BackupCode.objects.filter(digest=None).count() == 3
        assert login(user, backup_code=codes[-1]).status_code == 200

    def test_silence_where_all_is_well(self, capsys, migrate, enroll, user, secret):
        enroll(user, secret, old_codes())
        migrate()
        assert capsys.readouterr().out == ""

    def test_a_code_that_stands_there_twice_works_once(
        self, migrate, enroll, login, make_user, user, secret
    ):
        codes = old_codes()
        enroll(user, secret, [codes[0], *codes, codes[1].swapcase()])
        bob = make_user("bob")
        enroll(bob, secret, codes)  # the same codes, of another user
        migrate()
        for code in codes[:2]:
            assert login(user, backup_code=code).status_code == 200
            assert_error(login(user, backup_code=code), 400, BAD_BACKUP)
            assert login(bob, backup_code=code).status_code == 200

    def test_more_codes_than_one_batch(self, capsys, migrate, enroll, make_user, secret):
        """1000 codes a batch: one enrollment lies across the border, another is longer than one."""
        users = [make_user(name) for name in ("ada", "bob", "eve")]
        codes = [[secrets.token_urlsafe(12) for _ in range(n)] for n in (995, 10, 1100)]
        codes[1][5] = codes[1][4]  # rows 1000 and 1001: one code on both sides
        for user, own in zip(users, codes, strict=True):
            enroll(user, secret, own)
        migrate()
        assert BackupCode.objects.filter(digest=None).count() == 1
        for user, own in zip(users, codes, strict=True):
            for place in (0, 4, 6, -1):
                assert verify_backup_code(user, own[place])
        assert verify_backup_code(users[2], codes[2][999])
        assert verify_backup_code(users[2], codes[2][1000])
        assert not verify_backup_code(users[1], codes[1][5])
        assert "unreadable" not in capsys.readouterr().out


class TestKey:
    def test_empty_tables_need_none(self, settings, migrate):
        migrate(OLD)
        settings.TOTP_ENCRYPTION_KEY = None
        migrate()
        assert "digest" in columns("django_totp_backupcode")

    def test_pending_enrollments_need_none(self, settings, migrate, enroll, user, secret):
        enroll(user, secret, [])
        settings.TOTP_ENCRYPTION_KEY = None
        migrate()
        assert Totp.objects.count() == 1

    @pytest.mark.parametrize("key", [None, "no key"])
    def test_without_one_nothing_is_done(self, settings, migrate, enroll, login, user, secret, key):
        codes = old_codes()
        enroll(user, secret, codes)
        good_key, settings.TOTP_ENCRYPTION_KEY = settings.TOTP_ENCRYPTION_KEY, key
        before = [columns(table) for table in TABLES]
        with pytest.raises(ImproperlyConfigured, match="TOTP_ENCRYPTION_KEY"):
            migrate()
        assert [columns(table) for table in TABLES] == before
        applied = MigrationRecorder(connection).applied_migrations()
        assert [name for app, name in applied if app == "django_totp"] == [OLD]
        settings.TOTP_ENCRYPTION_KEY = good_key
        migrate()
        assert login(user, backup_code=codes[0]).status_code == 200


class TestBackwards:
    def test_and_forwards_again(self, migrate, login, enrolled_user, secret, otp, backup_codes):
        assert login(enrolled_user, backup_code=backup_codes[0]).status_code == 200
        old = migrate(OLD)
        assert old.Totp.objects.get().user_id == enrolled_user.pk
        assert old.BackupCode.objects.filter(is_used=False).count() == 9
        assert columns("django_totp_totp") == {"id", "secret_key", "created_at", "user_id"}
        assert columns("django_totp_backupcode") == {
            "id",
            "code",
            "is_used",
            "created_at",
            "totp_id",
        }
        migrate()
        assert login(enrolled_user, otp_code=otp(secret)).status_code == 200
        assert_error(login(enrolled_user, backup_code=backup_codes[0]), 400, BAD_BACKUP)
        assert login(enrolled_user, backup_code=backup_codes[1]).status_code == 200

    def test_to_nothing(self, migrate, enrolled_user):
        executor = MigrationExecutor(connection)
        executor.migrate([("django_totp", None)])
        assert not set(TABLES) & set(connection.introspection.table_names())


class TestModels:
    def test_no_migration_is_missing(self):
        call_command("makemigrations", "django_totp", check=True, dry_run=True, verbosity=0)

    @pytest.mark.parametrize("user_model", ["stock", "email"])
    def test_no_migration_depends_on_the_user_model(self, user_model):
        environment = {"USER_MODEL": user_model, "DATABASE": "sqlite"}
        environment |= {"DJANGO_SETTINGS_MODULE": "tests.settings"}
        environment |= {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "django",
                "makemigrations",
                "--check",
                "--dry-run",
                "django_totp",
            ],
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "No changes detected" in done.stdout


class Elsewhere:
    """A router that keeps our tables out of every database."""

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return False if app_label == "django_totp" else None


def test_a_database_that_is_not_ours_is_left_alone(settings: Any, enrolled_user: Any) -> None:
    """The steps that read rows ask the routers as those do that make tables."""
    step = importlib.import_module("django_totp.migrations.0002_attempts_and_digests")
    BackupCode.objects.update(digest=None)
    Totp.objects.update(confirmed_at=None)
    settings.DATABASE_ROUTERS, settings.TOTP_ENCRYPTION_KEY = [Elsewhere()], None
    editor = SimpleNamespace(connection=connection)
    for run in (step.require_key_for_codes, step.confirm_what_was_enabled, step.compute_digests):
        run(apps, editor)
    assert not BackupCode.objects.exclude(digest=None).exists()
    assert not Totp.objects.exclude(confirmed_at=None).exists()
