"""The pages in a real Chromium, in a small project with the policy of the example for scripts."""

import re
import time
from pathlib import Path
from typing import Any

import pyotp
import pytest
from playwright.sync_api import Page, expect

from django_totp import devices
from django_totp.accounts import account_by
from django_totp.assurance import SESSION_KEY as ASSURANCE
from django_totp.assurance import new_login
from django_totp.device_cookie import COOKIE
from django_totp.models import Totp, TrustedDevice
from tests.browsing import Browser

from .conftest import SCREEN, Site
from .test_journey import narrow, next_code, phone, type_into, wrong_code

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

LOGIN, STATE = "/account/login/", "/account/two-factor/"
VERIFY, SETUP = f"{STATE}verify/", f"{STATE}setup/"
CODES, DISABLE = f"{STATE}backup-codes/", f"{STATE}disable/"
FACTOR, SET_UP = "Two-factor authentication", "Set up two-factor authentication"
STEP, KEEP, OFF = "Confirm it’s you", "Keep your backup codes", "Turn off two-factor authentication"
WRONG = "This code is not right, or it has been used. Type the one that your app shows now."


@pytest.fixture
def site(project: Site) -> Site:
    return project


class Person(Browser):
    """Somebody whose steps are taken without the browser, as far as a test begins behind them."""

    def half(self) -> "Person":
        self.password()
        return self

    def inside(self, authenticator: pyotp.TOTP) -> "Person":
        self.half().code(authenticator.now())
        assert self.is_signed_in
        Totp.objects.update(last_used_step=None)
        return self

    def now_at(self, page: Page, url: str) -> None:
        """Let the browser go on."""
        [cookie] = [self.client.cookies["sessionid"]]
        page.context.clear_cookies()
        page.context.add_cookies(
            [{"name": cookie.key, "value": cookie.value, "domain": "127.0.0.1", "path": "/"}]
        )
        page.goto(url)


def log_in(page: Page, site: Site) -> None:
    page.get_by_label(re.compile("^(Username|Email)$")).fill(site.username)
    page.get_by_label("Password").fill(site.password)
    page.get_by_role("button", name="Log in").click()


def send(page: Page, code: str, button: str = "Continue") -> None:
    page.get_by_label("Code from your authenticator app").fill(code)
    page.get_by_role("button", name=button).click()


def send_backup_code(page: Page, code: str) -> None:
    if not page.get_by_label("One of your backup codes").is_visible():
        page.get_by_text("Use a backup code instead").click()
    page.get_by_label("One of your backup codes").fill(code)
    page.get_by_role("button", name="Use this backup code").click()


def app_of(page: Page) -> pyotp.TOTP:
    """Return an authenticator app that has the key that the page shows."""
    return pyotp.TOTP(page.locator(".totp-key").inner_text().replace(" ", ""))


def heading(page: Page, text: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(text)


def test_the_pages_of_a_login(site, authenticator, enrolled_user, visit, see):
    page = visit(site, LOGIN, **SCREEN)
    see(page, "1-login", "Log in")
    log_in(page, Site(site.url, site.username, "wrong"))
    see(page, "2-wrong-password", "Log in", "Please enter a correct username and password")
    log_in(page, site)
    see(page, "3-verify", STEP)
    send(page, wrong_code(authenticator))
    see(page, "4-wrong-code", STEP, WRONG)
    send_backup_code(page, "abcd")
    see(page, "5-wrong-backup-code", STEP, "This backup code is not right")
    person = Person(enrolled_user).half()
    for _ in range(6):
        person.code("000000")
    person.now_at(page, f"{VERIFY}?next=/vault/")
    send(page, wrong_code(authenticator))
    see(page, "6-wait", STEP, "Too many wrong codes")
    enrolled_user.set_password("new")
    enrolled_user.save()
    send(page, wrong_code(authenticator))
    see(page, "7-over", "Log in again")


def test_the_pages_of_a_setup(site, user, visit, see, settings, read_qr):
    page = visit(site, LOGIN, **SCREEN)
    Person(user).half().now_at(page, STATE)
    see(page, "1-state", FACTOR)
    page.get_by_role("link", name=SET_UP).click()
    expect(page.get_by_text("Step 1 of 2")).to_be_visible()
    page.get_by_text("What is an authenticator app?").click()
    see(page, "2-setup", SET_UP)
    uri = read_qr(page)
    app = pyotp.parse_uri(uri)
    assert app.secret == app_of(page).secret
    assert page.get_by_role("link", name="Open it here").get_attribute("href") == uri
    send(page, wrong_code(app), "Turn it on")
    see(page, "3-wrong-code", SET_UP, WRONG)
    assert app.secret == app_of(page).secret
    send(page, app.now(), "Turn it on")
    expect(page.get_by_text("Step 2 of 2")).to_be_visible()
    see(page, "4-codes", KEEP)
    page.get_by_role("link", name="I have saved them, continue").click()
    see(page, "5-state-on", FACTOR)
    Totp.objects.all().delete()
    settings.TOTP_REAUTHENTICATE = True
    person = Person(user).half()
    session = person.session
    session[ASSURANCE]["auth_time"] -= 400
    session.save()
    person.now_at(page, SETUP)
    see(page, "6-password", "Type your password again")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Continue").click()
    see(page, "7-wrong-password", "Type your password again", "This password is not right.")
    settings.TOTP_REQUIRED_FOR = ["everyone"]
    Person(user).half().now_at(page, SETUP)
    see(page, "8-setup-owed", SET_UP)


def test_the_pages_of_a_factor(site, authenticator, enrolled_user, visit, see, settings):
    page = visit(site, LOGIN, **SCREEN)
    Person(enrolled_user).inside(authenticator).now_at(page, STATE)
    see(page, "1-state", FACTOR)
    page.get_by_role("link", name="Turn it off").click()
    see(page, "2-disable", OFF)
    page.get_by_role("link", name="Leave it on").click()
    page.get_by_role("link", name="Make new backup codes").click()
    see(page, "3-new-codes", "Make new backup codes")
    page.get_by_role("button", name="Make new codes").click()
    see(page, "4-codes", KEEP)
    page.goto(f"{VERIFY}?next=/vault/")
    see(page, "5-step-up", STEP)
    settings.TOTP_REQUIRED_FOR = ["everyone"]
    page.goto(DISABLE)
    see(page, "6-stays", OFF)
    page.goto(STATE)
    see(page, "7-state-stays", FACTOR)
    settings.TOTP_REQUIRED_FOR = []
    page.goto(DISABLE)
    page.get_by_role("button", name="Turn it off").click()
    expect(page.get_by_role("status")).to_have_text("Two-factor authentication is off.")
    see(page, "8-off", FACTOR)


def test_the_pages_of_trusted_devices(site, authenticator, enrolled_user, visit, see, settings):
    """Trust this browser, come back without a code, and remove it, by keyboard in part."""
    settings.TOTP_TRUSTED_DEVICE_MAX_AGE = 30 * 86400
    page = visit(site, f"{LOGIN}?next={STATE}", **SCREEN)
    log_in(page, site)
    see(page, "1-verify", STEP)
    box = page.get_by_role("checkbox")
    expect(box).to_have_accessible_name("Don’t ask for a code on this device for 30 days")
    expect(box).to_have_accessible_description("Only if nobody else uses this device.")
    page.get_by_text("Don’t ask for a code").click()
    expect(box).to_be_checked()
    send(page, wrong_code(authenticator))
    expect(page.get_by_role("checkbox")).to_be_checked()
    see(page, "2-wrong-code", STEP, WRONG)
    send(page, authenticator.now())
    expect(page.get_by_role("heading", name="Trusted devices")).to_be_visible()
    [cookie] = [one for one in page.context.cookies() if one["name"] == COOKIE]
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Lax", "/")
    assert 29.9 * 86400 < cookie["expires"] - time.time() < 30.1 * 86400
    see(page, "3-state-one", FACTOR)
    page.context.clear_cookies(name="sessionid")
    page.goto(f"{LOGIN}?next={STATE}")
    log_in(page, site)
    heading(page, FACTOR)  # without a code
    user = account_by("pk", enrolled_user.pk)
    for name in ("My laptop", "Firefox auf dem Rechner im Arbeitszimmer meiner Großmutter", "<b>"):
        devices.trust(user, new_login(user, "pwd", "otp"), name)
    page.reload()
    see(page, "4-state-many", FACTOR)
    button = page.get_by_role("button", name="Remove", exact=True).nth(1)
    expect(button).to_have_accessible_description(
        re.compile("Grossmutter|Großmutter|laptop|<b>|name")
    )
    tab_to(page, ".totp-devices button")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("The device is trusted no more.")
    assert TrustedDevice.objects.count() == 3
    page.get_by_role("button", name="Remove all of them").click()
    expect(page.get_by_role("status")).to_have_text("No device is trusted any more.")
    see(page, "5-state-none", FACTOR)
    page.context.clear_cookies(name="sessionid")
    page.goto(LOGIN)
    log_in(page, site)
    heading(page, STEP)


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until the element has the focus. Whatever has it on the way shows so."""
    for _ in range(20):
        page.keyboard.press("Tab")
        active = page.locator(":focus")
        if active.count():
            assert active.evaluate("node => getComputedStyle(node).outlineStyle") != "none"
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    pytest.fail(f"Tab does not lead to {selector}")


def test_the_keyboard_is_enough(site, authenticator, backup_codes, visit):
    page = visit(site, "/vault/")
    type_into(page, "[name=username]", site.username)
    tab_to(page, "[name=password]")
    type_into(page, "[name=password]", "wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    type_into(page, "[name=password]", site.password)  # the name is kept
    page.keyboard.press("Enter")
    type_into(page, "[name=otp_code]", wrong_code(authenticator))
    page.keyboard.press("Enter")
    field = page.get_by_label("Code from your authenticator app")
    expect(field).to_have_accessible_description(WRONG)
    expect(field).to_be_focused()
    tab_to(page, "summary")
    page.keyboard.press("Space")
    tab_to(page, "[name=backup_code]")
    type_into(page, "[name=backup_code]", backup_codes[0])
    page.keyboard.press("Enter")
    heading(page, "You are in.")


def test_an_error_is_told_to_all(site, authenticator, visit):
    page = visit(site, LOGIN, color_scheme="light")
    log_in(page, Site(site.url, site.username, "wrong"))
    expect(page).to_have_title("Error: Log in")
    told = re.compile("Please enter a correct username and password")
    expect(page.get_by_role("alert")).to_have_text(told)
    expect(page.get_by_label("Password")).to_have_accessible_description(told)
    log_in(page, site)
    expect(page).to_have_title(STEP)
    send(page, wrong_code(authenticator))
    expect(page).to_have_title(f"Error: {STEP}")
    expect(page.get_by_role("alert")).to_have_text(WRONG)
    assert page.locator("#id_otp_code").get_attribute("aria-invalid") == "true"
    expect(page.get_by_text(WRONG).nth(1)).to_be_visible()
    link = page.get_by_role("alert").get_by_role("link")
    box = page.get_by_role("alert").bounding_box()
    assert box["height"] == 1  # the field has the same text, for those who see
    link.focus()
    assert page.get_by_role("alert").bounding_box()["height"] > 20
    page.keyboard.press("Enter")
    expect(page.get_by_label("Code from your authenticator app")).to_be_focused()


def test_all_works_without_a_script(site, user, visit):
    page = visit(site, "/vault/", java_script_enabled=False, **phone)
    log_in(page, site)
    heading(page, SET_UP)
    send(page, app_of(page).now(), "Turn it on")
    heading(page, KEEP)
    codes = page.get_by_role("listitem").all_inner_texts()
    assert len(codes) == 10
    assert not page.get_by_role("button").count()  # those that need the script
    page.get_by_role("link", name="I have saved them, continue").click()
    heading(page, "You are in.")
    page.goto(CODES)
    page.get_by_role("button", name="Make new codes").click()
    heading(page, KEEP)
    codes = page.get_by_role("listitem").all_inner_texts()
    page.goto(STATE)
    expect(page.get_by_text("10 backup codes are left.")).to_be_visible()
    page.context.clear_cookies()
    page.goto("/vault/")
    log_in(page, site)
    send_backup_code(page, codes[3])
    heading(page, "You are in.")
    page.goto(DISABLE)
    page.get_by_role("button", name="Turn it off").click()
    expect(page.get_by_text("Two-factor authentication is off.")).to_be_visible()
    assert not Totp.objects.exists()


def test_a_wait_counts_down(site, authenticator, enrolled_user, backup_codes, visit):
    person = Person(enrolled_user).half()
    for _ in range(6):
        person.code("000000")
    page = visit(site, LOGIN)
    person.now_at(page, f"{VERIFY}?next=/vault/")
    page.clock.install()
    send(page, wrong_code(authenticator))
    alert = page.get_by_role("alert")
    expect(alert).to_have_text(
        re.compile(r"^\s*Too many wrong codes. Try again in \d\d seconds.\s*$")
    )
    field = page.get_by_label("Code from your authenticator app")
    expect(field).to_have_accessible_description(
        re.compile("Try again in .. seconds. A backup code works without waiting.")
    )
    expect(page.get_by_label("One of your backup codes")).to_be_visible()
    seconds = int(re.search(r"\d+", alert.inner_text())[0])
    page.clock.run_for(2000)
    left = re.compile(rf"You can try again in 0:{seconds - 2:02}\.")
    expect(alert).to_have_text(left)
    expect(page.locator(".totp-error")).to_have_text(left)
    assert alert.locator("[data-retry-after]").get_attribute("aria-live") == "off"
    page.clock.run_for(30_000)
    expect(alert).to_have_text("You can try again now.")
    assert alert.locator("[aria-live]").count() == 0
    send_backup_code(page, backup_codes[0])
    heading(page, "You are in.")


@pytest.fixture
def codes_page(site, authenticator, enrolled_user, visit) -> Page:
    page = visit(site, LOGIN)
    Person(enrolled_user).inside(authenticator).now_at(page, CODES)
    page.get_by_role("button", name="Make new codes").click()
    heading(page, KEEP)
    return page


def test_the_codes_can_be_kept(codes_page):
    page = codes_page
    codes = page.get_by_role("listitem").all_inner_texts()
    assert len({*codes}) == 10
    caption = page.locator("figcaption").inner_text()
    assert re.fullmatch(r"Backup codes for 127\.0\.0\.1:\d+, \d{4}-\d\d-\d\d", caption)

    # As a file.
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as a text file").click()
    name = download.value.suggested_filename
    assert re.fullmatch(r"backup-codes-127\.0\.0\.1-\d{4}-\d\d-\d\d\.txt", name)
    lines = Path(download.value.path()).read_text().splitlines()
    assert lines == [caption, "", *codes]

    # By one click into the list.
    page.get_by_text(codes[4]).click()
    page.keyboard.press("Control+C")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.split() == codes

    # By a button.
    page.evaluate("navigator.clipboard.writeText('')")
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("status")).to_have_text("The codes are copied.")
    assert page.evaluate("navigator.clipboard.readText()") == "\n".join(codes)

    # On paper.
    page.evaluate("window.print = () => document.title = 'printed'")
    page.get_by_role("button", name="Print").click()
    assert page.title() == "printed"
    page.emulate_media(media="print")
    assert page.locator("body").inner_text().split("\n") == [caption, *codes]


def test_other_pages_can_be_printed(site, visit):
    page = visit(site, LOGIN)
    page.emulate_media(media="print")
    heading(page, "Log in")
    expect(page.get_by_role("heading", level=1)).to_be_visible()


FOREIGN = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>{% block title %}Shop{% endblock %}</title>
  <link rel="stylesheet" href="/foreign.css">
</head>
<body>
  <header class="page-header"><a href="/">Shop</a></header>
  <main class="container">{% block content %}{% endblock %}</main>
</body>
</html>"""
BETWEEN = """{% extends "base.html" %}
{% block content %}{% block two_factor %}{% endblock %}{% endblock %}"""


@pytest.fixture
def see_loosely(see: Any) -> Any:
    """Return a function like ``see``, but for the sizes of what another style sheet draws."""

    def see_loosely(page: Page, *what: str) -> None:
        heading(page, what[1])
        page.wait_for_load_state()
        page.add_style_tag(url="/sizes.css")
        see(page, *what)

    return see_loosely


def test_the_layout_of_the_project(site, user, visit, see_loosely, tmp_path, settings):
    (tmp_path / "django_totp").mkdir()
    (tmp_path / "base.html").write_text(FOREIGN)
    (tmp_path / "django_totp" / "base.html").write_text(BETWEEN)
    [templates] = settings.TEMPLATES
    settings.TEMPLATES = [templates | {"DIRS": [tmp_path]}]
    page = visit(site, "/vault/", **SCREEN)
    expect(page.get_by_role("link", name="Shop")).to_be_visible()
    see_loosely(page, "1-login", "Log in")
    log_in(page, site)
    see_loosely(page, "2-setup", SET_UP)
    assert page.title() == SET_UP
    app = app_of(page)
    send(page, wrong_code(app), "Turn it on")
    see_loosely(page, "3-wrong-code", SET_UP, WRONG)
    send(page, app.now(), "Turn it on")
    see_loosely(page, "4-codes", KEEP)
    page.goto(STATE)
    see_loosely(page, "5-state", FACTOR)
    page.context.clear_cookies()
    page.goto("/vault/")
    log_in(page, site)
    send_backup_code(page, "abcd")
    see_loosely(page, "6-verify", STEP, "This backup code is not right")
    send(page, next_code(app))
    heading(page, "You are in.")


@pytest.mark.parametrize("language", ["ar", "en"])
def test_from_right_to_left(site, visit, look, language, settings):
    settings.LANGUAGE_CODE = language
    page = visit(site, LOGIN, **(phone | narrow))
    assert page.locator("html").get_attribute("lang") == language
    assert page.evaluate("getComputedStyle(document.body).direction") == (
        "rtl" if language == "ar" else "ltr"
    )
    look(page, "login")


def test_high_contrast(site, authenticator, enrolled_user, visit):
    page = visit(site, LOGIN, forced_colors="active", reduced_motion="reduce")
    person = Person(enrolled_user).half()
    person.now_at(page, VERIFY)
    button = page.get_by_role("button", name="Continue")
    assert button.evaluate("node => getComputedStyle(node).borderStyle") == "solid"
    assert button.evaluate("node => getComputedStyle(node).transitionDuration") == "0s"
    send(page, wrong_code(authenticator))
    field = page.get_by_label("Code from your authenticator app")
    assert field.evaluate("node => getComputedStyle(node).borderWidth") == "2px"


def test_a_second_press_sends_nothing(site, authenticator, visit):
    """The code of the first one would be used by then."""
    page = visit(site, "/vault/")
    log_in(page, site)
    page.get_by_label("Code from your authenticator app").fill(authenticator.now())
    sent = []
    page.on("request", lambda request: sent.append(request.method))
    page.evaluate(
        "() => { const button = document.querySelector('form button');"
        " button.click(); button.click(); }"
    )
    heading(page, "You are in.")
    assert sent.count("POST") == 1
