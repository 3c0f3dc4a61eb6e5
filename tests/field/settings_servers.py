"""A project that is served by the program that ``SERVER`` names."""

import os

from tests import services
from tests.field.settings_base import *  # noqa: F403

ALLOWED_HOSTS = ["127.0.0.1"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ.get("FIELD_DATABASE", f"{services.NAME}_server"),
    }
}
TOTP_THROTTLE_RATE = None
