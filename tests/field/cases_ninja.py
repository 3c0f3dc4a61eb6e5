"""An API of django-ninja behind the tokens of our login."""

import pytest

from tests.field.audit import doors
from tests.field.journey import test_journey  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)


def me(client, token):
    return client.get("/ninja/me", headers={"Authorization": f"Bearer {token}"})


def test_takes_the_tokens_of_both_steps(person, client):
    person.enroll()
    tokens = person.login(otp_code=person.next_code()).body
    answer = me(client, tokens["access"])
    assert answer.json() == {"name": person.user.get_username()}


def test_takes_no_challenge_and_no_refresh_token(person, client):
    person.enroll()
    assert me(client, person.challenge()).status_code == 401
    assert me(client, person.refresh).status_code == 401


def test_the_audit_finds_no_door_there():
    assert not [url for url in doors() if "ninja" in url]
