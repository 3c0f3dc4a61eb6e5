from tests.field.settings_base import *  # noqa: F403
from tests.field.settings_base import INSTALLED_APPS as _APPS
from tests.field.settings_base import MIDDLEWARE as _MIDDLEWARE

INSTALLED_APPS = [*_APPS, "django.contrib.staticfiles"]
MIDDLEWARE = [*_MIDDLEWARE, "django_totp.middleware.SecondFactorMiddleware"]
ROOT_URLCONF = "tests.field.urls_sessions"
