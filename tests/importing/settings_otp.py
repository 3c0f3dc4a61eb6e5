from tests.importing.settings_base import *  # noqa: F403
from tests.importing.settings_base import INSTALLED_APPS as _APPS
from tests.importing.settings_base import MIDDLEWARE as _MIDDLEWARE

INSTALLED_APPS = [
    *_APPS,
    "django_otp",
    "django_otp.plugins.otp_static",
    "django_otp.plugins.otp_totp",
    "two_factor",
]
LOGIN_URL = "two_factor:login"
MIDDLEWARE = [*_MIDDLEWARE, "django_otp.middleware.OTPMiddleware"]
ROOT_URLCONF = "tests.importing.urls_otp"
