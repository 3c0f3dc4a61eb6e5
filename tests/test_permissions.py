"""Permissions: who is let in, at what cost, and what the others are told."""

import base64
import dataclasses
import json
import time
from datetime import timedelta
from urllib.request import parse_http_list, parse_keqv_list

import pytest
from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import (
    BasicAuthentication,
    SessionAuthentication,
    TokenAuthentication,
)
from rest_framework.permissions import AllowAny, BasePermission, IsAuthenticated
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory, force_authenticate
from rest_framework.views import APIView
from rest_framework_simplejwt.authentication import (
    JWTAuthentication,
    JWTStatelessUserAuthentication,
)
from rest_framework_simplejwt.tokens import AccessToken

from django_totp.assurance import SESSION_KEY, new_login
from django_totp.authentication import JWTAuthentication as OurJWTAuthentication
from django_totp.permissions import HasRecentSecondFactor, HasSecondFactor
from django_totp.tokens import restate
from django_totp.totp import disable_totp
from django_totp.views.base import TotpView

INSUFFICIENT = "insufficient_user_authentication"
NOON = 1_800_000_000
BOTH = [HasSecondFactor, HasRecentSecondFactor]
JWT = [JWTAuthentication, OurJWTAuthentication, JWTStatelessUserAuthentication]
OTHERS = [SessionAuthentication, BasicAuthentication, TokenAuthentication]


class WithinAMinute(HasRecentSecondFactor):
    max_age = 60


class Refusing(BasePermission):
    def has_permission(self, request, view):
        return False


class View(APIView):
    """A view of a project."""

    def get(self, request):
        return Response("let in")

    post = get


class OurView(TotpView):
    """A view of a project that derives from ours."""

    def get(self, request):
        return Response("let in")

    post = get


class AuthToken(TokenAuthentication):
    """REST framework's, which would ask for a table."""

    user = None

    def authenticate_credentials(self, key):
        return self.user, object()


@pytest.fixture(autouse=True)
def clock(time_machine):
    time_machine.move_to(NOON, tick=False)
    return time_machine


def stated(user, *methods, age=0):
    return dataclasses.replace(new_login(user, *methods), time=int(time.time()) - age)


def token_of(user, *methods, age=0):
    token = AccessToken.for_user(user)
    if methods:
        restate(token, stated(user, *methods, age=age))
    return token


def by_token(user, *methods, age=0, token=None, method="get"):
    """Return a request with a JSON web token that states ``methods``, or nothing."""
    header = f"Bearer {token or token_of(user, *methods, age=age)}"
    return getattr(APIRequestFactory(), method)("/", HTTP_AUTHORIZATION=header)


def by_session(user, *methods, age=0):
    """Return a request with a session that states ``methods``, or nothing."""
    request = APIRequestFactory().get("/")
    claims = stated(user, *methods, age=age).claims if methods else {}
    told = {SESSION_KEY: {**claims, "user": str(user.pk)}}
    request.user, request.session = user, told if methods else {}
    return request


def request_by(authentication, user, password):
    """Return a request without a second factor, and the authentication class that reads it."""
    if authentication is SessionAuthentication:
        return by_session(user, "pwd"), SessionAuthentication
    if authentication is BasicAuthentication:
        pair = f"{user.get_username()}:{password}".encode()
        header = f"Basic {base64.b64encode(pair).decode()}"
        return APIRequestFactory().get("/", HTTP_AUTHORIZATION=header), BasicAuthentication
    token = type("AuthToken", (AuthToken,), {"user": user})
    return APIRequestFactory().get("/", HTTP_AUTHORIZATION="Token abc"), token


def ask(request, *permissions, by=JWTAuthentication, view=View):
    """Return the answer of a view with ``permissions`` that authenticates ``by`` a class."""
    guarded = view.as_view(permission_classes=permissions, authentication_classes=[by])
    response = guarded(request)
    response.render()
    return response


def body_of(response):
    return json.loads(response.content)


def challenge_of(response):
    """Return scheme and parameters of the WWW-Authenticate header, as a client parses it."""
    scheme, _, parameters = response["WWW-Authenticate"].partition(" ")
    return scheme, parse_keqv_list(parse_http_list(parameters))


# --- Who is let in ---


@pytest.mark.parametrize("permission", [*BOTH, WithinAMinute])
@pytest.mark.parametrize("by", JWT)
def test_a_token_with_a_second_factor_is_let_in(enrolled_user, permission, by):
    request = by_token(enrolled_user, "pwd", "otp")
    assert ask(request, permission, by=by).status_code == 200


@pytest.mark.parametrize("permission", BOTH)
def test_a_session_with_a_second_factor_is_let_in(enrolled_user, permission):
    request = by_session(enrolled_user, "pwd", "otp")
    assert ask(request, permission, by=SessionAuthentication).status_code == 200


@pytest.mark.parametrize("permission", BOTH)
@pytest.mark.parametrize("method", ["get", "head", "options", "post"])
def test_every_method_is_guarded(enrolled_user, permission, method):
    assert ask(by_token(enrolled_user, "pwd", "otp", method=method), permission).status_code == 200
    response = ask(by_token(enrolled_user, "pwd", method=method), permission)
    assert response.status_code == 401
    assert challenge_of(response)[1]["error"] == INSUFFICIENT


@pytest.mark.parametrize(
    ("permission", "age", "status"),
    [
        (HasRecentSecondFactor, 299, 200),
        (HasRecentSecondFactor, 300, 401),
        (WithinAMinute, 59, 200),
        (WithinAMinute, 60, 401),
        (HasSecondFactor, 86_400, 200),
    ],
)
def test_a_second_factor_is_recent_for_so_long(enrolled_user, clock, permission, age, status):
    token = token_of(enrolled_user, "pwd", "otp")
    token.set_exp(lifetime=timedelta(days=2))
    clock.move_to(NOON + age, tick=False)
    assert ask(by_token(enrolled_user, token=token), permission).status_code == status
    session = by_session(enrolled_user, "pwd", "otp", age=age)
    expected = 200 if status == 200 else 403
    assert ask(session, permission, by=SessionAuthentication).status_code == expected


@pytest.mark.parametrize(("seconds", "status"), [(30, 401), (31, 200)])
def test_the_setting_says_what_is_recent(enrolled_user, settings, seconds, status):
    settings.TOTP_REAUTHENTICATE_MAX_AGE = seconds
    request = by_token(enrolled_user, "pwd", "otp", age=30)
    assert ask(request, HasRecentSecondFactor).status_code == status
    assert ask(request, WithinAMinute).status_code == 200  # which says so itself


def test_a_recent_password_is_no_recent_second_factor(enrolled_user):
    assert ask(by_token(enrolled_user, "pwd"), HasRecentSecondFactor).status_code == 401


@pytest.mark.parametrize("permission", BOTH)
@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"acr": "aal2"},
        {"amr": ["pwd", "otp", "mfa"]},
        {"amr": ["mfa"], "acr": "aal2", "auth_time": NOON},
        {"amr": ["mfa"], "acr": "aal2", "auth_time": NOON + 3600, "sid": "a name"},
    ],
    ids=["none", "level", "methods", "no name", "from the future"],
)
def test_a_foreign_token_is_not_let_in(enrolled_user, permission, claims):
    token = AccessToken.for_user(enrolled_user)
    token.payload.update(claims)
    response = ask(by_token(enrolled_user, token=token), permission)
    assert (response.status_code, body_of(response)["code"]) == (401, INSUFFICIENT)


@pytest.mark.parametrize("permission", BOTH)
def test_a_session_that_states_nothing_is_not_let_in(enrolled_user, permission):
    response = ask(by_session(enrolled_user), permission, by=SessionAuthentication)
    assert (response.status_code, body_of(response)["code"]) == (403, INSUFFICIENT)


@pytest.mark.parametrize("permission", BOTH)
def test_a_session_beside_a_token_says_nothing(enrolled_user, permission):
    request = by_session(enrolled_user, "pwd", "otp")
    request.META["HTTP_AUTHORIZATION"] = f"Bearer {token_of(enrolled_user, 'pwd')}"
    assert ask(request, permission).status_code == 401


@pytest.mark.parametrize("permission", BOTH)
def test_objects_are_left_to_other_permissions(enrolled_user, permission):
    assert permission().has_object_permission(None, None, object()) is True


# --- What it costs ---


@pytest.mark.parametrize("permission", BOTH)
@pytest.mark.parametrize(("by", "queries"), [*zip(JWT, [1, 1, 0], strict=True)])
def test_to_be_let_in_costs_no_query(
    enrolled_user, permission, by, queries, django_assert_num_queries
):
    request = by_token(enrolled_user, "pwd", "otp")
    with django_assert_num_queries(queries):  # the authentication's own
        assert ask(request, permission, by=by).status_code == 200


@pytest.mark.parametrize("permission", BOTH)
def test_to_be_let_in_by_a_session_costs_no_query(
    enrolled_user, permission, django_assert_num_queries
):
    request = by_session(enrolled_user, "pwd", "otp")
    with django_assert_num_queries(0):
        assert ask(request, permission, by=SessionAuthentication).status_code == 200


@pytest.mark.parametrize(("by", "queries"), [(JWTAuthentication, 2), (JWT[2], 2)])
def test_to_be_refused_costs_little(enrolled_user, by, queries, django_assert_num_queries):
    request = by_token(enrolled_user, "pwd")
    with django_assert_num_queries(queries):
        assert ask(request, HasSecondFactor, by=by).status_code == 401


# --- What the others are told ---


@pytest.mark.parametrize("view", [View, OurView])
@pytest.mark.parametrize("by", [JWTAuthentication, JWTStatelessUserAuthentication])
@pytest.mark.parametrize(
    ("permission", "max_age"), [(HasRecentSecondFactor, 300), (WithinAMinute, 60)]
)
def test_a_token_is_told_how_recent_it_must_be(enrolled_user, view, by, permission, max_age):
    response = ask(by_token(enrolled_user, "pwd", "otp", age=900), permission, by=by, view=view)
    assert response.status_code == 401
    assert body_of(response) == {
        "detail": "This needs a recent second factor: confirm it once more with a code.",
        "code": INSUFFICIENT,
        "max_age": max_age,
    }
    scheme, told = challenge_of(response)
    assert scheme == "Bearer"
    assert told.pop("error_description").isascii()
    assert told == {"error": INSUFFICIENT, "acr_values": "aal2", "max_age": str(max_age)}


@pytest.mark.parametrize("view", [View, OurView])
def test_a_token_is_told_that_it_lacks_a_second_factor(enrolled_user, view):
    response = ask(by_token(enrolled_user, "pwd"), HasSecondFactor, view=view)
    assert response.status_code == 401
    assert body_of(response) == {
        "detail": "This needs your second factor: confirm it with a code.",
        "code": INSUFFICIENT,
    }
    assert response["WWW-Authenticate"] == (
        f'Bearer error="{INSUFFICIENT}", error_description="A second factor is required", '
        'acr_values="aal2"'
    )


def test_the_header_is_as_the_rfc_writes_it(enrolled_user):
    response = ask(by_token(enrolled_user, "pwd"), HasRecentSecondFactor)
    assert response["WWW-Authenticate"] == (
        f'Bearer error="{INSUFFICIENT}", error_description="A recent second factor is required", '
        'acr_values="aal2", max_age="300"'
    )


@pytest.mark.parametrize("view", [View, OurView])
@pytest.mark.parametrize("authentication", OTHERS)
def test_any_other_credential_gets_the_same_body(enrolled_user, password, authentication, view):
    for permission in BOTH:
        request, by = request_by(authentication, enrolled_user, password)
        response = ask(request, permission, by=by, view=view)
        assert response.status_code == 403
        assert "WWW-Authenticate" not in response
        token = ask(by_token(enrolled_user, "pwd"), permission, view=view)
        assert body_of(response) == body_of(token)


@pytest.mark.parametrize("permission", BOTH)
def test_a_forced_user_is_unknown(enrolled_user, permission):
    request = APIRequestFactory().get("/")
    force_authenticate(request, enrolled_user)
    response = ask(request, permission)
    assert (response.status_code, body_of(response)["code"]) == (403, INSUFFICIENT)


@pytest.mark.parametrize("view", [View, OurView])
@pytest.mark.parametrize("permission", BOTH)
@pytest.mark.parametrize("by", JWT)
def test_an_account_without_a_factor_is_told_to_set_one_up(pending_user, by, permission, view):
    response = ask(by_token(pending_user, "pwd"), permission, by=by, view=view)
    assert response.status_code == 403
    assert "WWW-Authenticate" not in response
    sentence = "Set up two-factor authentication first."
    assert body_of(response) == {"detail": sentence, "code": "enrollment_required"}


@pytest.mark.parametrize("authentication", OTHERS)
def test_so_it_is_whatever_the_credential(user, password, authentication):
    request, by = request_by(authentication, user, password)
    response = ask(request, HasSecondFactor, by=by)
    assert (response.status_code, body_of(response)["code"]) == (403, "enrollment_required")


def test_a_factor_that_is_gone_is_to_be_set_up_again(enrolled_user):
    request = by_token(enrolled_user, "pwd", "otp", age=900)
    disable_totp(enrolled_user)
    assert body_of(ask(request, HasRecentSecondFactor))["code"] == "enrollment_required"
    assert ask(request, HasSecondFactor).status_code == 200  # what was given, was given


@pytest.mark.django_db
@pytest.mark.parametrize("key", [0, "0", True, 1.5, None, ["1"], "\0", 10**30])
def test_a_stateless_user_who_is_nobody_may_try_a_code(key):
    token = AccessToken()
    token["user_id"] = key
    response = ask(by_token(None, token=token), HasSecondFactor, by=JWTStatelessUserAuthentication)
    assert (response.status_code, body_of(response)["code"]) == (401, INSUFFICIENT)


@pytest.mark.parametrize("key", [True, 1.0])
def test_a_key_of_another_type_names_nobody(user, settings, key):
    settings.SIMPLE_JWT = {"USER_ID_FIELD": "is_active"}  # which both would find
    token = AccessToken()
    token["user_id"] = key
    response = ask(by_token(user, token=token), HasSecondFactor, by=JWTStatelessUserAuthentication)
    assert body_of(response)["code"] == INSUFFICIENT


def test_a_token_of_another_kind_is_no_json_web_token(enrolled_user):
    class Paseto(AuthToken):
        def authenticate_credentials(self, key):
            return enrolled_user, type("Token", (), {"payload": b"sealed"})()

    request = APIRequestFactory().get("/", HTTP_AUTHORIZATION="Token abc")
    assert ask(request, HasSecondFactor, by=Paseto).status_code == 403


def test_the_claim_of_a_stateless_user_is_the_projects(user, settings):
    settings.SIMPLE_JWT = {"USER_ID_CLAIM": "sub", "USER_ID_FIELD": user.USERNAME_FIELD}
    token = AccessToken()
    token["user_id"], token["sub"] = "nobody", user.get_username()
    response = ask(by_token(user, token=token), HasSecondFactor, by=JWTStatelessUserAuthentication)
    assert body_of(response)["code"] == "enrollment_required"


@pytest.mark.parametrize("permission", BOTH)
def test_who_is_not_signed_in_is_told_so(permission):
    response = ask(APIRequestFactory().get("/"), permission)
    assert response.status_code == 401
    assert body_of(response) == {"detail": "Authentication credentials were not provided."}
    assert response["WWW-Authenticate"] == 'Bearer realm="api"'
    request = APIRequestFactory().get("/")
    request.user, request.session = AnonymousUser(), {}
    assert ask(request, permission, by=SessionAuthentication).status_code == 403


def test_nobody_at_all_is_told_so(settings):
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "UNAUTHENTICATED_USER": None}
    assert ask(APIRequestFactory().get("/"), HasSecondFactor).status_code == 401


# --- Beside others ---


def test_with_others_all_must_agree(enrolled_user):
    good, bad = by_token(enrolled_user, "pwd", "otp"), by_token(enrolled_user, "pwd")
    assert ask(good, IsAuthenticated, HasSecondFactor).status_code == 200
    assert ask(good, IsAuthenticated & HasSecondFactor).status_code == 200
    assert ask(good, HasSecondFactor & Refusing).status_code == 403
    assert ask(bad, IsAuthenticated & HasSecondFactor).status_code == 401


def test_it_comes_last_behind_or(enrolled_user):
    bad = by_token(enrolled_user, "pwd")
    assert ask(bad, AllowAny | HasSecondFactor).status_code == 200
    assert ask(bad, Refusing | HasSecondFactor).status_code == 401
    assert ask(bad, HasSecondFactor | AllowAny).status_code == 401


def test_a_handler_of_the_project_finds_codes_and_numbers(enrolled_user, settings):
    seen = {}

    def handler(error, context):
        seen["codes"], seen["details"] = error.get_codes(), error.get_full_details()
        return Response({"errors": [error.get_codes()]}, status=error.status_code)

    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "EXCEPTION_HANDLER": handler}
    request = by_token(enrolled_user, "pwd")
    assert ask(request, HasRecentSecondFactor).status_code == 401
    assert seen["codes"] == dict.fromkeys(["detail", "code", "max_age"], INSUFFICIENT)
    assert seen["details"]["max_age"] == {"message": 300, "code": INSUFFICIENT}
    ours = body_of(ask(request, HasRecentSecondFactor, view=OurView))
    assert set(ours) == {"errors", "detail", "code"}
    assert ours["code"] == INSUFFICIENT
