"""Authentication that looks at what a login is worth, and refresh, which decides alike."""

import dataclasses
import time
from datetime import UTC, date, datetime, timedelta

import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.urls import path
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.test import APIClient
from rest_framework.views import APIView
from rest_framework_simplejwt import authentication as simplejwt
from rest_framework_simplejwt.models import TokenUser
from rest_framework_simplejwt.serializers import (
    TokenRefreshSerializer,
    TokenRefreshSlidingSerializer,
)
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import RefreshToken, SlidingToken
from rest_framework_simplejwt.utils import get_md5_hash_password

from django_totp.assurance import new_login
from django_totp.auth import end_sessions, reset_totp
from django_totp.authentication import JWTAuthentication, StandingMixin
from django_totp.backup_code_utils import store_backup_codes
from django_totp.encryption import encrypt
from django_totp.models import Account, Totp
from django_totp.tokens import restate
from django_totp.totp import disable_totp, generate_totp_secret
from django_totp.urls.jwt import urlpatterns
from django_totp.users import NOBODY
from django_totp.views.jwt import JWTRefreshView
from tests.endpoints import assert_error
from tests.test_checks import urls

pytestmark = pytest.mark.django_db

NOW = datetime(2031, 5, 4, 12, 0, 15, tzinfo=UTC)
CODE = ("pwd", "otp")


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(NOW, tick=False) as clock:
        yield clock


# --- Classes of projects ---


class FromCookie(StandingMixin, simplejwt.JWTAuthentication):
    """Reads a cookie, and finds users as simplejwt does."""

    def authenticate(self, request):
        token = request.COOKIES.get("access")
        if token is None:
            return None
        validated = self.get_validated_token(token)
        return self.get_user(validated), validated


class OwnUsers(simplejwt.JWTAuthentication):
    """Finds users itself, as a project does that wants more joined to them."""

    def get_user(self, validated_token):
        key = validated_token.get(api_settings.USER_ID_CLAIM)
        try:
            user = get_user_model()._default_manager.get(pk=key)
        except NOBODY:
            raise simplejwt.InvalidToken from None
        if not user.is_active:
            raise simplejwt.AuthenticationFailed("Not you.", "user_inactive")
        if api_settings.CHECK_REVOKE_TOKEN:
            claim = validated_token.get(api_settings.REVOKE_TOKEN_CLAIM)
            if claim != get_md5_hash_password(user.password):
                raise simplejwt.AuthenticationFailed("Not now.", "password_changed")
        return user


class WithOwnUsers(StandingMixin, OwnUsers):
    pass


class StaticUsers(simplejwt.JWTAuthentication):
    """Finds them by what is no method."""

    @staticmethod
    def get_user(validated_token):
        return OwnUsers().get_user(validated_token)


class WithStaticUsers(StandingMixin, StaticUsers):
    pass


class Stateless(StandingMixin, simplejwt.JWTStatelessUserAuthentication):
    pass


CLASSES = [JWTAuthentication, FromCookie, WithOwnUsers, WithStaticUsers, Stateless]


class WhoView(APIView):
    permission_classes = [IsAuthenticated]

    def get(self, request):
        return Response({"user": type(request.user).__name__, "key": str(request.user.pk)})


@pytest.fixture
def ask(settings):
    """Return a function that asks a view of the project who signs in with an access token."""

    def ask(token, cls=JWTAuthentication):
        view = WhoView.as_view(authentication_classes=[cls])
        settings.ROOT_URLCONF = urls(path("who/", view), *urlpatterns)
        client = APIClient(HTTP_AUTHORIZATION=f"Bearer {token}")
        client.cookies["access"] = str(token)
        return client.get("/who/")

    return ask


class OwnRefresh(TokenRefreshSerializer):
    """A serializer of the project, which judges as much as simplejwt's does."""


REFRESHES = {
    "plain": {},
    "rotating": {"ROTATE_REFRESH_TOKENS": True},
    "own": {"serializer": f"{__name__}.OwnRefresh"},
}


@pytest.fixture(params=REFRESHES)
def refresh(request, settings, monkeypatch):
    """Return a function that refreshes with a token, in each way that a project may set up."""
    settings.ROOT_URLCONF = urls(*urlpatterns)
    for name, value in REFRESHES[request.param].items():
        if name == "serializer":
            monkeypatch.setattr(JWTRefreshView, "_serializer_class", value)
        else:
            monkeypatch.setattr(api_settings, name, value)

    def refresh(token):
        settings.ROOT_URLCONF = urls(*urlpatterns)
        return APIClient().post("/jwt/refresh/", {"refresh": str(token)}, format="json")

    return refresh


# --- Logins, and what became of them ---


def login(user, *methods, age=0):
    """Return the refresh token of a login, ``age`` seconds ago. Without methods it is foreign."""
    token = RefreshToken.for_user(user)
    token["iat"] = int(time.time()) - age
    if methods:
        restate(token, dataclasses.replace(new_login(user, *methods), time=token["iat"]))
    return token


def enroll(user, *, age=0, sid=""):
    """Give ``user`` a second factor, confirmed ``age`` seconds ago by the login ``sid``."""
    Totp.objects.create(user=user, secret_key=encrypt(generate_totp_secret()))
    store_backup_codes(user, ["a code"])
    confirmed_at = datetime.now(UTC) - timedelta(seconds=age)
    Totp.objects.filter(user_id=user.pk).update(confirmed_at=confirmed_at, confirmed_sid=sid)


def was_ended(user, settings, monkeypatch):
    token = login(user, "pwd")
    end_sessions(user)
    return token


def was_reset(user, settings, monkeypatch):
    enroll(user)
    token = login(user, *CODE)
    reset_totp(user)
    return token


def foreign_was_ended(user, settings, monkeypatch):
    token = login(user)
    end_sessions(user)
    return token


def ended_and_lacks_the_factor(user, settings, monkeypatch):
    enroll(user)
    return was_ended(user, settings, monkeypatch)


def ended_and_owes(user, settings, monkeypatch):
    settings.TOTP_REQUIRED_FOR = ["everyone"]
    return was_ended(user, settings, monkeypatch)


def confirmed_and_was_ended(user, settings, monkeypatch):
    token = login(user, "pwd")
    enroll(user, sid=token["sid"])
    end_sessions(user)
    return token


def lacks_the_factor(user, settings, monkeypatch):
    enroll(user, age=60)
    return login(user, "pwd")


def gave_an_older_factor(user, settings, monkeypatch):
    enroll(user)
    return login(user, *CODE, age=60)


def foreign_and_older(user, settings, monkeypatch):
    enroll(user)
    return login(user)


def lacks_and_may_not(user, settings, monkeypatch):
    settings.TOTP_REQUIRED_FOR = ["everyone"]
    return lacks_the_factor(user, settings, monkeypatch)


def owes(user, settings, monkeypatch):
    settings.TOTP_REQUIRED_FOR = ["everyone"]
    return login(user, "pwd")


def foreign_and_owes(user, settings, monkeypatch):
    settings.TOTP_REQUIRED_FOR = ["everyone"]
    return login(user)


def of_an_old_password(user, settings, monkeypatch):
    monkeypatch.setattr(api_settings, "CHECK_REVOKE_TOKEN", True)
    token = login(user, "pwd")
    user.set_password("a new one")
    user.save()
    return token


def of_an_inactive_user(user, settings, monkeypatch):
    get_user_model()._default_manager.filter(pk=user.pk).update(is_active=False)
    return login(user, "pwd")


def of_a_deleted_user(user, settings, monkeypatch):
    token = login(user, "pwd")
    user.delete()
    return token


def of_another_kind_of_key(user, settings, monkeypatch):
    token = login(user, "pwd")
    token[api_settings.USER_ID_CLAIM] = "no key of this model"
    return token


def of_nobody(user, settings, monkeypatch):
    token = login(user, "pwd")
    del token.payload[api_settings.USER_ID_CLAIM]
    return token


def nobody_can_tell(user, settings, monkeypatch):
    settings.TOTP_REQUIRED_FOR = [f"{__name__}.broken"]
    return login(user, "pwd")


def broken(user):
    raise RuntimeError("no directory today")


REFUSED = [
    (was_ended, 401, "login_outdated"),
    (was_reset, 401, "login_outdated"),
    (foreign_was_ended, 401, "login_outdated"),
    (ended_and_lacks_the_factor, 401, "login_outdated"),
    (ended_and_owes, 401, "login_outdated"),
    (confirmed_and_was_ended, 401, "login_outdated"),
    (lacks_the_factor, 401, "second_factor_required"),
    (gave_an_older_factor, 401, "second_factor_required"),
    (foreign_and_older, 401, "second_factor_required"),
    (lacks_and_may_not, 401, "second_factor_required"),
    (owes, 401, "enrollment_required"),
    (foreign_and_owes, 401, "enrollment_required"),
    (of_an_old_password, 401, "password_changed"),
    (of_an_inactive_user, 401, "user_inactive"),
    (of_a_deleted_user, 401, "token_not_valid"),
    (of_another_kind_of_key, 401, "token_not_valid"),
    (of_nobody, 401, "token_not_valid"),
    (nobody_can_tell, 503, "policy_unavailable"),
]


def has_no_factor(user, settings, monkeypatch):
    return login(user, "pwd")


def foreign(user, settings, monkeypatch):
    return login(user)


def gave_the_factor(user, settings, monkeypatch):
    enroll(user)
    return login(user, *CODE)


def foreign_and_younger(user, settings, monkeypatch):
    enroll(user, age=60)
    return login(user)


def confirmed_the_factor(user, settings, monkeypatch):
    token = login(user, "pwd", age=60)
    enroll(user, sid=token["sid"])
    return token


def is_after_the_end_of_others(user, settings, monkeypatch):
    end_sessions(user)
    token = RefreshToken.for_user(user)
    restate(token, new_login(user, "pwd"))  # of the same second, and from the next one
    return token


def outlives_its_factor(user, settings, monkeypatch):
    enroll(user)
    token = login(user, *CODE)
    disable_totp(user)
    return token


def owes_and_has_given(user, settings, monkeypatch):
    settings.TOTP_REQUIRED_FOR = ["everyone"]
    return gave_the_factor(user, settings, monkeypatch)


def is_in_grace(user, settings, monkeypatch):
    settings.TOTP_GRACE_PERIOD = 60
    return owes(user, settings, monkeypatch)


def is_exempt(user, settings, monkeypatch):
    Account.objects.create(user=user, exempt_until=date(2031, 5, 4))
    return owes(user, settings, monkeypatch)


def gave_it_though_nobody_can_tell(user, settings, monkeypatch):
    enroll(user)
    settings.TOTP_REQUIRED_FOR = [f"{__name__}.broken"]
    return login(user, *CODE)


GOOD = [
    has_no_factor,
    foreign,
    gave_the_factor,
    foreign_and_younger,
    confirmed_the_factor,
    is_after_the_end_of_others,
    outlives_its_factor,
    owes_and_has_given,
    is_in_grace,
    is_exempt,
    gave_it_though_nobody_can_tell,
]


def name_of(value):
    return getattr(value, "__name__", None)


# --- What each class decides ---


@pytest.mark.parametrize("cls", CLASSES, ids=name_of)
@pytest.mark.parametrize(("case", "status", "code"), REFUSED, ids=name_of)
def test_a_login_that_is_not_worth_enough(
    settings, monkeypatch, user, ask, cls, case, status, code
):
    token = case(user, settings, monkeypatch)
    answer = ask(token.access_token, cls)
    assert assert_error(answer, status)["code"] == code
    assert ("WWW-Authenticate" in answer) is (status == 401)


@pytest.mark.parametrize("cls", CLASSES, ids=name_of)
@pytest.mark.parametrize("case", GOOD, ids=name_of)
def test_a_login_that_is(settings, monkeypatch, user, ask, cls, case):
    token = case(user, settings, monkeypatch)
    answer = ask(token.access_token, cls)
    expected = TokenUser if cls is Stateless else type(user)
    assert answer.json() == {"user": expected.__name__, "key": str(user.pk)}


@pytest.mark.parametrize(
    "cls", [simplejwt.JWTAuthentication, OwnUsers, simplejwt.JWTStatelessUserAuthentication]
)
def test_without_us_such_a_login_goes_on(settings, monkeypatch, user, ask, cls):
    token = was_ended(user, settings, monkeypatch)
    assert ask(token.access_token, cls).status_code == 200


def test_a_user_of_another_kind_is_returned_as_found(settings, monkeypatch, user, ask):
    """TOKEN_USER_CLASS is the project's, and what it makes is no user of the model."""
    monkeypatch.setattr(api_settings, "TOKEN_USER_CLASS", Guest)
    assert ask(login(user, "pwd").access_token, Stateless).json()["user"] == "Guest"


class Guest(TokenUser):
    pass


def test_nobody_is_signed_in_without_a_token(ask, settings):
    settings.ROOT_URLCONF = urls(
        path("who/", WhoView.as_view(authentication_classes=[JWTAuthentication]))
    )
    assert APIClient().get("/who/").status_code == 401


@pytest.mark.parametrize("kind", ["refresh", "junk"])
def test_what_is_no_access_token(user, ask, kind):
    token = login(user, "pwd") if kind == "refresh" else "junk"
    assert assert_error(ask(token), 401)["code"] == "token_not_valid"


def test_a_sliding_token_that_is_dated_anew_is_a_foreign_one(monkeypatch, user, ask, clock):
    """As docs/other-tokens.md says: simplejwt's view for them asks nobody."""
    monkeypatch.setattr(api_settings, "AUTH_TOKEN_CLASSES", (SlidingToken,))
    old = str(SlidingToken.for_user(user))
    enroll(user)
    assert ask(old).json()["code"] == "second_factor_required"
    clock.shift(timedelta(seconds=5))
    new = TokenRefreshSlidingSerializer().validate({"token": old})["token"]
    assert ask(new).status_code == 200


# --- What it costs ---


@pytest.mark.parametrize(
    ("cls", "queries"),
    [
        (simplejwt.JWTAuthentication, 1),
        (JWTAuthentication, 1),
        (FromCookie, 1),
        (Stateless, 1),
        (WithOwnUsers, 2),  # its own, and all that judges
    ],
    ids=name_of,
)
@pytest.mark.parametrize("case", [has_no_factor, gave_the_factor, is_exempt], ids=name_of)
def test_queries(settings, monkeypatch, user, ask, django_assert_num_queries, cls, queries, case):
    token = case(user, settings, monkeypatch).access_token
    with django_assert_num_queries(queries):
        assert ask(token, cls).status_code == 200


# --- What authentication refuses, refresh refuses ---


@pytest.mark.parametrize(("case", "status", "code"), REFUSED, ids=name_of)
def test_what_authentication_refuses_refresh_refuses(
    settings, monkeypatch, user, ask, refresh, case, status, code
):
    token = case(user, settings, monkeypatch)
    refused, asked = assert_error(refresh(token), status), ask(token.access_token)
    assert assert_error(asked, status)["code"] == code
    if case is of_an_inactive_user and JWTRefreshView().get_serializer_class() is OwnRefresh:
        code = "no_active_account"  # it is simplejwt's serializer that refuses
    assert refused["code"] == code


@pytest.mark.parametrize("case", GOOD, ids=name_of)
def test_what_refresh_gives_authentication_accepts(
    settings, monkeypatch, user, ask, refresh, clock, case
):
    token = case(user, settings, monkeypatch)
    clock.shift(timedelta(seconds=5))
    answer = refresh(token)
    assert answer.status_code == 200, answer.content
    for _ in range(2):
        assert ask(answer.json()["access"]).status_code == 200
        token = answer.json().get("refresh", token)
        answer = refresh(token)
        assert answer.status_code == 200, answer.content


def test_what_was_given_before_the_end_is_refused_after_it(user, ask, refresh):
    answer = refresh(login(user, "pwd"))
    assert ask(answer.json()["access"]).status_code == 200
    end_sessions(user)
    assert ask(answer.json()["access"]).json()["code"] == "login_outdated"
