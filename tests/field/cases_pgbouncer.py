"""Each transaction on another connection of PgBouncer's."""

import os
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from django.conf import settings as chosen
from django.core.management import call_command
from django.db import connections

from tests.field.journey import test_journey  # noqa: F401
from tests.field.processes import running

pytestmark = pytest.mark.django_db(transaction=True)
THREADS = 6

CONFIGURATION = """
[databases]
* = host={host} port={server} user={user}{password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
ignore_startup_parameters = extra_float_digits
"""


@pytest.fixture(scope="session")
def django_db_keepdb():
    """Keep the database from Django: PgBouncer still holds connections to it."""
    return True


@pytest.fixture(scope="session")
def django_db_modify_db_settings():
    """Start PgBouncer before Django asks it for the database. Drop the database at the end."""
    with tempfile.TemporaryDirectory() as name:
        folder, password = Path(name), os.environ.get("PGPASSWORD")
        folder.chmod(0o755)
        (folder / "pgbouncer.ini").write_text(
            CONFIGURATION.format(
                host=os.environ["PGHOST"],
                server=os.environ.get("PGPORT", "5432"),
                user=os.environ["PGUSER"],
                password=f" password={password}" if password else "",
                port=chosen.PGBOUNCER,
            )
        )
        command = ["pgbouncer", "pgbouncer.ini"]
        if os.geteuid() == 0:  # it does not run as root
            command[1:1] = ["-u", "nobody"]
        with running(command, chosen.PGBOUNCER, folder):
            yield
    with psycopg.connect(dbname="postgres", autocommit=True) as server:
        database = f"test_{chosen.DATABASES['default']['NAME'].removeprefix('test_')}"
        server.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')


def test_a_code_is_good_for_one_of_many_logins(person):
    person.enroll()
    challenges = [person.challenge() for _ in range(THREADS)]
    code, start = person.next_code(), threading.Barrier(THREADS)

    def login(challenge):
        try:
            start.wait(20)
            return person.second_step(challenge, otp_code=code).status
        finally:
            connections.close_all()

    with ThreadPoolExecutor(THREADS) as pool:
        assert sorted(pool.map(login, challenges)) == [200] + [400] * (THREADS - 1)


def test_commands(person):
    person.enroll()
    call_command("totp_reencrypt")
    call_command("totp_report")
    person.keep(person.login(otp_code=person.next_code()))
