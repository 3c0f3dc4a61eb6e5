"""A person with a browser and a session: the pages, the admin, and a page that wants a code.

Fields are found by the names that the contract gives them, and whatever else by its role: the
wording is not what is tested here.
"""

import dataclasses
import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest
from playwright.sync_api import Locator, Page, expect

from .test_journey import (
    BACKUP_CODE,
    desktop,
    enroll,
    narrow,
    next_code,
    phone,
    wrong_code,
)

pytestmark = pytest.mark.browser

WANTED = "/admin/auth/user/?is_staff__exact=1"
LOGIN = "/account/login/"
VERIFY = "/account/two-factor/verify/"
SETUP = "/account/two-factor/setup/"
DANGER = "/session/danger/"
PATIENCE = 10  # seconds for which the danger zone of the example is open
without_script = {"java_script_enabled": False}


def where(page: Page) -> str:
    return urlsplit(page.url).path


def wanted(page: Page) -> str:
    """Return where the page leads on to."""
    return parse_qs(urlsplit(page.url).query).get("next", [""])[0]


def field(page: Page, name: str) -> Locator:
    """Return the field called ``name``, once it is in sight: a click may have to unfold it."""
    found = page.locator(f'input[name="{name}"]:not([type="hidden"])')
    if not found.is_visible():
        page.locator("details", has=found).locator("summary").click()
    return found


def give(page: Page, name: str, value: str) -> int:
    """Type ``value`` into the field called ``name``, and Enter. Return the status of the answer."""
    typed = field(page, name)
    typed.fill(value)
    return arrival(page, lambda: typed.press("Enter"))


def arrival(page: Page, act: Callable[[], None]) -> int:
    with page.expect_navigation() as answer:
        act()
    return answer.value.status


def give_password(page: Page, site: Any) -> None:
    field(page, "username").fill(site.username)
    assert give(page, "password", site.password) == 200


def refused(page: Page, name: str) -> None:
    """Check that the field called ``name`` says that it is wrong, and why."""
    expect(field(page, name)).to_have_attribute("aria-invalid", "true")
    expect(field(page, name)).to_have_accessible_description(re.compile(r"\w"))


def sign_out(page: Page) -> None:
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("/")


def log_out_of_admin(page: Page) -> None:
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("/")


def facts(page: Page) -> str:
    """Return what the page says of the session."""
    return re.sub(r"\s+", " ", page.locator("main .facts").first.inner_text())


@pytest.fixture
def admin(fresh_site):
    return dataclasses.replace(fresh_site, username="admin")


@pytest.mark.parametrize(
    "screen",
    [
        pytest.param(phone | {"color_scheme": "dark"}, id="phone"),
        pytest.param(desktop | without_script, id="desktop without script"),
    ],
)
def test_the_whole_journey(admin, visit, look, read_qr, screen):
    page = visit(admin, WANTED, **screen)

    # The admin's own login page leads to the setup that is owed.
    assert where(page) == "/admin/login/"
    give_password(page, admin)
    assert (where(page), wanted(page)) == (SETUP, WANTED)
    look(page, "1-setup")
    authenticator = pyotp.parse_uri(read_qr(page))
    assert isinstance(authenticator, pyotp.TOTP)
    assert authenticator.name == "admin"
    assert authenticator.secret in re.sub(r"\s", "", page.locator("main").inner_text())
    page.locator('main a[href^="otpauth://"]').wait_for()

    # A typing error shows the same again.
    assert give(page, "otp_code", wrong_code(authenticator)) == 200
    refused(page, "otp_code")
    assert pyotp.parse_uri(read_qr(page)).secret == authenticator.secret
    look(page, "2-wrong-code")

    # The backup codes are shown once, and then comes the page that was wanted.
    code = authenticator.now()
    assert give(page, "otp_code", code) == 200
    look(page, "3-backup-codes")
    with page.expect_download() as download:
        page.locator("a[download]").click()
    kept = download.value.path().read_text()
    shown = page.locator("main").inner_text()
    codes = [word for word in kept.split() if re.fullmatch(BACKUP_CODE, word)]
    assert len(set(codes)) == 10
    assert all(code in shown for code in codes)
    page.locator(f'main a[href="{WANTED}"]').click()
    page.get_by_role("heading", name="Select user to change").wait_for()
    assert page.url.endswith(WANTED)

    # From now on the admin asks for a code: neither a wrong nor a used one, nor a right one
    # during the wait that follows.
    log_out_of_admin(page)
    page.goto(WANTED)
    give_password(page, admin)
    assert (where(page), wanted(page)) == (VERIFY, WANTED)
    look(page, "4-second-step")
    assert give(page, "otp_code", code) == 200
    refused(page, "otp_code")
    for _ in range(5):
        assert give(page, "otp_code", wrong_code(authenticator)) == 200
    assert give(page, "otp_code", next_code(authenticator)) == 429
    assert re.search(r"\b([12]?\d|30)\b", page.locator("main").inner_text())
    look(page, "5-wait")

    # Who has come so far is nobody yet, and is led back wherever a login is needed.
    page.goto("/session/")
    assert (where(page), wanted(page)) == (VERIFY, "/session/")
    page.goto(WANTED)
    assert (where(page), wanted(page)) == (VERIFY, WANTED)

    # A backup code ends the wait. It works once.
    assert give(page, "backup_code", codes[0].upper().replace("-", " ")) == 200
    assert page.url.endswith(WANTED)
    page.get_by_role("heading", name="Select user to change").wait_for()
    log_out_of_admin(page)
    page.goto(WANTED)
    give_password(page, admin)
    assert give(page, "backup_code", codes[0]) == 200
    refused(page, "backup_code")
    look(page, "6-used-backup-code")
    assert give(page, "otp_code", next_code(authenticator)) == 200
    assert page.url.endswith(WANTED)

    # The same session is that of the project's own pages.
    page.goto("/session/")
    assert "methods pwd, otp, mfa acr, level aal2" in facts(page)
    look(page, "7-session")
    page.goto("/account/two-factor/")
    assert where(page) == "/account/two-factor/"
    look(page, "8-state")
    page.goto("/session/")
    sign_out(page)

    # A change of mind at the second step.
    page.goto("/session/")
    assert (where(page), wanted(page)) == (LOGIN, "/session/")
    look(page, "9-login")
    give_password(page, admin)
    assert where(page) == VERIFY
    assert arrival(page, page.locator('button[name="another"]').click) == 200
    assert (where(page), wanted(page)) == (LOGIN, "/session/")
    give_password(page, dataclasses.replace(admin, username="demo"))
    assert where(page) == "/session/"
    page.get_by_role("heading", name="Signed in as demo").wait_for()
    assert "methods pwd acr, level aal1" in facts(page)


def test_a_page_asks_for_a_code_again(fresh_site, visit, look):
    authenticator, codes = enroll(fresh_site)
    page = visit(fresh_site, "/session/", **phone)
    give_password(page, fresh_site)
    assert give(page, "backup_code", codes[0]) == 200
    assert where(page) == "/session/"
    open_danger_zone(page)
    page.wait_for_url(DANGER)
    look(page, "1-danger")

    # A form that was open for too long leads to a code, and so does the page itself.
    time.sleep(PATIENCE + 0.5)
    page.get_by_role("button", name="Delete my notes").click()
    page.wait_for_url(f"{VERIFY}?**")
    assert wanted(page) == DANGER
    page.goto("/session/")
    open_danger_zone(page)
    page.wait_for_url(f"{VERIFY}?**")
    assert wanted(page) == DANGER
    assert page.locator('button[name="another"]').count() == 0  # the login is complete
    look(page, "2-step-up")

    # After the code, the session has another key, and the page is open.
    assert give(page, "otp_code", wrong_code(authenticator)) == 200
    refused(page, "otp_code")
    key = session_key(page)
    assert give(page, "otp_code", next_code(authenticator)) == 200
    assert where(page) == DANGER
    assert session_key(page) != key
    page.get_by_role("button", name="Delete my notes").click()
    page.wait_for_url("/session/")
    page.get_by_role("status").filter(has_text="Your notes are deleted.").wait_for()
    look(page, "3-done")


def open_danger_zone(page: Page) -> None:
    page.get_by_role("link", name="danger zone").click()


def session_key(page: Page) -> str:
    return next(one["value"] for one in page.context.cookies() if one["name"] == "sessionid")


def test_the_demo_phone_stands_in_for_the_authenticator_app(fresh_site, visit, look):
    editor = dataclasses.replace(fresh_site, username="editor")
    page = visit(editor, "/session/", **narrow, **without_script)
    give_password(page, editor)
    assert (where(page), wanted(page)) == (SETUP, "/session/")
    with page.expect_popup() as opened:
        page.get_by_role("link", name="Demo phone").click()
    app = opened.value
    account = app.get_by_role("region", name="editor")
    code = account.get_by_text(re.compile(r"^\d{6}$"))
    look(app, "1-pending")
    app.get_by_role("region", name="demo").get_by_text("Nothing is set up yet").wait_for()
    assert give(page, "otp_code", code.inner_text()) == 200
    page.locator('main a[href="/session/"]').click()
    page.get_by_role("heading", name="Signed in as editor").wait_for()

    # A code is dead after use, unless the next one has come meanwhile.
    used = code.inner_text()
    app.get_by_role("link", name="Show the codes of now").click()
    app.wait_for_load_state()
    account.get_by_text("Used: a code works once.").or_(account.get_by_text("Good for")).wait_for()
    assert account.get_by_text("Used").is_visible() == (code.inner_text() == used)
    look(app, "2-used")


@pytest.mark.parametrize(
    "screen",
    [phone | {"color_scheme": "dark"}, desktop | without_script],
    ids=["phone", "desktop without script"],
)
def test_the_start_page_leads_to_both_sides(site, visit, look, screen):
    page = visit(site, "/", **screen)
    look(page, "start")
    assert page.locator("noscript").count() == 0
    page.get_by_role("link", name="Sign in with a session").click()
    page.wait_for_url(f"{LOGIN}?next=/session/")
    assert page.locator("noscript").count() == 0
    look(page, "login")
    page.goto("/")
    page.get_by_role("link", name="Sign in with JWT").click()
    page.wait_for_url("/jwt/")
    needs_script = page.locator("noscript p")
    assert needs_script.is_visible() == ("java_script_enabled" in screen)
