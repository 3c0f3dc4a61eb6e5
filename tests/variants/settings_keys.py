import os

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS as _APPS

KEYS = {"Text": "code", "Renamed": "number", "Child": "pk"}

DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
INSTALLED_APPS = ["tests.variants.keys", *(app for app in _APPS if "users" not in app)]
AUTH_USER_MODEL = f"keys.{os.environ['KEY']}"
SIMPLE_JWT = {"USER_ID_FIELD": KEYS[os.environ["KEY"]]}
