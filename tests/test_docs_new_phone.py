"""docs/new-phone.md: its request is answered so, and its functions change the phone."""

import pytest
from django.urls import reverse

from django_totp.encryption import decrypt
from django_totp.models import Totp
from django_totp.totp import verify_totp_code
from tests import markdown, replay
from tests.browsing import VERIFY, Browser, age_enrollment, assert_led

PAGE = markdown.read("docs/new-phone.md")
pytestmark = pytest.mark.django_db


def new_secret(user):
    shown = markdown.run(markdown.blocks(PAGE, "python")[0])
    return shown, shown["show_qr_code"](user)


def test_the_request(enrolled_user, secret, otp, sign_in):
    age_enrollment(enrolled_user)
    sent = replay.Replay({"grace": enrolled_user})
    assert sent.play(PAGE) == 1
    code = {"input_code": otp(sent.seen["secret"])}
    client = sign_in(enrolled_user, "pwd", "otp")
    assert len(client.post(reverse("totp-confirm"), code).json()["backup_codes"]) == 10
    assert not verify_totp_code(enrolled_user, otp(secret, offset=1))
    assert verify_totp_code(enrolled_user, otp(sent.seen["secret"], offset=1))


def test_the_functions(enrolled_user, secret, otp):
    names, svg = new_secret(enrolled_user)
    assert svg.startswith("<svg")
    assert verify_totp_code(enrolled_user, otp(secret))  # the old one counts until then
    replacement = decrypt(Totp.objects.get().replacement)
    codes = names["finish"](enrolled_user, otp(replacement.split(" ")[3]))
    assert len(codes) == 10
    assert not verify_totp_code(enrolled_user, otp(secret, offset=1))


def test_the_page_asks_for_a_code_of_the_last_minutes(enrolled_user, otp, secret):
    age_enrollment(enrolled_user)
    browser = Browser(enrolled_user)
    browser.password()
    browser.code(otp(secret))
    page = browser.client.get(reverse("two-factor")).content.decode()
    [name] = [line for line in PAGE.split('"') if line.startswith("Set up a new")]
    assert name in page
    session = browser.session
    session["_django_totp"] = {**session["_django_totp"]}
    session["_django_totp"]["auth_time"] -= 301
    session.save()
    assert_led(browser.client.get(reverse("two-factor-setup")), VERIFY)
