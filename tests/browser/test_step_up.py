"""A code that is asked for again: in the example, and by the client of the documentation."""

import json
import time
from typing import Any

import pyotp
import pytest
from playwright.sync_api import Page, expect

from tests import markdown

from .test_journey import (
    BAD_CODE,
    desktop,
    enroll,
    narrow,
    next_code,
    phone,
    problem,
    sign_in,
    told_in_sight,
    view,
    wrong_code,
)

pytestmark = pytest.mark.browser

CODE_AGAIN = "This needs a recent code, or one of your backup codes."
SIGN_IN_AGAIN = "Your sign-in has ended. Please sign in again."
NOT_DONE = "Not confirmed, so nothing was done."
DONE = "Your notes are deleted. There were none: this is an example."


def sign_in_fully(page: Page, site: Any, code: str) -> None:
    sign_in(page, site)
    view(page, "second")
    page.get_by_role("button", name="Use a backup code").click()
    page.get_by_label("One of your backup codes").fill(code)
    page.get_by_role("button", name="Sign in", exact=True).click()
    view(page, "account")


def delete(page: Page) -> None:
    page.get_by_role("button", name="Delete my notes").click()


def confirm(page: Page, code: str) -> None:
    page.get_by_label("Code from your authenticator app").fill(code)
    page.get_by_role("button", name="Confirm").click()


def requests_of(page: Page) -> list[str]:
    """Return the paths of the requests, the newest first."""
    return page.locator("#log .path").all_inner_texts()


@pytest.mark.parametrize(
    "screen",
    [
        pytest.param(phone | {"color_scheme": "dark"}, id="phone dark"),
        pytest.param(phone | {"color_scheme": "light"}, id="phone light"),
        pytest.param(desktop | {"color_scheme": "dark"}, id="desktop dark"),
        pytest.param(desktop | {"color_scheme": "light"}, id="desktop light"),
        pytest.param(narrow | {"color_scheme": "light"}, id="narrow"),
    ],
)
def test_a_code_that_is_too_old_is_asked_for_again(fresh_site, visit, look, screen):
    authenticator, codes = enroll(fresh_site)
    page = visit(fresh_site, **screen)
    sign_in_fully(page, fresh_site, codes[0])
    assert page.locator("#claim-amr").inner_text() == "pwd, otp, mfa"
    assert page.locator("#claim-acr").inner_text() == "aal2"
    look(page, "1-danger")

    # What is recent is let through.
    delete(page)
    assert told_in_sight(page) == DONE
    login = page.locator("#claim-sid").inner_text()

    # What is not is confirmed, after a change of mind and a typing error.
    page.get_by_label("ask again after 5 seconds").check()
    time.sleep(5)
    delete(page)
    assert CODE_AGAIN in view(page, "second").inner_text()
    look(page, "2-confirm")
    page.get_by_role("button", name="Cancel").click()
    view(page, "account")
    assert problem(page) == NOT_DONE
    expect(page.get_by_role("button", name="Delete my notes")).to_be_focused()
    delete(page)
    view(page, "second")
    confirm(page, wrong_code(authenticator))
    assert problem(page) == BAD_CODE
    confirm(page, next_code(authenticator))
    view(page, "account")
    assert told_in_sight(page) == DONE
    expect(page.get_by_role("button", name="Delete my notes")).to_be_focused()
    assert requests_of(page)[:4] == [
        "notes/strict/",
        "jwt/step_up/",
        "jwt/step_up/",
        "notes/strict/",
    ]
    assert page.locator("#claim-sid").inner_text() == login  # the same login, confirmed anew
    assert page.locator("#claim-time").inner_text() in {"0 s ago", "1 s ago", "2 s ago"}
    look(page, "3-done")


def test_a_backup_code_does_too(fresh_site, visit):
    _, codes = enroll(fresh_site)
    page = visit(fresh_site, **phone)
    sign_in_fully(page, fresh_site, codes[0])
    page.get_by_label("ask again after 5 seconds").check()
    time.sleep(5)
    delete(page)
    view(page, "second")
    page.get_by_role("button", name="Use a backup code").click()
    page.get_by_label("One of your backup codes").fill(codes[1])
    page.get_by_role("button", name="Confirm").click()
    assert told_in_sight(page) == DONE
    assert "Backup codes left\n8" in view(page, "account").inner_text()


def test_who_has_just_enrolled_is_let_in(fresh_site, visit):
    page = visit(fresh_site)
    sign_in(page, fresh_site)
    view(page, "account")
    assert page.locator("#claim-amr").inner_text() == "pwd"
    delete(page)
    assert problem(page) == "Please set up two-factor authentication first."
    page.get_by_role("button", name="Set up").click()
    view(page, "enroll")
    authenticator = pyotp.TOTP(page.locator("#secret").inner_text().replace(" ", ""))
    page.get_by_label("Code that the app shows now").fill(authenticator.now())
    page.get_by_role("button", name="Turn on").click()
    page.get_by_role("button", name="I have saved them").click()
    view(page, "account")
    assert page.locator("#claim-amr").inner_text() == "pwd, otp, mfa"
    delete(page)
    assert told_in_sight(page) == DONE


def test_a_login_from_before_the_enrollment_is_completed(fresh_site, visit):
    page = visit(fresh_site)
    sign_in(page, fresh_site)
    view(page, "account")
    authenticator, _ = enroll(fresh_site)  # in another window
    delete(page)
    view(page, "second")
    confirm(page, next_code(authenticator))
    assert told_in_sight(page) == DONE
    assert page.locator("#claim-amr").inner_text() == "pwd, otp, mfa"


def test_a_login_that_is_over_leads_back_to_the_start(fresh_site, visit):
    _, codes = enroll(fresh_site)
    page = visit(fresh_site)
    sign_in_fully(page, fresh_site, codes[0])
    over = {"detail": "This login was ended. Log in again.", "code": "login_outdated"}
    page.route("**/api/notes/", lambda route: route.fulfill(status=401, json=over))
    delete(page)
    view(page, "signin")
    assert problem(page) == SIGN_IN_AGAIN
    assert "jwt/refresh/" not in requests_of(page)


def test_a_login_that_ends_while_a_code_is_typed_leads_back_too(fresh_site, visit):
    authenticator, codes = enroll(fresh_site)
    page = visit(fresh_site)
    sign_in_fully(page, fresh_site, codes[0])
    page.get_by_label("ask again after 5 seconds").check()
    time.sleep(5)
    delete(page)
    view(page, "second")
    over = {"detail": "This login was ended. Log in again.", "code": "login_outdated"}
    page.route("**/api/jwt/step_up/", lambda route: route.fulfill(status=401, json=over))
    confirm(page, next_code(authenticator))
    view(page, "signin")
    assert problem(page) == SIGN_IN_AGAIN


# --- The client of the documentation ---

SCRIPT = """
  let tokens = { access: "old", refresh: "kept" };
  const asked = [];
  const over = [];
  const endLogin = (error) => { tokens = null; over.push(error.code); };
  const askForCode = async (send) => { asked.push("code"); await send({ otp_code: "123456" }); };
"""


@pytest.fixture
def run_client(site, visit):
    """Return a function that runs the client of the page against ``answers``, in their order."""
    page = visit(site)
    section = markdown.sections(markdown.read("docs/assurance.md"), 2)
    client = "".join(markdown.blocks(section["Ask for a recent second factor"], "js"))

    def run(*answers: tuple[int, Any]) -> dict[str, Any]:
        left, sent = list(answers), []

        def fulfill(route: Any) -> None:
            request = route.request
            path = request.url.partition("/api/")[2]
            token = request.headers.get("authorization", "").removeprefix("Bearer ")
            sent.append((path, request.post_data_json or token))
            status, body = left.pop(0)
            body = {"code": body, "detail": "No."} if isinstance(body, str) else body
            route.fulfill(status=status, body=json.dumps(body), content_type="application/json")

        page.route("**/api/**", fulfill)
        ending = """
          let answer, error;
          try { answer = await sendSigned("DELETE", "notes/"); } catch (one) { error = one.code; }
          return { answer, error, asked: asked.length, over, tokens };
        """
        told = page.evaluate(f"async () => {{ {SCRIPT} {client} {ending} }}")
        page.unroute("**/api/**")
        assert left == []
        return {**told, "sent": sent}

    return run


NEW = {"access": "new", "refresh": "newer"}
NOTES, AGAIN = ("notes/", "old"), ("notes/", "new")
STEP_UP = ("jwt/step_up/", {"refresh": "kept", "otp_code": "123456"})
REFRESH = ("jwt/refresh/", {"refresh": "kept"})


@pytest.mark.parametrize("code", ["insufficient_user_authentication", "second_factor_required"])
def test_the_client_steps_up_without_a_refresh(run_client, code):
    told = run_client((401, code), (200, NEW), (200, {"done": True}))
    assert told["sent"] == [NOTES, STEP_UP, AGAIN]
    assert (told["answer"], told["tokens"], told["asked"]) == ({"done": True}, NEW, 1)


def test_the_client_refreshes_an_expired_token(run_client):
    told = run_client((401, "token_not_valid"), (200, {"access": "new"}), (200, {}))
    assert told["sent"] == [NOTES, REFRESH, AGAIN]
    assert (told["tokens"], told["asked"]) == ({"access": "new", "refresh": "kept"}, 0)


def test_the_client_refreshes_and_then_steps_up(run_client):
    insufficient = "insufficient_user_authentication"
    answers = [(401, "token_not_valid"), (200, {"access": "new"}), (401, insufficient)]
    told = run_client(*answers, (200, NEW), (200, {}))
    assert told["sent"] == [NOTES, REFRESH, AGAIN, STEP_UP, AGAIN]


def test_the_client_steps_up_where_a_refresh_needs_that(run_client):
    answers = [(401, "token_not_valid"), (401, "second_factor_required")]
    told = run_client(*answers, (200, NEW), (200, {}))
    assert told["sent"] == [NOTES, REFRESH, STEP_UP, AGAIN]


@pytest.mark.parametrize("code", ["login_outdated", "enrollment_required", "user_not_found"])
def test_the_client_logs_in_again(run_client, code):
    told = run_client((401, code))
    assert (told["sent"], told["over"], told["error"]) == ([NOTES], [code], code)


@pytest.mark.parametrize("code", ["token_not_valid", "login_outdated", "password_changed"])
def test_the_client_logs_in_again_where_nothing_renews(run_client, code):
    told = run_client((401, "token_not_valid"), (401, code))
    assert (told["sent"], told["over"]) == ([NOTES, REFRESH], [code])
    told = run_client((401, "second_factor_required"), (401, code))
    assert (told["sent"], told["over"]) == ([NOTES, STEP_UP], [code])


def test_the_client_does_not_go_round_in_circles(run_client):
    refused = [(401, "token_not_valid"), (200, {"access": "new"})]
    told = run_client(*refused, *refused, (401, "token_not_valid"))
    assert (told["error"], told["over"]) == ("token_not_valid", [])


@pytest.mark.parametrize(("status", "code"), [(403, "enrollment_required"), (429, "throttled")])
def test_the_client_leaves_other_errors_to_the_page(run_client, status, code):
    told = run_client((status, code))
    assert (told["error"], told["over"], told["asked"]) == (code, [], 0)
