"""djoser registers the people who log in here, and has login views of its own: side doors."""

import pytest
from django.contrib.auth import get_user_model

from tests.field.audit import doors
from tests.field.journey import test_journey, walk  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)


def test_who_registered_there_enrolls_here(make_person, client):
    body = {"username": "grace", "password": "correct horse battery staple"}
    assert client.post("/auth/users/", body).status_code == 201
    person = make_person("somebody")
    person.user = get_user_model().objects.get(username="grace")
    walk(person)


def test_set_password_ends_a_challenge(person, client):
    person.enroll()
    challenge = person.challenge()
    body = {"current_password": person.password, "new_password": "another horse, as good"}
    headers = {"Authorization": person.authorization}
    changed = client.post("/auth/users/set_password/", body, headers=headers)
    assert changed.status_code == 204
    answer = person.second_step(challenge, otp_code=person.next_code())
    person.refused(answer, 400, "invalid_challenge")


def test_the_audit_names_its_logins():
    views = set(doors().values())
    assert "djoser.views.TokenCreateView" in views
    assert "rest_framework_simplejwt.views.TokenObtainPairView" in views
