"""A project as it would be deployed. The environment chooses what it runs on:

``DATABASE``  ``sqlite`` (a file), ``sqlite-wal``, ``postgresql`` or ``mariadb``
``ATOMIC``    ``1`` for ATOMIC_REQUESTS
``CACHE``     ``locmem``, ``dummy``, ``redis`` or ``unreachable``
``APPS``      a JSON list of more apps
``SETTINGS``  a JSON object of settings that replace those below
"""

import json
import os

ENGINES = {
    "sqlite": {"ENGINE": "django.db.backends.sqlite3"},
    "sqlite-wal": {
        "ENGINE": "django.db.backends.sqlite3",
        "OPTIONS": {"init_command": "PRAGMA journal_mode=WAL;"},
    },
    "postgresql": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": os.environ.get("PGHOST", "127.0.0.1"),
        "PORT": os.environ.get("PGPORT", "5432"),
        "USER": os.environ.get("PGUSER", "postgres"),
    },
    "mariadb": {
        "ENGINE": "django.db.backends.mysql",
        "HOST": os.environ.get("MARIADB_HOST", "127.0.0.1"),
        "PORT": os.environ.get("MARIADB_PORT", "3306"),
        "USER": os.environ.get("MARIADB_USER", "root"),
        "OPTIONS": {"charset": "utf8mb4"},
    },
}
CACHE_BACKENDS = {
    "locmem": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "dummy": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
    "redis": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/9"),
    },
    "unreachable": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": "redis://127.0.0.1:1/0",
    },
}

database = os.environ.get("DATABASE", "sqlite")
if database == "mariadb":
    import pymysql

    pymysql.install_as_MySQLdb()

DATABASES = {
    "default": {
        **ENGINES[database],
        "NAME": os.environ.get("DATABASE_NAME", "proof.sqlite3"),
        "ATOMIC_REQUESTS": os.environ.get("ATOMIC") == "1",
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
    }
}
CACHES = {"default": CACHE_BACKENDS[os.environ.get("CACHE", "locmem")]}

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "rest_framework",
    "drf_spectacular",
    "django_totp",
    *json.loads(os.environ.get("APPS", "[]")),
]
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework_simplejwt.authentication.JWTAuthentication"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
ALLOWED_HOSTS = ["127.0.0.1"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # fast
ROOT_URLCONF = "proof.urls"
SECRET_KEY = "only-for-the-proof-and-long-enough-for-HS256"
TOTP_ENCRYPTION_KEY = "cHJvb2YtcHJvb2YtcHJvb2YtcHJvb2YtcHJvb2YtcHI="
TOTP_THROTTLE_RATE = None
TOTP_ADDRESS_THROTTLE_RATE = None  # all attacks come from one address
USE_TZ = True
WSGI_APPLICATION = "proof.wsgi.application"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["stderr"], "level": "ERROR"},
}
globals().update(json.loads(os.environ.get("SETTINGS", "{}")))
