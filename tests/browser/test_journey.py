"""A person with a browser, going through all that the example project offers."""

import json
import re
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pyotp
import pytest
from playwright.sync_api import Locator, Page, expect

from tests import markdown

from .conftest import DEMO

pytestmark = pytest.mark.browser

BACKUP_CODE = r"[a-z0-9]{4}(-[a-z0-9]{4}){3}"
BAD_CODE = "This code is wrong, or it was used before. Type the one that the app shows now."
BAD_BACKUP_CODE = "This backup code is wrong, or it was used before. Try another one."
OVER = "That took too long, or something changed meanwhile. Please sign in again."

phone = {"width": 390, "is_mobile": True, "has_touch": True, "device_scale_factor": 2}
desktop = {"width": 1280}
narrow = {"width": 320}


def view(page: Page, name: str) -> Locator:
    """Return the view of the JWT page called ``name``, once it is shown."""
    shown = page.locator(f"#view-{name}")
    shown.wait_for()
    return shown


def problem(page: Page) -> str:
    """Return what the page says went wrong."""
    return page.get_by_role("alert").inner_text()


def sign_in(page: Page, site: Any) -> None:
    page.get_by_label("Name", exact=True).fill(site.username)
    page.get_by_label("Password", exact=True).fill(site.password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def sign_out(page: Page) -> None:
    page.get_by_role("button", name="Sign out").click()
    view(page, "signin")


def confirm_with(page: Page, code: str) -> None:
    page.get_by_label("Code that the app shows now").fill(code)
    page.get_by_role("button", name="Turn on").click()


def send_code(page: Page, code: str) -> None:
    page.get_by_label("Code from your authenticator app").fill(code)
    page.get_by_role("button", name="Sign in", exact=True).click()


def send_backup_code(page: Page, code: str) -> None:
    page.get_by_role("button", name="Use a backup code").click()
    page.get_by_label("One of your backup codes").fill(code)
    page.get_by_role("button", name="Sign in", exact=True).click()


def answer(page: Page, question: str, button: str) -> None:
    page.get_by_role("dialog", name=question).get_by_role("button", name=button).click()


def told_in_sight(page: Page) -> str:
    """Return what the page says went well, once it does so where it is seen without scrolling."""
    notice = page.get_by_role("status").filter(has_text=re.compile("."))
    notice.wait_for()
    expect(notice).to_be_in_viewport(ratio=1)
    return notice.inner_text()


def shown_codes(page: Page) -> list[str]:
    return view(page, "codes").get_by_role("listitem").all_inner_texts()


def type_into(page: Page, selector: str, text: str) -> None:
    """Type where the focus waits, as soon as it does: a page that is shown gets it a bit later."""
    expect(page.locator(selector)).to_be_focused()
    page.keyboard.type(text)


def next_code(authenticator: pyotp.TOTP) -> str:
    """Return the code of the next time step: it is accepted, and surely unused."""
    return authenticator.at(time.time(), counter_offset=1)


def wrong_code(authenticator: pyotp.TOTP) -> str:
    near = {authenticator.at(time.time(), counter_offset=offset) for offset in range(-3, 4)}
    return next(
        code for code in ("000000", "111111", *map("{:06}".format, range(8))) if code not in near
    )


def post(site: Any, path: str, body: dict[str, str], access: str = "") -> Any:
    """Call the API without the page."""
    headers = {"Content-Type": "application/json"}
    headers |= {"Authorization": f"Bearer {access}"} if access else {}
    request = urllib.request.Request(  # noqa: S310
        f"{site.url}/api/{path}", json.dumps(body).encode(), headers, method="POST"
    )
    with urllib.request.urlopen(request) as response:  # noqa: S310
        return json.load(response)


def credentials(site: Any) -> dict[str, str]:
    return {"username": site.username, "password": site.password}


def enroll(site: Any) -> tuple[pyotp.TOTP, list[str]]:
    """Enroll the demo user without the page. Return authenticator and backup codes."""
    tokens = post(site, "jwt/create/", credentials(site))
    setup = post(site, "totp/create/", {}, tokens["access"])
    authenticator = pyotp.TOTP(setup["secret"])
    confirmed = post(site, "totp/confirm/", {"input_code": authenticator.now()}, tokens["access"])
    return authenticator, confirmed["backup_codes"]


@pytest.mark.parametrize(
    "screen",
    [
        pytest.param(phone | {"color_scheme": "dark"}, id="phone"),
        pytest.param(desktop | {"color_scheme": "light"}, id="desktop"),
        pytest.param(narrow | {"color_scheme": "light"}, id="narrow"),
    ],
)
def test_the_whole_journey(fresh_site, visit, look, read_qr, screen):
    page = visit(fresh_site, **screen)

    # Without a second factor, the password is enough.
    look(page, "1-sign-in")
    sign_in(page, fresh_site)
    account = view(page, "account")
    assert "Off" in account.inner_text()
    look(page, "2-account-off")

    # Enroll, with what a phone would see.
    page.get_by_role("button", name="Set up").click()
    enrollment = view(page, "enroll")
    look(page, "3-enroll")
    uri = read_qr(page)
    authenticator = pyotp.parse_uri(uri)
    assert isinstance(authenticator, pyotp.TOTP)
    assert authenticator.name == fresh_site.username
    assert authenticator.issuer == "django-totp example"
    key = enrollment.locator("#secret").inner_text()
    assert key.replace(" ", "") == authenticator.secret
    assert {len(group) for group in key.split()} == {4}
    deep_link = page.get_by_role("link", name="Open the app on this device")
    assert deep_link.get_attribute("href") == uri
    page.get_by_role("button", name="Copy the key").click()
    page.get_by_text("The key is copied.").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == authenticator.secret

    # Confirm, first with a typing error.
    confirm_with(page, wrong_code(authenticator))
    assert problem(page) == BAD_CODE
    assert page.get_by_text("The key is copied.").count() == 0  # that was before
    field = page.get_by_label("Code that the app shows now")
    assert field.get_attribute("aria-invalid") == "true"
    expect(field).to_have_accessible_description(BAD_CODE)
    confirm_with(page, authenticator.now())
    codes = shown_codes(page)
    assert len(codes) == len(set(codes)) == 10
    assert all(re.fullmatch(BACKUP_CODE, code) for code in codes)
    look(page, "4-backup-codes")
    assert keep(page) == codes

    page.get_by_role("button", name="I have saved them").click()
    assert re.search(r"\bOn\b", view(page, "account").inner_text())
    assert "Backup codes left\n10" in view(page, "account").inner_text()
    look(page, "5-account-on")
    sign_out(page)

    # Sign in with two steps.
    sign_in(page, fresh_site)
    assert f"Signing in as {fresh_site.username}" in view(page, "second").inner_text()
    send_code(page, wrong_code(authenticator))
    assert problem(page) == BAD_CODE
    look(page, "6-wrong-code")
    code = next_code(authenticator)
    send_code(page, code)
    view(page, "account")
    sign_out(page)

    # Neither a code nor a backup code works twice.
    sign_in(page, fresh_site)
    send_code(page, code)
    assert problem(page) == BAD_CODE
    send_backup_code(page, codes[0].upper().replace("-", " "))
    assert "Backup codes left\n9" in view(page, "account").inner_text()
    sign_out(page)
    sign_in(page, fresh_site)
    send_backup_code(page, codes[0])
    assert problem(page) == BAD_BACKUP_CODE
    look(page, "7-used-backup-code")
    page.get_by_label("One of your backup codes").fill(codes[1])
    page.get_by_role("button", name="Sign in", exact=True).click()
    view(page, "account")

    # New backup codes, after a change of mind.
    question = "Make new backup codes?"
    page.get_by_role("button", name="New backup codes").click()
    look(page, "8-question")
    answer(page, question, "Keep the old ones")
    page.get_by_role("button", name="New backup codes").click()
    answer(page, question, "Make new codes")
    fresh_codes = shown_codes(page)
    assert len(fresh_codes) == 10
    assert not set(fresh_codes) & set(codes)
    page.get_by_role("button", name="I have saved them").click()
    assert "Backup codes left\n10" in view(page, "account").inner_text()

    # And off again.
    page.get_by_role("button", name="Turn off").click()
    answer(page, "Turn two-factor authentication off?", "Turn off")
    page.get_by_text("Two-factor authentication is off.").wait_for()
    sign_out(page)
    sign_in(page, fresh_site)
    assert "Off" in view(page, "account").inner_text()


def keep(page: Page, username: str = "demo") -> list[str]:
    """Copy, print and download the backup codes, and be told. Return them as downloaded."""
    page.get_by_role("button", name="Copy").click()
    assert told_in_sight(page) == "The codes are copied."
    copied = page.evaluate("navigator.clipboard.readText()")

    page.evaluate("window.print = () => { window.printed = true }")
    page.get_by_role("button", name="Print").click()
    assert page.evaluate("window.printed")
    page.emulate_media(media="print")
    assert page.get_by_role("button").count() == 0
    assert len(shown_codes(page)) == 10
    origin = page.locator("#codes-origin").inner_text()
    assert re.match(rf"{username} at 127\.0\.0\.1:\d+, made ", origin)
    page.emulate_media(media="screen")

    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == "backup_codes.txt"
    assert told_in_sight(page) == "Saved as backup_codes.txt."
    text = Path(download.value.path()).read_text()
    assert text == copied
    head, codes = text.split("\n\n")
    assert re.fullmatch(
        r"django-totp example\n"
        rf"Backup codes of {username} at 127\.0\.0\.1:\d+, made \S.*\b20\d\d\b.*\n"
        r"Each works once\.",
        head,
    )
    return codes.splitlines()


def test_the_tokens_are_refreshed_and_verified(site, visit):
    page = visit(site)
    sign_in(page, site)
    tokens = view(page, "account").locator(".part", has_text="Access token")
    assert re.search(r"Access token\s+expires in \d:\d\d\b", tokens.inner_text())
    page.get_by_role("button", name="Refresh").click()
    page.get_by_text("The access token was refreshed.").wait_for()
    page.get_by_role("button", name="Verify").click()
    page.get_by_text("The server says that the access token is valid.").wait_for()
    assert page.locator("#log").get_by_role("listitem").all_inner_texts()[:2] == [
        "POST\njwt/verify/\n200",
        "POST\njwt/refresh/\n200",
    ]
    kept = "JSON.stringify([localStorage, sessionStorage, document.cookie])"
    assert page.evaluate(kept) == '[{},{},""]'


def request(page: Page, path: str) -> Locator:
    """Return the newest request to ``path`` in the list, opened."""
    exchange = page.locator("#log li").filter(has_text=path).first
    exchange.locator("summary").click()
    exchange.get_by_text("Answered").wait_for()
    return exchange


@pytest.mark.parametrize("screen", [phone, desktop], ids=["phone", "desktop"])
def test_a_request_opens_to_its_bodies(site, visit, look, screen):
    page = visit(site, **screen)
    sign_in(page, site)
    view(page, "account")
    login = request(page, "jwt/create/")
    text = login.inner_text()
    assert re.search(r'Sent\s+username\s+"demo"\s+password\s+•+\s+Show\s+Answered\b', text)
    assert re.search(r"Answered\s+is_totp_enabled\s+false\s+refresh\s+•+", text)
    content = page.content().replace(page.locator("#demo-password").inner_text(), "", 1)
    assert site.password not in content
    assert "eyJ" not in content
    login.get_by_role("button", name="Show password").click()
    assert f'password\n"{site.password}"' in login.inner_text()
    expect(login.get_by_role("button", name="Hide password")).to_be_focused()
    login.get_by_role("button", name="Show access").click()
    assert re.search(r'access\s+"eyJ[\w.-]+"', login.inner_text())
    look(page, "open")
    login.get_by_role("button", name="Hide password").click()
    assert site.password not in login.inner_text()
    assert re.search(r"Sent\s+Nothing\s+Answered", request(page, "totp/").inner_text())

    # Signed out, nobody gets to see them any more.
    sign_out(page)
    assert re.search(r'username\s+"demo"\s+password\s+forgotten', login.inner_text())
    assert re.search(r"access\s+forgotten", login.inner_text())
    assert "eyJ" not in page.content()
    assert login.get_by_role("button").count() == 0


def test_what_was_shown_once_is_not_to_be_found_in_the_requests(fresh_site, visit):
    page = visit(fresh_site)
    sign_in(page, fresh_site)
    page.get_by_role("button", name="Set up").click()
    view(page, "enroll")
    authenticator = pyotp.TOTP(page.locator("#secret").inner_text().replace(" ", ""))
    setup = request(page, "totp/create/")
    setup.get_by_role("button", name="Show secret").click()
    assert authenticator.secret in setup.inner_text()
    confirm_with(page, authenticator.now())
    codes = shown_codes(page)
    assert len(re.findall("forgotten", setup.inner_text())) == 3
    assert authenticator.secret not in page.content()
    confirmed = request(page, "totp/confirm/")
    confirmed.get_by_role("button", name="Show backup_codes").click()
    assert codes[0] in confirmed.inner_text()
    page.get_by_role("button", name="I have saved them").click()
    view(page, "account")
    assert not any(code in page.content() for code in codes)
    assert confirmed.get_by_role("button", name="Show input_code").count() == 1


def test_only_the_last_requests_are_listed(site, visit):
    page = visit(site)
    sign_in(page, site)
    view(page, "account")
    for _ in range(12):
        page.get_by_role("button", name="Verify").click()
        page.get_by_text("The server says that the access token is valid.").wait_for()
    exchanges = page.locator("#log").get_by_role("listitem")
    assert exchanges.all_inner_texts() == ["POST\njwt/verify/\n200"] * 12


def test_a_phone_shows_what_is_needed(fresh_site, visit):
    page = visit(fresh_site, **phone)
    sign_in(page, fresh_site)
    page.get_by_role("button", name="Set up").click()
    view(page, "enroll")
    link = page.get_by_role("link", name="Open the app on this device")
    field = page.get_by_label("Code that the app shows now")
    for needed in (link, page.locator("#qr"), field, page.get_by_role("button", name="Turn on")):
        expect(needed).to_be_in_viewport(ratio=1)
    order = "link => link.compareDocumentPosition(document.getElementById('qr'))"
    assert link.evaluate(order) == 4  # DOCUMENT_POSITION_FOLLOWING: for those who listen, too
    assert link.bounding_box()["y"] < page.locator("#qr").bounding_box()["y"]

    # Whoever comes back from the app comes with a code.
    page.evaluate("() => { otpauth.onclick = (event) => event.preventDefault() }")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(field).not_to_be_focused()  # nobody was away
    link.click()
    page.evaluate("scrollTo(0, 0)")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(field).to_be_focused()
    expect(field).to_be_in_viewport(ratio=1)

    authenticator = pyotp.TOTP(page.locator("#secret").inner_text().replace(" ", ""))
    confirm_with(page, authenticator.now())
    expect(page.get_by_text("Two-factor authentication is on.")).to_be_in_viewport(ratio=1)
    page.get_by_role("button", name="I have saved them").click()
    sign_out(page)
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    sign_in(page, fresh_site)
    view(page, "second")
    expect(page.get_by_label("Code from your authenticator app")).to_be_in_viewport(ratio=1)
    expect(page.get_by_label("Code from your authenticator app")).to_be_focused()
    page.get_by_role("button", name="Use a backup code").click()
    field = page.get_by_label("One of your backup codes")
    expect(field).to_be_in_viewport(ratio=1)
    expect(field).to_have_accessible_description(re.compile("Signing in as demo"))


@pytest.mark.parametrize("screen", [phone, desktop], ids=["phone", "desktop"])
def test_a_setup_that_is_not_confirmed_can_be_dropped(fresh_site, visit, look, screen):
    page = visit(fresh_site, **screen)
    sign_in(page, fresh_site)
    page.get_by_role("button", name="Set up").click()
    view(page, "enroll")
    page.get_by_role("button", name="Cancel").click()
    assert told_in_sight(page) == "The setup is dropped."
    assert "Off" in view(page, "account").inner_text()
    assert page.locator("#secret").inner_text() == ""

    page.get_by_role("button", name="Set up").click()
    view(page, "enroll")
    page.reload()
    sign_in(page, fresh_site)
    assert "Not confirmed" in view(page, "account").inner_text()
    look(page, "pending")
    page.get_by_role("button", name="Drop the setup").click()
    assert told_in_sight(page) == "The setup is dropped."
    assert not page.get_by_role("button", name="Drop the setup").is_visible()


def test_a_setup_that_was_confirmed_elsewhere_stays(fresh_site, visit):
    page = visit(fresh_site)
    sign_in(page, fresh_site)
    page.get_by_role("button", name="Set up").click()
    view(page, "enroll")
    authenticator, _ = enroll(fresh_site)
    page.get_by_role("button", name="Cancel").click()
    view(page, "second")  # this sign-in is from before
    page.get_by_label("Code from your authenticator app").fill(next_code(authenticator))
    page.get_by_role("button", name="Confirm").click()
    assert re.search(r"\bOn\b", view(page, "account").inner_text())


def test_an_expired_access_token_is_refreshed_behind_the_scenes(fresh_site, visit):
    page = visit(fresh_site)
    sign_in(page, fresh_site)
    view(page, "account")
    expired = {"detail": "Given token not valid for any token type", "code": "token_not_valid"}
    page.route(
        "**/api/totp/create/", lambda route: route.fulfill(status=401, json=expired), times=1
    )
    page.get_by_role("button", name="Set up").click()
    view(page, "enroll")
    assert page.locator("#log").get_by_role("listitem").all_inner_texts()[:3] == [
        "POST\ntotp/create/\n201",
        "POST\njwt/refresh/\n200",
        "POST\ntotp/create/\n401",
    ]


def test_an_expired_refresh_token_signs_out(site, visit):
    page = visit(site)
    sign_in(page, site)
    view(page, "account")
    expired = {"detail": "Token is invalid or expired", "code": "token_not_valid"}
    page.route("**/api/jwt/refresh/", lambda route: route.fulfill(status=401, json=expired))
    page.get_by_role("button", name="Refresh").click()
    view(page, "signin")
    assert problem(page) == "Your sign-in has ended. Please sign in again."


def test_a_wrong_password_is_refused_in_words_for_people(site, visit, look):
    page = visit(site)
    page.get_by_label("Name", exact=True).fill(site.username)
    page.get_by_label("Password", exact=True).fill("wrong")
    page.get_by_role("button", name="Sign in", exact=True).click()
    assert problem(page) == "The name or the password is wrong."
    look(page, "wrong-password")


def test_the_words_are_for_codes_that_the_server_has():
    words = (DEMO.parent / "playground/static/playground/js/words.js").read_text()
    worded = set(re.findall(r"^  (\w+):", words, re.M)) | set(
        re.findall(r'code === "(\w+)"', words)
    )
    known = set(re.findall(r"^\|(?: `\w+` \|)? `(\w+)` \|", markdown.read("docs/errors.md"), re.M))
    assert worded <= known
    never_met = {"invalid", "no_code", "both_codes", "parse_error", "method_not_allowed"}
    never_met |= {"not_acceptable", "request_too_large", "unsupported_media_type"}
    never_met |= {"bad_authorization_header"}  # the page writes it
    never_met |= {"invalid_recovery_token"}  # the links of mails lead to pages of the server
    assert known - worded == never_met


def test_an_error_without_words_is_told_in_those_of_the_server(site, visit):
    page = visit(site)
    odd = {"detail": "No luck.", "code": "constructor", "password": ["Too odd."]}
    page.route("**/api/jwt/create/", lambda route: route.fulfill(status=400, json=odd))
    sign_in(page, site)
    assert problem(page) == "No luck. password: Too odd."


def test_a_server_that_is_gone_is_told(site, visit):
    page = visit(site)
    page.route("**/api/jwt/create/", lambda route: route.fulfill(status=502, body="Bad gateway"))
    sign_in(page, site)
    assert problem(page) == "The server answered with status 502."


def test_an_account_that_waits_says_for_how_long(fresh_site, visit, look):
    authenticator, codes = enroll(fresh_site)
    page = visit(fresh_site, **phone)
    sign_in(page, fresh_site)
    for _ in range(6):
        send_code(page, wrong_code(authenticator))
        assert problem(page) == BAD_CODE
    send_code(page, next_code(authenticator))
    assert problem(page) == "Too many wrong codes. Wait, or use a backup code."
    assert re.fullmatch(r"\d+ s left", page.locator(".wait").inner_text())
    field = page.get_by_label("Code from your authenticator app")
    assert field.get_attribute("aria-invalid") is None  # the code was not even looked at
    look(page, "waiting")
    send_backup_code(page, codes[0])
    view(page, "account")


def test_a_throttled_request_says_when_to_try_again(serve_example, visit):
    site = serve_example(DEMO_THROTTLE_RATE="2/hour")
    page = visit(site)
    for _ in range(2):
        sign_in(page, site)
        view(page, "account")
        sign_out(page)
    sign_in(page, site)
    assert problem(page) == "That was too often. Please wait a little."
    assert re.fullmatch(r"\d+ s left", page.locator(".wait").inner_text())


def test_the_body_says_how_long_to_wait_where_no_header_is_to_be_seen(site, visit):
    page = visit(site)
    wait = {"detail": "Too many wrong codes.", "code": "too_many_attempts", "retry_after": 37}
    page.route("**/api/jwt/create/", lambda route: route.fulfill(status=429, json=wait))
    sign_in(page, site)
    assert problem(page) == "Too many wrong codes. Wait, or use a backup code."
    assert re.fullmatch(r"3[67] s left", page.locator(".wait").inner_text())
    page.unroute("**/api/jwt/create/")
    cap = {"detail": "Too many wrong codes in a row.", "code": "too_many_attempts"}
    page.route("**/api/jwt/create/", lambda route: route.fulfill(status=429, json=cap))
    sign_in(page, site)
    page.get_by_text("Use a backup code, or ask an administrator.").wait_for()
    assert page.locator(".wait").count() == 0


def test_a_challenge_that_is_over_leads_back_to_the_start(fresh_site, visit):
    enroll(fresh_site)
    page = visit(fresh_site, **phone)
    sign_in(page, fresh_site)
    view(page, "second")
    expired = {"detail": "Invalid or expired challenge token.", "code": "invalid_challenge"}
    page.route("**/api/jwt/totp/verify/", lambda route: route.fulfill(status=400, json=expired))
    send_code(page, "123456")
    view(page, "signin")
    assert problem(page) == OVER
    assert "forgotten" in request(page, "jwt/totp/verify/").inner_text()
    expect(page.get_by_role("alert")).to_be_in_viewport(ratio=1)


def test_the_panel_stands_in_for_a_phone(fresh_site, visit, look):
    page = visit(fresh_site)
    panel = page.get_by_role("region", name="No phone at hand?")
    panel.get_by_text("Nothing is set up yet").wait_for()
    sign_in(page, fresh_site)
    page.get_by_role("button", name="Set up").click()
    view(page, "enroll")
    authenticator = pyotp.TOTP(page.locator("#secret").inner_text().replace(" ", ""))
    panel.get_by_role("button", name="Fill in this code").click()
    filled = page.get_by_label("Code that the app shows now").input_value()
    assert authenticator.verify(filled, valid_window=1)
    confirm_with(page, next_code(authenticator))  # which the panel shows as used for a while
    view(page, "codes")
    panel.get_by_text("A code works once: wait for the next one").wait_for()
    assert not panel.get_by_role("button").is_visible()
    look(page, "used")


def test_the_panel_exists_only_with_debug(serve_example):
    site = serve_example(DEMO_DEBUG="0")
    for path in ("/", "/jwt/", "/account/login/"):
        with urllib.request.urlopen(f"{site.url}{path}") as response:  # noqa: S310
            page = response.read().decode()
        assert site.password not in page
        assert "/demo/" not in page
    for path in ("/demo/code/?username=demo", "/demo/phone/"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{site.url}{path}")  # noqa: S310


def test_the_keyboard_is_enough(fresh_site, visit):
    authenticator, _ = enroll(fresh_site)
    page = visit(fresh_site)

    def tab_to(selector: str) -> None:
        for _ in range(30):
            page.keyboard.press("Tab")
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
        pytest.fail(f"Tab does not lead to {selector}")

    def focused() -> str:
        return page.evaluate("document.activeElement.textContent.trim()")

    page.keyboard.press("Tab")
    assert focused() == "Skip to content"
    page.keyboard.press("Enter")
    tab_to("#username")
    type_into(page, "#username", fresh_site.username)
    tab_to("#password")
    type_into(page, "#password", fresh_site.password)
    page.keyboard.press("Enter")
    view(page, "second")
    type_into(page, "#otp-code", wrong_code(authenticator))
    page.keyboard.press("Enter")
    assert problem(page) == BAD_CODE
    type_into(page, "#otp-code", next_code(authenticator))  # over the wrong one, selected
    page.keyboard.press("Enter")
    view(page, "account")
    assert focused() == f"Signed in as {fresh_site.username}"
    tab_to("#disable")
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for()
    assert focused() == "Leave it on"  # Enter alone destroys nothing
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")
    assert focused() == "Turn off"
    tab_to("#log li:nth-child(2) summary")
    page.keyboard.press("Enter")
    tab_to("#log li:nth-child(2) button")
    assert focused() == "Show"
    page.keyboard.press("Enter")
    assert focused() == "Hide"


HOSTILE_SVGS = {
    "handler of a root": '<svg onload="parent.ran = window.ran = true"/>',
    "script": "<script>parent.ran = top.ran = window.ran = true; alert(1)</script>",
    "handler": '<rect width="9" height="9" onload="parent.ran = true" onclick="alert(1)"/>',
    "foreign object": '<foreignObject width="9" height="9"><iframe '
    'xmlns="http://www.w3.org/1999/xhtml" srcdoc="&lt;script&gt;top.ran = true&lt;/script&gt;"/>'
    "</foreignObject>",
    "link": '<a href="javascript:parent.ran = true"><rect width="99" height="99"/></a>',
    "link in disguise": '<a href="&#106;avascript:top.ran = true"><rect width="9" height="9"/></a>',
    "animated link": '<a><set attributeName="href" to="javascript:parent.ran = true"/>'
    '<rect width="99" height="99"/></a>',
    "picture": '<image href="https://foreign.invalid/x.png" width="9" height="9"/>',
    "use": '<use href="https://foreign.invalid/x.svg#a"/><use href="javascript:top.ran = true"/>',
    "style": "<style>@import url(https://foreign.invalid/x.css);</style>",
    "style attribute": '<rect style="filter: url(https://foreign.invalid/x.svg#a)"/>',
    "paint": '<rect width="9" height="9" fill="url(https://foreign.invalid/x.svg#a)"/>',
}


@pytest.mark.parametrize("content", HOSTILE_SVGS.values(), ids=HOSTILE_SVGS.keys())
def test_the_svg_viewer_runs_no_script(site, visit, content):
    page = visit(site, "/tools/")
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="120" height="80">'
        f'<rect width="120" height="80" fill="#0f0"/>{content}</svg>'
    )
    for pasted in [svg, json.dumps({"svg": svg})]:
        page.get_by_label("Response of POST totp/create/").fill(pasted)
        page.get_by_role("button", name="Draw").click()
        page.get_by_text("None of that ran or was loaded.").wait_for()
        image = page.get_by_alt_text("The SVG that you pasted")
        image.click()
        assert image.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [120, 80]
        assert page.evaluate("window.ran") is None
        page.get_by_role("button", name="Clear").first.click()
        image.wait_for(state="hidden")


def test_the_svg_viewer_draws_a_response(fresh_site, visit, look, read_qr):
    tokens = post(fresh_site, "jwt/create/", credentials(fresh_site))
    setup = post(fresh_site, "totp/create/", {}, tokens["access"])
    page = visit(fresh_site, "/tools/", **phone)
    page.get_by_label("Response of POST totp/create/").fill(json.dumps(setup))
    page.get_by_role("button", name="Draw").click()
    page.get_by_text("The picture is below.", exact=True).wait_for()  # and no warning
    assert read_qr(page) == setup["otpauth_uri"]
    look(page, "svg")


def test_the_svg_viewer_tells_what_is_wrong(site, visit):
    page = visit(site, "/tools/")
    for text, message in {
        "": "Paste a response or an SVG first.",
        '{"svg": "<svg': "This is not complete JSON",
        '{"detail": "Invalid TOTP code."}': "This JSON has no “svg”.",
        "<svg><rect></svg>": "The browser cannot draw this SVG.",
        "<p>text</p>": "This is not an SVG",
    }.items():
        page.get_by_label("Response of POST totp/create/").fill(text)
        page.get_by_role("button", name="Draw").click()
        page.get_by_role("alert").get_by_text(message).wait_for()
        assert not page.locator("#drawing").is_visible()


def test_backup_codes_become_a_text_file(site, visit, look):
    codes = ["abcd-efgh-jkmn-pqrs", "tuvw-xyz2-3456-789a"]
    page = visit(site, "/tools/", color_scheme="dark")
    page.get_by_label("Response of POST totp/create/").fill('<svg width="9" height="9"/>')
    page.get_by_role("button", name="Draw").click()
    page.get_by_text("The picture is below.").wait_for()
    page.get_by_label("Response of POST totp/confirm/").fill(json.dumps({"backup_codes": codes}))
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == "backup_codes.txt"
    assert page.get_by_role("status").all_inner_texts() == [
        "The picture is below.",
        "2 codes saved.",
    ]
    assert Path(download.value.path()).read_text() == "".join(f"{code}\n" for code in codes)
    look(page, "text")


def test_the_converter_tells_what_is_wrong(site, visit):
    page = visit(site, "/tools/")
    for text, message in {
        "": "Paste a response first.",
        "abcd-efgh-jkmn-pqrs": "This is not complete JSON",
        '{"svg": "<svg/>"}': "This JSON has no “backup_codes”.",
        '{"backup_codes": []}': "There are no codes in this response.",
        '{"backup_codes": [1, 2]}': "“backup_codes” must contain strings only.",
    }.items():
        page.get_by_label("Response of POST totp/confirm/").fill(text)
        page.get_by_role("button", name="Download").click()
        page.get_by_role("alert").get_by_text(message).wait_for()


@pytest.mark.parametrize("screen", [narrow, desktop], ids=["narrow", "desktop"])
def test_the_tools_fit_the_screen(site, visit, look, screen):
    look(visit(site, "/tools/", **screen), "tools")


def test_the_api_docs_come_from_here(site, visit):
    page = visit(site, "/api/docs/")
    page.locator("#operations-tag-totp, .opblock").first.wait_for()
    assert "/api/jwt/totp/verify/" in page.locator("#swagger-ui").inner_text()
    assert page.locator("html").get_attribute("lang") == "en"
    page.get_by_role("link", name="JWT", exact=True).click()
    view(page, "signin")


def test_the_api_docs_follow_dark_mode(site, visit):
    page = visit(site, "/api/docs/", color_scheme="dark")
    page.locator(".opblock").first.wait_for()
    colors = """selector => {
      const { backgroundColor, color } = getComputedStyle(document.querySelector(selector));
      return [backgroundColor, color].map((value) => value.match(/[\\d.]+/g).map(Number)[1] > 127);
    }"""
    shown = ["body", ".bar", ".swagger-ui", ".swagger-ui .opblock-summary-path"]
    assert [page.evaluate(colors, part)[1] for part in shown] == [True] * 4
    assert [page.evaluate(colors, part)[0] for part in shown[:3]] == [False] * 3
    page.emulate_media(color_scheme="light")
    for part in shown:  # some of it fades
        page.wait_for_function(f"part => !({colors})(part)[1]", arg=part)
    assert page.evaluate(colors, "body")[0]
