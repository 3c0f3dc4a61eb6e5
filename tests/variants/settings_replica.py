from tests.settings import *  # noqa: F403

_SQLITE = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
DATABASES = {"default": _SQLITE, "replica": {**_SQLITE, "TEST": {"DEPENDENCIES": ["default"]}}}
DATABASE_ROUTERS = ["tests.variants.settings_replica.Lagging"]


class Lagging:
    """Read from a replica that nothing is copied to while a test runs."""

    def db_for_read(self, model, **hints):
        return "replica"

    def db_for_write(self, model, **hints):
        return "default"

    def allow_relation(self, *rows, **hints):
        return True
