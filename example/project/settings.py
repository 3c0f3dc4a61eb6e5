"""Settings of the example project: what a project with django-totp needs, and little else.

These environment variables change it:

``DEMO_DATA_DIR``       where database, keys and password are kept (``example/data``)
``DEMO_DEBUG``          ``0`` turns ``DEBUG``, and with it all that is demo only, off
``DEMO_ALLOWED_HOSTS``  further host names, separated by commas
``DEMO_THROTTLE_RATE``  requests per endpoint and user (``10/minute``)
``DEMO_GRACE_PERIOD``   seconds for which a sign-in may still lack the factor that it owes (``0``)
``DEMO_RECOVERY_DELAY`` seconds that a recovery waits (``60``)
"""

import os
from pathlib import Path

from django.core.management.utils import get_random_secret_key
from django.utils.crypto import get_random_string

from django_totp.encryption import generate_fernet_key

from .kept import kept

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(os.environ.get("DEMO_DATA_DIR", BASE_DIR / "data"))


def make_password() -> str:
    """Return a password without look-alikes that is no pain to type on a phone."""
    alphabet = "abcdefghjkmnpqrstuvwxyz23456789"
    return "-".join(get_random_string(4, alphabet) for _ in range(3))


SECRET_KEY = kept(DATA_DIR / "secret_key", get_random_secret_key)

DEBUG = os.environ.get("DEMO_DEBUG", "1") == "1"

ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]"]
ALLOWED_HOSTS += filter(None, os.environ.get("DEMO_ALLOWED_HOSTS", "").split(","))

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "playground",  # before django_totp: its templates/django_totp/base.html is taken
    "django_totp",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "playground.middleware.content_security_policy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_totp.middleware.SecondFactorMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "playground.context.demo",
            ],
        },
    },
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA_DIR / "db.sqlite3",
    },
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LOGIN_URL = "two-factor-login"
LOGIN_REDIRECT_URL = "session"
LOGOUT_REDIRECT_URL = "start"

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {
        "console": {"class": "logging.StreamHandler"},
        "trail": {"class": "django_totp.trail.DatabaseHandler"},  # "Events" in the admin
    },
    "loggers": {"django_totp": {"handlers": ["console", "trail"], "level": "INFO"}},
}

# Mails are printed in the terminal, where somebody who tries this finds their links.
EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
DEFAULT_FROM_EMAIL = "django-totp example <no-reply@example.com>"

# The second factor.

TOTP_ENCRYPTION_KEY = kept(DATA_DIR / "totp_encryption_key", generate_fernet_key)
TOTP_ISSUER = "django-totp example"
TOTP_TOKEN_SALT = "example project: challenge token"
TOTP_THROTTLE_RATE = os.environ.get("DEMO_THROTTLE_RATE", "10/minute")
TOTP_ADDRESS_THROTTLE_RATE = os.environ.get("DEMO_ADDRESS_THROTTLE_RATE", "60/minute")
TOTP_REQUIRED_FOR = ["group:editors", "superusers"]
TOTP_GRACE_PERIOD = int(os.environ.get("DEMO_GRACE_PERIOD", "0"))
TOTP_TRUSTED_DEVICE_MAX_AGE = 30 * 24 * 60 * 60  # thirty days
# Demo only: nobody waits for days to see what comes then. The wait is what protects people whose
# password and mailbox are known to somebody else, so choose days.
TOTP_RECOVERY_DELAY = int(os.environ.get("DEMO_RECOVERY_DELAY", "60"))
TOTP_SEND_NOTICES = True

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["django_totp.authentication.JWTAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "NUM_PROXIES": 0,  # nobody's X-Forwarded-For is believed
}

# The documentation of the API, with the assets that drf-spectacular-sidecar brings.

SPECTACULAR_SETTINGS = {
    "TITLE": "django-totp example",
    "DESCRIPTION": "Two-factor authentication with time-based one-time passwords.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "validatorUrl": None},
}

# Who signs in. Shown on the pages and in the terminal.

DEMO_USERNAME = "demo"
DEMO_ADMIN = "admin"  # a superuser, and so must have a second factor
DEMO_EDITOR = "editor"  # in the group "editors", and so must have a second factor
DEMO_PASSWORD = kept(DATA_DIR / "demo_password", make_password)
