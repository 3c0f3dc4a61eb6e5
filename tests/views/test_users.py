"""Whom a credential names: keys of every kind, and users who are no more than their token."""

import base64
from urllib.parse import unquote

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.contrib.contenttypes.models import ContentType
from django.db.models import UUIDField
from django.urls import reverse
from django.utils.functional import SimpleLazyObject
from rest_framework.authentication import BaseAuthentication, BasicAuthentication
from rest_framework.test import APIClient
from rest_framework.views import APIView
from rest_framework_simplejwt.authentication import JWTStatelessUserAuthentication
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from django_totp.auth import is_totp_enabled
from django_totp.models import Totp
from tests.endpoints import GET, SIGNED_IN, assert_error

STRANGE = [
    "abc",
    "",
    "\0",
    "1\0",
    "9" * 30,
    "9" * 5000,
    "\ud800",
    10**30,
    -(10**400),
    2**63,
    2**31,
    0,
    1.0,
    1.5,
    True,
    False,
    None,
    [],
    [1],
    {},
    {"pk": 1},
    {"a": {"b": []}},
]


def called(client, name):
    method = client.get if name in GET else client.post
    return method(reverse(name))


@pytest.fixture
def stateless(monkeypatch):
    """Let the project authenticate by the token alone."""
    monkeypatch.setattr(APIView, "authentication_classes", (JWTStatelessUserAuthentication,))


@pytest.fixture(params=["row", "stateless"])
def either(request):
    """Let the project authenticate in each of simplejwt's ways."""
    if request.param == "stateless":
        request.getfixturevalue("stateless")


@pytest.fixture
def first(user):
    """Return the user whom True and 1.0 would find in a database that takes them for numbers."""
    pk = get_user_model()._meta.pk
    if pk.get_internal_type() != "UUIDField":
        get_user_model()._default_manager.filter(pk=user.pk).update(**{pk.name: 1})


@pytest.mark.usefixtures("first", "patient")
class TestKeysOfAnotherKind:
    """A token that is well signed and names nobody is a 401, never a 500, and nobody's."""

    def named(self, kind, key):
        token = kind()
        token["user_id"] = key
        return str(token)

    @pytest.mark.parametrize("key", STRANGE, ids=lambda key: ascii(key)[:12])
    @pytest.mark.usefixtures("either")
    def test_at_the_endpoints_of_a_user(self, key):
        client = APIClient(HTTP_AUTHORIZATION=f"Bearer {self.named(AccessToken, key)}")
        for name in SIGNED_IN:
            response = called(client, name)
            assert_error(response, 401)
            assert response["WWW-Authenticate"].startswith("Bearer")
        assert not Totp.objects.exists()

    @pytest.mark.parametrize("key", STRANGE, ids=lambda key: ascii(key)[:12])
    def test_at_refresh(self, api, key):
        refresh = self.named(RefreshToken, key)
        assert_error(api.post(reverse("jwt-refresh"), {"refresh": refresh}), 401)

    @pytest.mark.parametrize(
        "key", [key for key in STRANGE if key not in (0, 2**31, "")], ids=ascii
    )
    def test_at_verify(self, api, key):
        """It asks no database: what could be somebody's key, as any integer a UUID, is good."""
        token = self.named(AccessToken, key)
        is_uuid = isinstance(get_user_model()._meta.pk, UUIDField)
        could_be = is_uuid and type(key) is int and 0 <= key < 2**128
        response = api.post(reverse("jwt-verify"), {"token": token})
        assert response.status_code == (200 if could_be else 401)

    @pytest.mark.usefixtures("either")
    def test_no_key_at_all(self, api):
        client = APIClient(HTTP_AUTHORIZATION=f"Bearer {AccessToken()}")
        assert_error(called(client, "totp-status"), 401)
        assert_error(api.post(reverse("jwt-refresh"), {"refresh": str(RefreshToken())}), 401)
        assert api.post(reverse("jwt-verify"), {"token": str(AccessToken())}).status_code == 200

    def test_the_log_says_what_was_raised(self, caplog):
        for key in ("abc", {"a": 1}):
            client = APIClient(HTTP_AUTHORIZATION=f"Bearer {self.named(AccessToken, key)}")
            caplog.clear()
            called(client, "totp-status")
            assert "was raised in search of the user of a token." in caplog.text


@pytest.mark.usefixtures("stateless")
class TestStatelessUsers:
    def test_the_life_of_an_enrollment(self, user, sign_in, otp, settings, password):
        signed_in = sign_in(user, "pwd", age=10)
        made = signed_in.post(reverse("totp-create")).json()
        assert f":{user.get_username()}?" in unquote(made["otpauth_uri"])
        body = {"input_code": otp(made["secret"])}
        assert signed_in.post(reverse("totp-confirm"), body).status_code == 200
        assert called(signed_in, "totp-status").json()["is_totp_enabled"] is True
        settings.TOTP_REAUTHENTICATE, settings.TOTP_REAUTHENTICATE_MAX_AGE = True, 0
        assert_error(signed_in.post(reverse("totp-disable"), {"password": "wrong"}), 403)
        proof = {"password": password}  # which serves the login that confirmed the enrollment
        assert signed_in.post(reverse("totp-disable"), proof).status_code == 204

    @pytest.mark.parametrize("name", sorted(SIGNED_IN))
    @pytest.mark.parametrize("change", ["inactive", "deleted"])
    def test_who_is_gone(self, user, signed_in, name, change):
        users = get_user_model()._default_manager
        users.update(is_active=False) if change == "inactive" else users.all().delete()
        assert assert_error(called(signed_in, name), 401)["code"] == "user_inactive"
        assert not Totp.objects.exists()

    def test_named_by_another_field(self, user, settings):
        settings.SIMPLE_JWT = {"USER_ID_FIELD": user.USERNAME_FIELD, "USER_ID_CLAIM": "sub"}
        token = AccessToken()
        token["sub"] = user.get_username()
        token["user_id"] = "somebody else"
        client = APIClient(HTTP_AUTHORIZATION=f"Bearer {token}")
        client.post(reverse("totp-create"))
        assert Totp.objects.get().user_id == user.pk


class TestUsersOfOtherKinds:
    @pytest.fixture
    def authenticated(self, monkeypatch):
        """Return a function that makes the project authenticate everybody as ``user``."""

        def authenticated(user, auth=None):
            class Always(BaseAuthentication):
                def authenticate(self, request):
                    return user, auth

                def authenticate_header(self, request):
                    return "Own"

            monkeypatch.setattr(APIView, "authentication_classes", (Always,))

        return authenticated

    def test_lazy_and_proxies(self, api, user, authenticated):
        class Proxy(get_user_model()):
            class Meta:
                proxy = True
                app_label = "tests_of_users"

        for one in (SimpleLazyObject(lambda: user), Proxy._default_manager.get()):
            authenticated(one)
            assert api.post(reverse("totp-create")).status_code == 201
        assert Totp.objects.get().user_id == user.pk

    def test_one_who_is_only_like_a_user(self, api, user, authenticated):
        """A device or a service may have the very key of somebody, and is nobody here."""
        authenticated(type("Like", (), {"is_authenticated": True, "pk": user.pk})())
        assert_error(api.post(reverse("totp-create")), 401)

    def test_a_row_of_another_table(self, api, enrolled_user, authenticated):
        device = ContentType(pk=enrolled_user.pk)
        device.is_authenticated = True
        authenticated(device, AccessToken.for_user(enrolled_user))
        for name in ("totp-rotate-backup-codes", "totp-disable"):
            assert_error(api.post(reverse(name)), 401)
        assert Totp.objects.exists()

    @pytest.mark.parametrize("pk", [None, "", object(), "nobody's"])
    def test_one_who_is_nobody(self, db, api, authenticated, pk):
        authenticated(type("Like", (), {"is_authenticated": True, "pk": pk})())
        assert_error(api.post(reverse("totp-create")), 401)

    @pytest.mark.parametrize("user", [AnonymousUser(), type("Like", (), {"pk": 1})(), None])
    @pytest.mark.parametrize("auth", [None, "a key of the project"])
    def test_one_who_is_not_signed_in(self, db, api, authenticated, user, auth):
        if user is not None and not hasattr(user, "is_authenticated"):
            user.is_authenticated = False
        authenticated(user, auth)
        assert_error(called(api, "totp-status"), 403)  # as REST framework has it

    def test_a_key_of_the_project(self, db, api, authenticated):
        authenticated(type("ApiKey", (), {"is_authenticated": True})())
        assert_error(called(api, "totp-status"), 401)

    def test_an_inactive_row(self, api, make_user, authenticated):
        """Whatever authentication lets him in."""
        authenticated(make_user("eve", is_active=False))
        assert assert_error(called(api, "totp-status"), 401)["code"] == "user_inactive"

    def test_an_authentication_that_fails_does_not_fail_again(self, db, api, monkeypatch):
        """As a handler of the project, or the throttle, looks at the user once more."""

        class Broken(BasicAuthentication):
            calls = 0

            def authenticate(self, request):
                Broken.calls += 1
                raise TypeError

        monkeypatch.setattr(APIView, "authentication_classes", (Broken,))
        assert_error(called(api, "totp-status"), 401)
        assert Broken.calls == 1


@pytest.mark.parametrize("name", ["totp-disable", "totp-rotate-backup-codes"])
@pytest.mark.parametrize("asked", [False, True])
class TestBasicIsPasswordOnly:
    """It is stated that no second factor was given: an enrolled account needs a proof by one."""

    @pytest.fixture(autouse=True)
    def _basic(self, monkeypatch, settings, asked):
        monkeypatch.setattr(APIView, "authentication_classes", (BasicAuthentication,))
        settings.TOTP_REAUTHENTICATE = asked

    @pytest.fixture
    def by_basic(self, user, password):
        pair = f"{user.get_username()}:{password}".encode()
        return APIClient(HTTP_AUTHORIZATION=f"Basic {base64.b64encode(pair).decode()}")

    def test_without_a_proof(self, by_basic, enrolled_user, name):
        body = assert_error(by_basic.post(reverse(name)), 403)
        assert body["code"] == "reauthentication_required"
        assert is_totp_enabled(enrolled_user)

    def test_a_password_is_none(self, by_basic, enrolled_user, name, password):
        body = assert_error(by_basic.post(reverse(name), {"password": password}), 403)
        assert body["code"] == "reauthentication_required"

    def test_a_code_is_one(self, by_basic, enrolled_user, name, secret, otp):
        response = by_basic.post(reverse(name), {"otp_code": otp(secret)})
        assert response.status_code in {200, 201, 204}
