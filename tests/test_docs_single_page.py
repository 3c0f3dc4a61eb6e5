"""docs/single-page-app.md: another host. Its clients run in a browser, in tests/browser."""

import pytest
from django.urls import reverse
from rest_framework.test import APIClient
from rest_framework.views import APIView

from tests import markdown
from tests.other_tokens import code_of, mounted

PAGE = markdown.read("docs/single-page-app.md")
SECTIONS = markdown.sections(PAGE, 2)
SESSIONS, HOSTS = [markdown.run(block) for block in markdown.blocks(PAGE, "python")]
APP, API = "https://app.example.com", "api.example.com"
pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(settings, monkeypatch, user, password):
    """Return a browser at the app's host that is signed in at the API's, by cookies."""
    names = code_of("JSON web tokens in cookies")
    settings.ROOT_URLCONF = mounted(names)
    settings.ALLOWED_HOSTS = [API]
    monkeypatch.setattr(APIView, "authentication_classes", [names["CookieAuthentication"]])
    client = APIClient(enforce_csrf_checks=True, HTTP_HOST=API, secure=True, HTTP_ORIGIN=APP)
    client.defaults["wsgi.url_scheme"] = "https"
    body = {user.USERNAME_FIELD: user.get_username(), "password": password}

    def sign_in():
        assert client.post("/api/browser/create/", body, format="json").status_code == 200
        return client

    return sign_in


def create(client):
    header = {"HTTP_X_CSRFTOKEN": client.cookies["csrftoken"].value}
    return client.post(reverse("totp-create"), secure=True, **header)


def test_the_other_host_has_to_be_trusted(browser, settings):
    refused = create(browser())
    assert refused.status_code == 403
    assert "CSRF" in refused.json()["detail"]


def test_with_the_settings_it_is(browser, settings):
    for name in ("CSRF_TRUSTED_ORIGINS", "CSRF_COOKIE_DOMAIN"):
        setattr(settings, name, HOSTS[name])
    assert HOSTS["CSRF_TRUSTED_ORIGINS"] == [APP]
    client = browser()
    assert client.cookies["csrftoken"]["domain"] == ".example.com"
    assert client.cookies["access_token"]["domain"] == ""
    assert client.cookies["access_token"]["samesite"] == "Strict"
    assert create(client).status_code == 201


def test_the_class_for_sessions_is_that_of_rest_framework():
    [name] = SESSIONS["REST_FRAMEWORK"]["DEFAULT_AUTHENTICATION_CLASSES"]
    assert name == "rest_framework.authentication.SessionAuthentication"


def test_the_codes_it_names_are_those_of_the_api():
    clients = "".join(markdown.blocks(PAGE, "js"))
    errors = markdown.read("docs/errors.md") + markdown.read("docs/sessions.md")
    for code in (
        "enrollment_required",
        "insufficient_user_authentication",
        "not_authenticated",
        "second_factor_required",
        "token_not_valid",
    ):
        assert f'"{code}"' in clients
        assert f"`{code}`" in errors
