from tests.field.settings_base import *  # noqa: F403
from tests.field.settings_base import INSTALLED_APPS as _APPS
from tests.field.settings_base import REST_FRAMEWORK as _REST_FRAMEWORK

INSTALLED_APPS = [*_APPS, "rest_framework.authtoken", "dj_rest_auth"]
REST_FRAMEWORK = {
    **_REST_FRAMEWORK,
    "DEFAULT_AUTHENTICATION_CLASSES": ["dj_rest_auth.jwt_auth.JWTCookieAuthentication"],
}
REST_AUTH = {"USE_JWT": True, "JWT_AUTH_COOKIE": "access", "JWT_AUTH_REFRESH_COOKIE": "refresh"}
ROOT_URLCONF = "tests.field.urls_dj_rest_auth"
