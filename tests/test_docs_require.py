"""docs/require-for-staff.md: the words name whom it says, and its requests are answered so."""

from datetime import UTC, date, datetime

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.urls import reverse

from django_totp.models import Account
from tests import markdown, replay
from tests.browsing import JSON, SETUP, Browser, assert_led
from tests.endpoints import assert_error

PAGE = markdown.read("docs/require-for-staff.md")
SECTIONS = markdown.sections(PAGE, 2)
WORD, GRACE, RULE, WORDS = [markdown.run(block) for block in markdown.blocks(PAGE, "python")]
joined_lately = RULE["joined_lately"]
pytestmark = pytest.mark.django_db
TWO_WEEKS = 14 * 24 * 60 * 60


@pytest.fixture
def staff(make_user, settings):
    settings.TOTP_REQUIRED_FOR = WORD["TOTP_REQUIRED_FOR"]
    return make_user("ada", is_staff=True)


def test_the_staff_and_nobody_else_is_led_to_setup(staff, make_user):
    browser, customer = Browser(staff), Browser(make_user("bob"))
    assert_led(browser.password(next_url="/admin/"), SETUP, "/admin/")
    assert not browser.is_signed_in
    customer.password()
    assert customer.is_signed_in


def test_the_requests(staff):
    assert replay.Replay({"ada": staff}).play(PAGE) == len(replay.exchanges(PAGE)) == 3


def test_the_tokens_and_sessions_from_before_are_refused(make_user, login, settings):
    user = make_user("ada", is_staff=True)
    browser, refresh = Browser(user), {"refresh": login(user).json()["refresh"]}
    browser.password()
    settings.TOTP_REQUIRED_FOR = WORD["TOTP_REQUIRED_FOR"]
    for answer in (
        browser.client.get("/admin/", **JSON),
        browser.client.post(reverse("jwt-refresh"), refresh),
    ):
        assert answer.status_code == 401
        assert answer.json()["code"] == "enrollment_required"


def test_it_cannot_be_turned_off(enrolled_user, sign_in, settings):
    enrolled_user.is_staff = True
    enrolled_user.save()
    settings.TOTP_REQUIRED_FOR = WORD["TOTP_REQUIRED_FOR"]
    client = sign_in(enrolled_user, "pwd", "otp")
    assert assert_error(client.post(reverse("totp-disable")), 403)["code"] == "totp_required"


def test_the_grace_period(staff, login, settings):
    settings.TOTP_GRACE_PERIOD = GRACE["TOTP_GRACE_PERIOD"]
    assert GRACE["TOTP_GRACE_PERIOD"] == TWO_WEEKS
    body = login(staff).json()
    end = datetime.fromisoformat(body["totp_required_from"])
    left = (end - datetime.now(UTC)).total_seconds()
    assert TWO_WEEKS - 60 < left <= TWO_WEEKS
    assert "access" in body


@pytest.mark.skipif(
    not hasattr(get_user_model(), "date_joined"), reason="the rule is for Django's own user"
)
def test_the_rule_of_the_page(make_user, login, settings):
    settings.TOTP_REQUIRED_FOR = [
        word.replace("myshop.policy", __name__) for word in WORDS["TOTP_REQUIRED_FOR"]
    ]
    new, old = (datetime(year, 12, 1, tzinfo=UTC) for year in (2026, 2025))
    for name, fields, is_required in (
        ("root", {"is_superuser": True, "date_joined": old}, True),
        ("new", {"is_staff": True, "date_joined": new}, True),
        ("old", {"is_staff": True, "date_joined": old}, False),
        ("customer", {"date_joined": new}, False),
    ):
        body = login(make_user(name, **fields)).json()
        assert body.get("is_totp_required", False) is is_required, name


def test_a_rule_that_raises_opens_nothing(staff, login, settings):
    settings.TOTP_REQUIRED_FOR = [f"{__name__}.broken"]
    assert "policy_unavailable" in PAGE
    assert_error(login(staff), 503)


def broken(user):
    raise RuntimeError


def test_an_exemption(staff, login):
    [command] = markdown.blocks(PAGE, "sh")
    day, reason = "2030-12-31", "waits for a new phone"
    assert day in command
    assert reason in command
    call_command("totp_exempt", staff.get_username(), until=day, reason=reason)
    assert Account.objects.get().exempt_until == date(2030, 12, 31)
    assert "access" in login(staff).json()
