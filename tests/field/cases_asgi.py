"""Async views, which await our functions, behind uvicorn."""

import json
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.cookiejar import CookieJar
from urllib.parse import urlencode

import pytest
from django.db import connection

from tests.field.journey import test_journey, through_socket  # noqa: F401
from tests.field.processes import served
from tests.visitors import PASSWORD, make_visitor

UVICORN = ["uvicorn", "tests.field.serving:asgi", "--port={port}", "--log-level=error"]
AT_ONCE = 12
JSON = {"Accept": "application/json"}
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def port(transactional_db):
    with served(UVICORN, "tests.field.settings_asgi", connection.settings_dict["NAME"]) as port:
        yield port


@pytest.fixture
def send(shape, port):
    return through_socket(shape, port)


class Page:
    """A browser, over a socket."""

    def __init__(self, port):
        self.base = f"http://127.0.0.1:{port}"
        cookies = urllib.request.HTTPCookieProcessor(CookieJar())
        self.opener = urllib.request.build_opener(cookies)

    def __call__(self, path, body=None, **headers):
        data = body if body is None or isinstance(body, bytes) else urlencode(body).encode()
        request = urllib.request.Request(self.base + path, data, {**JSON, **headers})  # noqa: S310
        try:
            with self.opener.open(request, timeout=60) as response:
                return response.status, json.loads(response.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def form(self, path, **fields):
        """Send a form of a page of ours, with its token."""
        with self.opener.open(self.base + path, timeout=60) as page:
            token = page.read().decode().partition('name="csrfmiddlewaretoken" value="')[2][:64]
        body = urlencode({"csrfmiddlewaretoken": token, **fields}).encode()
        self.opener.open(self.base + path, body, timeout=60).close()


@pytest.fixture
def page(port):
    return Page(port)


@pytest.fixture
def ada(page):
    """Return a visitor who is logged in by both factors, in ``page``."""
    ada = make_visitor("ada").enroll()
    page.form("/account/login/", username=ada.name, password=PASSWORD, next="/async/who/")
    assert page("/async/who/") == (200, ["", False])
    assert page("/async/strict/")[1]["code"] == "second_factor_required"
    page.form("/account/two-factor/verify/", otp_code=ada.code(), next="/async/who/")
    return ada


def test_who_it_is(page, ada):
    assert page("/async/who/") == (200, [ada.name, True, "pwd", "otp", "mfa"])
    for guarded in ("/async/strict/", "/async/guarded/"):
        assert page(guarded) == (200, {"user": ada.name})


def test_nobody(page):
    assert page("/async/who/") == (200, ["", False])
    assert page("/async/strict/")[0] == 401


def test_codes_and_proofs(page, ada):
    code = ada.code()
    assert page("/async/check/", {"otp_code": code}) == (200, {"right": True})
    assert page("/async/check/", {"otp_code": code}) == (200, {"right": False})
    assert page("/async/check/", {"backup_code": "none"}) == (200, {"right": False})
    assert page("/async/prove/", {"password": PASSWORD}) == (200, {})
    assert page("/async/prove/", {"password": "wrong"})[1] == {"code": "reauthentication_required"}


def test_a_login_of_another_package(page):
    bob = make_visitor("bob")
    states = page("/async/passkey/", {"username": bob.name, "password": PASSWORD})
    assert states == (200, ["hwk", "pin", "mfa"])
    assert page("/async/who/") == (200, [bob.name, False, "hwk", "pin", "mfa"])


def test_a_code_is_good_for_one_of_many(port, person):
    person.enroll()
    code = person.next_code()
    bodies = [
        json.dumps({"challenge": person.challenge(), "otp_code": code}).encode()
        for _ in range(AT_ONCE)
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda body: Page(port)("/async/step/", body), bodies))
    assert sorted(status for status, _ in answers) == [200] + [400] * (AT_ONCE - 1)
