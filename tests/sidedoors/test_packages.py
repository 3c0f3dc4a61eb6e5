"""The audit of a project that has every side door, with the packages that ship them."""

import ast
import importlib.util
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from django_totp.operations.audit import closing, doors, urlconf
from tests import services

ROOT = Path(__file__).parents[2]
MISSING = services.missing("sidedoors")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(MISSING), reason=MISSING)]

OWN = "tests.sidedoors.views"
AUTH = "django.contrib.auth.views"
OAUTH2 = "allauth.socialaccount.providers.oauth2.views.OAuth2CallbackView"
HEADLESS = "allauth.headless.account.views"
PROVIDER_TOKEN = "allauth.headless.socialaccount.views.ProviderTokenView"
NINJA_JWT = "ninja_jwt.controller"
OPERATIONS = f"{__package__}.ninja"
OAUTH_TOKEN = ("/oauth/token/", "oauth2_provider.views.base.TokenView")

FOUND = [
    ("/own/tokens/", f"{OWN}.OwnTokens"),
    ("/own/by-serializer/", f"{OWN}.BySerializer"),
    ("/own/by-setting/", f"{OWN}.BySetting"),
    ("/own/by-auth-token/", f"{OWN}.ByAuthToken"),
    ("/own/knox/", f"{OWN}.OwnKnoxLogin"),
    ("/own/knox-basic/", f"{OWN}.BasicKnoxLogin"),
    ("/own/knox-basic/", f"{OWN}.BasicKnoxLogin"),  # as a login, and with each request
    ("/own/social/", f"{OWN}.OwnSocialLogin"),
    ("/own/reset/<uidb64>/<token>/", f"{OWN}.OwnReset"),
    ("/own/reset-by-argument/", f"{AUTH}.PasswordResetConfirmView"),
    ("/own/reports/", f"{OWN}.Reports"),
    ("/own/report/", f"{OWN}.report"),
    ("/own/partial/", f"{AUTH}.LoginView"),
    ("/own/decorated/", f"{AUTH}.LoginView"),
    ("/own/admin/login/", f"{OWN}.OwnSite.login"),
    ("/own/decorated-admin/login/", f"{OWN}.OwnSite.login"),
    ("/report-set/totals/", f"{OWN}.ReportSet"),
    ("/jwt/", "rest_framework_simplejwt.views.TokenObtainPairView"),
    ("/sliding/", "rest_framework_simplejwt.views.TokenObtainSlidingView"),
    ("/auth-token/", "rest_framework.authtoken.views.ObtainAuthToken"),
    ("/auth-token-again/", "rest_framework.authtoken.views.ObtainAuthToken"),
    ("/admin/login/", "django.contrib.admin.sites.AdminSite.login"),
    ("/api-auth/login/", f"{AUTH}.LoginView"),
    ("/djoser/token/login/?", "djoser.views.TokenCreateView"),
    ("/djoser/jwt/create/?", "rest_framework_simplejwt.views.TokenObtainPairView"),
    (r"/djoser/o/(?P<provider>\S+)/", "djoser.social.views.ProviderAuthView"),
    ("/dj-rest-auth/login/?", "dj_rest_auth.views.LoginView"),
    ("/allauth/login/", "allauth.account.views.LoginView"),
    ("/allauth/facebook/login/callback/", OAUTH2),
    (
        "/allauth/facebook/login/token/",
        "allauth.socialaccount.providers.facebook.views.LoginByTokenView",
    ),
    ("/allauth/github/login/callback/", OAUTH2),
    ("/allauth/google/login/callback/", OAUTH2),
    (
        "/allauth/google/login/token/",
        "allauth.socialaccount.providers.google.views.LoginByTokenView",
    ),
    (
        "/allauth/twitter/login/callback/",
        "allauth.socialaccount.providers.oauth.views.OAuthCallbackView",
    ),
    ("/headless/browser/v1/auth/login", f"{HEADLESS}.LoginView"),
    ("/headless/app/v1/auth/login", f"{HEADLESS}.LoginView"),
    ("/headless/browser/v1/auth/provider/token", PROVIDER_TOKEN),
    ("/headless/app/v1/auth/provider/token", PROVIDER_TOKEN),
    ("/social/complete/<str:backend>/", "social_django.views.complete"),
    OAUTH_TOKEN,
    ("/oidc/callback/", "mozilla_django_oidc.views.OIDCAuthenticationCallbackView"),
    ("/saml2/acs/", "djangosaml2.views.AssertionConsumerServiceView"),
    ("/sesame/", "sesame.views.LoginView"),
    ("/ninja/token/pair", "ninja_jwt.routers.obtain.obtain_token"),
    ("/ninja/token/sliding", "ninja_jwt.routers.obtain.obtain_token_sliding_token"),
    ("/ninja/session", f"{OPERATIONS}.open_session"),
    ("/ninja/two-methods", f"{OPERATIONS}.make_token"),
    ("/ninja/basic", f"{OPERATIONS}.report"),
    ("/ninja-extra/own/pair", f"{OPERATIONS}.OwnController.pair"),
    ("/ninja-extra/token/pair", f"{NINJA_JWT}.TokenObtainPairController.obtain_token"),
    ("/ninja-extra/token/sliding", f"{NINJA_JWT}.TokenObtainSlidingController.obtain_token"),
    ("/ninja-async/token/pair", f"{NINJA_JWT}.AsyncTokenObtainPairController.obtain_token"),
    ("/graphene/", "graphene_django.views.GraphQLView"),
    ("/strawberry/", "strawberry.django.views.GraphQLView"),
    ("/strawberry-async/", "strawberry.django.views.AsyncGraphQLView"),
    ("/own/oauth/", f"{OWN}.OwnOAuthTokens"),
    ("/own/sesame/", f"{OWN}.OwnSesameLogin"),
    ("/own/jwt/", f"{OWN}.OwnPost"),
    ("/own/drf-token/", f"{OWN}.MakeToken"),
    ("/own/knox-token/", f"{OWN}.MakeKnoxToken"),
    ("/own/refresh-token/", f"{OWN}.make_refresh_token"),
    ("/own/graphql-token/", f"{OWN}.make_graphql_token"),
    ("/en-us/accounts/login/", f"{AUTH}.LoginView"),
]
KNOX = ("/knox/login/", "knox.views.LoginView")  # a password gets in only by Basic
OPENED_BY_SETTINGS = [
    ("*", "sesame.middleware.AuthenticationMiddleware"),
    KNOX,
    ("*", "REST_FRAMEWORK.DEFAULT_AUTHENTICATION_CLASSES"),
    ("/allauth/login/code/confirm/", "allauth.account.views.ConfirmLoginCodeView"),
    (
        "/allauth/password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/",
        "allauth.account.views.PasswordResetFromKeyView",
    ),
    ("/headless/browser/v1/auth/code/confirm", f"{HEADLESS}.ConfirmLoginCodeView"),
    ("/headless/app/v1/auth/code/confirm", f"{HEADLESS}.ConfirmLoginCodeView"),
    ("/headless/browser/v1/auth/password/reset", f"{HEADLESS}.ResetPasswordView"),
    ("/headless/app/v1/auth/password/reset", f"{HEADLESS}.ResetPasswordView"),
]
KNOWN = {
    *doors.DOORS,
    *doors.MIDDLEWARE_DOORS,
    *doors.CREDENTIALS,
    *doors.LOGINS,
    *doors.TOKENS,
    *doors.ASKING,
    *doors.AUTHENTICATED,
    *(doors.API_VIEW, doors.BASIC, doors.NINJA_BASIC, doors.NINJA_VIEW, doors.OUR_VIEW),
    *doors.TOKEN_MAKERS,
    *(closing.AUTHENTICATION, closing.MODEL_BACKEND, closing.OURS),
    *urlconf.LOGIN_DECORATORS,
    *urlconf.LOGIN_MIXINS,
}
CLOSED_BY_THE_MIDDLEWARE = {
    *("allauth.account.views.ConfirmLoginCodeView", "allauth.account.views.LoginView"),
    *("allauth.account.views.PasswordResetFromKeyView", OAUTH2),
    "allauth.socialaccount.providers.facebook.views.LoginByTokenView",
    "allauth.socialaccount.providers.google.views.LoginByTokenView",
    "allauth.socialaccount.providers.oauth.views.OAuthCallbackView",
    *("django.contrib.admin.sites.AdminSite.login", f"{OWN}.OwnSite.login"),
    *(f"{AUTH}.LoginView", f"{AUTH}.PasswordResetConfirmView", f"{OWN}.OwnReset"),
    "djangosaml2.views.AssertionConsumerServiceView",
    "mozilla_django_oidc.views.OIDCAuthenticationCallbackView",
    *("sesame.middleware.AuthenticationMiddleware", "sesame.views.LoginView"),
    f"{OWN}.OwnSesameLogin",
    *("social_django.views.complete", f"{OPERATIONS}.open_session"),
}
SHUT_BY_SETTINGS = {
    *("allauth.account.views.LoginView", f"{HEADLESS}.LoginView"),
    *(OAUTH_TOKEN[1], f"{OWN}.OwnOAuthTokens"),
}


def audit(**environment):
    """Return what the command finds in a process of its own, as (url, view)."""
    inherited = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    inherited["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    inherited["DJANGO_SETTINGS_MODULE"] = "tests.sidedoors.settings"
    done = subprocess.run(
        [sys.executable, "-m", "django", "totp_audit", "--format", "json"],
        env=inherited | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "never ask for the second factor." in done.stderr
    return Counter((finding["url"], finding["view"]) for finding in json.loads(done.stdout))


def test_names_every_door_and_nothing_else():
    assert audit() == Counter(FOUND)


def test_names_the_doors_that_settings_open():
    assert audit(SIDE_DOORS="open") == Counter(FOUND + OPENED_BY_SETTINGS)


def test_names_no_doors_to_a_session_that_the_middleware_closes():
    remaining = [
        (url, view)
        for url, view in FOUND + OPENED_BY_SETTINGS
        if view not in CLOSED_BY_THE_MIDDLEWARE and not url.startswith("/headless/browser/")
    ]
    assert audit(SIDE_DOORS="asked") == Counter(remaining)


def test_names_no_doors_that_settings_shut():
    found = audit(SIDE_DOORS="social only")
    assert found == Counter(door for door in FOUND if door[1] not in SHUT_BY_SETTINGS)


@pytest.mark.parametrize(
    ("backend", "takes"),
    [
        ("allauth.account.auth_backends.AuthenticationBackend", True),
        ("axes.backends.AxesStandaloneBackend", False),
        ("django.contrib.auth.backends.ModelBackend", True),
        ("djangosaml2.backends.Saml2Backend", False),
        ("mozilla_django_oidc.auth.OIDCAuthenticationBackend", False),
        ("sesame.backends.ModelBackend", False),
        ("social_core.backends.github.GithubOAuth2", False),
    ],
)
def test_which_exempt_backends_take_passwords(backend, takes):
    audited = audit(SIDE_DOORS="asked", EXEMPT_BACKEND=backend)
    assert (("/admin/login/", "django.contrib.admin.sites.AdminSite.login") in audited) is takes


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_what_is_known_by_name_exists(name):
    """A package that renames a view would otherwise open a door that nobody sees."""
    package, *parts = name.split(".")
    path = Path(importlib.util.find_spec(package).origin).parent
    while (path / parts[0]).is_dir():
        path /= parts.pop(0)
    sources = [path / f"{parts[0]}.py"]
    if sources[0].is_file():
        parts.pop(0)
    else:
        sources = path.glob("_*.py")  # __init__ and private modules
    defined = [node for one in sources for node in ast.parse(one.read_text("utf-8")).body]
    for part in parts:
        [found] = [node for node in defined if getattr(node, "name", "") == part]
        defined = found.body
