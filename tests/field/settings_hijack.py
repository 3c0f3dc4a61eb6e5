from tests.field.settings_base import *  # noqa: F403
from tests.field.settings_base import INSTALLED_APPS as _APPS
from tests.field.settings_base import MIDDLEWARE as _MIDDLEWARE
from tests.field.settings_base import REST_FRAMEWORK as _REST_FRAMEWORK

INSTALLED_APPS = [*_APPS, "hijack", "hijack.contrib.admin"]
MIDDLEWARE = [
    *_MIDDLEWARE,
    "django_totp.middleware.SecondFactorMiddleware",
    "hijack.middleware.HijackUserMiddleware",  # it marks the user, whom ours has to find before
]
REST_FRAMEWORK = {
    **_REST_FRAMEWORK,
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework_simplejwt.authentication.JWTAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
}
ROOT_URLCONF = "tests.field.urls_hijack"
LOGIN_REDIRECT_URL = "/api/totp/"
