"""Every sentence that people read is marked for translation: of the API, of mails, of the admin."""

import re
from datetime import UTC, datetime

import pytest
from django.test import Client
from django.urls import reverse

from django_totp import exceptions
from django_totp.auth import generate_challenge_token
from django_totp.events import EVENTS
from django_totp.models import Account, Event, TrustedDevice
from django_totp.notices.letters import Occasion, compose
from django_totp.notices.sentences import NOTICES
from django_totp.testing import enroll, login

from .capitals import speak_in_capitals
from .endpoints import ENDPOINTS, GET

NOW = datetime(2031, 5, 4, 12, tzinfo=UTC)
SHOWN = ("alt", "aria-label", "placeholder", "title")
ACTIONS = {
    "totp": [
        *("reset_two_factor", "allow_recovery", "stop_recovery", "end_the_wait"),
        "end_sessions",
    ],
    "account": ["end_sessions"],
    "trusteddevice": ["remove_devices"],
}

FOR_PROGRAMS = {*EVENTS}  # what the log calls them
OF_DJANGO = {"Search", "True", "False"}  # its templates have these as they are
ERRORS = [
    each
    for each in vars(exceptions).values()
    if isinstance(each, type) and issubclass(each, exceptions.TotpError)
]

pytestmark = pytest.mark.django_db


@pytest.fixture
def capitals(monkeypatch):
    """Return a function after which nothing but capitals is spoken."""
    return lambda: speak_in_capitals(monkeypatch)


def texts_of(page):
    """Return what a page shows: texts and attributes, without what is data or code."""
    page = re.sub(r"<!--.*?-->", "", page, flags=re.S)
    page = re.sub(r"<(script|style|head|code)\b.*?</\1>", "", page, flags=re.S)
    attributes = re.findall(rf'(?:{"|".join(SHOWN)})="([^"]*)"', page)
    buttons = re.findall(r'type="submit"[^>]*value="([^"]*)"', page)
    return re.findall(r">([^<>]+)<", page) + attributes + buttons


def unmarked(page, *known):
    words = re.compile("|".join(map(re.escape, [*known, "&rsaquo;", "&nbsp;"])))
    left = (words.sub("", text).strip() for text in texts_of(page))
    return {text for text in left if text != text.upper()}


class TestAdmin:
    @pytest.fixture
    def admin(self, make_user):
        client, root = Client(), make_user("root", is_staff=True, is_superuser=True)
        enroll(root)
        login(client, root)
        return client

    @pytest.fixture
    def keys(self, user):
        """Return the key of a row of each model, by its name, with all that a row can have."""
        enroll(user)
        user.totp.move(last_verified_at=NOW, recovery_ready_at=datetime.now(UTC), failures=99)
        moments = dict.fromkeys(("created_at", "last_used_at", "expires_at"), NOW)
        names = {"name": "X", "series": "S", "digest": "D", "fingerprint": "F"}
        facts = {
            "valid_from": NOW,
            "required_since": NOW,
            "exempt_until": NOW,
            "exempt_reason": "X",
        }
        Account.objects.create(user_id=user.pk, **facts)
        device = TrustedDevice.objects.create(user=user, **names, **moments)
        event = Event.objects.create(at=NOW, event="X", user_pk=str(user.pk), method="X")
        return {
            "totp": user.totp.pk,
            "account": user.pk,
            "trusteddevice": device.pk,
            "event": event.pk,
        }

    @pytest.mark.parametrize("model", ["totp", "account", "trusteddevice", "event"])
    def test_pages(self, capitals, admin, keys, model):
        capitals()
        for name, args in (("changelist", []), ("change", [keys[model]])):
            page = admin.get(reverse(f"admin:django_totp_{model}_{name}", args=args))
            people = ["ada@example.com", "root@example.com", str(keys["account"])]
            assert page.status_code == 200
            assert unmarked(page.content.decode(), *people) <= FOR_PROGRAMS | OF_DJANGO

    @pytest.mark.parametrize(
        ("model", "action"), [(model, one) for model, each in ACTIONS.items() for one in each]
    )
    def test_actions(self, capitals, admin, keys, model, action):
        capitals()
        url = reverse(f"admin:django_totp_{model}_changelist")
        chosen = {"action": action, "_selected_action": [keys[model]]}
        asked = admin.post(url, chosen)
        assert unmarked(asked.content.decode(), "ada@example.com", "root@example.com") == set()
        hidden = re.findall(r'name="(\w+)" value="([^"]*)"', asked.content.decode())
        done = admin.post(url, {**chosen, **dict(hidden), "reason": "X"}, follow=True)
        [told] = [str(message) for message in done.context["messages"]]
        assert told == told.upper()


class TestApi:
    @pytest.mark.parametrize("error", ERRORS)
    def test_errors(self, capitals, error):
        capitals()
        told = str(error.message) % {"seconds": 30}
        assert told == told.upper()

    @pytest.mark.parametrize("name", ENDPOINTS)
    def test_answers(self, capitals, api, signed_in, name):
        """To nobody, to somebody, to a body that is empty or is none."""
        capitals()
        for client in (api, signed_in):
            for body in ({}, [], {"username": 1, "totp_challenge_token": "x", "refresh": "x"}):
                if name in GET:
                    answer = client.get(reverse(name))
                else:
                    answer = client.post(reverse(name), body, format="json")
                if answer.status_code >= 400:
                    told = _strings(answer.json())
                    assert told == told.upper(), answer.json()

    def test_a_rate(self, capitals, settings, api):
        settings.TOTP_ADDRESS_THROTTLE_RATE = "1/minute"
        capitals()
        answers = [api.post(reverse("jwt-verify"), {"token": "x"}).json() for _ in range(2)]
        assert answers[1]["code"] == "throttled"
        assert answers[1]["detail"] == answers[1]["detail"].upper()

    def test_the_second_step(self, capitals, api, user):
        app = enroll(user)
        capitals()
        token = generate_challenge_token(user)
        for code in ({"otp_code": app.wrong_code()}, {"backup_code": "none"}, {"otp_code": ""}, {}):
            body = {"totp_challenge_token": token, **code}
            told = _strings(api.post(reverse("jwt-totp-verify"), body).json())
            assert told == told.upper()


@pytest.mark.parametrize("event", NOTICES)
def test_mails(capitals, user, event):
    enroll(user)
    facts = {"until": NOW.isoformat(), "ready_at": NOW.isoformat(), "device": "X"}
    capitals()
    told = Occasion(
        user=user,
        to="ada@example.com",
        event=event,
        facts=facts,
        at=NOW,
        language="en",
        address="192.0.2.1",
        agent="Mozilla/5.0 (X11; Linux) Firefox/127.0",
        link="",
    )
    letter = compose(told)
    known = ("ada@example.com", "Firefox", "Linux", "MyApp", "Example")
    for text in (letter.subject, letter.body):
        left = re.sub("|".join(known), "", text)
        assert left == left.upper()


def _strings(body):
    """Return all sentences of a body of an error, in one. Codes and keys are for programs."""
    if isinstance(body, dict):
        return " ".join(_strings(value) for key, value in body.items() if key != "code")
    if isinstance(body, list):
        return " ".join(map(_strings, body))
    return re.sub(r"^\w+(?=: )|\blist\b", "", body) if isinstance(body, str) else ""
