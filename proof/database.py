"""A database of the proof's own, made before and dropped after."""

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator

NAME = f"django_totp_proof_{os.getpid()}"
ALL = ("sqlite", "sqlite-wal", "postgresql", "mariadb")


@contextlib.contextmanager
def prepared(database: str, **env: str) -> Iterator[dict[str, str]]:
    """Make an empty database, set Django up on it, migrate it, and drop it afterwards.

    Yield the environment with which a server finds it. Django is set up once in a process.
    """
    with tempfile.TemporaryDirectory() as folder:
        server = not database.startswith("sqlite")
        name = NAME if server else str(pathlib.Path(folder, "proof.sqlite3"))
        env = {
            "DJANGO_SETTINGS_MODULE": "proof.settings",
            "DATABASE": database,
            "DATABASE_NAME": name,
            **env,
        }
        os.environ.update(env)
        if server:
            _administer(database, f"CREATE DATABASE {name}")
        try:
            _migrate()
            yield env
        finally:
            _disconnect()
            if server:
                _administer(database, f"DROP DATABASE {name}")


def _migrate() -> None:
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


def _disconnect() -> None:
    from django.db import connections

    connections.close_all()


def _administer(database: str, statement: str) -> None:
    from proof.settings import ENGINES

    where = ENGINES[database]
    if database == "postgresql":
        import psycopg

        options = f"host={where['HOST']} port={where['PORT']} user={where['USER']}"
        with psycopg.connect(f"{options} dbname=postgres", autocommit=True) as connection:
            connection.execute(statement + (" WITH (FORCE)" if "DROP" in statement else ""))
    else:
        import pymysql

        with pymysql.connect(
            host=where["HOST"], port=int(where["PORT"]), user=where["USER"]
        ) as connection:
            connection.cursor().execute(statement)
