"""knox has tokens of another kind: they are signed in here, and prove nothing.

docs/other-tokens.md ends the two steps in one of them.
"""

import pytest
from knox.models import get_token_model
from rest_framework.test import APIClient

from django_totp.auth import reset_totp
from tests.field.audit import doors
from tests.field.journey import test_journey, walk_to_rotation  # noqa: F401
from tests.other_tokens import *  # noqa: F403
from tests.other_tokens import Door, code_of, ending, mounted

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def with_token(person):
    _, token = get_token_model().objects.create(user=person.user)
    person.authorization = f"Token {token}"
    return person


def enter(answer):
    return APIClient(HTTP_AUTHORIZATION=f"Token {answer.json()['token']}")


@pytest.fixture
def door(settings, api):
    settings.ROOT_URLCONF = mounted(code_of("knox"))
    with ending(get_token_model()):
        yield Door("knox", enter, api)


def test_each_login_has_a_token_with_an_end(door, credentials):
    first, second = (door.post("create", **credentials).json() for _ in range(2))
    assert first["token"] != second["token"]
    assert set(first) == {"is_totp_enabled", "token", "expiry"}
    assert first["expiry"]


def test_a_refusal_names_its_scheme(door, credentials):
    answer = door.post("create", **{**credentials, "password": "wrong"})
    assert answer["WWW-Authenticate"] == "Token"


def test_a_reset_ends_the_tokens(door, enrolled_user, make_user):
    model = get_token_model()
    model.objects.create(user=enrolled_user)
    kept, _ = model.objects.create(user=make_user("bob"))
    reset_totp(enrolled_user)
    assert model.objects.get() == kept


def test_enrolls_and_logs_in(with_token):
    walk_to_rotation(with_token)


def test_needs_a_proof(settings, with_token):
    with_token.enroll()
    settings.TOTP_REAUTHENTICATE = True
    refused = with_token.signed_in("totp-disable")
    with_token.refused(refused, 403, "reauthentication_required")
    proven = with_token.signed_in("totp-disable", {"otp_code": with_token.next_code()})
    assert proven.status == 204


def test_the_audit_names_its_login():
    assert "/knox/login/" in doors()
