"""What all these projects have in common: SQLite and local memory where nothing else is said."""

from tests.settings import *  # noqa: F403

DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
ROOT_URLCONF = "tests.urls"
TOTP_FAILURE_LIMIT = 2
TOTP_ISSUER = "Field"
TOTP_THROTTLE_RATE = "100/minute"
