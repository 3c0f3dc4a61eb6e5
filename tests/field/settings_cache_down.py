"""A cache where nothing listens, with the client that ``CLIENT`` names."""

import os

from tests.field.settings_base import *  # noqa: F403

_CLIENTS = {
    "django-redis": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": "redis://127.0.0.1:1/0",
        "OPTIONS": {"IGNORE_EXCEPTIONS": True},
    },
    "redis": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": "redis://127.0.0.1:1/0",
    },
    "pymemcache": {
        "BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache",
        "LOCATION": "127.0.0.1:1",
    },
    "pymemcache-silent": {
        "BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache",
        "LOCATION": "127.0.0.1:1",
        "OPTIONS": {"ignore_exc": True, "no_delay": True, "use_pooling": True},
    },
}
CACHES = {"default": _CLIENTS[os.environ["CLIENT"]]}
TOTP_THROTTLE_RATE = "3/minute"
