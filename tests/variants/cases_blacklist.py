"""simplejwt's blacklist app knows of the tokens that our login makes."""

import pytest
from django.urls import reverse
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from rest_framework_simplejwt.tokens import RefreshToken

from tests.endpoints import assert_error
from tests.test_queries import *  # noqa: F403

pytestmark = pytest.mark.django_db(transaction=True)


def test_both_logins_leave_an_outstanding_token(login, make_user, enrolled_user, secret, otp):
    plain = make_user("bob")
    bodies = [login(plain).json(), login(enrolled_user, otp_code=otp(secret)).json()]
    owners = {token.jti: token.user for token in OutstandingToken.objects.all()}
    assert owners == {
        RefreshToken(body["refresh"])["jti"]: user
        for body, user in zip(bodies, [plain, enrolled_user], strict=True)
    }


def test_a_first_step_leaves_none(login, enrolled_user):
    login(enrolled_user)
    assert not OutstandingToken.objects.exists()


def test_a_refresh_token_works_once(api, login, user):
    old = login(user).json()["refresh"]
    response = api.post(reverse("jwt-refresh"), {"refresh": old})
    assert set(response.json()) == {"access", "refresh"}
    assert BlacklistedToken.objects.count() == 1
    assert_error(api.post(reverse("jwt-refresh"), {"refresh": old}), 401)
    new = response.json()["refresh"]
    assert api.post(reverse("jwt-refresh"), {"refresh": new}).status_code == 200


def test_a_blacklisted_token_is_not_valid(api, login, user):
    refresh = login(user).json()["refresh"]
    assert api.post(reverse("jwt-verify"), {"token": refresh}).status_code == 200
    RefreshToken(refresh).blacklist()
    response = api.post(reverse("jwt-verify"), {"token": refresh})
    assert assert_error(response, 401)["code"] == "token_not_valid"
    assert_error(api.post(reverse("jwt-verify"), ["token"], format="json"), 400)
    assert_error(api.post(reverse("jwt-verify"), {}, format="json"), 400)
