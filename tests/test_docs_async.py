"""docs/async.md: its views run, and its table is what there is."""

import json
import sys

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.test import AsyncClient, AsyncRequestFactory
from django.urls import path
from django.views.debug import ExceptionReporter

from django_totp.auth import is_totp_enabled
from django_totp.totp import start_totp_setup
from tests import markdown
from tests.browsing import Browser, age_enrollment
from tests.endpoints import wrong_code
from tests.test_async import TWINS

PAGE = markdown.read("docs/async.md")
MONEY, CONFIRM = (
    markdown.run(block, __name__=__name__) for block in markdown.blocks(PAGE, "python")
)

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]
urlpatterns = [path("money/", MONEY["send_money"])]


@pytest.fixture
def send(client):
    """Return a function that posts a code, and gives status and body."""

    def send(code):
        asynchronous = AsyncClient()
        asynchronous.cookies = client.cookies
        response = async_to_sync(asynchronous.post)("/money/", {"code": code})
        return response.status_code, json.loads(response.content)

    return send


def test_the_table_is_what_there_is():
    rows = [[markdown.code(cell)[0] for cell in row] for row in markdown.rows(PAGE)]
    assert {twin: module for _, twin, module in rows} == {
        name: module.__name__ for name, module in TWINS.items()
    }
    assert all(twin == f"a{name}" for name, twin, _ in rows)


def test_nobody_and_who_has_no_factor_send_nothing(client, user, send):
    assert send("123456")[0] == 403
    client.force_login(user)
    assert send("123456")[0] == 403


def test_a_code_sends_money_once(client, settings, enrolled_user, otp, secret, send):
    settings.TOTP_FAILURE_LIMIT = 1
    age_enrollment(enrolled_user)
    settings.ROOT_URLCONF = "tests.session_urls"
    browser = Browser(enrolled_user)
    browser.password()
    browser.code(otp(secret, offset=-1))
    client.cookies = browser.client.cookies
    settings.ROOT_URLCONF = __name__
    assert send(otp(secret)) == (200, {"sent": True})
    assert send(otp(secret))[0] == 400
    assert send(wrong_code(secret))[0] == 400
    status, body = send(otp(secret, offset=1))
    assert status == 429
    assert body["detail"].startswith("Too many wrong codes.")


@pytest.mark.parametrize("view", [MONEY["send_money"], CONFIRM["confirm"]])
def test_no_example_shows_a_code_in_a_report(monkeypatch, enrolled_user, view):
    def crash(*args, **kwargs):
        raise RuntimeError

    monkeypatch.setattr("django_totp.totp.answer", crash)
    monkeypatch.setattr("django_totp.totp._confirm", crash)
    is_view = view is MONEY["send_money"]
    request = AsyncRequestFactory().post("/", {"code": "SECRET"} if is_view else {})
    request.auser = sync_to_async(lambda: enrolled_user)
    given = (request,) if is_view else (enrolled_user, "SECRET")
    try:
        async_to_sync(view)(*given)
    except RuntimeError:
        report = ExceptionReporter(request, *sys.exc_info())
    frames = [one for one in report.get_traceback_frames() if one["filename"] != __file__]
    assert view.__name__ in [one["function"] for one in frames]
    assert "SECRET" not in str([one["vars"] for one in frames])
    assert "SECRET" not in str(report.get_traceback_data()["filtered_POST_items"])


def test_any_other_function(user, otp):
    setup = start_totp_setup(user)
    codes = async_to_sync(CONFIRM["confirm"])(user, otp(setup.secret))
    assert len(codes) == 10
    assert is_totp_enabled(user)
