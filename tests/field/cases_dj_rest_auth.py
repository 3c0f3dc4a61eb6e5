"""dj-rest-auth reads our tokens from a cookie, and has a login view of its own: a side door."""

import pytest
from django.test import Client
from django.urls import reverse

from tests.field.audit import doors
from tests.field.journey import test_journey  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_token_in_the_cookie_is_signed_in(person):
    person.enroll()
    client = Client()
    client.cookies["access"] = person.authorization.removeprefix("Bearer ")
    assert client.get(reverse("totp-status")).json()["is_totp_enabled"] is True
    assert client.post(reverse("totp-disable")).status_code == 204


def test_a_challenge_in_the_cookie_is_not(person):
    person.enroll()
    client = Client()
    client.cookies["access"] = person.challenge()
    assert client.get(reverse("totp-status")).status_code == 401


def test_a_stale_cookie_keeps_nobody_out(person):
    client = Client()
    client.cookies["access"] = "stale"
    body = {person.user.USERNAME_FIELD: person.user.get_username(), "password": person.password}
    answer = client.post(reverse("jwt-create"), body, "application/json")
    assert answer.status_code == 200


def test_the_audit_names_its_login():
    assert "dj_rest_auth.views.LoginView" in doors().values()
