from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS as _APPS

DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
INSTALLED_APPS = ["tests.variants.related", *(app for app in _APPS if "users" not in app)]
AUTH_USER_MODEL = "related.Person"
