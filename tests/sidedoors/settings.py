"""Settings of the project with all side doors.

``SIDE_DOORS=open`` also turns on the settings that open more of them, ``SIDE_DOORS=asked`` those
and the middleware that closes the doors to a session.
"""

import base64
import os

DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.sites",
    "rest_framework",
    "rest_framework.authtoken",
    "rest_framework_simplejwt.token_blacklist",
    "allauth",
    "allauth.account",
    "allauth.headless",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.facebook",
    "allauth.socialaccount.providers.github",
    "allauth.socialaccount.providers.google",
    "allauth.socialaccount.providers.twitter",
    "dj_rest_auth",
    "djangosaml2",
    "djoser",
    "graphene_django",
    "knox",
    "mozilla_django_oidc",
    "ninja_extra",
    "ninja_jwt",
    "oauth2_provider",
    "social_django",
    "strawberry_django",
    "django_totp",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
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
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework_simplejwt.authentication.JWTAuthentication"],
}
REST_AUTH = {"USE_JWT": True}
SITE_ID = 1
SAML_CSP_HANDLER = ""  # djangosaml2 asks for a package otherwise

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ROOT_URLCONF = "tests.sidedoors.urls"
SECRET_KEY = "only-for-tests-and-long-enough-to-sign-with-HS256"
TOTP_ENCRYPTION_KEY = base64.urlsafe_b64encode(b"32 bytes that are for tests only")
USE_TZ = True

if os.environ.get("SIDE_DOORS") in ("open", "asked"):
    ACCOUNT_LOGIN_BY_CODE_ENABLED = True
    ACCOUNT_LOGIN_ON_PASSWORD_RESET = True
    MIDDLEWARE += ["sesame.middleware.AuthenticationMiddleware"]
    REST_FRAMEWORK = {}  # REST framework's own default takes a password with each request
if os.environ.get("SIDE_DOORS") == "asked":
    MIDDLEWARE += ["django_totp.middleware.SecondFactorMiddleware"]
    TOTP_EXEMPT_BACKENDS = list(filter(None, [os.environ.get("EXEMPT_BACKEND")]))
if os.environ.get("SIDE_DOORS") == "social only":
    SOCIALACCOUNT_ONLY = True
    ACCOUNT_EMAIL_VERIFICATION = "none"  # as allauth asks for
    OAUTH2_PROVIDER = {"COMPLIANT_BCP_RFC9700_PASSWORD_GRANT": True}
