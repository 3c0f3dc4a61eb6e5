"""The pages in each language, on a small phone: nothing is cut off, and all reads its own way."""

import pyotp
import pytest
from django.utils import translation
from playwright.sync_api import expect

from django_totp.models import Totp
from tests.test_languages import LANGUAGES

from .conftest import SCREEN
from .test_pages import CODES, DISABLE, LOGIN, SETUP, STATE, VERIFY, Person

RIGHT_TO_LEFT = {"ar", "fa", "he"}

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_pages(project, user, visit, look, settings, language):
    settings.LANGUAGE_CODE = translation.to_language(language)
    settings.TOTP_TRUSTED_DEVICE_MAX_AGE = 30 * 86400
    page = visit(project, LOGIN, **SCREEN)
    look(page, "1-login")
    assert page.locator("html").get_attribute("lang") == settings.LANGUAGE_CODE
    direction = "rtl" if language in RIGHT_TO_LEFT else "ltr"
    person = Person(user).half()
    person.now_at(page, SETUP)
    look(page, "2-setup")
    with translation.override(settings.LANGUAGE_CODE):
        title = translation.gettext("Set up two-factor authentication")
    expect(page.get_by_role("heading", level=1)).to_have_text(title)
    assert page.evaluate("getComputedStyle(document.body).direction") == direction
    key = page.locator(".totp-key")
    assert key.evaluate("node => getComputedStyle(node).direction") == "ltr"
    app = pyotp.TOTP(key.inner_text().replace(" ", ""))
    code = page.locator("#id_otp_code")
    assert code.evaluate("node => getComputedStyle(node).direction") == "ltr"
    code.fill(app.now())
    code.press("Enter")
    expect(page.locator("#totp-codes li")).to_have_count(10)
    look(page, "3-codes")
    for number, url in enumerate((STATE, CODES, DISABLE, VERIFY), 4):
        page.goto(url)
        look(page, f"{number}-{url.strip('/').rpartition('/')[2]}")
    Totp.objects.update(last_used_step=None)
    page.context.clear_cookies()
    Person(user).half().now_at(page, VERIFY)
    look(page, "8-second-step")
