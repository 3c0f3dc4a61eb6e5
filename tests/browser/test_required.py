"""Accounts that must have a second factor: they set it up to sign in, and it stays on."""

import dataclasses
import re

import pyotp
import pytest
from playwright.sync_api import Page, expect

from .test_journey import (
    BAD_CODE,
    OVER,
    answer,
    confirm_with,
    credentials,
    desktop,
    keep,
    narrow,
    next_code,
    phone,
    post,
    problem,
    request,
    send_code,
    shown_codes,
    sign_in,
    sign_out,
    told_in_sight,
    type_into,
    view,
    wrong_code,
)

pytestmark = pytest.mark.browser

REASON = "Signing in as editor: this account must have two-factor authentication."
SIGNED_IN = "Two-factor authentication is on, and you are signed in."
STAYS = "This account must have two-factor authentication, so it stays on."
SETUP_OVER = "This setup is over: it was dropped, or it took too long. Please start again."
SIGN_IN_AGAIN = "This account must have two-factor authentication. Sign in again to set it up."
GRACE = re.compile(
    r"The password alone signs you in\. "
    r"From \S.* on, this account must have two-factor authentication\."
)


def as_editor(site):
    return dataclasses.replace(site, username="editor")


@pytest.fixture
def editor(fresh_site):
    return as_editor(fresh_site)


def open_setup(page: Page, site) -> pyotp.TOTP:
    """Sign in up to the setup. Return the authenticator."""
    sign_in(page, site)
    view(page, "enroll")
    return pyotp.TOTP(page.locator("#secret").inner_text().replace(" ", ""))


def turn_off(page: Page) -> None:
    page.get_by_role("button", name="Turn off").click()
    answer(page, "Turn two-factor authentication off?", "Turn off")


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
def test_who_must_sets_it_up_to_sign_in(editor, visit, look, read_qr, screen):
    page = visit(editor, **screen)
    look(page, "1-sign-in")
    page.get_by_role("button", name="Fill in editor").click()
    page.get_by_role("button", name="Sign in", exact=True).click()
    setup = view(page, "enroll")
    assert setup.locator("p").first.inner_text() == REASON
    title = page.get_by_role("heading", name="Set up your authenticator app")
    expect(title).to_be_focused()
    expect(title).to_have_accessible_description(REASON)
    look(page, "2-enroll")
    authenticator = pyotp.parse_uri(read_qr(page))
    assert authenticator.name == "editor"

    confirm_with(page, wrong_code(authenticator))
    assert problem(page) == BAD_CODE
    look(page, "3-wrong-code")
    confirm_with(page, authenticator.now())
    codes = shown_codes(page)
    assert len(set(codes)) == 10
    assert told_in_sight(page) == SIGNED_IN
    look(page, "4-backup-codes")
    assert keep(page, "editor") == codes
    page.get_by_role("button", name="I have saved them").click()
    account = view(page, "account")
    assert re.search(r"Signed in as editor\b", account.inner_text())
    assert re.search(r"\bOn\b", account.inner_text())
    assert page.locator("#claim-amr").inner_text() == "pwd, otp, mfa"
    assert page.locator("#log .path").all_inner_texts() == [
        "totp/",
        "jwt/totp/confirm/",
        "jwt/totp/confirm/",
        "jwt/totp/create/",
        "jwt/create/",
    ]

    # It stays on.
    turn_off(page)
    assert problem(page) == STAYS
    expect(page.get_by_role("alert")).to_be_in_viewport(ratio=1)
    look(page, "5-stays-on")
    sign_out(page)

    # From now on, a code is enough.
    sign_in(page, editor)
    send_code(page, next_code(authenticator))
    view(page, "account")


def test_a_phone_shows_what_is_needed(editor, visit):
    page = visit(editor, **phone)
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    open_setup(page, editor)
    needed = [
        page.get_by_text(REASON),
        page.get_by_role("link", name="Open the app on this device"),
        page.locator("#qr"),
        page.get_by_label("Code that the app shows now"),
        page.get_by_role("button", name="Turn on and sign in"),
    ]
    for part in needed:
        expect(part).to_be_in_viewport(ratio=1)


def test_the_keyboard_is_enough(editor, visit):
    page = visit(editor)

    def tab_to(selector: str) -> None:
        for _ in range(30):
            page.keyboard.press("Tab")
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
        pytest.fail(f"Tab does not lead to {selector}")

    tab_to("[data-fill=editor]")
    page.keyboard.press("Enter")  # which leads to the password
    page.keyboard.press("Enter")
    view(page, "enroll")
    authenticator = pyotp.TOTP(page.locator("#secret").inner_text().replace(" ", ""))
    tab_to("#confirm-code")
    type_into(page, "#confirm-code", authenticator.now())
    page.keyboard.press("Enter")
    view(page, "codes")
    tab_to("#codes-kept")
    page.keyboard.press("Enter")
    view(page, "account")
    expect(page.get_by_role("heading", name="Signed in as editor")).to_be_focused()


def test_who_gives_up_leaves_nothing_behind(editor, visit):
    page = visit(editor)
    secret = open_setup(page, editor).secret
    setup = request(page, "jwt/totp/create/")
    setup.get_by_role("button", name="Show totp_challenge_token").click()
    setup.get_by_role("button", name="Show secret").click()
    page.get_by_role("button", name="Use another account").click()
    view(page, "signin")
    assert secret not in page.content()
    assert len(re.findall("forgotten", setup.inner_text())) == 4

    # Another account is asked for no reason, and the next setup of this one is a new one.
    sign_in(page, dataclasses.replace(editor, username="demo"))
    page.get_by_role("button", name="Set up").click()
    setup = view(page, "enroll")
    assert "must have" not in setup.inner_text()
    page.get_by_role("button", name="Turn on", exact=True).wait_for()
    page.get_by_role("button", name="Cancel", exact=True).click()
    sign_out(page)
    assert open_setup(page, editor).secret != secret


@pytest.mark.parametrize(
    ("code", "words"), [("invalid_challenge", OVER), ("totp_not_enrolled", SETUP_OVER)]
)
def test_a_setup_that_is_over_leads_back_to_the_start(editor, visit, code, words):
    page = visit(editor)
    authenticator = open_setup(page, editor)
    over = {"detail": "Over.", "code": code}
    page.route("**/api/jwt/totp/confirm/", lambda route: route.fulfill(status=400, json=over))
    confirm_with(page, authenticator.now())
    view(page, "signin")
    assert problem(page) == words
    assert authenticator.secret not in page.content()


def test_a_setup_that_was_finished_elsewhere_leads_back_to_the_start(editor, visit):
    page = visit(editor)
    authenticator = open_setup(page, editor)
    challenge = post(editor, "jwt/create/", credentials(editor))["totp_challenge_token"]
    body = {"totp_challenge_token": challenge, "input_code": authenticator.now()}
    assert len(post(editor, "jwt/totp/confirm/", body)["backup_codes"]) == 10
    confirm_with(page, next_code(authenticator))
    view(page, "signin")
    assert problem(page) == OVER
    sign_in(page, editor)
    view(page, "second")


def test_a_setup_that_cannot_begin_is_told(editor, visit):
    page = visit(editor)
    wait = {"detail": "Request was throttled.", "code": "throttled", "retry_after": 37}
    page.route("**/api/jwt/totp/create/", lambda route: route.fulfill(status=429, json=wait))
    sign_in(page, editor)
    assert problem(page) == "That was too often. Please wait a little."
    assert page.get_by_label("Name", exact=True).input_value() == "editor"
    page.unroute("**/api/jwt/totp/create/")
    page.get_by_role("button", name="Sign in", exact=True).click()
    view(page, "enroll")


def test_the_panel_stands_in_for_the_phone_of_who_signs_in(editor, visit):
    page = visit(editor)
    panel = page.get_by_role("region", name="No phone at hand?")
    assert "authenticator app of demo." in panel.inner_text()
    authenticator = open_setup(page, editor)
    assert "authenticator app of editor." in panel.inner_text()
    panel.get_by_role("button", name="Fill in this code").click()
    filled = page.get_by_label("Code that the app shows now").input_value()
    assert authenticator.verify(filled, valid_window=1)
    page.get_by_role("button", name="Use another account").click()
    sign_in(page, dataclasses.replace(editor, username="demo"))
    view(page, "account")
    panel.get_by_text("Nothing is set up yet").wait_for()
    assert "authenticator app of demo." in panel.inner_text()


@pytest.mark.parametrize("screen", [phone, desktop], ids=["phone", "desktop"])
def test_a_grace_period_says_when_it_ends(serve_example, visit, look, screen):
    site = as_editor(serve_example(DEMO_GRACE_PERIOD="3600", DEMO_THROTTLE_RATE="1000/minute"))
    page = visit(site, **screen)
    sign_in(page, site)
    view(page, "account")
    assert GRACE.fullmatch(page.locator("#state-text").inner_text())
    look(page, "grace")

    # What is begun is not dropped, only begun anew.
    page.get_by_role("button", name="Set up").click()
    view(page, "enroll")
    page.get_by_role("button", name="Cancel").click()
    assert "Not confirmed" in view(page, "account").inner_text()
    assert not page.get_by_role("button", name="Drop the setup").is_visible()
    page.get_by_role("button", name="Start over").click()
    view(page, "enroll")
    authenticator = pyotp.TOTP(page.locator("#secret").inner_text().replace(" ", ""))
    confirm_with(page, authenticator.now())
    page.get_by_role("button", name="I have saved them").click()
    view(page, "account")
    assert page.locator("#state-text").inner_text() == "Signing in takes the password and a code."
    turn_off(page)
    assert problem(page) == STAYS


def test_a_sign_in_that_outlives_its_grace_leads_back_to_the_start(serve_example, visit):
    site = as_editor(serve_example(DEMO_GRACE_PERIOD="3600", DEMO_THROTTLE_RATE="1000/minute"))
    page = visit(site)
    sign_in(page, site)
    view(page, "account")
    owed = {"detail": "Enroll first.", "code": "enrollment_required"}
    page.route("**/api/totp/create/", lambda route: route.fulfill(status=401, json=owed))
    page.get_by_role("button", name="Set up").click()
    view(page, "signin")
    assert problem(page) == SIGN_IN_AGAIN
