"""The life of a factor in a real Chromium: another phone, a trusted laptop, a phone that is lost.

What takes days is told to the database; all else is clicked, or typed, by a person.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pyotp
import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.core import mail
from django.urls import reverse
from django.utils.translation.trans_real import DjangoTranslation
from playwright.sync_api import Locator, Page, expect

from django_totp import challenges, devices
from django_totp.accounts import account_by
from django_totp.assurance import SESSION_KEY as ASSURANCE
from django_totp.assurance import new_login
from django_totp.challenges import RECOVER
from django_totp.models import BackupCode, Totp, TrustedDevice
from django_totp.users import email_field

from .conftest import SCREEN, Site
from .test_journey import desktop, next_code, phone, type_into, wrong_code
from .test_pages import (
    FACTOR,
    KEEP,
    LOGIN,
    SETUP,
    STATE,
    STEP,
    WRONG,
    app_of,
    heading,
    log_in,
    send,
    tab_to,
)

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

NEW_APP, HOME = "Set up a new authenticator app", "/home/"
DELAY = 3 * 86400
without_script = {"java_script_enabled": False}


@pytest.fixture
def site(project: Site, settings: Any) -> Site:
    settings.TOTP_TRUSTED_DEVICE_MAX_AGE = 30 * 86400
    settings.TOTP_RECOVERY_DELAY = DELAY
    return project


@pytest.fixture
def owner(site: Site, authenticator: pyotp.TOTP, enrolled_user: Any) -> Any:
    """Return the user, who has an address for mails and has enrolled a day ago."""
    setattr(enrolled_user, email_field(enrolled_user), "ada@example.com")
    enrolled_user.save()
    return enrolled_user


def fresh_code(app: pyotp.TOTP) -> str:
    """Return the code of now as if none had been used in this half minute."""
    Totp.objects.update(last_used_step=None)
    return app.now()


def log_in_fully(page: Page, site: Site, app: pyotp.TOTP) -> None:
    log_in(page, site)
    heading(page, STEP)
    send(page, fresh_code(app))
    heading(page, FACTOR)


def log_out(page: Page) -> None:
    page.goto(HOME)
    page.get_by_role("button", name="Log out").click()
    heading(page, "Log in")


def go_on(page: Page) -> list[str]:
    """Return the new backup codes that are shown, and leave them."""
    heading(page, KEEP)
    codes = page.locator("#totp-codes li").all_inner_texts()
    page.get_by_role("link", name="I have saved them, continue").click()
    return codes


def let_login_age(page: Page, seconds: int) -> None:
    [key] = [one["value"] for one in page.context.cookies() if one["name"] == "sessionid"]
    session = SessionStore(key)
    session[ASSURANCE]["auth_time"] -= seconds
    session.save()


def is_on(codes: list[str]) -> bool:
    """Return whether there is a second factor, of which these are the backup codes."""
    [totp] = Totp.objects.all()
    return bool(totp.is_enabled) and BackupCode.objects.count() == len({*codes}) == 10


# --- Another phone, while the old one still works ---


@pytest.mark.parametrize(
    "options",
    [phone | {"color_scheme": "dark"}, desktop | without_script],
    ids=["phone", "desktop without script"],
)
def test_another_phone(site, owner, authenticator, backup_codes, visit, look, read_qr, options):
    page, elsewhere = visit(site, STATE, **options), visit(site, STATE)
    log_in_fully(page, site, authenticator)
    log_in_fully(elsewhere, site, authenticator)

    # It wants a code of the old phone, which is still there.
    let_login_age(page, 400)
    page.get_by_role("link", name="Set up a new phone or app").click()
    heading(page, STEP)
    look(page, "1-step-up")
    send(page, fresh_code(authenticator))
    heading(page, NEW_APP)
    expect(page.get_by_text("Your old app goes on working until")).to_be_visible()
    look(page, "2-setup")
    new = pyotp.parse_uri(read_qr(page))
    assert isinstance(new, pyotp.TOTP)
    assert new.secret != authenticator.secret

    # A typing error shows the same QR code, and the old phone goes on working.
    send(page, wrong_code(new), "Use the new app")
    heading(page, NEW_APP)
    expect(page.get_by_role("alert")).to_contain_text(WRONG)
    look(page, "3-wrong-code")
    assert pyotp.parse_uri(read_qr(page)).secret == new.secret
    send(page, fresh_code(authenticator), "Use the new app")
    expect(page.get_by_role("alert")).to_contain_text(WRONG)
    third = visit(site, STATE)
    log_in_fully(third, site, authenticator)
    expect(third.get_by_text("You have begun to set up a new app.")).to_be_visible()
    look(third, "4-state")

    send(page, new.now(), "Use the new app")
    heading(page, KEEP)
    expect(page.get_by_text("The old one does not work any more.")).to_be_visible()
    look(page, "5-codes")
    codes = go_on(page)
    heading(page, FACTOR)  # this login goes on
    expect(page.get_by_text("You have begun")).to_have_count(0)
    assert is_on(codes)
    assert not {*codes} & {*backup_codes}

    # The others are asked for a code, of the new phone.
    for other in (elsewhere, third):
        other.reload()
        heading(other, STEP)
        send(other, authenticator.now())
        expect(other.get_by_role("alert")).to_contain_text(WRONG)
        send(other, fresh_code(new))
        heading(other, FACTOR)


def test_a_change_that_is_given_up_changes_nothing(site, owner, authenticator, visit):
    page = visit(site, STATE)
    log_in_fully(page, site, authenticator)
    page.get_by_role("link", name="Set up a new phone or app").click()
    heading(page, NEW_APP)
    page.get_by_role("link", name="Not now").click()
    heading(page, FACTOR)
    log_out(page)
    log_in_fully(page, site, authenticator)


# --- A laptop that is trusted ---


@pytest.mark.parametrize(
    "options",
    [phone | {"color_scheme": "dark"}, desktop | without_script],
    ids=["phone", "desktop without script"],
)
def test_a_trusted_laptop(site, owner, authenticator, visit, look, options):
    page = visit(site, STATE, **options)
    trust(page, site, authenticator)
    look(page, "1-state")
    log_out(page)

    log_in(page, site)
    heading(page, FACTOR)  # the password was enough
    [row] = page.get_by_role("listitem").all()
    expect(row).to_contain_text("Chrome on Linux")
    expect(row).to_contain_text("Last used")

    # It is as good as a code once, and no new one.
    page.get_by_role("link", name="Make new backup codes").click()
    heading(page, STEP)
    expect(page.get_by_role("checkbox")).to_have_count(0)
    page.goto(STATE)

    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.get_by_role("status")).to_have_text("The device is trusted no more.")
    expect(page.get_by_role("heading", name="Trusted devices")).to_have_count(0)
    look(page, "2-removed")
    log_out(page)
    log_in(page, site)
    heading(page, STEP)


def trust(page: Page, site: Site, app: pyotp.TOTP) -> None:
    """Log in, and let the browser be trusted."""
    log_in(page, site)
    heading(page, STEP)
    page.get_by_label("Don’t ask for a code on this device for 30 days").check()
    send(page, fresh_code(app))
    heading(page, FACTOR)


def test_a_laptop_that_was_not_to_be_trusted(site, owner, authenticator, visit):
    page = visit(site, STATE)
    log_in_fully(page, site, authenticator)
    log_out(page)
    log_in(page, site)
    heading(page, STEP)


@pytest.mark.parametrize("why", ["a new password", "30 days", "another laptop's button"])
def test_trust_ends(site, owner, authenticator, visit, why):
    page = visit(site, STATE)
    trust(page, site, authenticator)
    log_out(page)
    log_in(page, site)
    heading(page, FACTOR)
    log_out(page)
    if why == "a new password":
        site = Site(site.url, site.username, "another horse")
        owner.set_password(site.password)
        owner.save()
    elif why == "30 days":
        now = datetime.now(UTC)
        ago = now - timedelta(days=30, seconds=5)
        TrustedDevice.objects.update(created_at=ago, expires_at=now - timedelta(seconds=5))
    else:
        other = visit(site, STATE)
        log_in_fully(other, site, authenticator)
        other.get_by_role("button", name="Remove", exact=True).click()
        expect(other.get_by_role("status")).to_be_visible()
    log_in(page, site)
    heading(page, STEP)


def test_many_devices_of_any_name(site, owner, authenticator, visit, see):
    page = visit(site, STATE, **SCREEN)
    trust(page, site, authenticator)
    user = account_by("pk", owner.pk)
    for name in ("W" * 100, "Firefox auf dem Rechner im Arbeitszimmer meiner Großmutter", ""):
        devices.trust(user, new_login(user, "pwd", "otp"), name)
    page.reload()
    see(page, "1-devices", FACTOR)
    page.get_by_role("button", name="Remove all of them").click()
    expect(page.get_by_role("status")).to_have_text("No device is trusted any more.")
    assert not TrustedDevice.objects.exists()


# --- A phone that is lost ---


def link_in_mail() -> str:
    """Return where the newest mail leads to."""
    [link] = re.findall(r"http\S+/two-factor/recovery/\S+", mail.outbox[-1].body)
    return link


def lost(page: Page) -> Locator:
    """Return what is said to those who have lost their phone, unfolded."""
    part = page.locator("details", has_text="Lost your phone?")
    if part.get_attribute("open") is None:
        part.locator("summary").click()
    return part


def ask_for_mail(page: Page, site: Site) -> None:
    log_in(page, site)
    heading(page, STEP)
    lost(page).get_by_role("button", name="Send me a mail").click()
    expect(page.get_by_role("status")).to_contain_text("a mail is on its way")


def begin_the_wait(page: Page) -> None:
    """Follow the mailed link. The page does nothing before its button is pressed."""
    page.goto(link_in_mail())
    heading(page, NEW_APP)
    assert Totp.objects.get().recovery_ready_at is None
    page.get_by_role("button", name="Begin the wait").click()
    heading(page, "Now you have to wait")


def let_it_be_over() -> None:
    Totp.objects.update(recovery_ready_at=datetime.now(UTC) - timedelta(seconds=1))


@pytest.fixture
def laptop(site: Site, owner: Any, authenticator: pyotp.TOTP, visit: Any) -> Page:
    """Return a browser that is trusted, and in which nobody is logged in now."""
    page: Page = visit(site, STATE, **SCREEN)
    trust(page, site, authenticator)
    log_out(page)
    return page


@pytest.fixture
def stranger(laptop: Page, site: Site, visit: Any) -> Page:
    """Return a browser in which somebody has begun a wait, at the second step of a login."""
    page: Page = visit(site, STATE)
    ask_for_mail(page, site)
    begin_the_wait(page)
    page.goto(STATE)
    heading(page, STEP)
    return page


@pytest.mark.parametrize(
    "options",
    [phone | {"color_scheme": "dark"}, desktop | without_script],
    ids=["phone", "desktop without script"],
)
def test_a_lost_phone(site, laptop, authenticator, visit, look, read_qr, options):
    log_in(laptop, site)
    heading(laptop, FACTOR)
    page = visit(site, STATE, **options)
    ask_for_mail(page, site)
    look(page, "1-mailed")
    [first] = mail.outbox
    assert first.to == ["ada@example.com"]
    link = link_in_mail()
    begin_the_wait(page)
    look(page, "2-wait")
    [_, second] = mail.outbox
    assert link_in_mail() != link

    # Until it is over, there is nothing but to wait.
    page.goto(LOGIN)
    log_in(page, site)
    heading(page, STEP)
    expect(lost(page)).to_contain_text("on, you can set up a new app here.")
    expect(lost(page).get_by_role("button")).to_have_count(0)
    look(page, "3-not-yet")

    let_it_be_over()
    page.goto(LOGIN)
    log_in(page, site)
    heading(page, STEP)
    look(page, "4-ready")
    lost(page).get_by_role("button", name="Set up a new app").click()
    heading(page, NEW_APP)
    look(page, "5-setup")
    new = pyotp.parse_uri(read_qr(page))
    assert isinstance(new, pyotp.TOTP)
    send(page, wrong_code(new), "Use the new app")
    expect(page.get_by_role("alert")).to_contain_text(WRONG)
    look(page, "6-wrong-code")
    assert pyotp.parse_uri(read_qr(page)).secret == new.secret
    send(page, new.now(), "Use the new app")
    heading(page, KEEP)
    look(page, "7-codes")
    codes = go_on(page)
    heading(page, FACTOR)
    expect(page.get_by_role("button", name="Stop it")).to_have_count(0)
    assert is_on(codes)
    assert "All other logins were ended." in mail.outbox[-1].body

    # The other login is over, its browser is trusted no more, and the old phone is of no use.
    laptop.reload()
    heading(laptop, "Log in")
    log_in(laptop, site)
    heading(laptop, STEP)
    send(laptop, authenticator.now())
    expect(laptop.get_by_role("alert")).to_contain_text(WRONG)
    send(laptop, fresh_code(new))
    heading(laptop, FACTOR)

    # Both links are of no use now.
    for used in (link, re.search(r"http\S+/recovery/\S+", second.body)[0]):
        page.goto(used)
        expect(page.get_by_role("alert")).to_be_visible()
        expect(page.get_by_role("button")).to_have_count(0)
        look(page, "8-used-link")


def test_a_code_stops_it(stranger, site, authenticator, visit):
    page = visit(site, STATE)
    log_in_fully(page, site, authenticator)
    expect(page.get_by_role("button", name="Stop it")).to_have_count(0)
    assert_stopped(stranger, site)


def test_the_mailed_link_stops_it(stranger, site, visit, look):
    page = visit(site, link_in_mail(), **phone)  # on the phone, where nobody is logged in
    heading(page, "Stop it")
    look(page, "1-button")
    assert Totp.objects.get().recovery_ready_at is not None
    page.get_by_role("button", name="Stop it").click()
    heading(page, "It is stopped")
    look(page, "2-stopped")
    assert_stopped(stranger, site)


def test_a_button_stops_it(stranger, laptop, site, see):
    """On a laptop that is trusted: a login with a code would have stopped it before."""
    log_in(laptop, site)
    see(laptop, "1-state", FACTOR)
    expect(laptop.get_by_text("Somebody has asked to set up a new app")).to_be_visible()
    laptop.get_by_role("button", name="Stop it").click()
    expect(laptop.get_by_role("status")).to_contain_text("Nobody can set up a new app")
    expect(laptop.get_by_role("button", name="Stop it")).to_have_count(0)
    see(laptop, "2-stopped", FACTOR)
    assert_stopped(stranger, site)


def assert_stopped(page: Page, site: Site) -> None:
    """Check that the wait is none any more, and that a login is asked for a code as ever."""
    assert Totp.objects.get().recovery_ready_at is None
    page.goto(LOGIN)
    log_in(page, site)
    heading(page, STEP)
    expect(lost(page).get_by_role("button")).to_have_text("Send me a mail")


def test_the_keyboard_is_enough_for_a_lost_phone(site, owner, visit):
    page = visit(site, STATE)
    type_into(page, "[name=username]", site.username)
    tab_to(page, "[name=password]")
    type_into(page, "[name=password]", site.password)
    page.keyboard.press("Enter")
    heading(page, STEP)
    press(page, "details:last-of-type summary", "Space")
    press(page, "[name=recovery]")
    expect(page.get_by_role("status")).to_contain_text("a mail is on its way")
    page.goto(link_in_mail())
    press(page, "form button", "Space")
    heading(page, "Now you have to wait")
    let_it_be_over()
    page.goto(LOGIN)
    type_into(page, "[name=username]", site.username)
    page.keyboard.press("Tab")
    type_into(page, "[name=password]", site.password)
    page.keyboard.press("Enter")
    heading(page, STEP)
    press(page, "[name=recovery]")
    heading(page, NEW_APP)
    new = pyotp.TOTP(page.locator(".totp-key").inner_text().replace(" ", ""))
    tab_to(page, "[name=otp_code]")
    type_into(page, "[name=otp_code]", next_code(new))
    page.keyboard.press("Enter")
    heading(page, KEEP)
    press(page, "a.totp-main")
    heading(page, FACTOR)


def press(page: Page, selector: str, key: str = "Enter") -> None:
    tab_to(page, selector)
    page.keyboard.press(key)


# --- Languages with longer words ---


def stretched(message: str) -> str:
    """Return ``message`` in a language whose words are longer by half."""
    return re.sub(
        r"%\(\w+\)\w|\{\w+\}|(\w{4,})",
        lambda part: part[0] + part[0][: len(part[0]) // 2] * bool(part[1]),
        message,
    )


def test_long_words_have_room(site, owner, authenticator, visit, see, monkeypatch):
    monkeypatch.setattr(DjangoTranslation, "gettext", lambda self, one: stretched(one))
    plural = lambda self, one, many, count: stretched(many)  # noqa: E731
    monkeypatch.setattr(DjangoTranslation, "ngettext", plural)
    page = visit(site, STATE, **SCREEN)
    page.locator("[name=username]").fill(site.username)
    page.locator("[name=password]").fill(site.password)
    page.keyboard.press("Enter")
    heading(page, stretched(STEP))
    for summary in page.locator("summary").all():
        summary.click()
    see(page, "1-verify", stretched(STEP))
    page.locator("[name=trust_device]").check()
    page.locator("[name=otp_code]").fill(fresh_code(authenticator))
    page.keyboard.press("Enter")
    heading(page, stretched(FACTOR))
    user = account_by("pk", owner.pk)
    devices.trust(user, new_login(user, "pwd", "otp"))
    begin = reverse("two-factor-recovery", args=[challenges.make(user, RECOVER)])
    page.goto(begin)
    see(page, "2-begin", stretched(NEW_APP))
    page.locator("form button").click()
    see(page, "3-wait", stretched("Now you have to wait"))
    page.goto(STATE)
    see(page, "4-state", stretched(FACTOR))
    page.goto(link_in_mail())
    see(page, "5-stop", stretched("Stop it"))
    page.locator("form button").click()
    see(page, "6-stopped", stretched("It is stopped"))
    page.goto(page.url)
    see(page, "7-nothing-to-stop", stretched("Stop it"))
    page.goto(SETUP)
    see(page, "8-setup", stretched(NEW_APP))
    page.locator("[name=otp_code]").fill(app_of(page).now())
    page.keyboard.press("Enter")
    see(page, "9-codes", stretched(KEEP))
