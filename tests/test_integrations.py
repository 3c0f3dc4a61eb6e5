"""What projects put around this package: simplejwt's settings, backends, axes, other databases."""

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.signals import user_login_failed
from django.core.exceptions import PermissionDenied
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient
from rest_framework_simplejwt.serializers import TokenObtainPairSerializer
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, api_settings

from django_totp.auth import generate_challenge_token
from tests.endpoints import BAD_CHALLENGE, BAD_CREDENTIALS, BAD_OTP, assert_error, wrong_code
from tests.projects import run_cases

VARIANTS = Path(__file__).parent / "variants"


@pytest.fixture
def simplejwt(monkeypatch):
    """Return a function that changes settings of simplejwt.

    override_settings(SIMPLE_JWT=...) makes a new object that nobody looks at any more.
    """

    def simplejwt(**values: Any) -> None:
        for name, value in values.items():
            monkeypatch.setattr(api_settings, name, value)

    return simplejwt


def bearer(token: Any) -> APIClient:
    return APIClient(HTTP_AUTHORIZATION=f"Bearer {token}")


class WithClaims(TokenObtainPairSerializer):
    """A token serializer as simplejwt's documentation tells projects to write one."""

    @classmethod
    def get_token(cls, user):
        token = super().get_token(user)
        token["greeting"] = f"Hello {user.get_username()}"
        return token


class Directory(BaseBackend):
    """An authentication backend that knows passwords which the user model does not."""

    def authenticate(self, request, password=None, **credentials):
        name = get_user_model().USERNAME_FIELD
        if password == "refuse":
            raise PermissionDenied
        if request.path != reverse("jwt-create") or password != "from the directory":
            return None
        return get_user_model()._default_manager.get(**{name: credentials[name]})


class TestSimpleJwt:
    def test_user_id_field_and_claim(self, simplejwt, login, api, enrolled_user, secret, otp):
        field = enrolled_user.USERNAME_FIELD
        simplejwt(USER_ID_FIELD=field, USER_ID_CLAIM="sub")
        tokens = login(enrolled_user, otp_code=otp(secret)).json()
        access = AccessToken(tokens["access"])
        assert access["sub"] == enrolled_user.get_username()
        assert "user_id" not in access
        status = bearer(access).get(reverse("totp-status"))
        assert status.json()["is_totp_enabled"] is True
        assert api.post(reverse("jwt-refresh"), {"refresh": tokens["refresh"]}).status_code == 200
        enrolled_user.delete()
        refused = api.post(reverse("jwt-refresh"), {"refresh": tokens["refresh"]})
        assert_error(refused, 401)

    @pytest.mark.parametrize("on", [True, False])
    def test_update_last_login(self, simplejwt, login, enrolled_user, secret, otp, on):
        simplejwt(UPDATE_LAST_LOGIN=on)
        login(enrolled_user)
        assert_error(login(enrolled_user, otp_code=wrong_code(secret)), 400, BAD_OTP)
        enrolled_user.refresh_from_db()
        assert enrolled_user.last_login is None  # the first step is no login
        before = timezone.now()
        assert login(enrolled_user, otp_code=otp(secret)).status_code == 200
        enrolled_user.refresh_from_db()
        assert (enrolled_user.last_login is not None and enrolled_user.last_login >= before) is on

    def test_update_last_login_without_totp(self, simplejwt, login, user):
        simplejwt(UPDATE_LAST_LOGIN=True)
        login(user)
        user.refresh_from_db()
        assert user.last_login is not None

    def test_user_authentication_rule(self, simplejwt, login, api, make_user, enrolled_user):
        def not_bob(user):
            return user is not None and "bob" not in user.get_username()

        simplejwt(USER_AUTHENTICATION_RULE=not_bob)
        bob = make_user("bob")
        assert_error(login(bob), 401, BAD_CREDENTIALS)
        token = str(RefreshToken.for_user(bob))
        assert_error(api.post(reverse("jwt-refresh"), {"refresh": token}), 401)
        assert login(enrolled_user).status_code == 200

    def test_user_authentication_rule_between_the_steps(
        self, simplejwt, api, enrolled_user, secret, otp
    ):
        token = generate_challenge_token(enrolled_user)
        simplejwt(USER_AUTHENTICATION_RULE=lambda user: False)
        body = {"totp_challenge_token": token, "otp_code": otp(secret)}
        assert_error(api.post(reverse("jwt-totp-verify"), body), 400, BAD_CHALLENGE)
        simplejwt(USER_AUTHENTICATION_RULE=lambda user: True)
        assert api.post(reverse("jwt-totp-verify"), body).status_code == 200

    def test_check_revoke_token(self, simplejwt, login, enrolled_user, secret, otp):
        simplejwt(CHECK_REVOKE_TOKEN=True)
        client = bearer(login(enrolled_user, otp_code=otp(secret)).json()["access"])
        assert client.get(reverse("totp-status")).status_code == 200
        enrolled_user.set_password("a new one")
        enrolled_user.save()
        assert_error(client.get(reverse("totp-status")), 401)

    def test_claims_of_the_project(
        self, simplejwt, login, api, make_user, enrolled_user, secret, otp
    ):
        simplejwt(TOKEN_OBTAIN_SERIALIZER=f"{__name__}.WithClaims")
        plain = make_user("bob")
        for user, response in [
            (plain, login(plain)),
            (enrolled_user, login(enrolled_user, otp_code=otp(secret))),
        ]:
            tokens = response.json()
            refreshed = api.post(reverse("jwt-refresh"), {"refresh": tokens["refresh"]}).json()
            for token in (tokens["access"], refreshed["access"]):
                assert AccessToken(token)["greeting"] == f"Hello {user.get_username()}"
                assert "pwd" in AccessToken(token)["amr"]

    def test_tokens_that_rotate(self, simplejwt, login, api, user):
        simplejwt(ROTATE_REFRESH_TOKENS=True)
        refresh = login(user).json()["refresh"]
        body = api.post(reverse("jwt-refresh"), {"refresh": refresh}).json()
        assert set(body) == {"access", "refresh"}
        assert RefreshToken(body["refresh"])["amr"] == ["pwd"]


class TestDjango:
    def test_authentication_backends(self, settings, api, make_user, enrolled_user, password):
        settings.AUTHENTICATION_BACKENDS = [f"{__name__}.Directory"]
        name = enrolled_user.USERNAME_FIELD
        body = {name: enrolled_user.get_username(), "password": "from the directory"}
        assert "totp_challenge_token" in api.post(reverse("jwt-create"), body).json()
        for given in (password, "refuse"):
            refused = api.post(reverse("jwt-create"), body | {"password": given})
            assert_error(refused, 401, BAD_CREDENTIALS)

    def test_a_backend_that_lets_inactive_users_in(self, settings, login, make_user):
        settings.AUTHENTICATION_BACKENDS = [
            "django.contrib.auth.backends.AllowAllUsersModelBackend"
        ]
        assert_error(login(make_user("eve", is_active=False)), 401, BAD_CREDENTIALS)

    @pytest.mark.parametrize("name", ["ada@example.com", "nobody@example.com"])
    def test_user_login_failed(self, api, user, name):
        told = []

        def tell(**kwargs):
            told.append(kwargs)

        user_login_failed.connect(tell)
        try:
            api.post(reverse("jwt-create"), {user.USERNAME_FIELD: name, "password": "wrong"})
        finally:
            user_login_failed.disconnect(tell)
        [failure] = told
        assert failure["credentials"] == {user.USERNAME_FIELD: name, "password": "*" * 20}
        assert failure["request"].path == reverse("jwt-create")
        assert failure["request"].META["REMOTE_ADDR"] == "127.0.0.1"

    def test_rotating_the_secret_key_between_the_steps(
        self, settings, api, enrolled_user, secret, otp
    ):
        token = generate_challenge_token(enrolled_user)
        body = {"totp_challenge_token": token, "otp_code": otp(secret)}
        old, settings.SECRET_KEY = settings.SECRET_KEY, "another key, as long as HS256 wants it"
        assert_error(api.post(reverse("jwt-totp-verify"), body), 400, BAD_CHALLENGE)
        settings.SECRET_KEY_FALLBACKS = [old]
        assert api.post(reverse("jwt-totp-verify"), body).status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cases", "environment"),
    [
        ("authtoken", {}),
        ("axes", {}),
        ("blacklist", {}),
        ("replica", {}),
        ("sentry", {}),
        ("keys", {"KEY": "Text"}),
        ("keys", {"KEY": "Renamed"}),
        ("keys", {"KEY": "Child"}),
        ("names", {}),
        ("bare", {}),
        ("docs_databases", {}),
        ("related", {}),
        ("routed", {}),
    ],
    ids=lambda value: "-".join(value.values()) if isinstance(value, dict) else value,
)
def test_a_project_of_another_kind(cases, environment):
    run_cases(VARIANTS / f"cases_{cases}.py", environment)


@pytest.mark.parametrize("cases", ["naive", "trail", "watched"])
def test_a_project_of_another_kind_on_each_database(cases):
    run_cases(VARIANTS / f"cases_{cases}.py", {})
