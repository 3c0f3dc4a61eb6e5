"""A project whose own views are all async, behind the middleware."""

from tests.field.settings_servers import *  # noqa: F403
from tests.field.settings_servers import MIDDLEWARE as _MIDDLEWARE

MIDDLEWARE = [*_MIDDLEWARE, "django_totp.middleware.SecondFactorMiddleware"]
ROOT_URLCONF = "tests.field.urls_asgi"
