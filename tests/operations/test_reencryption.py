"""Key rotation: everything moves to the first key, and nothing that happens meanwhile is lost."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from threading import Event, Thread

import pytest
from cryptography.fernet import Fernet, InvalidToken
from django.db import OperationalError, connection, connections, transaction
from django.test import override_settings
from django.utils.connection import ConnectionDoesNotExist

from django_totp import spelling
from django_totp.auth import finish_login, generate_challenge_token
from django_totp.backup_code_utils import (
    generate_backup_codes,
    rotate_backup_codes,
    store_backup_codes,
    verify_backup_code,
)
from django_totp.encryption import decrypt, encrypt, keyed_digest
from django_totp.models import BackupCode, Totp
from django_totp.operations import reencryption
from django_totp.operations.reencryption import reencrypt, updates
from django_totp.operations.reencryption.tables import LISTED
from django_totp.totp import disable_totp, start_totp_setup, verify_totp_code
from tests.rivals import at_once

pytestmark = pytest.mark.django_db
for_real = pytest.mark.django_db(transaction=True)
with_row_locks = pytest.mark.skipif(
    connection.vendor == "sqlite",
    reason="SQLite has no row locks",
)

CODE, OTHER_CODE = "abcd-efgh-jkmn-pqrs", "0123-4567-89ab-cdef"


@pytest.fixture
def add_key(settings):
    """Return a function that puts a new key before those that are configured."""

    def add_key():
        fallbacks = getattr(settings, "TOTP_ENCRYPTION_KEY_FALLBACKS", [])
        settings.TOTP_ENCRYPTION_KEY_FALLBACKS = [settings.TOTP_ENCRYPTION_KEY, *fallbacks]
        settings.TOTP_ENCRYPTION_KEY = Fernet.generate_key()

    return add_key


@pytest.fixture
def rotating_user(enrolled_user, add_key):
    """Return the enrolled user, whose rows are under the old one of two keys."""
    add_key()
    return enrolled_user


@pytest.fixture
def keys(rotating_user, settings):
    """Return the first key and the old one."""
    return settings.TOTP_ENCRYPTION_KEY, *settings.TOTP_ENCRYPTION_KEY_FALLBACKS


@pytest.fixture
def drop_old_keys(settings):
    def drop_old_keys():
        settings.TOTP_ENCRYPTION_KEY_FALLBACKS = []

    return drop_old_keys


@pytest.fixture
def hurry(monkeypatch):
    """Try a batch three times, with hardly a pause."""
    monkeypatch.setattr(reencryption, "PAUSES", (0, 0.001, 0.001))


@pytest.fixture
def before_writes(monkeypatch):
    """Return a function that makes each of ``acts`` happen between a read and its write."""

    def before_writes(*acts):
        write, left = reencryption.guarded_update, list(acts)

        def act_and_write(rows, fields, changes):
            if left:
                left.pop(0)()
            return write(rows, fields, changes)

        monkeypatch.setattr(reencryption, "guarded_update", act_and_write)

    return before_writes


@pytest.fixture
def tries(monkeypatch):
    """Return the list of pauses that were made; none is slept through."""
    pauses = []
    monkeypatch.setattr(reencryption.time, "sleep", pauses.append)
    return pauses


def run(**options):
    """Run to the end and return what became of the secrets and of the codes, but for zeros."""
    tallies = {tally.model: tally for tally in reencrypt(**options)}
    return _counts(tallies[Totp]), _counts(tallies[BackupCode])


def _counts(tally):
    names = ("moved", "current", "unreadable", "busy")
    return {name: getattr(tally, name) for name in names if getattr(tally, name)}


def rows():
    return [*Totp.objects.order_by("pk").values()], [*BackupCode.objects.order_by("pk").values()]


def all_rows():
    return [row for table in rows() for row in table]


def totp():
    return Totp.objects.get()


def reads(key, token):
    try:
        return bool(Fernet(key).decrypt(token.encode()))
    except InvalidToken:
        return False


def add_code(code, key, *, digest=True, **fields):
    """Store ``code`` under ``key``, with or without its digest."""
    with override_settings(TOTP_ENCRYPTION_KEY=key):
        digest = keyed_digest(spelling.backup_code(code)) if digest else None
        return BackupCode.objects.create(
            totp=totp(), code=encrypt(code), digest=digest, **fields
        ).pk


def digest_of(pk):
    return BackupCode.objects.get(pk=pk).digest


# --- What moves ---


def test_everything_works_without_the_old_key(
    rotating_user, drop_old_keys, secret, otp, backup_codes
):
    assert run() == ({"moved": 1}, {"moved": len(backup_codes)})
    drop_old_keys()
    assert verify_totp_code(rotating_user, otp(secret))
    assert all(verify_backup_code(rotating_user, code) for code in backup_codes)


def test_nothing_but_tokens_and_digests_changes(rotating_user):
    def kept():
        moved = ("secret_key", "code", "digest")
        return [{name: row[name] for name in row if name not in moved} for row in all_rows()]

    before = kept()
    run()
    assert kept() == before


def test_a_challenge_outlives_the_move(rotating_user, drop_old_keys, secret, otp):
    challenge = generate_challenge_token(rotating_user)
    run()
    drop_old_keys()
    assert finish_login(challenge, otp_code=otp(secret)) == rotating_user


def test_a_second_run_changes_nothing(rotating_user, backup_codes):
    run()
    before = rows()
    assert run() == ({"current": 1}, {"current": len(backup_codes)})
    assert rows() == before


def test_rows_of_any_old_key_move(
    pending_user, make_user, add_key, drop_old_keys, secret, backup_codes
):
    users = [pending_user, make_user("bob"), make_user("eve"), make_user("joe")]
    for user in users[1:]:
        add_key()
        Totp.objects.create(user=user, secret_key=encrypt(secret))
    for user in users[::-2]:
        store_backup_codes(user, backup_codes)
    assert run() == ({"moved": 3, "current": 1}, {"current": 2 * len(backup_codes)})
    drop_old_keys()
    assert {decrypt(token) for token in Totp.objects.values_list("secret_key", flat=True)} == {
        secret
    }


@pytest.mark.parametrize("size", [1, 3, 10, 11])
def test_batches_of_any_size(rotating_user, drop_old_keys, backup_codes, size):
    assert run(batch_size=size) == ({"moved": 1}, {"moved": 10})
    drop_old_keys()
    assert [decrypt(row["code"]) for row in rows()[1]] == backup_codes


def test_progress_is_told_after_each_batch(rotating_user):
    seen = [(tally.model, tally.seen, tally.total) for tally in reencrypt(batch_size=4)]
    assert seen == [(Totp, done, 1) for done in (0, 1)] + [
        (BackupCode, done, 10) for done in (0, 4, 8, 10)
    ]


def test_a_dry_run_counts_and_writes_nothing(rotating_user, backup_codes):
    before = rows()
    assert run(dry_run=True) == ({"moved": 1}, {"moved": len(backup_codes)})
    assert rows() == before


def test_the_database_is_the_one_that_is_written_to(settings):
    class Router:
        def db_for_write(self, model, **hints):
            return "elsewhere"

    settings.DATABASE_ROUTERS = [Router()]
    with pytest.raises(ConnectionDoesNotExist, match="elsewhere"):
        run()
    assert run(using="default") == ({}, {})


def test_a_set_that_is_half_moved_works(rotating_user, keys, secret, otp, backup_codes):
    moving = reencrypt(batch_size=5)
    while next(moving).seen != 5:
        pass
    moving.close()
    under = [[key for key in keys if reads(key, row["code"])] for row in rows()[1]]
    assert under == [[keys[0]]] * 5 + [[keys[1]]] * 5
    assert verify_totp_code(rotating_user, otp(secret))
    assert all(verify_backup_code(rotating_user, code) for code in backup_codes)


# --- Digests ---


@pytest.mark.parametrize("key", [0, 1])
def test_a_missing_digest_is_computed(rotating_user, keys, drop_old_keys, key):
    add_code(CODE, keys[key], digest=False)
    _, codes = run()
    assert codes == {"moved": 11}
    drop_old_keys()
    assert verify_backup_code(rotating_user, CODE)


@pytest.mark.parametrize("size", [1, 20])
@pytest.mark.parametrize("first", [True, False])
def test_of_a_code_that_is_there_twice_one_row_keeps_the_digest(
    rotating_user, keys, drop_old_keys, size, first
):
    twins = [add_code(CODE, keys[1], digest=digest) for digest in (first, not first)]
    run(batch_size=size)
    drop_old_keys()
    assert [digest_of(pk) is not None for pk in twins] == [first, not first]
    assert verify_backup_code(rotating_user, CODE)
    assert not verify_backup_code(rotating_user, CODE)


@pytest.mark.parametrize("size", [1, 20])
def test_of_twins_without_a_digest_the_first_gets_one(rotating_user, keys, size):
    twins = [add_code(CODE, key, digest=False) for key in keys]
    run(batch_size=size)
    assert [digest_of(pk) is not None for pk in twins] == [True, False]
    assert run(batch_size=size) == ({"current": 1}, {"current": 12})


def test_a_used_code_does_not_come_back_with_its_twin(rotating_user, keys, drop_old_keys):
    unused = add_code(CODE, keys[1], digest=False)
    add_code(CODE, keys[1], is_used=True)
    run()
    drop_old_keys()
    assert digest_of(unused) is None
    assert not verify_backup_code(rotating_user, CODE)


@pytest.mark.parametrize("first", [0, 1])
def test_of_twins_with_digests_under_two_keys_one_stays(
    rotating_user, keys, drop_old_keys, hurry, first
):
    """Both cannot have the digest under the first key: the table would refuse the write."""
    twins = {key: add_code(CODE, keys[key]) for key in (first, 1 - first)}
    assert run() == ({"moved": 1}, {"moved": 11, "current": 1})
    drop_old_keys()
    assert digest_of(twins[0]) == keyed_digest(spelling.backup_code(CODE))
    assert digest_of(twins[1]) is None
    assert {decrypt(row.code) for row in BackupCode.objects.filter(pk__in=twins.values())} == {CODE}
    assert verify_backup_code(rotating_user, CODE)
    assert not verify_backup_code(rotating_user, CODE)


@pytest.mark.parametrize("size", [1, 20])
@pytest.mark.parametrize("wary", [True, False])
def test_of_twins_under_two_old_keys_one_stays(
    rotating_user, keys, add_key, drop_old_keys, hurry, size, wary
):
    twins = [add_code(CODE, key) for key in keys]
    add_code(OTHER_CODE, keys[0], digest=not wary)  # without one, all of the set are looked at
    add_key()
    assert run(batch_size=size) == ({"moved": 1}, {"moved": 13})
    drop_old_keys()
    assert [digest_of(pk) is None for pk in twins].count(True) == 1
    assert verify_backup_code(rotating_user, CODE)


def test_a_code_that_is_done_keeps_its_digest(rotating_user, keys, hurry):
    done, twin = (add_code(CODE, key) for key in keys)
    add_code(OTHER_CODE, keys[1], digest=False)
    assert run()[1] == {"moved": 12, "current": 1}
    assert digest_of(done) == keyed_digest(spelling.backup_code(CODE))
    assert digest_of(twin) is None


def test_a_code_that_nobody_can_type_moves_without_a_digest(rotating_user, keys):
    pks = [
        BackupCode.objects.create(totp=totp(), code=Fernet(keys[1]).encrypt(plain).decode()).pk
        for plain in ("höhö".encode(), b"\xff")
    ]
    assert run()[1] == {"moved": 12}
    for pk in pks:
        assert reads(keys[0], BackupCode.objects.get(pk=pk).code)
        assert digest_of(pk) is None
    assert run()[1] == {"current": 12}


# --- What no key reads ---


def test_unreadable_rows_stay_and_are_named(rotating_user, backup_codes):
    lost = Fernet(Fernet.generate_key()).encrypt(b"lost").decode()
    Totp.objects.update(secret_key="no token")
    pks = [
        BackupCode.objects.create(totp=totp(), code=token).pk
        for token in (lost, "", "no token", "kein Schlüssel", lost[:-9])
    ]
    before = {row["id"]: row for row in all_rows()}
    *_, tally = reencrypt()
    assert (tally.moved, tally.unreadable, tally.unreadable_pks) == (10, 5, pks)
    assert all(BackupCode.objects.values().get(pk=pk) == before[pk] for pk in pks)
    assert run() == ({"unreadable": 1}, {"current": 10, "unreadable": 5})


def test_no_more_than_a_few_unreadable_rows_are_named(enrolled_user, settings):
    store_backup_codes(enrolled_user, [f"code{number}" for number in range(LISTED + 2)])
    settings.TOTP_ENCRYPTION_KEY = Fernet.generate_key()
    *_, tally = reencrypt(batch_size=7)
    assert tally.unreadable == LISTED + 2
    assert tally.unreadable_pks == [row["id"] for row in rows()[1]][:LISTED]


# --- What happens meanwhile ---


def test_a_secret_that_is_replaced_meanwhile_is_left_alone(
    pending_user, add_key, before_writes, tries
):
    add_key()
    setups = []
    before_writes(lambda: setups.append(start_totp_setup(pending_user)))
    assert run() == ({"current": 1}, {})
    assert decrypt(totp().secret_key) == setups[0].secret
    assert len(tries) == 2


def test_what_another_process_stores_under_the_old_key_meanwhile_moves(
    pending_user, add_key, settings, drop_old_keys, before_writes, tries
):
    setups, [old] = [], [settings.TOTP_ENCRYPTION_KEY]
    add_key()

    def replace():
        with override_settings(TOTP_ENCRYPTION_KEY=old):
            setups.append(start_totp_setup(pending_user))

    before_writes(replace)
    assert run() == ({"moved": 1}, {})
    drop_old_keys()
    assert decrypt(totp().secret_key) == setups[0].secret


def test_codes_that_are_rotated_meanwhile_are_left_alone(
    rotating_user, drop_old_keys, before_writes
):
    codes = []
    before_writes(lambda: None, lambda: codes.extend(rotate_backup_codes(rotating_user)))
    run()
    drop_old_keys()
    assert [decrypt(row["code"]) for row in rows()[1]] == codes


def test_an_enrollment_that_is_removed_meanwhile_stays_away(rotating_user, before_writes):
    before_writes(lambda: disable_totp(rotating_user))
    assert run() == ({}, {})
    assert rows() == ([], [])


def test_logins_meanwhile_are_kept(
    rotating_user, drop_old_keys, before_writes, secret, otp, backup_codes
):
    code = otp(secret)
    before_writes(
        lambda: verify_totp_code(rotating_user, code),
        lambda: verify_backup_code(rotating_user, backup_codes[0]),
    )
    assert run() == ({"moved": 1}, {"moved": len(backup_codes)})
    drop_old_keys()
    assert not verify_totp_code(rotating_user, code)
    assert not verify_backup_code(rotating_user, backup_codes[0])
    assert [row["is_used"] for row in rows()[1]] == [True] + [False] * 9
    assert totp().verifications == 2


def test_a_write_that_the_database_refuses_is_tried_again(rotating_user, before_writes, tries):
    def refuse():
        raise OperationalError("deadlock")

    before_writes(*[refuse] * (len(reencryption.PAUSES) - 1))
    assert run()[0] == {"moved": 1}
    assert tries == [*reencryption.PAUSES, 0]


def test_a_write_that_is_always_refused_is_an_error(rotating_user, before_writes, tries):
    def refuse():
        raise OperationalError("disk full")

    before_writes(*[refuse] * len(reencryption.PAUSES))
    before = rows()
    with pytest.raises(OperationalError, match="disk full"):
        run()
    assert rows() == before


def test_a_row_that_never_stands_still_is_counted(
    pending_user, add_key, settings, before_writes, tries
):
    [old] = [settings.TOTP_ENCRYPTION_KEY]
    add_key()

    def replace():
        with override_settings(TOTP_ENCRYPTION_KEY=old):
            start_totp_setup(pending_user)

    before_writes(*[replace] * len(reencryption.PAUSES))
    assert run() == ({"busy": 1}, {})


# --- With connections of their own ---


class Holder(Thread):
    """Writes in a transaction that stays open until the end of the ``with`` block."""

    def __init__(self, write):
        super().__init__()
        self.write, self.holds, self.let_go = write, Event(), Event()

    def __enter__(self):
        self.start()
        assert self.holds.wait(20)

    def __exit__(self, *error):
        self.let_go.set()
        self.join()

    def run(self):
        try:
            with transaction.atomic():
                self.write()
                self.holds.set()
                self.let_go.wait(20)
        finally:
            connections.close_all()


@for_real
@with_row_locks
def test_a_locked_row_is_come_back_to(rotating_user, drop_old_keys, hurry, backup_codes):
    with Holder(partial(verify_backup_code, rotating_user, backup_codes[5])):
        secrets, codes = run()
    assert secrets == {"busy": 1}
    assert sum(codes.values()) == 10
    assert codes["busy"] >= 1  # MariaDB may lock its neighbours too
    assert run()[1].get("moved") == codes["busy"]
    drop_old_keys()
    used = [not verify_backup_code(rotating_user, code) for code in backup_codes]
    assert used == [False] * 5 + [True] + [False] * 4


@for_real
@with_row_locks
def test_a_lock_that_is_let_go_in_time_costs_a_try(rotating_user, monkeypatch):
    holder = Holder(partial(Totp.objects.update, failures=1))

    def let_go(pause):
        if pause:
            holder.__exit__()

    monkeypatch.setattr(reencryption.time, "sleep", let_go)
    with holder:
        assert run()[0] == {"moved": 1}
    assert totp().failures == 1


@for_real
def test_a_login_that_comes_between_our_locks_wins(
    make_user, add_key, drop_old_keys, monkeypatch, secret
):
    """On MariaDB it holds the entry of the digest that we need, and needs the row that we hold."""
    for number in range(30):  # enough for MariaDB to use its index, and to spare who wrote more
        user, codes = make_user(f"user{number}"), generate_backup_codes()
        Totp.objects.create(user=user, secret_key=encrypt(secret))
        store_backup_codes(user, codes)
    add_key()
    lock, answers, statements = updates._unlocked, [], []

    def record(execute, sql, *args):
        statements.append(sql.split()[0])
        return execute(sql, *args)

    def use_the_last_code():
        try:
            with connection.execute_wrapper(record):
                answers.append(verify_backup_code(user, codes[-1]))
        finally:
            connections.close_all()

    login = Thread(target=use_the_last_code)

    def lock_and_let_login(rows, changes, connection):
        free = lock(rows, changes, connection)
        if rows.model is BackupCode and login.ident is None:
            login.start()
            login.join(0.5)  # long enough for it to wait for us
        return free

    monkeypatch.setattr(updates, "_unlocked", lock_and_let_login)
    assert run() == ({"moved": 30}, {"moved": 300})
    login.join()
    assert answers == [True]
    assert statements.count("UPDATE") == 2  # at the first try
    drop_old_keys()
    assert not verify_backup_code(user, codes[-1])


def test_mariadb_skips_what_is_locked_and_nothing_else():
    class Cursor:
        def execute(self, sql, row):
            raise OperationalError(row[0], "an error of MariaDB")

    assert updates._without_waiting(Cursor(), "UPDATE …", (1205,)) == 0
    with pytest.raises(OperationalError, match="1021"):
        updates._without_waiting(Cursor(), "UPDATE …", (1021,))


@for_real
def test_two_runs_at_once_share_the_work(rotating_user, drop_old_keys, settings, backup_codes):
    several = partial(run, batch_size=3)
    results = at_once(several, several, run)
    assert sum(secrets.get("moved", 0) for secrets, _ in results) == 1
    assert sum(codes.get("moved", 0) for _, codes in results) == len(backup_codes)
    assert not [tally for result in results for tally in result if "busy" in tally]
    drop_old_keys()
    assert all(verify_backup_code(rotating_user, code) for code in backup_codes)


@for_real
@pytest.mark.parametrize("size", [1, 500])
def test_nobody_notices_a_move(make_user, add_key, drop_old_keys, otp, secret, size):
    """Users log in, use codes, make new ones and leave while all is moved."""
    users = [make_user(name) for name in ("ada", "bob", "eve", "joe")]
    codes = [generate_backup_codes() for _ in users]
    for user, own in zip(users, codes, strict=True):
        Totp.objects.create(user=user, secret_key=encrypt(secret))
        store_backup_codes(user, own)
    add_key()
    ada, bob, eve, joe = users
    code = otp(secret)

    def use_all_codes():
        return [verify_backup_code(bob, code) for code in codes[1]]

    def rotate_often():
        return [rotate_backup_codes(eve) for _ in range(5)]

    logged_in, used, rotated, left, moved = at_once(
        partial(verify_totp_code, ada, code),
        use_all_codes,
        rotate_often,
        partial(disable_totp, joe),
        partial(run, batch_size=size),
    )
    assert (logged_in, used, left) == (True, [True] * 10, None)
    assert not isinstance(moved, Exception)
    run()
    drop_old_keys()
    assert not verify_totp_code(ada, code)
    assert all(verify_backup_code(ada, code) for code in codes[0])
    assert not any(verify_backup_code(bob, code) for code in codes[1][:3])
    assert all(verify_backup_code(eve, code) for code in rotated[-1])
    assert not Totp.objects.filter(user=joe).exists()


# Runs the command and stops between a write and its commit, until it gets a signal.
COMMAND = """
import signal
import sys

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it

from django.conf import settings
from django.db import transaction

[settings.DATABASES["default"]["NAME"], settings.TOTP_ENCRYPTION_KEY, old_key] = sys.argv[1:]
settings.TOTP_ENCRYPTION_KEY_FALLBACKS = [old_key]

import django

django.setup()

from django.core.management import execute_from_command_line

from django_totp.operations import reencryption

write = reencryption.guarded_update


def write_and_wait(rows, fields, changes):
    with transaction.atomic(using=rows.db):
        written = write(rows, fields, changes)
        if write_and_wait.calls:
            write_and_wait.calls -= 1
        else:
            print("written", flush=True)
            sys.stdin.read()
    return written


write_and_wait.calls = 3
reencryption.guarded_update = write_and_wait
execute_from_command_line(["manage.py", "totp_reencrypt", "--batch-size=3"])
"""


@for_real
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_stopped_is_resumed(rotating_user, keys, drop_old_keys, backup_codes, number):
    command = [sys.executable, "-c", COMMAND, connection.settings_dict["NAME"]]
    with subprocess.Popen(
        [*command, *(key if isinstance(key, str) else key.decode() for key in keys)],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "written\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert out.splitlines() == [
            "TOTP enrollments: 1 moved, 0 already current, 0 unreadable.",
            "Backup codes: 6 moved, 0 already current, 0 unreadable.",
        ]
        assert err.startswith("CommandError: Interrupted.")
    assert run() == ({"current": 1}, {"moved": 4, "current": 6})
    drop_old_keys()
    assert all(verify_backup_code(rotating_user, code) for code in backup_codes)
