"""docs/mobile-app.md: its requests are answered as it says, and each code has the cure it names."""

import re

import pytest
from django.contrib.auth.hashers import make_password
from django.urls import reverse
from rest_framework.test import APIClient

from django_totp.auth import end_sessions
from django_totp.authentication import JWTAuthentication
from django_totp.backup_code_utils import store_backup_codes
from django_totp.totp import create_totp_setup, start_totp_setup
from tests import markdown, replay

PAGE = markdown.read("docs/mobile-app.md")
[EXAMPLE] = markdown.blocks(PAGE, "python")
cure = markdown.run(EXAMPLE)["cure"]
pytestmark = pytest.mark.django_db


def test_the_requests(make_user, settings):
    settings.TOTP_TRUSTED_DEVICE_MAX_AGE = 60
    users = {name: make_user(name) for name in ("ada", "mary")}
    create_totp_setup(users["ada"])
    store_backup_codes(users["ada"], [])
    assert replay.Replay(users).play(PAGE) == len(replay.exchanges(PAGE)) == 4


@pytest.fixture
def tokens(user, login):
    return login(user).json()


def refused(tokens, simplejwt=None):
    """Return the codes of the 401 at a request, and at the refresh."""
    client = APIClient(HTTP_AUTHORIZATION=f"Bearer {tokens['access']}")
    answers = [
        client.get(reverse("totp-status")),
        client.post(reverse("jwt-refresh"), {"refresh": tokens["refresh"]}),
    ]
    assert [answer.status_code for answer in answers] == [401, 401]
    return [answer.json()["code"] for answer in answers]


@pytest.fixture(autouse=True)
def _our_authentication(monkeypatch):
    from rest_framework.views import APIView

    monkeypatch.setattr(APIView, "authentication_classes", [JWTAuthentication])


def enroll(user, settings):
    start_totp_setup(user)
    store_backup_codes(user, [])


def ended(user, settings):
    end_sessions(user)


def deactivated(user, settings):
    user.is_active = False
    user.save()


def owed(user, settings):
    settings.TOTP_REQUIRED_FOR = ["everyone"]


CASES = {
    "second_factor_required": enroll,
    "login_outdated": ended,
    "user_inactive": deactivated,
    "enrollment_required": owed,
}


@pytest.mark.parametrize("code", CASES)
def test_what_a_client_is_told(code, user, tokens, settings):
    CASES[code](user, settings)
    assert refused(tokens) == [code, code]
    asks = code == "second_factor_required"
    assert cure(code).startswith("ask for a code" if asks else "forget")
    assert asks or code in forgotten()


def test_a_new_password(user, login, simplejwt):
    simplejwt(CHECK_REVOKE_TOKEN=True)
    tokens = login(user).json()
    user.password = make_password("new")
    user.save()
    assert refused(tokens) == ["password_changed", "password_changed"]
    assert "password_changed" in forgotten()


def test_a_token_that_is_over(tokens):
    assert refused({"access": "x", "refresh": "x"})[0] == "token_not_valid"
    assert cure("token_not_valid").startswith("refresh once")


def forgotten():
    [line] = re.findall(
        r"- Forget the tokens upon (.*?)\. The", markdown.sentences("docs/mobile-app.md")
    )
    return markdown.code(line)


def test_the_codes_to_forget_are_all_tried():
    tried = {*CASES, "password_changed"} - {"second_factor_required"}
    assert set(forgotten()) == tried


def test_a_wait_is_told_in_seconds(settings, user, login):
    settings.TOTP_THROTTLE_RATE = "1/minute"
    login(user)
    answer = login(user)
    assert answer.status_code == 429
    assert 0 < answer.json()["retry_after"] <= 60
