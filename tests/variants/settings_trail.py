import tempfile

from tests.services import NAME
from tests.settings import *  # noqa: F403
from tests.settings import DATABASES

DATABASES = {
    **DATABASES,
    "trail": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": f"{tempfile.gettempdir()}/{NAME}-trail.sqlite3",
        "OPTIONS": {"timeout": 0.1},
        "TEST": {"NAME": f"{tempfile.gettempdir()}/{NAME}-trail.sqlite3"},
    },
}
DATABASE_ROUTERS = ["tests.variants.settings_trail.Apart"]
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"trail": {"class": "django_totp.trail.DatabaseHandler"}},
    "loggers": {"django_totp": {"handlers": ["trail"], "level": "INFO"}},
}


class Apart:
    """Keep events, and them alone, in a database of their own."""

    def db_for_read(self, model, **hints):
        return "trail" if model._meta.label_lower == "django_totp.event" else None

    db_for_write = db_for_read

    def allow_migrate(self, db, app_label, model_name=None, **hints):
        is_event = (app_label, model_name) == ("django_totp", "event")
        return is_event if db == "trail" else not is_event
