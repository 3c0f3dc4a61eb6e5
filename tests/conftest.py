"""Fixtures named for states, and the policy for services that are missing."""

import dataclasses
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import pyotp
import pytest
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.signals import user_logged_in
from django.test import override_settings
from django.urls import reverse
from rest_framework.response import Response
from rest_framework.test import APIClient
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import AccessToken

from django_totp.assurance import new_login
from django_totp.backup_code_utils import generate_backup_codes, store_backup_codes
from django_totp.encryption import encrypt
from django_totp.models import Totp
from django_totp.tokens import restate
from django_totp.totp import generate_totp_secret
from tests import services
from tests.browsing import Browser, age_enrollment

LEAST_OF_A_STEP = 3  # seconds, in which each test is through with its codes

hypothesis.settings.register_profile("no deadline", deadline=None)  # machines are busy at times
hypothesis.settings.load_profile("no deadline")

browser_missing = services.missing("browser")
collect_ignore = ["browser"] if browser_missing else []


def pytest_configure(config: pytest.Config) -> None:
    if browser_missing and "not browser" not in config.option.markexpr:
        services.left_out["browser"] = browser_missing
    if services.CI and services.left_out:
        raise pytest.UsageError(*_left_out_lines())


def pytest_report_header() -> str:
    chosen = (
        django_settings.DATABASES["default"]["ENGINE"],
        django_settings.AUTH_USER_MODEL,
        django_settings.CACHES["default"]["BACKEND"],
    )
    return f"runs on: {', '.join(chosen)}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if services.left_out:
        terminalreporter.section("left out", yellow=True)
        for line in _left_out_lines():
            terminalreporter.line(line, yellow=True)


def _left_out_lines() -> list[str]:
    return [f"Left out, {name}: {reason}" for name, reason in services.left_out.items()]


@pytest.fixture(autouse=True)
def _cache_of_its_own() -> Iterator[None]:
    """Give each test keys of its own: ``cache.clear()`` would empty Redis for all workers."""
    cache = {**django_settings.CACHES["default"], "KEY_PREFIX": uuid.uuid4().hex}
    with override_settings(CACHES={"default": cache}):
        yield


@pytest.fixture
def password() -> str:
    return "correct horse battery staple"


@pytest.fixture
def make_user(db: None, password: str) -> Callable[..., AbstractBaseUser]:
    """Return a function that creates a user of the given name, with the password ``password``."""

    def make_user(name: str, **fields: Any) -> AbstractBaseUser:
        model = get_user_model()
        names = {model.USERNAME_FIELD: f"{name}@example.com", "password": password}
        return model._default_manager.create_user(**names, **fields)

    return make_user


@pytest.fixture
def user(make_user: Callable[..., AbstractBaseUser]) -> AbstractBaseUser:
    """Return a user without a second factor."""
    return make_user("ada")


@pytest.fixture
def secret() -> str:
    return generate_totp_secret()


@pytest.fixture
def backup_codes() -> list[str]:
    return generate_backup_codes()


@pytest.fixture
def pending_user(user: AbstractBaseUser, secret: str) -> AbstractBaseUser:
    """Return the user with ``secret``, which is not confirmed yet."""
    Totp.objects.create(user=user, secret_key=encrypt(secret))
    return user


@pytest.fixture
def enrolled_user(pending_user: AbstractBaseUser, backup_codes: list[str]) -> AbstractBaseUser:
    """Return the user with ``secret`` and ``backup_codes``, confirmed."""
    store_backup_codes(pending_user, backup_codes)
    return pending_user


@pytest.fixture
def otp() -> Callable[..., str]:
    """Return a function that gives the code of a secret, ``offset`` time steps from ``at``.

    A test that asks for the code of now twice means the same one: none begins in the last
    seconds of a time step.
    """
    left = 30 - time.time() % 30
    if left < LEAST_OF_A_STEP:
        time.sleep(left)

    def otp(secret: str, *, at: float | None = None, offset: int = 0) -> str:
        return pyotp.TOTP(secret).at(int(time.time() if at is None else at) + 30 * offset)

    return otp


@pytest.fixture
def simplejwt(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that changes settings of simplejwt, where our views read them."""

    def simplejwt(**values: Any) -> None:
        for name, value in values.items():
            monkeypatch.setattr(api_settings, name, value)

    return simplejwt


@pytest.fixture
def api() -> APIClient:
    """Return a client of the HTTP API that is not signed in."""
    return APIClient()


@pytest.fixture
def sign_in() -> Callable[..., APIClient]:
    """Return a function that gives a client with an access token of a user.

    The token states the ``methods`` of the login, ``age`` seconds ago, or nothing without them.
    """

    def sign_in(user: AbstractBaseUser, *methods: str, age: int = 0) -> APIClient:
        token = AccessToken.for_user(user)
        if methods:
            login = new_login(user, *methods)
            restate(token, dataclasses.replace(login, time=int(time.time()) - age))
        return APIClient(HTTP_AUTHORIZATION=f"Bearer {token}")

    return sign_in


@pytest.fixture
def signed_in(
    user: AbstractBaseUser, sign_in: Callable[[AbstractBaseUser], APIClient]
) -> APIClient:
    """Return a client that is signed in as ``user``, whichever state that is in."""
    return sign_in(user)


@pytest.fixture
def login(api: APIClient, password: str) -> Callable[..., Response]:
    """Return a function that logs a user in over HTTP and gives the last response.

    The second step is taken if it gets ``otp_code`` or ``backup_code``.
    """

    def login(user: AbstractBaseUser, **code: str) -> Response:
        credentials = {user.USERNAME_FIELD: user.get_username(), "password": password}
        response = api.post(reverse("jwt-create"), credentials, format="json")
        if not code:
            return response
        challenge = response.json()["totp_challenge_token"]
        body = {"totp_challenge_token": challenge, **code}
        return api.post(reverse("jwt-totp-verify"), body, format="json")

    return login


@pytest.fixture
def without_middleware(settings):
    """Leave out the middleware: sessions are not looked at."""
    ours = "django_totp.middleware.SecondFactorMiddleware"
    settings.MIDDLEWARE = [one for one in settings.MIDDLEWARE if one != ours]


@pytest.fixture
def unguarded(settings, without_middleware):
    """Make it a project without the middleware and the pages."""
    settings.ROOT_URLCONF = "tests.unguarded_urls"


@pytest.fixture
def browser(user):
    """Return a browser of a user without a second factor."""
    return Browser(user)


@pytest.fixture
def enrolled(enrolled_user):
    """Return a browser of a user whose second factor is a day old."""
    age_enrollment(enrolled_user)
    return Browser(enrolled_user)


@pytest.fixture
def code(otp, secret):
    """Return a function that gives the code of the user's app, like ``otp``."""
    return lambda **options: otp(secret, **options)


@pytest.fixture
def logins():
    """Return a list of the names of those whom Django says to have logged in."""
    told = []

    def note(user, **kwargs):
        told.append(user.get_username())

    user_logged_in.connect(note)
    yield told
    user_logged_in.disconnect(note)
