"""The login of docs/other-tokens.md that ends in a token of REST framework, and its receiver."""

import pytest
from django.urls import reverse
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient

from django_totp.auth import reset_totp
from tests.other_tokens import *  # noqa: F403
from tests.other_tokens import Door, code_of, ending, mounted

pytestmark = pytest.mark.django_db


def enter(answer):
    return APIClient(HTTP_AUTHORIZATION=f"Token {answer.json()['token']}")


@pytest.fixture
def door(settings, api):
    settings.ROOT_URLCONF = mounted(code_of("DRF's authtoken"))
    with ending(Token):
        yield Door("token", enter, api)


def test_all_devices_share_a_token(door, credentials):
    first, second = (door.post("create", **credentials) for _ in range(2))
    assert first.json() == second.json()
    assert set(first.json()) == {"is_totp_enabled", "token"}


def test_a_refusal_names_its_scheme(door, credentials):
    answer = door.post("create", **{**credentials, "password": "wrong"})
    assert answer["WWW-Authenticate"] == "Token"


def test_turning_the_factor_on_ends_the_tokens(door, credentials, otp):
    client = enter(door.post("create", **credentials))
    secret = client.post(reverse("totp-create")).json()["secret"]
    confirmed = client.post(reverse("totp-confirm"), {"input_code": otp(secret)})
    assert len(confirmed.json()["backup_codes"]) == 10
    assert client.get(reverse("totp-status")).status_code == 401
    assert not Token.objects.exists()


def test_a_reset_ends_the_tokens(door, enrolled_user):
    Token.objects.create(user=enrolled_user)
    reset_totp(enrolled_user)
    assert not Token.objects.exists()


def test_others_keep_theirs(door, enrolled_user, make_user):
    kept = Token.objects.create(user=make_user("bob"))
    reset_totp(enrolled_user)
    assert Token.objects.get() == kept


@pytest.mark.parametrize("asks", [False, True])
def test_a_proof_is_asked_for_where_the_setting_says_so(door, settings, enrolled_user, asks):
    """As the page says: without the setting whoever holds such a token is asked for nothing."""
    settings.TOTP_REAUTHENTICATE = asks
    client = APIClient(HTTP_AUTHORIZATION=f"Token {Token.objects.create(user=enrolled_user)}")
    assert client.post(reverse("totp-disable")).status_code == (403 if asks else 204)
