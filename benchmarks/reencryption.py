"""How fast ``totp_reencrypt`` is, what memory it takes, and whether anybody's login notices it.

    python -m benchmarks.reencryption --users 1000000

It runs on PostgreSQL, or on what ``DATABASE`` names as for the tests, in a database of its own that
it drops at the end. Each user has an enrollment and a backup code. Each figure is taken while
another process logs users in; half of those logins are at the very rows that come next.
"""

import argparse
import base64
import hashlib
import itertools
import math
import multiprocessing
import os
import platform
import random
import resource
import statistics
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import cryptography
import django
import pyotp
from cryptography.fernet import Fernet
from django.conf import settings

from benchmarks.processes import in_a_process
from tests import services

DIFFERENT = 10_000  # secrets, and codes; so many users share one
SAMPLE = 10_000  # rows for what is compared with
EARLY = 10_000  # rows after which the memory is looked at for the first time
ALONE = 10  # seconds of logins and nothing else
THREADS = 4  # that log in
AHEAD = 1000  # rows, from those moved last on, where half of the logins are


class Project(NamedTuple):
    """What a process needs to know to work on the database."""

    database: str
    keys: tuple[str, str]
    apps: tuple[str, ...] = ()  # beside ours

    def set_up(self) -> None:
        apps = ("django.contrib.auth", "django.contrib.contenttypes", "django_totp")
        settings.configure(
            DATABASES={"default": services.database() | {"NAME": self.database}},
            INSTALLED_APPS=[*apps, *self.apps],
            SECRET_KEY="the same in all processes",
            TOTP_ENCRYPTION_KEY=self.keys[0],
            TOTP_ENCRYPTION_KEY_FALLBACKS=self.keys[1:],
            USE_TZ=True,
        )
        django.setup()


class Shared(NamedTuple):
    """What the processes tell each other: what is going on, and how many rows have moved."""

    phase: Any
    moved: Any


class Login(NamedTuple):
    """In which phase it was, how long it took, and what went wrong."""

    phase: int
    seconds: float
    error: str


class Moved(NamedTuple):
    """What became of one table: how many rows in how many seconds, and the memory in MB."""

    rows: int
    seconds: float
    early_memory: float
    memory: float


def secret_of(pk: int) -> str:
    digest = hashlib.sha256(b"secret %d" % (pk % DIFFERENT)).digest()
    return base64.b32encode(digest[:20]).decode()


def code_of(pk: int) -> str:
    return hashlib.sha256(b"code %d" % (pk % DIFFERENT)).hexdigest()[:16]


def fill(users: int, password: str = "") -> None:
    """Create the users, their enrollments and codes. All primary keys go from 1 on.

    ``password`` is the hash that all of them have.
    """
    from django.contrib.auth.models import User
    from django.db import connection
    from django.utils import timezone

    from django_totp.encryption import encrypt, keyed_digest
    from django_totp.models import BackupCode, Totp

    secrets = [encrypt(secret_of(pk)) for pk in range(DIFFERENT)]
    codes = [(encrypt(code), keyed_digest(code)) for code in map(code_of, range(DIFFERENT))]
    pks = range(1, users + 1)
    insert(User(password=password), ("id", "username"), ((pk, f"user{pk}") for pk in pks))
    insert(
        Totp(confirmed_at=timezone.now()),
        ("id", "user_id", "secret_key"),
        ((pk, pk, secrets[pk % DIFFERENT]) for pk in pks),
    )
    insert(
        BackupCode(),
        ("id", "totp_id", "code", "digest"),
        ((pk, pk, *codes[pk % DIFFERENT]) for pk in pks),
    )
    if connection.vendor == "postgresql":
        connection.cursor().execute("ANALYZE")


def insert(like: Any, names: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> None:
    """Insert ``rows`` of the columns ``names``; the other columns are like those of ``like``."""
    from django.db import connection, transaction

    others = [field for field in like._meta.concrete_fields if field.attname not in names]
    constants = tuple(field.pre_save(like, add=True) for field in others)
    columns = ", ".join([*names, *(field.column for field in others)])
    table = like._meta.db_table
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row + constants)
        else:
            places = ", ".join(["%s"] * (len(names) + len(constants)))
            for chunk in chunks(rows, 1000):
                cursor.executemany(
                    f"INSERT INTO {table} ({columns}) VALUES ({places})",  # noqa: S608
                    [row + constants for row in chunk],
                )


def chunks(values: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(values)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk


# --- Logins, in a process of their own ---


def log_in(pk: int) -> None:
    """Log the user in, with a TOTP code or with the backup code."""
    from django.contrib.auth.models import User

    from django_totp.auth import finish_login, generate_challenge_token

    token = generate_challenge_token(User.objects.get(pk=pk))
    if random.random() < 0.5:
        finish_login(token, otp_code=pyotp.TOTP(secret_of(pk)).now())
    else:
        finish_login(token, backup_code=code_of(pk))


class Users:
    """Users who have not logged in yet: by turns anyone, and one whose rows are next."""

    def __init__(self, count: int, moved: Any) -> None:
        self.count, self.moved = count, moved
        self.used: set[int] = set()
        self.lock = threading.Lock()

    def pick(self) -> int:
        with self.lock:
            pk = next(pk for pk in self._candidates() if pk not in self.used)
            self.used.add(pk)
            return pk

    def _candidates(self) -> Iterator[int]:
        moved = self.moved.value
        if len(self.used) % 2 and moved < self.count:
            yield random.randint(moved + 1, min(moved + AHEAD, self.count))
        while True:
            yield random.randint(1, self.count)


def keep_logging_in(
    project: Project, users: int, rate: float, shared: Shared, pipe: Connection
) -> None:
    """Log users in, each once, until the pipe says stop; then send how it went."""
    project.set_up()
    logins: list[Login] = []
    unused, stop = Users(users, shared.moved), threading.Event()

    def work() -> None:
        while not stop.wait(random.expovariate(rate / THREADS)):
            pk, phase, start = unused.pick(), shared.phase.value, time.perf_counter()
            try:
                log_in(pk)
                error = ""
            except Exception as caught:
                error = f"user {pk}: {caught!r}"
            logins.append(Login(phase, time.perf_counter() - start, error))

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    pipe.recv()
    stop.set()
    for thread in threads:
        thread.join()
    pipe.send(logins)


@contextmanager
def logging_in(
    project: Project, users: int, rate: float, shared: Shared, logins: list[Login]
) -> Iterator[None]:
    """Let logins go on in the block, and put down in ``logins`` how they went."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(
        target=keep_logging_in, args=(project, users, rate, shared, theirs)
    )
    process.start()
    try:
        yield
        ours.send("stop")
        logins.extend(ours.recv())
    finally:
        process.kill()
        process.join()


# --- What is measured ---


def move(project: Project, shared: Shared, pipe: Connection) -> None:
    """Move everything to the first key and send what became of it, table by table."""
    project.set_up()
    from django_totp.operations.reencryption import reencrypt

    tables: dict[str, Moved] = {}
    start, early = time.perf_counter(), 0.0
    for tally in reencrypt():
        name = str(tally.model._meta.verbose_name_plural)
        if name not in tables:
            start, early = time.perf_counter(), 0.0
        if tally.seen >= EARLY and not early:
            early = memory()
        shared.moved.value = tally.seen
        tables[name] = Moved(tally.moved, time.perf_counter() - start, early, memory())
    pipe.send(tables)


def memory() -> float:
    """Return the most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def bare_fernet(project: Project) -> float:
    """Return how many rows a second can be decrypted, encrypted and digested."""
    from django_totp.encryption import keyed_digest

    new, old = map(Fernet, project.keys)
    tokens = [old.encrypt(code_of(pk).encode()) for pk in range(SAMPLE)]
    start = time.perf_counter()
    for token in tokens:
        code = old.decrypt(token)
        new.encrypt(code)
        keyed_digest(code.decode())
    return SAMPLE / (time.perf_counter() - start)


def bulk_update(project: Project, model: Any, token: str, *fields: str) -> float:
    """Return how many rows a second ``bulk_update`` writes, under the old key once more."""
    from django_totp.encryption import keyed_digest
    from django_totp.operations.reencryption import BATCH_SIZE

    old = Fernet(project.keys[1])
    start = time.perf_counter()
    for pks in chunks(range(1, SAMPLE + 1), BATCH_SIZE):
        batch = list(model.objects.filter(pk__range=(pks[0], pks[-1])).order_by("pk"))
        for row in batch:
            plain = old.decrypt(getattr(row, token).encode())
            setattr(row, token, old.encrypt(plain).decode())
            keyed_digest(plain.decode())
        model.objects.bulk_update(batch, [token, *fields])
    return SAMPLE / (time.perf_counter() - start)


# --- What is printed ---

PHASES = ("alone", "beside bare Fernet and bulk_update", "beside totp_reencrypt")


def measure(project: Project, users: int, rate: float) -> None:
    """Fill the database, measure, and print the figures."""
    from django.test import override_settings

    from django_totp.models import BackupCode, Totp

    start = time.perf_counter()
    with override_settings(TOTP_ENCRYPTION_KEY=project.keys[1]):
        fill(users)
    print(f"{users:,} users, made in {time.perf_counter() - start:.0f} s")
    shared = Shared(multiprocessing.Value("i", 0), multiprocessing.Value("q", 0))
    logins: list[Login] = []
    with logging_in(project, users, rate, shared, logins):
        time.sleep(ALONE)
        shared.phase.value += 1
        updates = [
            bulk_update(project, Totp, "secret_key"),
            bulk_update(project, BackupCode, "code", "digest"),
        ]
        fernet = [bare_fernet(project)]
        shared.phase.value += 1
        moved = in_a_process(move, project, shared)
        shared.phase.value -= 1
        fernet.append(bare_fernet(project))
    report(users, statistics.mean(fernet), updates, moved)
    report_logins(logins)


def report(users: int, fernet: float, updates: list[float], moved: dict[str, Moved]) -> None:
    lines = [("bare Fernet: decrypt, encrypt, digest", fernet)]
    for (name, table), update in zip(moved.items(), updates, strict=True):
        assert table.rows == users, f"{table.rows} {name} moved"
        lines += [
            (f"totp_reencrypt, {name}", table.rows / table.seconds),
            (f"streamed bulk_update, {name}", update),
        ]
    print(f"\n{'':44}{'rows/s':>8}{'of Fernet':>11}")
    for name, rate in lines:
        print(f"{name:44}{rate:8,.0f}{rate / fernet:11.0%}")
    print()
    for name, table in moved.items():
        print(
            f"{name}: {table.seconds:,.0f} s; at most {table.early_memory:.0f} MB of memory up to "
            f"row {min(EARLY, users):,} and {table.memory:.0f} MB up to row {users:,}"
        )


def report_logins(logins: list[Login]) -> None:
    for number, phase in enumerate(PHASES):
        took = sorted(1000 * login.seconds for login in logins if login.phase == number)
        errors = [login.error for login in logins if login.phase == number and login.error]
        print(
            f"logins {phase}: {len(took):,}, failed {len(errors)}; "
            f"{statistics.median(took):.0f} ms in the median, "
            f"{took[math.ceil(0.99 * len(took)) - 1]:.0f} ms for 99 %, {took[-1]:.0f} ms at most"
        )
        for error in errors[:10]:
            print(f"  {error}")


def report_machine(connection: Any) -> None:
    version = ".".join(map(str, connection.get_database_version()))
    print(
        f"\n{connection.display_name} {version}, Python {platform.python_version()}, "
        f"Django {django.__version__}, cryptography {cryptography.__version__}; "
        f"{os.cpu_count()} CPUs ({platform.machine()}), load average {os.getloadavg()[1]:.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--logins", type=float, default=20, help="a second")
    arguments = parser.parse_args()
    os.environ.setdefault("DATABASE", "postgresql")
    keys = (Fernet.generate_key().decode(), Fernet.generate_key().decode())
    Project(f"benchmark_{os.getpid()}", keys).set_up()
    from django.db import connection

    name = connection.settings_dict["NAME"]
    database = connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        measure(Project(database, keys), arguments.users, arguments.logins)
        report_machine(connection)
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    main()
