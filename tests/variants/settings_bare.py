from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS as _APPS

DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
INSTALLED_APPS = ["tests.variants.bare", *(app for app in _APPS if "users" not in app)]
AUTH_USER_MODEL = "bare.Person"
AUTHENTICATION_BACKENDS = ["tests.variants.bare.models.Backend"]
SIMPLE_JWT = {
    "CHECK_USER_IS_ACTIVE": False,
    "USER_AUTHENTICATION_RULE": "tests.variants.bare.rules.exists",
}
