"""The logins of docs/other-tokens.md, taken by tests that are alike for all of them.

A module of tests imports these and gives them a ``door``.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from django.urls import include, path, reverse
from rest_framework.test import APIClient

from django_totp import signals
from django_totp.auth import end_sessions
from django_totp.models import Totp
from django_totp.operations.audit import side_doors
from tests import markdown
from tests.endpoints import BAD_CHALLENGE, BAD_CREDENTIALS, BAD_OTP, assert_error, wrong_code
from tests.test_checks import urls
from tests.urls import urlpatterns

PAGE = "docs/other-tokens.md"
THEIRS = "from rest_framework.authtoken.models import Token  # or get_token_model() of knox\n"


def code_of(heading: str) -> dict[str, Any]:
    """Return the names of the examples under ``heading``."""
    examples = markdown.blocks(markdown.sections(markdown.read(PAGE), 2)[heading], "python")
    return markdown.run("\n\n".join(examples), __name__="example")


@contextmanager
def ending(model: Any) -> Iterator[None]:
    """Let the receiver of the page end the tokens of ``model``."""
    section = markdown.sections(markdown.read(PAGE), 2)["What these tokens do not carry"]
    [example] = markdown.blocks(section, "python")
    assert THEIRS in example
    told = (signals.sessions_ended, signals.totp_created, signals.totp_disabled)
    names = markdown.run(example.replace(THEIRS, ""), Token=model)
    receiver = names["end_tokens"]
    try:
        yield
    finally:
        for signal in told:
            assert signal.disconnect(receiver)


def mounted(names: dict[str, Any]) -> Any:
    """Return a URLconf with the views of an example, beside ours."""
    return urls(path("api/", include(names["urlpatterns"])), *urlpatterns)


@dataclass
class Door:
    """One of the logins: where it is, and how its answer signs a client in."""

    prefix: str
    enter: Callable[[Any], APIClient]
    api: Any

    def post(self, name: str, **body: str) -> Any:
        return self.api.post(f"/api/{self.prefix}/{name}/", body, format="json")

    def is_in(self, answer: Any) -> bool:
        """Return whether a login ended well: its token opens a view that wants a user."""
        assert answer.status_code == 200, answer.content
        assert answer["Cache-Control"] == "no-store"
        return self.enter(answer).get(reverse("totp-status")).status_code == 200


@pytest.fixture
def credentials(user, password):
    return {user.USERNAME_FIELD: user.get_username(), "password": password}


def test_a_user_without_a_factor(door, credentials):
    answer = door.post("create", **credentials)
    assert answer.json()["is_totp_enabled"] is False
    assert door.is_in(answer)


def test_a_wrong_password(door, credentials):
    answer = door.post("create", **{**credentials, "password": "wrong"})
    assert_error(answer, 401, BAD_CREDENTIALS)
    assert not answer.cookies


def test_a_user_with_a_factor(door, enrolled_user, credentials, secret, otp):
    asked = door.post("create", **credentials)
    assert set(asked.json()) == {"is_totp_enabled", "totp_challenge_token"}
    assert not asked.cookies
    challenge = {"totp_challenge_token": asked.json()["totp_challenge_token"]}
    wrong = door.post("totp/verify", **challenge, otp_code=wrong_code(secret))
    assert_error(wrong, 400, BAD_OTP)
    assert not wrong.cookies
    assert door.is_in(door.post("totp/verify", **challenge, otp_code=otp(secret)))
    again = door.post("totp/verify", **challenge, otp_code=otp(secret, offset=1))
    assert_error(again, 400, BAD_CHALLENGE)


def test_a_backup_code(door, enrolled_user, credentials, backup_codes):
    challenge = door.post("create", **credentials).json()["totp_challenge_token"]
    body = {"totp_challenge_token": challenge, "backup_code": backup_codes[0]}
    assert door.is_in(door.post("totp/verify", **body))


def test_an_enrollment_that_is_owed(door, settings, user, credentials, otp):
    settings.TOTP_REQUIRED_FOR = ["everyone"]
    asked = door.post("create", **credentials)
    assert asked.json()["is_totp_required"] is True
    assert not asked.cookies
    challenge = {"totp_challenge_token": asked.json()["totp_challenge_token"]}
    assert_error(door.post("totp/verify", **challenge, otp_code="123456"), 400, BAD_CHALLENGE)
    created = door.post("totp/create", **challenge)
    assert created.status_code == 201
    secret = created.json()["secret"]
    wrong = door.post("totp/confirm", **challenge, input_code=wrong_code(secret))
    assert_error(wrong, 400, BAD_OTP)
    confirmed = door.post("totp/confirm", **challenge, input_code=otp(secret))
    assert len(confirmed.json()["backup_codes"]) == 10
    assert door.is_in(confirmed)
    assert Totp.objects.get(user=user).is_enabled


def test_its_requests_are_throttled(door, settings, credentials):
    settings.TOTP_THROTTLE_RATE = "1/minute"
    assert door.post("create", **credentials).status_code == 200
    assert_error(door.post("create", **credentials), 429)


def test_the_audit_takes_it_for_asking(door):
    assert not side_doors()


def test_the_schema_can_be_made(door):
    assert door.api.get(reverse("schema")).status_code == 200


def test_ending_all_logins_ends_this_one(door, user, credentials):
    client = door.enter(door.post("create", **credentials))
    end_sessions(user)
    assert client.get(reverse("totp-status")).status_code == 401
