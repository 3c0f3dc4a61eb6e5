"""Settings of the test project. Five environment variables choose what it runs on:

``DATABASE``    ``sqlite`` (default), ``postgresql``, ``mariadb``
``USER_MODEL``  ``stock`` (default, ``auth.User``), ``email`` (``tests.users``)
``CACHE``       ``locmem`` (default), ``redis``
``TOKENS``      ``plain`` (default), ``blacklist`` (with simplejwt's blacklist app)
``ISOLATION``   that of all transactions, as PostgreSQL names it; its default if it is not set
"""

import base64
import os

from tests import services

DATABASES = {"default": services.database()}
CACHES = {"default": services.cache()}

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "rest_framework",
    "drf_spectacular",
    "django_totp",
    "tests.former",
]
if os.environ.get("USER_MODEL", "stock") == "email":
    INSTALLED_APPS += ["tests.users"]
    AUTH_USER_MODEL = "users.User"
if os.environ.get("TOKENS", "plain") == "blacklist":
    INSTALLED_APPS += ["rest_framework_simplejwt.token_blacklist"]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_totp.middleware.SecondFactorMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
STATIC_URL = "static/"
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework_simplejwt.authentication.JWTAuthentication"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
SPECTACULAR_SETTINGS = {"TITLE": "The test project", "VERSION": "1.0.0"}

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # fast
ROOT_URLCONF = "tests.urls"
SECRET_KEY = "only-for-tests-and-long-enough-to-sign-with-HS256"
TOTP_ENCRYPTION_KEY = base64.urlsafe_b64encode(b"32 bytes that are for tests only")
TOTP_RECOVERY_DELAY = 3 * 24 * 60 * 60
USE_TZ = True
