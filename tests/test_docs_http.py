"""docs/http-api.md and docs/errors.md: the requests are sent, the lists compared."""

import ast
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from unittest import mock

import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.signing import BadSignature, SignatureExpired
from django.test import override_settings
from django.urls import reverse
from rest_framework.test import APIClient
from rest_framework.views import APIView
from rest_framework_simplejwt.authentication import JWTStatelessUserAuthentication
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, api_settings

from django_totp import devices, exceptions, urls
from django_totp.accounts import account_by
from django_totp.assurance import new_login
from django_totp.backup_code_utils import rotate_backup_codes, store_backup_codes
from django_totp.conf import conf
from django_totp.permissions import HasSecondFactor
from django_totp.totp import create_totp_setup, verify_totp_code
from django_totp.urls import jwt, recovery
from django_totp.users import email_field
from django_totp.views import api as api_views
from django_totp.views import base
from tests import markdown, replay


@pytest.fixture
def http_users(make_user: Callable[..., AbstractBaseUser]) -> dict[str, AbstractBaseUser]:
    """Return the users of docs/http-api.md: no TOTP, TOTP, and TOTP while codes wait."""
    users = {name: make_user(name) for name in ("ada", "mary", "grace", "alan")}
    for name in ("grace", "alan"):
        setattr(users[name], email_field(users[name]), f"{name}@example.org")
        users[name].save()
        create_totp_setup(users[name])
        store_backup_codes(users[name], [])
        rotate_backup_codes(users[name])
    return users


def _wait(user: AbstractBaseUser) -> None:
    for _ in range(conf.TOTP_FAILURE_LIMIT + 1):
        assert not verify_totp_code(user, "12345")


@override_settings(TOTP_TRUSTED_DEVICE_MAX_AGE=2592000)
def _trust(user: AbstractBaseUser) -> None:
    row = account_by("pk", user.pk)
    assert devices.trust(row, new_login(row, "pwd", "otp"), "Tablet")


@override_settings(TOTP_THROTTLE_RATE=None)
def test_the_examples_of_the_http_api(
    http_users: dict[str, AbstractBaseUser], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django_totp.notices.sending._after_commit", lambda run: run())
    page = markdown.read("docs/http-api.md")
    replayed = replay.Replay(http_users)
    requests = 0
    with time_machine.travel(0x70000000, tick=False):
        _wait(http_users["alan"])
        _trust(http_users["grace"])
        for section in markdown.sections(page, 2).values():
            with _as_it_says(section):
                requests += replayed.play(section)
    assert requests == len(replay.exchanges(page)) > 20


def _as_it_says(section: str) -> ExitStack:
    """Return the settings with which ``section`` begins: "With `NAME = value`"."""
    stack = ExitStack()
    for name, value in re.findall(r"[Ww]ith `(TOTP_\w+) = ([^`]+)`", section):
        stack.enter_context(override_settings(**{name: ast.literal_eval(value)}))
    return stack


def test_every_endpoint_is_documented() -> None:
    page = markdown.read("docs/http-api.md")
    listed = set()
    for request, name, _ in markdown.rows(page):
        [request], [name] = markdown.code(request), markdown.code(name)
        method, path = request.split()
        assert reverse(name, args=["7"] * path.count("{id}")) == f"/api/{path.format(id=7)}"
        assert request in markdown.sections(page, 2)
        listed.add((name, method.lower()))
    assert listed == _endpoints()


def _endpoints() -> set[tuple[str, str]]:
    """Return the URL name of each endpoint of this package, with each of its methods."""
    return {
        (pattern.name, method)
        for pattern in (*urls.urlpatterns, *jwt.urlpatterns, *recovery.urlpatterns)
        for method in {"get", "post", "delete"} & set(dir(pattern.callback.view_class))
    }


def _error_rows() -> tuple[list[list[str]], list[list[str]]]:
    services, other, *_ = markdown.sections(markdown.read("docs/errors.md"), 2).values()
    return markdown.rows(services), markdown.rows(other)


def test_every_error_is_documented() -> None:
    documented = {
        markdown.code(name)[0]: (markdown.code(code)[0], sentence, int(status))
        for name, code, sentence, status in _error_rows()[0]
    }
    assert documented == {
        type(error).__name__: (error.code, str(error), base.ServiceError(error).status_code)
        for error in _errors()
    }


def _errors() -> Iterator[exceptions.TotpError]:
    for error in vars(exceptions).values():
        if error is exceptions.TooManyAttempts:
            yield error(30)
        elif isinstance(error, type) and exceptions.TotpError in error.__mro__[1:]:
            yield error()


def test_the_bases_of_errors_are_as_documented() -> None:
    assert issubclass(exceptions.TotpError, ValueError)
    assert issubclass(exceptions.InvalidChallenge, BadSignature)
    assert issubclass(exceptions.ExpiredChallenge, SignatureExpired)
    assert issubclass(exceptions.ExpiredChallenge, exceptions.InvalidChallenge)
    assert str(exceptions.TooManyAttempts(None)) in markdown.sentences("docs/errors.md")


def _request(path: str = "jwt/create/", method: str = "post", **request: Any) -> Callable[..., Any]:
    request = {"data": {}, "format": "json", **request}
    return lambda api: getattr(api, method)(f"/api/{path}", **request)


def _verify(**codes: str) -> Callable[..., Any]:
    return _request("jwt/totp/verify/", data={"totp_challenge_token": "x", **codes})


def _signed_in_as(key: Any) -> Callable[..., Any]:
    """Return a call with a token that names ``key``, where a token alone authenticates."""

    def call(api: APIClient) -> Any:
        token = AccessToken()
        token["user_id"] = key
        with mock.patch.object(
            APIView, "authentication_classes", (JWTStatelessUserAuthentication,)
        ):
            return api.get("/api/totp/", HTTP_AUTHORIZATION=f"Bearer {token}")

    return call


def _refresh_of_an_old_password(api: APIClient) -> Any:
    model = get_user_model()
    name = {model.USERNAME_FIELD: f"{uuid.uuid4().hex}@example.com"}
    refresh = RefreshToken.for_user(model._default_manager.create_user(**name, password="x"))
    with mock.patch.object(api_settings, "CHECK_REVOKE_TOKEN", True):
        return api.post("/api/jwt/refresh/", {"refresh": str(refresh)})


def _at_a_view_that_wants_a_second_factor(api: APIClient) -> Any:
    model = get_user_model()
    name = {model.USERNAME_FIELD: f"{uuid.uuid4().hex}@example.com"}
    user = model._default_manager.create_user(**name, password="x")
    create_totp_setup(user)
    store_backup_codes(user, [])
    with mock.patch.object(api_views.TotpStatusView, "permission_classes", (HasSecondFactor,)):
        token = AccessToken.for_user(user)
        return api.get("/api/totp/", HTTP_AUTHORIZATION=f"Bearer {token}")


def _at_a_device_that_is_none(api: APIClient) -> Any:
    model = get_user_model()
    name = {model.USERNAME_FIELD: f"{uuid.uuid4().hex}@example.com"}
    token = AccessToken.for_user(model._default_manager.create_user(**name, password="x"))
    return api.delete("/api/totp/devices/7/", HTTP_AUTHORIZATION=f"Bearer {token}")


OTHER_CODES = {
    "insufficient_user_authentication": _at_a_view_that_wants_a_second_factor,
    "authentication_failed": _signed_in_as({"not": "a key"}),
    "user_inactive": _signed_in_as("4711" * 8),
    "password_changed": _refresh_of_an_old_password,
    "invalid": _request(),
    "no_code": _verify(),
    "both_codes": _verify(otp_code="1", backup_code="2"),
    "parse_error": _request(data="{", format=None, content_type="application/json"),
    "invalid_credentials": _request(data=dict.fromkeys(["username", "email", "password"], "x")),
    "not_authenticated": _request("totp/create/"),
    "token_not_valid": _request("jwt/verify/", data={"token": "x"}),
    "bad_authorization_header": _request("totp/", "get", HTTP_AUTHORIZATION="Bearer x y"),
    "not_found": _at_a_device_that_is_none,
    "method_not_allowed": _request(method="delete"),
    "not_acceptable": _request(HTTP_ACCEPT="text/html"),
    "request_too_large": _request(data={"password": "x" * base.MAX_BODY}),
    "unsupported_media_type": _request(data="x", format=None, content_type="text/plain"),
    "throttled": _request(),
}


@pytest.mark.django_db
@pytest.mark.parametrize(("code", "status", "when"), _error_rows()[1])
def test_other_codes_are_answered_as_documented(
    code: str, status: str, when: str, api: APIClient
) -> None:
    [code] = markdown.code(code)
    with override_settings(TOTP_THROTTLE_RATE="1/minute" if code == "throttled" else None):
        OTHER_CODES[code](api)
        response = OTHER_CODES[code](api)
    assert (response.status_code, response.json()["code"]) == (int(status), code)
    assert response.json()["detail"]


def test_every_other_code_is_documented() -> None:
    assert {markdown.code(row[0])[0] for row in _error_rows()[1]} == set(OTHER_CODES)
