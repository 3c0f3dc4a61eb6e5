"""docs/other-tokens.md: tokens in cookies. authtoken is a variant, knox a project in the field."""

import os
import subprocess
import sys
from datetime import timedelta

import pytest
from django.urls import reverse
from django.views.debug import SafeExceptionReporterFilter
from rest_framework.test import APIClient
from rest_framework.views import APIView
from rest_framework_simplejwt.serializers import TokenRefreshSerializer
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import RefreshToken

from django_totp.views.jwt import JWTRefreshView
from tests import markdown
from tests.endpoints import assert_error
from tests.other_tokens import *  # noqa: F403
from tests.other_tokens import PAGE, Door, code_of, mounted

pytestmark = pytest.mark.django_db

STATUS, CREATE = "totp-status", "totp-create"


class OwnRefresh(TokenRefreshSerializer):
    def validate(self, attrs):
        return {**super().validate(attrs), "greeting": "hello"}


@pytest.fixture
def door(settings, monkeypatch):
    names = code_of("JSON web tokens in cookies")
    settings.ROOT_URLCONF = mounted(names)
    monkeypatch.setattr(APIView, "authentication_classes", [names["CookieAuthentication"]])
    api = APIClient(enforce_csrf_checks=True)  # a browser: it keeps the cookies
    return Door("browser", lambda answer: api, api)


@pytest.fixture
def browser(door, credentials):
    """Return a browser that is signed in."""
    assert door.is_in(door.post("create", **credentials))
    return door.api


def test_scripts_see_no_token(door, credentials):
    answer = door.post("create", **credentials)
    assert answer.json() == {"is_totp_enabled": False}
    for name, (path, lifetime) in {
        "access_token": ("/api/", api_settings.ACCESS_TOKEN_LIFETIME),
        "refresh_token": ("/api/browser/", api_settings.REFRESH_TOKEN_LIFETIME),
    }.items():
        cookie = answer.cookies[name]
        assert cookie["httponly"] and cookie["secure"]  # noqa: PT018
        assert cookie["samesite"] == "Strict"
        assert cookie["path"] == path
        assert timedelta(seconds=cookie["max-age"]) == lifetime
    assert not answer.cookies["csrftoken"]["httponly"]


def test_a_refresh(door, browser):
    before = browser.cookies["access_token"].value
    answer = door.post("refresh")
    assert (answer.status_code, answer.json()) == (200, {})
    assert list(answer.cookies) == ["access_token"]
    assert browser.cookies["access_token"].value != before
    assert door.is_in(answer)


def test_a_refresh_that_rotates(door, browser, monkeypatch):
    monkeypatch.setattr(api_settings, "ROTATE_REFRESH_TOKENS", True)
    answer = door.post("refresh")
    assert (answer.json(), set(answer.cookies)) == ({}, {"access_token", "refresh_token"})
    assert door.is_in(answer)


def test_a_refresh_with_a_serializer_of_the_project(door, browser, monkeypatch):
    monkeypatch.setattr(JWTRefreshView, "_serializer_class", f"{__name__}.OwnRefresh")
    answer = door.post("refresh")
    assert answer.json() == {"greeting": "hello"}
    assert door.is_in(answer)


def test_a_refresh_that_is_refused_sets_no_cookie(door, browser, user):
    user.is_active = False
    user.save()
    answer = door.post("refresh")
    assert assert_error(answer, 401)["code"] == "user_inactive"
    assert not answer.cookies


def test_a_refresh_without_a_cookie(door):
    assert assert_error(door.post("refresh"), 401)["code"] == "token_not_valid"


@pytest.mark.parametrize("body", ["[]", "null", '"text"'])
def test_a_body_that_is_no_object(door, browser, body):
    answer = browser.post("/api/browser/refresh/", body, content_type="application/json")
    assert_error(answer, 400)


@pytest.mark.parametrize("name", ["refresh", "logout", "create", "step_up"])
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_what_other_sites_can_send_is_refused(door, browser, name, kind):
    answer = browser.generic("POST", f"/api/browser/{name}/", "{}", content_type=kind)
    assert answer.status_code == 415
    assert not answer.cookies


def test_a_step_up(door, browser, enrolled_user, secret, otp):
    """The login is from before the enrollment: the code completes it."""
    assert browser.get(reverse(STATUS)).json()["code"] == "second_factor_required"
    assert door.post("refresh").json()["code"] == "second_factor_required"
    answer = door.post("step_up", otp_code=otp(secret))
    assert (answer.json(), set(answer.cookies)) == ({}, {"access_token", "refresh_token"})
    assert door.is_in(answer)


def test_what_changes_something_needs_the_csrf_token(browser):
    refused = browser.post(reverse(CREATE))
    assert refused.status_code == 403
    assert "CSRF" in refused.json()["detail"]
    header = {"HTTP_X_CSRFTOKEN": browser.cookies["csrftoken"].value}
    assert browser.post(reverse(CREATE), **header).status_code == 201


def test_a_login_makes_a_new_csrf_token(door, browser, credentials):
    before = browser.cookies["csrftoken"].value
    door.post("create", **credentials)
    assert browser.cookies["csrftoken"].value != before


def test_logging_out(door, browser):
    answer = door.post("logout")
    assert answer.status_code == 204
    assert {cookie.value for cookie in answer.cookies.values()} == {""}
    assert {cookie["path"] for cookie in answer.cookies.values()} == {"/api/", "/api/browser/"}
    assert browser.get(reverse(STATUS)).status_code == 401


@pytest.mark.parametrize("cookie", ["", "junk"])
def test_logging_out_without_a_good_cookie(door, cookie):
    door.api.cookies["refresh_token"] = cookie
    assert door.post("logout").status_code == 204


def test_error_reports_hide_the_cookies(browser, rf):
    request = rf.get("/")
    request.COOKIES = {name: cookie.value for name, cookie in browser.cookies.items()}
    safe = SafeExceptionReporterFilter().get_safe_cookies(request)
    for name in ("access_token", "refresh_token"):
        assert safe[name] == SafeExceptionReporterFilter.cleansed_substitute


def test_a_token_in_the_body_is_none(door, user):
    """What is in the cookie counts, and nothing beside it."""
    answer = door.post("refresh", refresh=str(RefreshToken.for_user(user)))
    assert_error(answer, 401)


START = """
import sys
import django
from django.conf import settings

settings.configure(
    SECRET_KEY="x" * 50,
    INSTALLED_APPS=[
        *("django.contrib.auth", "django.contrib.contenttypes", "rest_framework", "django_totp"),
        "rest_framework_simplejwt.token_blacklist",
    ],
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": ["shop.authentication.CookieAuthentication"],
    },
    ROOT_URLCONF="shop.views",
    TOTP_ENCRYPTION_KEY="AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
)
django.setup()
from django.urls import resolve

print(resolve("/browser/create/").func.view_class.__name__)
"""


def test_a_project_starts_with_the_modules_of_the_page(tmp_path):
    """The class is imported while REST framework is: it must not lie beside the views."""
    section = markdown.sections(markdown.read(PAGE), 2)["JSON web tokens in cookies"]
    authentication, views = markdown.blocks(section, "python")
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "shop" / "authentication.py").write_text(authentication)
    (tmp_path / "shop" / "views.py").write_text(views)
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", START],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "CookieCreateView\n", done.stderr
