"""Rows and their invariants, and the compare-and-swap by which an enrollment is changed."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection
from django.db.models import QuerySet
from django.utils import timezone

from django_totp.encryption import decrypt, encrypt
from django_totp.models import Account, BackupCode, Moved, Totp


class LaggingReplica:
    """A database router that reads elsewhere than it writes."""

    def db_for_read(self, model, **hints):
        return "replica"

    def db_for_write(self, model, **hints):
        return "default"


@pytest.fixture
def totp(enrolled_user):
    return Totp.objects.get()


# --- An enrollment ---


def test_a_row_that_was_just_made_is_a_valid_pending_enrollment(pending_user, secret):
    totp = Totp.objects.get(user=pending_user)
    assert (totp.is_enabled, totp.is_pending) == (False, True)
    assert (totp.digits, totp.period, totp.algorithm) == (6, 30, "SHA1")
    assert (totp.last_used_step, totp.failures, totp.waiting_until) == (None, 0, None)
    assert decrypt(totp.secret_key) == secret


@pytest.mark.parametrize("value", ["yesterday", "2026-13-01T00:00:00Z", "", {}])
def test_what_is_no_moment_is_not_taken_for_none(value):
    """Such as stands in a fixture that somebody has edited."""
    with pytest.raises((ValidationError, TypeError)):
        Totp._meta.get_field("waiting_until").to_python(value)


def test_a_confirmed_enrollment_is_enabled_and_not_pending(totp):
    assert (totp.is_enabled, totp.is_pending) == (True, False)


@pytest.mark.parametrize(("age", "is_pending"), [(0, True), (599, True), (600, False)])
def test_an_enrollment_is_pending_for_a_time(pending_user, settings, time_machine, age, is_pending):
    settings.TOTP_SETUP_MAX_AGE = 600
    totp = Totp.objects.get()
    time_machine.move_to(totp.created_at + timedelta(seconds=age), tick=False)
    assert totp.is_pending == is_pending
    assert not totp.is_enabled


def test_a_user_has_one_enrollment(pending_user):
    with pytest.raises(IntegrityError):
        Totp.objects.create(user=pending_user, secret_key="other")


def test_the_enrollment_and_its_codes_go_with_the_user(enrolled_user):
    enrolled_user.delete()
    assert not Totp.objects.exists()
    assert not BackupCode.objects.exists()


def test_names_show_no_secret(totp):
    code = totp.backup_codes.first()
    assert (str(totp), str(code)) == (f"TOTP enrollment {totp.pk}", f"backup code {code.pk}")
    assert repr(totp) == f"<Totp: TOTP enrollment {totp.pk}>"


def test_tables_have_the_names_that_projects_know():
    assert (Totp._meta.db_table, BackupCode._meta.db_table) == (
        "django_totp_totp",
        "django_totp_backupcode",
    )


# --- Finding one ---


def test_the_enrollment_of_a_user_is_found(pending_user, make_user):
    assert Totp.objects.find(pending_user) == pending_user.totp
    stranger = make_user("grace")
    assert Totp.objects.find(stranger) is None


def test_reads_go_to_the_database_that_is_written(settings):
    """A replica that lags behind does not know which codes were used a moment ago."""
    settings.DATABASE_ROUTERS = ["tests.test_models.LaggingReplica"]
    assert Totp.objects.all().db == "default"
    assert BackupCode.objects.all().db == "default"


def test_a_database_that_is_named_is_read(settings):
    settings.DATABASE_ROUTERS = ["tests.test_models.LaggingReplica"]
    assert Totp.objects.using("replica").db == "replica"
    assert Totp.objects.db_manager("replica").all().db == "replica"


def test_the_database_of_an_enrollment(totp, settings):
    settings.DATABASE_ROUTERS = ["tests.test_models.LaggingReplica"]
    assert totp.database == "default"
    assert Totp().database == "default"


# --- Changing one ---


def test_a_move_writes_the_changes_and_a_new_version(totp):
    version = totp.version
    totp.move(failures=3)
    moved = Totp.objects.get()
    assert (moved.failures, moved.version) == (3, version + 1) == (totp.failures, totp.version)


def test_a_row_that_somebody_moved_is_not_moved_again(totp):
    Totp.objects.get().move(failures=3)
    with pytest.raises(Moved):
        totp.move(failures=1)
    assert Totp.objects.get().failures == 3


def test_a_row_that_somebody_deleted_is_not_moved(totp):
    BackupCode.objects.all().delete()
    Totp.objects.get().remove()
    with pytest.raises(Moved):
        totp.move(failures=1)
    with pytest.raises(Moved):
        totp.remove()


def test_a_row_that_somebody_moved_is_not_removed(totp):
    BackupCode.objects.all().delete()
    Totp.objects.get().move(failures=3)
    with pytest.raises(Moved):
        totp.remove()
    assert Totp.objects.exists()


def test_a_change_is_one_statement(totp, django_assert_num_queries):
    with django_assert_num_queries(1):
        totp.move(failures=1)


# --- Backup codes ---


def test_a_code_is_in_an_enrollment_once(totp):
    digest = totp.backup_codes.first().digest
    with pytest.raises(IntegrityError):
        BackupCode.objects.create(totp=totp, code=encrypt("code"), digest=digest)


def test_a_code_may_be_in_two_enrollments(totp, make_user):
    other = Totp.objects.create(user=make_user("grace"), secret_key=encrypt("secret"))
    digest = totp.backup_codes.first().digest
    assert BackupCode.objects.create(totp=other, code=encrypt("code"), digest=digest).pk


def test_codes_that_nobody_can_read_have_no_digest(totp):
    made = [BackupCode.objects.create(totp=totp, code="unreadable") for _ in range(2)]
    assert [code.digest for code in made] == [None, None]


def test_times_are_aware(totp):
    assert timezone.is_aware(totp.created_at)
    assert timezone.is_aware(totp.backup_codes.first().created_at)


def test_secrets_are_stored_encrypted_only(totp, secret, backup_codes):
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM django_totp_totp")
        rows = str(cursor.fetchall())
        cursor.execute("SELECT * FROM django_totp_backupcode")
        rows += str(cursor.fetchall())
    assert "gAAAA" in rows
    clear = [secret, *backup_codes, *(code.replace("-", "") for code in backup_codes)]
    assert not [text for text in clear if text in rows]


# --- What a user takes ---


def test_texts_are_short(enrolled_user):
    assert len(Totp.objects.get().secret_key) == 140
    assert {(len(code.code), len(code.digest)) for code in BackupCode.objects.all()} == {(120, 16)}


@pytest.mark.parametrize(
    ("model", "indexed"),
    [(Totp, [["id"], ["user_id"]]), (BackupCode, [["id"], ["totp_id", "digest"]])],
)
def test_there_is_no_index_but_those_that_are_asked(db, model, indexed):
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, model._meta.db_table)
    kinds = ("index", "primary_key", "unique")
    columns = {tuple(one["columns"]) for one in found.values() if any(one[kind] for kind in kinds)}
    assert columns == set(map(tuple, indexed))


@pytest.mark.parametrize("code", [{"sqlstate": "23505"}, {"pgcode": "23505"}])
def test_a_row_that_is_in_the_way_and_not_seen_is_a_race_that_was_lost(user, monkeypatch, code):
    """As at SERIALIZABLE, in a transaction that has begun before it was there."""
    account = Account.objects.of(user)

    def refuse(self, **values):
        raise IntegrityError("duplicate key") from type("DriverError", (Exception,), code)()

    monkeypatch.setattr(QuerySet, "create", refuse)
    with pytest.raises(Moved):
        account.end_logins()


def test_what_the_database_has_against_an_account_is_told(user, monkeypatch):
    """No row is in the way: it would not help to try again."""
    account = Account.objects.of(user)

    def refuse(self, **values):
        raise IntegrityError("a foreign key")

    monkeypatch.setattr(QuerySet, "create", refuse)
    with pytest.raises(IntegrityError):
        account.end_logins()
