"""What the tests can run on beside SQLite and local memory, and what to do where it is missing.

With ``CI=true`` a missing service ends the run. Elsewhere SQLite or local memory takes its place
and the run says so aloud.
"""

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Callable
from typing import Any

CI = os.environ.get("CI", "").lower() in {"1", "true"}
NAME = f"django_totp_{os.getpid()}"  # test runs at one time do not meet
SECONDS = 3

os.environ.setdefault("PGHOST", "127.0.0.1")  # PostgreSQL's client library reads these
os.environ.setdefault("PGUSER", "postgres")
MARIADB = {
    "host": os.environ.get("MARIADB_HOST", "127.0.0.1"),
    "port": int(os.environ.get("MARIADB_PORT", "3306")),
    "user": os.environ.get("MARIADB_USER", "root"),
    "password": os.environ.get("MARIADB_PASSWORD", ""),
}
REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")

DATABASES: dict[str, dict[str, Any]] = {
    "sqlite": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": ":memory:",
        "OPTIONS": {"timeout": 20},
        # A file: several connections to one database in memory lock each other out.
        "TEST": {"NAME": f"{tempfile.gettempdir()}/{NAME}.sqlite3"},
    },
    "postgresql": {"ENGINE": "django.db.backends.postgresql", "NAME": NAME},
    "mariadb": {
        "ENGINE": "django.db.backends.mysql",
        "NAME": NAME,
        **{name.upper(): value for name, value in MARIADB.items()},
        "OPTIONS": {"charset": "utf8mb4"},  # before Django 5.2 the default has no emoji
    },
}
SIDEDOORS = (
    *("allauth", "dj_rest_auth", "djangosaml2", "djoser", "graphene_django", "graphql_jwt"),
    *("knox", "mozilla_django_oidc", "ninja_jwt", "oauth2_provider", "sesame"),
    *("social_django", "strawberry_django"),
)
CACHES = {
    "locmem": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "redis": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL},
}

left_out: dict[str, str] = {}


def database() -> dict[str, Any]:
    """Return the settings of the database that ``DATABASE`` names, or else of SQLite."""
    name = _usable(os.environ.get("DATABASE", "sqlite"), "sqlite")
    if name == "mariadb":
        _use_pymysql()
    isolation = os.environ.get("ISOLATION")  # of each transaction and statement, in PostgreSQL
    options = f"-c default_transaction_isolation={isolation}"
    return DATABASES[name] | ({"OPTIONS": {"options": options}} if isolation else {})


def cache() -> dict[str, Any]:
    """Return the settings of the cache that ``CACHE`` names, or else of local memory."""
    return CACHES[_usable(os.environ.get("CACHE", "locmem"), "locmem")]


def missing(service: str) -> str:
    """Return why ``service`` cannot be used and how to get it, or an empty string."""
    if service not in CHECKS:
        return ""
    check, remedy = CHECKS[service]
    try:
        check()
    except Exception as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        return f"{reason}. {remedy}"
    return ""


def chromium() -> str | None:
    """Return the path of a Chromium: that in ``CHROMIUM``, or one on the ``PATH``."""
    names = ("chromium", "chromium-browser", "google-chrome")
    paths = (os.environ.get("CHROMIUM"), *map(shutil.which, names))
    return next(filter(None, paths), None)


def _usable(service: str, substitute: str) -> str:
    reason = missing(service)
    if reason:
        left_out[service] = reason
    return substitute if reason and not CI else service


def _use_pymysql() -> None:
    """Stand in for mysqlclient, which Django asks for and which needs a compiler."""
    import pymysql

    pymysql.install_as_MySQLdb()


def _check_postgresql() -> None:
    import psycopg

    psycopg.connect(dbname="postgres", connect_timeout=SECONDS).close()


def _check_mariadb() -> None:
    import pymysql

    pymysql.connect(**MARIADB, connect_timeout=SECONDS).close()


def _check_redis() -> None:
    import redis

    timeouts = {"socket_connect_timeout": SECONDS, "socket_timeout": SECONDS}
    with redis.Redis.from_url(REDIS_URL, **timeouts) as client:
        client.ping()


def _check_browser() -> None:
    if importlib.util.find_spec("playwright") is None:
        raise RuntimeError("Playwright is not installed")
    if chromium() is None:
        raise RuntimeError("No Chromium was found")


def _check_sidedoors() -> None:
    """Ask for the packages with login views that the audit is tried on."""
    _find(*SIDEDOORS)


def _check_field() -> None:
    """Ask for the packages, programs and services of the projects that are not ours."""
    _find(*FIELD_PACKAGES)
    for program in FIELD_PROGRAMS:
        if shutil.which(program) is None:
            raise RuntimeError(f"The program {program} was not found")
    _check_postgresql()
    _check_redis()


def _find(*packages: str) -> None:
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise RuntimeError(f"{package} is not installed")


FIELD_PACKAGES = (
    *("allauth", "axes", "cacheops", "channels", "debug_toolbar", "grappelli"),
    *("dj_rest_auth", "django_redis", "django_tenants"),
    *("djangorestframework_camel_case", "djoser", "drf_standardized_errors", "drf_yasg"),
    *("easyaudit", "gevent", "guardian", "gunicorn", "hijack", "jazzmin", "knox", "ninja"),
    *("oauth2_provider", "pymemcache", "sentry_sdk", "silk", "simple_history", "unfold"),
    "uvicorn",
)
FIELD_PROGRAMS = ("pgbouncer", "redis-cli", "redis-server")

CHECKS: dict[str, tuple[Callable[[], None], str]] = {
    "postgresql": (
        _check_postgresql,
        "Start PostgreSQL on 127.0.0.1:5432 with a user postgres that needs no password, "
        "or set PGHOST, PGPORT, PGUSER and PGPASSWORD.",
    ),
    "mariadb": (
        _check_mariadb,
        "Start MariaDB on 127.0.0.1:3306 with a user root that needs no password, "
        "or set MARIADB_HOST, MARIADB_PORT, MARIADB_USER and MARIADB_PASSWORD.",
    ),
    "redis": (_check_redis, "Start Redis on 127.0.0.1:6379, or set REDIS_URL."),
    "browser": (
        _check_browser,
        "Install Chromium (Debian: apt-get install chromium) or set CHROMIUM to its path, "
        "and install the dependency group browser.",
    ),
    "sidedoors": (_check_sidedoors, "Install the dependency group sidedoors."),
    "field": (
        _check_field,
        "Install the dependency group field and PgBouncer and Redis (Debian: apt-get install "
        "pgbouncer redis-server), and start PostgreSQL and Redis.",
    ),
}
