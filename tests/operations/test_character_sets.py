"""Key rotation on every character set that MariaDB has for its tables.

A project may be older than utf8mb4, or have been told otherwise by whoever made the database.
"""

from contextlib import contextmanager

import pytest
from cryptography.fernet import Fernet
from django.db import connection, connections

from django_totp import spelling
from django_totp.encryption import decrypt, encrypt, keyed_digest
from django_totp.models import BackupCode, Totp
from django_totp.operations.reencryption import reencrypt, updates
from django_totp.operations.reencryption.updates import Change, guarded_update
from tests.services import NAME

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "mysql", reason="only MariaDB has so many"),
]

OLD = "latin1"  # the alias
COLLATIONS = [
    "latin1_swedish_ci",
    "latin1_bin",
    "utf8mb3_general_ci",
    "utf8mb3_bin",
    "utf8mb4_unicode_ci",
    "utf8mb4_bin",
    "utf16_general_ci",  # an ASCII letter is two bytes
    "ascii_general_ci",
]
CODE = "abcd-efgh-jkmn-pqrs"


@contextmanager
def database(collation, **options):
    """Give the alias of a database of that collation, with our two tables in it."""
    name = f"{connection.settings_dict['NAME']}_{NAME.rpartition('_')[2]}_{collation}"
    other = connection.copy(OLD)
    other.settings_dict = {
        **connection.settings_dict,
        "NAME": name,
        "OPTIONS": {**connection.settings_dict["OPTIONS"], **options},
    }
    charset = collation.partition("_")[0]
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} CHARACTER SET {charset} COLLATE {collation}")
    connections[OLD] = other
    try:
        other.disable_constraint_checking()  # there are no users in it
        with other.schema_editor() as editor:
            editor.create_model(Totp)
            editor.create_model(BackupCode)
        yield OLD
    finally:
        other.close()
        del connections[OLD]
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name}")


def enroll(alias, user):
    totp = Totp.objects.using(alias).create(user_id=user.pk, secret_key=encrypt("S"))
    digest = keyed_digest(spelling.backup_code(CODE))
    BackupCode.objects.using(alias).create(totp=totp, code=encrypt(CODE), digest=digest)
    BackupCode.objects.using(alias).create(totp=totp, code=encrypt("0123"))
    return totp


def rotate(settings):
    settings.TOTP_ENCRYPTION_KEY_FALLBACKS = [settings.TOTP_ENCRYPTION_KEY]
    settings.TOTP_ENCRYPTION_KEY = Fernet.generate_key()


def run(alias):
    """Move everything and return how many rows of each table were moved."""
    tallies = {tally.model: tally for tally in reencrypt(alias)}
    return [tally.moved for tally in tallies.values()]


def readable(alias):
    """Return what the configured keys read, and the digests."""
    secrets = Totp.objects.using(alias).values_list("secret_key", flat=True)
    codes = BackupCode.objects.using(alias).order_by("pk").values_list("code", "digest")
    return [*map(decrypt, secrets)], [(decrypt(code), digest) for code, digest in codes]


@pytest.mark.parametrize("collation", COLLATIONS)
def test_everything_moves(collation, user, settings):
    with database(collation) as alias:
        enroll(alias, user)
        rotate(settings)
        assert run(alias) == [1, 2]
        settings.TOTP_ENCRYPTION_KEY_FALLBACKS = []
        digests = [keyed_digest(spelling.backup_code(code)) for code in (CODE, "0123")]
        codes = [*zip((CODE, "0123"), digests, strict=True)]
        assert readable(alias) == (["S"], codes)
        assert run(alias) == [0, 0]


@pytest.mark.parametrize("charset", ["latin1", "utf8", "utf8mb4"])
def test_whatever_the_connection_speaks(charset, user, settings):
    with database("utf8mb3_general_ci", charset=charset) as alias:
        enroll(alias, user)
        rotate(settings)
        assert run(alias) == [1, 2]


def test_tables_that_are_older_than_their_database(user, settings):
    with database("latin1_swedish_ci") as alias:
        enroll(alias, user)
        with connections[alias].cursor() as cursor:
            name = connections[alias].settings_dict["NAME"]
            cursor.execute(f"ALTER DATABASE {name} CHARACTER SET utf8mb4")
            cursor.execute("ALTER TABLE django_totp_totp CONVERT TO CHARACTER SET utf8mb3")
        rotate(settings)
        assert run(alias) == [1, 2]


@pytest.mark.parametrize("collation", COLLATIONS)
@pytest.mark.parametrize("way", ["in one go", "one by one", "before 10.6"])
def test_tokens_that_differ_in_case_are_two(collation, way, user, monkeypatch):
    """A row that was changed since it was read stays, also by another letter case alone."""
    if way == "one by one":
        monkeypatch.setattr(updates, "_update_from_json", no_rows)
    elif way == "before 10.6":
        monkeypatch.setattr(updates, "_is_mariadb", lambda connection: False)
    with database(collation) as alias:
        totp = Totp.objects.using(alias).create(user_id=user.pk, secret_key="gAAAAb")
        rows = Totp.objects.using(alias)
        for other in ("GAAAAB", "gaaaab", "gAAAAb "):
            assert guarded_update(rows, ["secret_key"], [Change(totp.pk, other, ("new",))]) == 0
        assert guarded_update(rows, ["secret_key"], [Change(totp.pk, "gAAAAb", ("new",))]) == 1
        assert rows.get().secret_key == "new"


def no_rows(table, *columns):
    return f"UPDATE {table} SET {columns[0]} = {columns[0]} WHERE %s IS NULL"  # noqa: S608
