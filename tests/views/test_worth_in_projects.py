"""What a login is worth where a project has serializers, models and clocks of its own."""

import time

import jwt
import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db.models import Manager
from django.urls import reverse
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import ValidationError
from rest_framework.test import APIClient
from rest_framework.views import APIView
from rest_framework_simplejwt.authentication import (
    JWTAuthentication as JWTAuthenticationOfSimpleJWT,
)
from rest_framework_simplejwt.exceptions import AuthenticationFailed, InvalidToken
from rest_framework_simplejwt.serializers import TokenRefreshSerializer
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from django_totp import auth, totp
from django_totp.assurance import SESSION_KEY, Standing, new_login, of_claims, record, standing
from django_totp.auth import end_sessions, is_totp_enabled, next_step, reset_totp
from django_totp.authentication import JWTAuthentication, StandingMixin
from django_totp.models import Account, Totp
from django_totp.tokens import token_pair
from django_totp.totp import end_wait, start_totp_setup
from django_totp.views.jwt import JWTRefreshView
from django_totp.views.login import LoginView
from tests.endpoints import assert_error

CHANGES = ["totp-create", "totp-confirm", "totp-disable", "totp-rotate-backup-codes"]


@pytest.fixture(autouse=True)
def clock(time_machine):
    time_machine.move_to(1_900_000_015, tick=False)
    return time_machine


@pytest.fixture(autouse=True)
def _patient(patient):
    pass


def bearer(tokens):
    return APIClient(HTTP_AUTHORIZATION=f"Bearer {tokens['access']}")


class CookieRefresh(TokenRefreshSerializer):
    """Read the token from a cookie, and nothing from the body."""

    refresh = None

    def validate(self, attrs):
        attrs["refresh"] = self.context["request"].COOKIES.get("refresh_token")
        if attrs["refresh"]:
            return super().validate(attrs)
        raise InvalidToken


class CamelRefresh(TokenRefreshSerializer):
    def validate(self, attrs):
        return {"accessToken": super().validate(attrs)["access"]}


class BoastfulRefresh(TokenRefreshSerializer):
    def validate(self, attrs):
        token = AccessToken(super().validate(attrs)["access"])
        token.payload.update(amr=["otp", "mfa"], acr="aal2", sid="s", auth_time=int(time.time()))
        return {"access": str(token), "refresh": None}


class OwnTokenRefresh(TokenRefreshSerializer):
    """Make the token without ``token_class``."""

    token_class = None

    def validate(self, attrs):
        return {"access": str(RefreshToken(attrs["refresh"]).access_token)}


class NestedRefresh(TokenRefreshSerializer):
    """Use a class of its own, and answer in a shape of its own."""

    def validate(self, attrs):
        return {"tokens": {"access": str(RefreshToken(attrs["refresh"]).access_token)}}


class OpaqueRefresh(TokenRefreshSerializer):
    def validate(self, attrs):
        super().validate(attrs)
        return {"access": "opaque", "refresh": None}


class RenewingRefresh(TokenRefreshSerializer):
    """Make a new refresh token, too."""

    def validate(self, attrs):
        old = self.token_class(attrs["refresh"])
        new = self.token_class()
        new["user_id"] = old["user_id"]
        return {"access": str(new.access_token), "refresh": str(new)}


class RefusingRefresh(TokenRefreshSerializer):
    def validate(self, attrs):
        raise ValidationError("not at night")


class SomebodyElsesRefresh(TokenRefreshSerializer):
    """Give a token of another user than the one whose token came."""

    def validate(self, attrs):
        super().validate(attrs)
        model = get_user_model()
        other = model._default_manager.get(**{model.USERNAME_FIELD: "zoe@example.com"})
        return {"access": str(AccessToken.for_user(other))}


@pytest.fixture
def use(monkeypatch):
    def use(serializer):
        name = f"{__name__}.{serializer.__name__}"
        monkeypatch.setattr(JWTRefreshView, "_serializer_class", name)

    return use


@pytest.fixture
def refresh(call):
    return lambda tokens: call("jwt-refresh", {"refresh": tokens["refresh"]})


@pytest.mark.parametrize("rotates", [False, True])
class TestSerializersThatReadElsewhere:
    @pytest.fixture
    def tokens(self, user):
        return token_pair(user, "pwd")

    @pytest.fixture
    def send(self, use, monkeypatch, call, tokens, rotates):
        """Return a function that refreshes by the cookie, with another token in the body."""
        use(CookieRefresh)
        monkeypatch.setattr(api_settings, "ROTATE_REFRESH_TOKENS", rotates)
        client = APIClient(raise_request_exception=False)
        client.cookies["refresh_token"] = tokens["refresh"]
        return lambda body: call("jwt-refresh", body, client=client)

    def forged(self, user, **claims):
        now = int(time.time())
        payload = {
            **{"user_id": str(user.pk), "token_type": "refresh", "jti": "x", "exp": now + 999},
            **{"amr": ["pwd", "otp", "mfa"], "acr": "aal2", "auth_time": now, "sid": "x"},
        }
        return {"refresh": jwt.encode(payload | claims, "a key of somebody's own " * 2, "HS256")}

    def test_no_body_states_a_second_factor(self, send, user, tokens):
        answer = send(self.forged(user)).json()
        for name in answer:
            kind = {"access": AccessToken, "refresh": RefreshToken}[name]
            assert of_claims(kind(answer[name]).payload).methods == ("pwd",)

    def test_no_body_outlives_the_end_of_logins(self, send, user, make_user, tokens):
        end_sessions(user)
        for body in ({}, self.forged(user, auth_time=int(time.time()) + 3)):
            assert assert_error(send(body), 401)["code"] == "login_outdated"
        other = self.forged(make_user("bob"))
        assert assert_error(send(other), 401)["code"] == "login_outdated"

    @pytest.mark.parametrize("body", [{"refresh": "x"}, {"refresh": 1}, {}, {"refresh": None}])
    def test_any_body_will_do(self, send, body):
        assert send(body).status_code == 200


@pytest.mark.parametrize(
    "serializer",
    [
        *(TokenRefreshSerializer, CookieRefresh, CamelRefresh),
        *(OwnTokenRefresh, NestedRefresh, OpaqueRefresh),
    ],
)
def test_an_ended_login_is_not_refreshed(use, call, user, serializer):
    use(serializer)
    tokens = token_pair(user, "pwd")
    client = APIClient()
    client.cookies["refresh_token"] = tokens["refresh"]
    body = {"refresh": tokens["refresh"]}
    assert call("jwt-refresh", body, client=client).status_code == 200
    end_sessions(user)
    refused = assert_error(call("jwt-refresh", body, client=client), 401)
    assert refused["code"] == "login_outdated"


def test_a_token_is_judged_before_anything_is_done_with_it(use, monkeypatch, enrolled_user):
    """simplejwt's serializer would have blacklisted it, which ``jwt/step_up/`` needs."""
    blacklisted = []
    monkeypatch.setattr(api_settings, "ROTATE_REFRESH_TOKENS", True)
    monkeypatch.setattr(api_settings, "BLACKLIST_AFTER_ROTATION", True)
    monkeypatch.setattr(RefreshToken, "blacklist", blacklisted.append, raising=False)
    use(CookieRefresh)
    client = APIClient()
    client.cookies["refresh_token"] = token_pair(enrolled_user, "pwd")["refresh"]
    assert_error(client.post(reverse("jwt-refresh")), 401)
    assert blacklisted == []


@pytest.mark.parametrize("serializer", [OwnTokenRefresh, NestedRefresh])
def test_so_is_one_that_makes_the_token_by_itself(
    use, monkeypatch, call, enrolled_user, serializer
):
    made = []
    monkeypatch.setattr(serializer, "validate", lambda self, attrs: made.append(attrs))
    use(serializer)
    body = {"refresh": token_pair(enrolled_user, "pwd")["refresh"]}
    assert assert_error(call("jwt-refresh", body), 401)["code"] == "second_factor_required"
    assert made == []


@pytest.mark.parametrize("is_first", [True, False])
def test_a_serializer_of_the_project_uses_a_token_up_once(use, monkeypatch, call, user, is_first):
    monkeypatch.setattr(api_settings, "ROTATE_REFRESH_TOKENS", True)
    monkeypatch.setattr(api_settings, "BLACKLIST_AFTER_ROTATION", True)
    monkeypatch.setattr(RefreshToken, "blacklist", lambda self: (self, is_first), raising=False)
    use(CookieRefresh)
    client = APIClient()
    client.cookies["refresh_token"] = token_pair(user, "pwd")["refresh"]
    assert call("jwt-refresh", client=client).status_code == (200 if is_first else 401)


def test_a_new_token_states_the_login_of_the_old_one(use, call, user):
    use(RenewingRefresh)
    tokens = token_pair(user, "pwd", "otp")
    answer = call("jwt-refresh", {"refresh": tokens["refresh"]}).json()
    login = of_claims(RefreshToken(tokens["refresh"]).payload)
    assert of_claims(AccessToken(answer["access"]).payload) == login
    assert of_claims(RefreshToken(answer["refresh"]).payload) == login


def test_a_serializer_that_refuses_the_whole_body(use, call, user):
    use(RefusingRefresh)
    body = {"refresh": token_pair(user, "pwd")["refresh"]}
    assert assert_error(call("jwt-refresh", body), 401)["code"] == "token_not_valid"


def test_a_login_view_says_what_a_login_ends_with(user):
    with pytest.raises(NotImplementedError):
        LoginView().sign_in(user, new_login(user, "pwd"))


def test_a_token_that_cannot_be_read_is_left_as_it_is(use, call, user):
    use(OpaqueRefresh)
    body = {"refresh": token_pair(user, "pwd")["refresh"]}
    assert call("jwt-refresh", body).json() == {"access": "opaque", "refresh": None}


def test_an_unknown_login_stays_unknown(use, call, user):
    use(BoastfulRefresh)
    answer = call("jwt-refresh", {"refresh": str(RefreshToken.for_user(user))}).json()
    assert answer["refresh"] is None
    assert not of_claims(AccessToken(answer["access"]).payload).stated


def test_a_token_of_somebody_else_is_judged_by_itself(use, call, user, make_user):
    use(SomebodyElsesRefresh)
    other = make_user("zoe")
    body = {"refresh": token_pair(user, "pwd")["refresh"]}
    answer = call("jwt-refresh", body).json()
    assert not of_claims(AccessToken(answer["access"]).payload).stated
    end_sessions(other)
    assert assert_error(call("jwt-refresh", body), 401)["code"] == "login_outdated"


@pytest.mark.usefixtures("without_middleware")
class TestEndedLogins:
    """Where authentication does not ask, our own endpoints do."""

    @pytest.mark.parametrize("name", CHANGES)
    @pytest.mark.parametrize("kind", ["token", "foreign token", "session"])
    def test_they_change_nothing(self, monkeypatch, call, enrolled_user, name, kind):
        client = getattr(self, kind.replace(" ", "_"))(monkeypatch, enrolled_user)
        end_sessions(enrolled_user)
        body = {"input_code": "123456"}
        response = call(name, body, client=client)
        assert response.status_code in {401, 403}  # sessions have no challenge
        assert response.json()["code"] == "login_outdated"
        assert is_totp_enabled(enrolled_user)

    def token(self, monkeypatch, user):
        return bearer(token_pair(user, "pwd", "otp"))

    def foreign_token(self, monkeypatch, user):
        return bearer({"access": str(AccessToken.for_user(user))})

    def session(self, monkeypatch, user):
        monkeypatch.setattr(APIView, "authentication_classes", (SessionAuthentication,))
        client = APIClient()
        client.force_login(user)
        session = client.session
        session[SESSION_KEY] = {**new_login(user, "pwd", "otp").claims, "user": str(user.pk)}
        session.save()
        return client

    def test_a_session_of_which_nothing_is_known_goes_on(self, monkeypatch, call, enrolled_user):
        """It may be from after it: nobody has written down when it began."""
        monkeypatch.setattr(APIView, "authentication_classes", (SessionAuthentication,))
        reset_totp(enrolled_user)
        client = APIClient()
        client.force_login(enrolled_user)
        assert call("totp-create", client=client).status_code == 201

    def test_who_was_reset_does_not_enroll(self, clock, call, enrolled_user):
        stolen = bearer(token_pair(enrolled_user, "pwd", "otp"))
        clock.shift(60)
        reset_totp(enrolled_user)
        assert assert_error(call("totp-create", client=stolen), 401)["code"] == "login_outdated"

    def test_the_state_may_be_looked_at(self, call, enrolled_user):
        client = bearer(token_pair(enrolled_user, "pwd", "otp"))
        end_sessions(enrolled_user)
        assert call("totp-status", client=client).status_code == 200


class TestUsersThatTheDefaultManagerHides:
    @pytest.fixture(autouse=True)
    def _hidden(self, monkeypatch, enrolled_user):
        class Nobody(Manager):
            def get_queryset(self):
                return super().get_queryset().none()

        manager = Nobody()
        manager.model = get_user_model()
        monkeypatch.setattr(
            type(get_user_model()), "_default_manager", property(lambda cls: manager)
        )

    def test_a_login_asks_for_the_code(self, enrolled_user):
        assert next_step(enrolled_user).challenge

    def test_an_authentication_that_finds_them_judges_them(self, enrolled_user):
        class Own(JWTAuthenticationOfSimpleJWT):
            def get_user(self, token):
                return enrolled_user

        class Mixed(StandingMixin, Own):
            pass

        token = AccessToken(token_pair(enrolled_user, "pwd")["access"])
        with pytest.raises(AuthenticationFailed) as refused:
            Mixed().get_user(token)
        assert refused.value.detail["code"] == "second_factor_required"


def test_users_of_another_model_are_left_to_the_project(monkeypatch, user):
    class OfGroups(StandingMixin, JWTAuthenticationOfSimpleJWT):
        def __init__(self):
            super().__init__()
            self.user_model = Group

    monkeypatch.setattr(Group, "is_active", True, raising=False)
    group = Group.objects.create(name="customers")
    token = AccessToken()
    token["user_id"] = str(group.pk)
    assert OfGroups().get_user(token) == group


def test_to_end_all_logins_and_go_on_with_a_new_one(user, refresh):
    """The user was read before, as by our authentication."""
    me = JWTAuthentication().get_user(AccessToken.for_user(user))
    end_sessions(me)
    assert refresh(token_pair(me, "pwd")).status_code == 200


def test_a_record_in_the_second_in_which_logins_were_ended(rf, user):
    end_sessions(user)
    request = rf.get("/")
    request.user, request.session = user, {}
    assert standing(user, record(request, "pwd")) is Standing.GOOD


class TestClocks:
    def test_the_end_of_logins_by_a_clock_that_was_ahead(self, clock, user, refresh):
        clock.shift(3600)
        end_sessions(user)
        clock.shift(-3600)
        assert refresh(token_pair(user, "pwd")).status_code == 401
        end_sessions(user)
        assert refresh(token_pair(user, "pwd")).status_code == 200

    def test_an_enrollment_by_a_clock_that_was_ahead(
        self, clock, pending_user, secret, otp, refresh
    ):
        clock.shift(600)
        auth.confirm_totp_setup(pending_user, otp(secret))
        clock.shift(-600)
        assert refresh(token_pair(pending_user, "pwd", "otp")).status_code == 401
        end_wait(pending_user)
        assert refresh(token_pair(pending_user, "pwd", "otp")).status_code == 200

    def test_many_ends_in_one_second_lock_nobody_out(self, clock, user, refresh):
        for _ in range(20):
            end_sessions(user)
        clock.shift(1)
        assert refresh(token_pair(user, "pwd")).status_code == 200


class TestOwedEnrollments:
    @pytest.fixture(autouse=True)
    def _owed(self, settings):
        settings.TOTP_REQUIRED_FOR = ["everyone"]

    @pytest.fixture
    def challenge(self, user):
        return {"totp_challenge_token": next_step(user).challenge}

    @pytest.fixture
    def code(self, call, challenge, otp):
        return otp(call("jwt-totp-create", challenge).json()["secret"])

    def test_a_challenge_does_not_come_to_life_again(self, settings, call, challenge, code):
        tokens = call("jwt-totp-confirm", {**challenge, "input_code": code}).json()
        settings.TOTP_REQUIRED_FOR = []
        assert call("totp-disable", client=bearer(tokens)).status_code == 204
        assert assert_error(call("jwt-totp-create", challenge), 400)["code"] == "invalid_challenge"

    @pytest.mark.parametrize("change", ["end", "password", "inactive"])
    def test_a_change_while_it_is_confirmed(self, monkeypatch, call, user, challenge, code, change):
        """It is seen in the transaction that confirms: nothing is on, and nobody is in."""
        insert = totp.insert_codes

        def insert_beside_a_change(row, codes):
            insert(row, codes)
            if change == "end":
                end_sessions(user)
            elif change == "inactive":
                type(user)._default_manager.update(is_active=False)
            else:
                user.set_password("a new one")
                user.save()

        name = "django_totp.totp.insert_codes"
        monkeypatch.setattr(name, insert_beside_a_change)
        refused = assert_error(call("jwt-totp-confirm", {**challenge, "input_code": code}), 400)
        assert refused["code"] == "invalid_challenge"
        monkeypatch.setattr(name, insert)
        assert not Totp.objects.get().is_enabled

    def test_a_pending_enrollment_can_be_dropped(self, call, user):
        start_totp_setup(user)
        assert call("totp-disable", client=bearer(token_pair(user, "pwd"))).status_code == 204


@pytest.mark.parametrize("step", ["step_up", "second step"])
def test_logins_that_are_ended_while_a_code_is_checked(
    monkeypatch, clock, call, refresh, enrolled_user, secret, otp, step
):
    tokens = token_pair(enrolled_user, "pwd")
    challenge = auth.generate_challenge_token(enrolled_user)
    clock.shift(100)
    check = auth._check

    def check_slowly(*args):
        end_sessions(enrolled_user)
        clock.shift(1)
        return check(*args)

    monkeypatch.setattr(auth, "_check", check_slowly)
    code = {"otp_code": otp(secret)}
    if step == "step_up":
        answer = call("jwt-step-up", {"refresh": tokens["refresh"], **code})
    else:
        answer = call("jwt-totp-verify", {"totp_challenge_token": challenge, **code})
    assert answer.status_code == 200
    assert assert_error(refresh(answer.json()), 401)["code"] == "login_outdated"


def test_an_abandoned_setup_costs_no_query(pending_user, django_assert_num_queries):
    token = AccessToken.for_user(pending_user)
    with django_assert_num_queries(1):
        JWTAuthentication().get_user(token)


@pytest.mark.parametrize("body", [{}, {"input_code": "x"}])
def test_what_was_read_ahead_is_forgotten_with_the_request(call, api, enrolled_user, body):
    """A user who is kept, as by a test client, is read anew by the next."""
    api.force_authenticate(enrolled_user)
    assert call("totp-confirm", body, client=api).status_code == 400
    assert call("totp-status", client=api).status_code == 200
    auth.reset_totp(get_user_model()._default_manager.get(pk=enrolled_user.pk))
    assert not is_totp_enabled(enrolled_user)


def test_a_refusal_of_a_login_says_how_to_log_in(call, enrolled_user):
    tokens = token_pair(enrolled_user, "pwd")
    end_sessions(enrolled_user)
    response = call("jwt-step-up", {"refresh": tokens["refresh"], "otp_code": "123456"})
    assert assert_error(response, 401)["code"] == "login_outdated"
    assert response["WWW-Authenticate"] == 'Bearer realm="api"'


def test_what_was_read_ahead_is_read_once(call, enrolled_user, sign_in):
    client = sign_in(enrolled_user, "pwd", "otp")
    assert call("totp-rotate-backup-codes", client=client).status_code == 200
    assert call("totp-disable", client=client).status_code == 204
    assert call("totp-disable", client=client).status_code == 400
    assert not Account.objects.exists()
