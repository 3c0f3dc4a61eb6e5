"""dj-rest-auth reads our tokens from a cookie, and has a login view of its own: a side door.

Its authentication judges no login by itself, and does with ``StandingMixin`` before it.
"""

import pytest
from dj_rest_auth.jwt_auth import JWTCookieAuthentication
from django.test import Client
from django.urls import reverse
from rest_framework.views import APIView

from django_totp.auth import end_sessions
from tests import markdown
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


@pytest.fixture
def judged(monkeypatch):
    """Let the project take the class of docs/other-tokens.md."""
    section = markdown.sections(markdown.read("docs/other-tokens.md"), 2)["A class of your own"]
    [example] = markdown.blocks(section, "python")
    judged = markdown.run(example)["CookieAuthentication"]
    assert issubclass(judged, JWTCookieAuthentication)
    monkeypatch.setattr(APIView, "authentication_classes", [judged])


def with_cookie(person):
    client = Client()
    client.cookies["access"] = person.authorization.removeprefix("Bearer ")
    return client


def test_a_good_login_costs_no_query_more(person, judged, django_assert_num_queries):
    person.enroll()
    with django_assert_num_queries(2):  # the user; the status
        answer = with_cookie(person).get(reverse("totp-status"))
    assert answer.json()["is_totp_enabled"] is True


@pytest.mark.parametrize("where", ["cookie", "header"])
def test_a_login_that_was_ended_is_refused(person, judged, where):
    person.enroll()
    end_sessions(person.user)
    header = {"authorization": person.authorization} if where == "header" else {}
    client = Client() if where == "header" else with_cookie(person)
    answer = client.get(reverse("totp-status"), headers=header)
    assert (answer.status_code, answer.json()["code"]) == (401, "login_outdated")


def test_a_login_from_before_the_enrollment_is_refused(person, judged):
    person.keep(person.first_step())
    old = with_cookie(person)
    person.keep(person.first_step())
    person.enroll()
    answer = old.get(reverse("totp-status"))
    assert (answer.status_code, answer.json()["code"]) == (401, "second_factor_required")
    assert with_cookie(person).get(reverse("totp-status")).status_code == 200


def test_without_the_mixin_it_goes_on(person):
    person.enroll()
    end_sessions(person.user)
    assert with_cookie(person).get(reverse("totp-status")).status_code == 200
