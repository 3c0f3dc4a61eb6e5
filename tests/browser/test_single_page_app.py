"""The clients of docs/single-page-app.md, in a real browser, with the server of other-tokens.md."""

from types import SimpleNamespace
from typing import Any

import pyotp
import pytest
from django.http import HttpResponse
from django.urls import path
from playwright.sync_api import Page, expect
from rest_framework.authentication import SessionAuthentication
from rest_framework.response import Response
from rest_framework.views import APIView

from django_totp.models import Totp
from django_totp.permissions import HasRecentSecondFactor, HasSecondFactor
from tests import markdown
from tests.browsing import PASSWORD
from tests.other_tokens import code_of
from tests.test_checks import urls
from tests.urls import urlpatterns

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SECTIONS = markdown.sections(markdown.read("docs/single-page-app.md"), 2)
[WITH_SESSIONS] = markdown.blocks(SECTIONS["With sessions"], "js")
[WITH_TOKENS] = markdown.blocks(SECTIONS["With JSON web tokens"], "js")

# What the page calls the app's own. Codes come from the test, and what was shown is kept.
OF_THE_APP = """
const codes = [], shown = [];
async function typed(send, wrap) {
  for (;;) {
    while (!codes.length) await new Promise((resolve) => setTimeout(resolve, 20));
    const code = codes.shift();
    try { return await send(wrap(code)); } catch (error) { shown.push(error.message); }
  }
}
const askForCode = (send) => typed(send, (otp_code) => ({ otp_code }));
const askForFirstCode = (setup, send) => {
  shown.push(setup.secret);
  return typed(send, (code) => code);
};
const showBackupCodes = (codes) => shown.push(`${codes.length} codes`);
const showLogin = () => shown.push("login");
"""


class Notes(APIView):
    permission_classes = (HasSecondFactor,)

    def get(self, request: Any) -> Response:
        return Response({"notes": [request.user.get_username()]})


class Payout(APIView):
    permission_classes = (HasRecentSecondFactor,)

    def post(self, request: Any) -> Response:
        return Response({"paid": True})


def page_with(script: str) -> Any:
    def app(request: Any) -> HttpResponse:
        return HttpResponse("<!doctype html><title>App</title><script src='/app.js'></script>")

    def code(request: Any) -> HttpResponse:
        return HttpResponse(script, content_type="text/javascript")

    return [
        path("app/", app),
        path("app.js", code),
        path("favicon.ico", lambda request: HttpResponse(status=204)),
        path("api/notes/", Notes.as_view()),
        path("api/payout/", Payout.as_view()),
    ]


@pytest.fixture
def app(project: Any, settings: Any, monkeypatch: pytest.MonkeyPatch, visit: Any) -> Any:
    """Return a function that opens the app with cookies, and gives its page."""
    names = code_of("JSON web tokens in cookies")
    mounted = [path(f"api/{one.pattern}", one.callback) for one in names["urlpatterns"]]
    settings.ROOT_URLCONF = urls(*page_with(OF_THE_APP + WITH_TOKENS), *mounted, *urlpatterns)
    for view in (APIView, Notes, Payout):
        monkeypatch.setattr(view, "authentication_classes", [names["CookieAuthentication"]])

    def app() -> Page:
        return visit(SimpleNamespace(url=project.url), "/app/")

    return app


def log_in(page: Page, user: Any) -> None:
    credentials = {user.USERNAME_FIELD: user.get_username(), "password": PASSWORD}
    page.evaluate("credentials => logIn(credentials)", credentials)


def cookies(page: Page) -> set[str]:
    return {cookie["name"] for cookie in page.context.cookies()}


def test_a_login_in_two_steps(app: Any, user: Any, authenticator: pyotp.TOTP) -> None:
    page = app()
    page.evaluate("code => codes.push('000', code)", authenticator.now())
    log_in(page, user)
    assert page.evaluate("shown") == ["Invalid TOTP code."]
    assert cookies(page) >= {"access_token", "refresh_token", "csrftoken"}
    assert "token" not in page.evaluate("document.cookie").replace("csrftoken", "")
    notes = page.evaluate("sendSigned('GET', 'notes/')")
    assert notes == {"notes": [user.get_username()]}


def test_an_access_token_that_is_over_is_renewed(app: Any, user: Any, authenticator: Any) -> None:
    page = app()
    page.evaluate("code => codes.push(code)", authenticator.now())
    log_in(page, user)
    page.context.clear_cookies(name="access_token")
    assert page.evaluate("sendSigned('GET', 'notes/')")["notes"]
    assert page.evaluate("shown") == []


def test_a_code_that_is_asked_for_again(
    app: Any, user: Any, authenticator: Any, settings: Any
) -> None:
    page = app()
    page.evaluate("code => codes.push(code)", authenticator.now())
    log_in(page, user)
    settings.TOTP_REAUTHENTICATE_MAX_AGE = 2
    page.wait_for_timeout(2100)
    Totp.objects.update(last_used_step=None)
    page.evaluate("code => codes.push(code)", authenticator.now())
    assert page.evaluate("sendSigned('POST', 'payout/', {})") == {"paid": True}
    assert page.evaluate("codes.length") == 0


def test_the_end(app: Any, user: Any, authenticator: Any) -> None:
    page = app()
    page.evaluate("code => codes.push(code)", authenticator.now())
    log_in(page, user)
    page.evaluate("logOut()")
    assert not cookies(page) & {"access_token", "refresh_token"}
    assert page.evaluate("sendSigned('GET', 'notes/').catch((error) => error.status)") == 401
    assert page.evaluate("shown") == ["login"]


def test_an_enrollment_that_is_owed(app: Any, user: Any, settings: Any) -> None:
    settings.TOTP_REQUIRED_FOR = ["everyone"]
    page = app()
    credentials = {user.USERNAME_FIELD: user.get_username(), "password": PASSWORD}
    page.evaluate("credentials => { globalThis.done = logIn(credentials); }", credentials)
    [secret] = page.evaluate(
        """async () => {
          while (!shown.length) await new Promise((resolve) => setTimeout(resolve, 20));
          return shown;
        }"""
    )
    page.evaluate("code => codes.push(code)", pyotp.TOTP(secret).now())
    page.evaluate("done")
    assert page.evaluate("shown") == [secret, "10 codes"]
    assert page.evaluate("sendSigned('GET', 'notes/')")["notes"]


def test_sessions_lead_the_whole_page_on(
    project: Any,
    user: Any,
    authenticator: pyotp.TOTP,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    visit: Any,
) -> None:
    settings.ROOT_URLCONF = urls(*page_with(WITH_SESSIONS), *urlpatterns)
    for view in (Notes, Payout):
        monkeypatch.setattr(view, "authentication_classes", [SessionAuthentication])
    page = visit(SimpleNamespace(url=project.url), "/account/login/?next=/app/")
    page.get_by_label("Email" if user.USERNAME_FIELD == "email" else "Username").fill(
        user.get_username()
    )
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button").first.click()
    page.wait_for_url("**/verify/**")
    page.goto("/app/?tab=2")
    page.evaluate("ask('/api/notes/')")
    page.wait_for_url("**/account/two-factor/verify/?next=%2Fapp%2F%3Ftab%3D2")
    page.locator("#id_otp_code").fill(authenticator.now())
    page.get_by_role("button", name="Continue").click()
    page.wait_for_url("**/app/?tab=2")
    assert page.evaluate("ask('/api/notes/')") == {"notes": [user.get_username()]}
    assert page.evaluate("ask('/api/payout/', {})") == {"paid": True}
    expect(page).to_have_title("App")
