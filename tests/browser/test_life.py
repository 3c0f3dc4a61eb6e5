"""The life of a factor in the example: another phone, a trusted device, a lost phone."""

import re
import time
from pathlib import Path
from typing import Any

import pyotp
import pytest
from playwright.sync_api import Page, expect

from .test_journey import credentials, enroll, next_code, phone, post, send_code, sign_in, view
from .test_session_journey import VERIFY, give, give_password, where

pytestmark = pytest.mark.browser

DELAY = 3  # seconds that a recovery waits here


@pytest.fixture
def site(serve_example: Any) -> Any:
    return serve_example(DEMO_THROTTLE_RATE="1000/minute", DEMO_RECOVERY_DELAY=str(DELAY))


@pytest.fixture
def mailed(site: Any, tmp_path: Path) -> Any:
    """Return a function that gives the link of the last mail that the terminal shows."""

    def mailed(subject: str) -> str:
        *_, mail = (
            (tmp_path / "server.log").read_text().split(f"Subject: django-totp example: {subject}")
        )
        return re.findall(r"http://\S+/two-factor/recovery/\S+", mail)[0]

    return mailed


def start_over(page: Page) -> None:
    """Sign out, to sign in again on the same page."""
    page.get_by_role("button", name="Sign out").click()
    view(page, "signin")


def set_up(page: Page, button: str) -> pyotp.TOTP:
    """Confirm the app that the page sets up. Return it."""
    view(page, "enroll")
    secret = page.locator("#secret").inner_text().replace(" ", "")
    page.get_by_label("Code that the app shows now").fill(pyotp.TOTP(secret).now())
    page.get_by_role("button", name=button, exact=True).click()
    view(page, "codes")
    page.get_by_role("button", name="I have saved them").click()
    view(page, "account")
    return pyotp.TOTP(secret)


def test_another_phone(site: Any, visit: Any, look: Any) -> None:
    old, _codes = enroll(site)
    page = visit(site, **phone)
    sign_in(page, site)
    send_code(page, next_code(old))
    view(page, "account")
    page.get_by_role("button", name="Set up a new phone").click()
    look(page, "replace")
    new = set_up(page, "Use the new app")
    start_over(page)
    sign_in(page, site)
    view(page, "second")
    send_code(page, next_code(old))
    page.get_by_role("alert").wait_for()
    send_code(page, next_code(new))
    view(page, "account")


def test_a_device_that_is_trusted(site: Any, visit: Any, look: Any) -> None:
    app, _codes = enroll(site)
    page = visit(site)
    sign_in(page, site)
    page.get_by_label("Don’t ask for a code on this page").check()
    look(page, "box")
    send_code(page, next_code(app))
    account = view(page, "account")
    expect(account.get_by_role("heading", name="Trusted devices")).to_be_visible()
    look(page, "devices")
    for _ in range(2):  # each time with the next value
        start_over(page)
        sign_in(page, site)
        view(page, "account")
    page.get_by_role("button", name="Remove").click()
    expect(page.locator("#devices")).to_be_hidden()
    start_over(page)
    sign_in(page, site)
    view(page, "second")


def test_a_lost_phone(site: Any, visit: Any, look: Any, mailed: Any) -> None:
    enroll(site)
    page = visit(site)
    sign_in(page, site)
    page.get_by_role("button", name="Lost your phone?").click()
    expect(page.get_by_role("status").filter(has_text="A mail is on its way")).to_be_visible()
    look(page, "asked")
    link = visit(site, mailed("Do you want to set up a new authenticator app?"))
    link.get_by_role("button", name="Begin the wait").click()
    link.get_by_role("heading", name="Now you have to wait").wait_for()
    look(link, "wait")
    time.sleep(DELAY)
    page.get_by_role("button", name="Use another account").click()
    sign_in(page, site)
    page.get_by_role("button", name="Set up a new app").click()
    look(page, "setup")
    new = set_up(page, "Use the new app and sign in")
    answer = post(site, "jwt/create/", credentials(site))
    code = {"otp_code": next_code(new), "totp_challenge_token": answer["totp_challenge_token"]}
    assert post(site, "jwt/totp/verify/", code)["access"]


def test_somebody_else_asked(site: Any, visit: Any, look: Any, mailed: Any) -> None:
    app, _codes = enroll(site)
    token = post(site, "jwt/create/", credentials(site))["totp_challenge_token"]
    post(site, "totp/recovery/", {"totp_challenge_token": token})
    link = mailed("Do you want to set up a new authenticator app?")
    post(site, "totp/recovery_confirm/", {"token": link.rstrip("/").rpartition("/")[2]})
    page = visit(site, mailed("You can soon set up a new authenticator app"))
    page.get_by_role("button", name="Stop it").click()
    page.get_by_role("heading", name="It is stopped").wait_for()
    time.sleep(DELAY)
    assert "totp_recovery_challenge_token" not in post(site, "jwt/create/", credentials(site))
    assert app


def test_by_session(site: Any, visit: Any, look: Any, mailed: Any) -> None:
    app, _codes = enroll(site)
    page = visit(site, "/session/")
    give_password(page, site)
    assert where(page) == VERIFY
    page.get_by_text("Lost your phone?").click()
    page.get_by_role("button", name="Send me a mail").click()
    assert mailed("Do you want to set up a new authenticator app?")
    page.get_by_label("Don’t ask for a code on this device for 30 days").check()
    assert give(page, "otp_code", next_code(app)) == 200
    page.get_by_role("link", name="Two-factor authentication").click()
    expect(page.get_by_role("heading", name="Trusted devices")).to_be_visible()
    look(page, "state")
