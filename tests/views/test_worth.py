"""What a login is worth at the endpoints: refresh, step-up, and changes of the second factor."""

import time
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone
from rest_framework.authentication import SessionAuthentication
from rest_framework.test import APIClient
from rest_framework.views import APIView
from rest_framework_simplejwt.serializers import TokenObtainPairSerializer, TokenRefreshSerializer
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from django_totp.assurance import assurance_of, new_login
from django_totp.auth import end_sessions, is_totp_enabled, reset_totp
from django_totp.backup_code_utils import store_backup_codes
from django_totp.models import Account, Totp
from django_totp.tokens import pair, token_pair
from django_totp.totp import confirm_totp_setup, disable_totp, start_totp_setup
from django_totp.views.jwt import JWTRefreshView
from tests.endpoints import BAD_BACKUP, BAD_OTP, NOT_ENABLED, assert_error, wrong_code

CLAIMS = ("amr", "auth_time", "acr", "sid")


@pytest.fixture(autouse=True)
def clock(time_machine):
    time_machine.move_to(1_900_000_015, tick=False)
    return time_machine


@pytest.fixture
def refresh(call):
    """Return a function that refreshes and gives the answer."""
    return lambda tokens: call("jwt-refresh", {"refresh": tokens["refresh"]})


@pytest.fixture
def step_up(call):
    return lambda tokens, **code: call("jwt-step-up", {"refresh": tokens["refresh"], **code})


@pytest.fixture
def enroll(call, otp):
    """Return a function that enrolls by the endpoints and gives the secret and the codes."""

    def enroll(tokens):
        client = bearer(tokens)
        secret = call("totp-create", client=client).json()["secret"]
        confirmed = call("totp-confirm", {"input_code": otp(secret)}, client=client)
        return secret, confirmed.json()["backup_codes"]

    return enroll


def bearer(tokens):
    return APIClient(HTTP_AUTHORIZATION=f"Bearer {tokens['access']}")


def claims(token):
    if isinstance(token, str):
        token = AccessToken(token, verify=False)
    return {name: token.get(name) for name in CLAIMS}


class TestTokens:
    def test_a_password(self, login, user):
        tokens = login(user).json()
        stated = claims(tokens["access"])
        assert stated == claims(RefreshToken(tokens["refresh"]))
        assert stated["amr"] == ["pwd"]
        assert stated["acr"] == "aal1"
        assert stated["auth_time"] == int(time.time())

    @pytest.mark.parametrize("kind", ["otp_code", "backup_code"])
    def test_a_second_factor(self, login, enrolled_user, secret, otp, backup_codes, kind):
        code = {"otp_code": otp(secret), "backup_code": backup_codes[0]}[kind]
        tokens = login(enrolled_user, **{kind: code}).json()
        stated = claims(tokens["access"])
        assert stated == claims(RefreshToken(tokens["refresh"]))
        assert stated["amr"] == ["pwd", "otp", "mfa"]
        assert stated["acr"] == "aal2"
        assert stated["auth_time"] == int(time.time())

    @pytest.mark.parametrize("rotates", [False, True])
    def test_they_stay_the_same(self, simplejwt, clock, login, refresh, user, rotates):
        simplejwt(ROTATE_REFRESH_TOKENS=rotates)
        tokens = login(user).json()
        before = claims(tokens["access"])
        for _ in range(3):
            clock.shift(60)
            tokens = {**tokens, **refresh(tokens).json()}
            assert claims(tokens["access"]) == before
            assert claims(RefreshToken(tokens["refresh"])) == before

    def test_each_login_has_a_name_of_its_own(self, login, user):
        names = {claims(login(user).json()["access"])["sid"] for _ in range(3)}
        assert len(names) == 3

    def test_no_serializer_of_the_project_overwrites_them(
        self, monkeypatch, simplejwt, login, refresh, user
    ):
        simplejwt(TOKEN_OBTAIN_SERIALIZER=f"{__name__}.Boastful", ROTATE_REFRESH_TOKENS=True)
        monkeypatch.setattr(JWTRefreshView, "_serializer_class", f"{__name__}.BoastfulRefresh")
        tokens = login(user).json()
        assert AccessToken(tokens["access"])["greeting"] == "hello"
        assert claims(tokens["access"])["amr"] == ["pwd"]
        renewed = refresh(tokens).json()
        assert claims(renewed["access"]) == claims(tokens["access"])
        assert claims(RefreshToken(renewed["refresh"])) == claims(tokens["access"])
        assert AccessToken(renewed["access"])["greeting"] == "hello"

    def test_a_login_view_of_the_project(self, db, user, refresh):
        tokens = token_pair(user, "hwk", "pin")
        assert claims(tokens["access"])["amr"] == ["hwk", "pin", "mfa"]
        assert claims(tokens["access"])["acr"] == "aal2"
        assert refresh(tokens).status_code == 200


class Boastful(TokenObtainPairSerializer):
    """A serializer of a project that has claims of these names itself."""

    @classmethod
    def get_token(cls, user):
        token = super().get_token(user)
        token["greeting"] = "hello"
        for name, value in zip(CLAIMS, (["otp", "mfa"], 1, "aal2", "mine"), strict=True):
            token[name] = value
        return token


class BoastfulRefresh(TokenRefreshSerializer):
    def validate(self, attrs):
        made = super().validate(attrs)
        for name, kind in (("access", AccessToken), ("refresh", RefreshToken)):
            token = kind(made[name])
            token["amr"], token["acr"] = ["pwd", "otp", "mfa"], "aal2"
            made[name] = str(token)
        return made


class TestWhatEndsALogin:
    def test_the_other_device(self, clock, login, refresh, step_up, enroll, otp, user):
        """It is refused from the enrollment on, and a code is all that it lacks."""
        here, there = login(user).json(), login(user).json()
        clock.shift(60)
        secret, _codes = enroll(here)
        body = assert_error(refresh(there), 401)
        assert body["code"] == "second_factor_required"
        clock.shift(60)
        after = step_up(there, otp_code=otp(secret))
        assert after.status_code == 200
        assert claims(after.json()["access"]) == {
            "amr": ["pwd", "otp", "mfa"],
            "acr": "aal2",
            "auth_time": int(time.time()),
            "sid": claims(there["access"])["sid"],
        }
        assert refresh(after.json()).status_code == 200
        assert refresh(there).status_code == 401

    def test_the_device_that_enrolled(self, clock, login, refresh, enroll, user):
        here = login(user).json()
        clock.shift(60)
        enroll(here)
        confirmed = int(time.time())
        clock.shift(60)
        renewed = refresh(here).json()
        assert claims(renewed["access"]) == {
            "amr": ["pwd", "otp", "mfa"],
            "acr": "aal2",
            "auth_time": confirmed,
            "sid": claims(here["access"])["sid"],
        }

    def test_it_is_ended_like_any_other(self, clock, login, refresh, enroll, user):
        here = login(user).json()
        enroll(here)
        end_sessions(user)
        clock.shift(60)
        assert assert_error(refresh(here), 401)["code"] == "login_outdated"

    def test_it_owes_a_code_of_the_next_enrollment(self, clock, login, refresh, enroll, otp, user):
        here, there = login(user).json(), login(user).json()
        enroll(here)
        clock.shift(60)
        disable_totp(user)
        enroll(there)
        assert assert_error(refresh(here), 401)["code"] == "second_factor_required"
        assert refresh(there).status_code == 200

    def test_a_second_factor_from_before_the_enrollment_is_not_of_it(
        self, clock, login, refresh, enrolled_user, secret, otp
    ):
        tokens = login(enrolled_user, otp_code=otp(secret)).json()
        clock.shift(1)
        disable_totp(enrolled_user)
        start_totp_setup(enrolled_user)
        store_backup_codes(enrolled_user, [])
        assert assert_error(refresh(tokens), 401)["code"] == "second_factor_required"

    @pytest.mark.parametrize("seconds", [0, 1])
    def test_the_second_of_the_enrollment(self, clock, refresh, enrolled_user, seconds):
        """A login that gave the factor cannot be told from before; an unknown one can."""
        clock.shift(seconds)
        with_factor = pair(enrolled_user, new_login(enrolled_user, "pwd", "otp"))
        assert refresh(with_factor).status_code == 200
        unknown = {"refresh": str(RefreshToken.for_user(enrolled_user))}
        assert refresh(unknown).status_code == (200 if seconds else 401)

    def test_tokens_of_others_work_until_an_enrollment_outdates_them(
        self, clock, refresh, pending_user, secret, otp
    ):
        old = {"refresh": str(RefreshToken.for_user(pending_user))}
        assert refresh(old).status_code == 200
        clock.shift(1)
        confirm_totp_setup(pending_user, otp(secret))
        assert assert_error(refresh(old), 401)["code"] == "second_factor_required"
        clock.shift(1)
        assert refresh({"refresh": str(RefreshToken.for_user(pending_user))}).status_code == 200

    def test_a_foreign_token_that_confirms_is_no_exception(self, clock, refresh, user, enroll):
        old = RefreshToken.for_user(user)
        enroll({"access": str(old.access_token)})
        clock.shift(1)
        assert refresh({"refresh": str(old)}).status_code == 401

    def test_turning_it_off_oneself_outdates_nobody(
        self, clock, call, login, refresh, enrolled_user, secret, otp
    ):
        tokens = login(enrolled_user, otp_code=otp(secret)).json()
        clock.shift(60)
        assert call("totp-disable", client=bearer(tokens)).status_code == 204
        assert refresh(tokens).status_code == 200

    @pytest.mark.parametrize("end", [end_sessions, reset_totp])
    def test_an_administrator(
        self, clock, login, refresh, step_up, enrolled_user, secret, otp, end
    ):
        tokens = login(enrolled_user, otp_code=otp(secret)).json()
        end(enrolled_user, reason="asked for")
        assert assert_error(refresh(tokens), 401)["code"] == "login_outdated"
        assert assert_error(step_up(tokens, otp_code="1"), 401)["code"] == "login_outdated"
        foreign = {"refresh": str(RefreshToken.for_user(enrolled_user))}
        assert assert_error(refresh(foreign), 401)["code"] == "login_outdated"
        clock.shift(1)
        assert assert_error(refresh(tokens), 401)["code"] == "login_outdated"

    def test_a_login_in_the_second_in_which_the_others_were_ended(self, login, refresh, user):
        end_sessions(user)
        tokens = login(user).json()
        assert claims(tokens["access"])["auth_time"] == int(time.time()) + 1
        assert refresh(tokens).status_code == 200
        end_sessions(user)
        assert assert_error(refresh(tokens), 401)["code"] == "login_outdated"
        assert refresh(login(user).json()).status_code == 200

    def test_it_can_be_stepped_up_in_that_second(
        self, login, refresh, step_up, enrolled_user, secret, otp, backup_codes
    ):
        end_sessions(enrolled_user)
        tokens = login(enrolled_user, otp_code=otp(secret)).json()
        tokens = step_up(tokens, backup_code=backup_codes[0]).json()
        assert refresh(tokens).status_code == 200

    def test_the_first_reason_answers(self, settings, clock, login, refresh, enroll, user):
        settings.TOTP_REQUIRED_FOR = []
        here, there = login(user).json(), login(user).json()
        clock.shift(1)
        enroll(here)
        assert assert_error(refresh(there), 401)["code"] == "second_factor_required"
        end_sessions(user)
        assert assert_error(refresh(there), 401)["code"] == "login_outdated"

    def test_a_challenge_from_before_is_ended_too(self, call, login, enrolled_user, secret, otp):
        challenge = login(enrolled_user).json()["totp_challenge_token"]
        end_sessions(enrolled_user)
        body = {"totp_challenge_token": challenge, "otp_code": otp(secret)}
        assert assert_error(call("jwt-totp-verify", body), 400)["code"] == "invalid_challenge"
        assert login(enrolled_user, otp_code=otp(secret)).status_code == 200

    def test_the_password_comes_first(self, simplejwt, login, refresh, user):
        simplejwt(CHECK_REVOKE_TOKEN=True)
        tokens = login(user).json()
        end_sessions(user)
        user.set_password("a new one")
        user.save()
        assert assert_error(refresh(tokens), 401)["code"] == "password_changed"

    def test_the_row_outlives_the_enrollment(self, enrolled_user):
        reset_totp(enrolled_user)
        assert not Totp.objects.exists()
        assert Account.objects.get(user=enrolled_user).valid_from is not None


class TestStepUp:
    @pytest.fixture
    def tokens(self, login, enrolled_user, secret, otp):
        return login(enrolled_user, otp_code=otp(secret)).json()

    @pytest.mark.parametrize("kind", ["otp_code", "backup_code"])
    def test_a_right_code(self, clock, step_up, tokens, secret, otp, backup_codes, kind):
        clock.shift(600)
        code = {"otp_code": otp(secret), "backup_code": backup_codes[0]}[kind]
        response = step_up(tokens, **{kind: code})
        assert response.status_code == 200
        assert response.json().keys() == {"refresh", "access"}
        assert response["Cache-Control"] == "no-store"
        before, after = claims(tokens["access"]), claims(response.json()["access"])
        assert after == before | {"auth_time": int(time.time())}
        assert claims(RefreshToken(response.json()["refresh"])) == after

    def test_a_code_steps_up_once(self, clock, step_up, tokens, secret, otp, backup_codes):
        clock.shift(60)
        tokens = step_up(tokens, otp_code=otp(secret)).json()
        assert_error(step_up(tokens, otp_code=otp(secret)), 400, BAD_OTP)
        tokens = step_up(tokens, backup_code=backup_codes[0]).json()
        assert_error(step_up(tokens, backup_code=backup_codes[0]), 400, BAD_BACKUP)

    def test_wrong_codes_are_counted_and_wait(
        self, settings, step_up, tokens, secret, otp, backup_codes
    ):
        settings.TOTP_THROTTLE_RATE = settings.TOTP_ADDRESS_THROTTLE_RATE = None
        for _ in range(6):
            assert_error(step_up(tokens, otp_code=wrong_code(secret)), 400, BAD_OTP)
        assert Totp.objects.get().failures == 6
        body = assert_error(step_up(tokens, otp_code=otp(secret, offset=1)), 429)
        assert body["retry_after"] == 30
        assert step_up(tokens, backup_code=backup_codes[0]).status_code == 200

    def test_custom_claims_stay(self, clock, step_up, enrolled_user, secret, otp):
        refresh = RefreshToken.for_user(enrolled_user)
        refresh["tenant"] = "blue"
        clock.shift(60)
        tokens = step_up({"refresh": str(refresh)}, otp_code=otp(secret)).json()
        assert AccessToken(tokens["access"])["tenant"] == "blue"
        assert claims(tokens["access"])["amr"] == ["otp", "mfa"]
        assert claims(tokens["access"])["sid"]

    def test_without_an_enrollment(self, login, step_up, user):
        assert_error(step_up(login(user).json(), otp_code="123456"), 400, NOT_ENABLED)

    @pytest.mark.parametrize("text", ["", "x", None, 7, [], "a.b.c"])
    def test_what_is_no_token(self, call, db, text):
        response = call("jwt-step-up", {"refresh": text, "otp_code": "123456"})
        assert response.status_code in {400, 401}
        assert_error(response, response.status_code)

    def test_an_access_token_is_none(self, call, tokens, secret, otp):
        body = {"refresh": tokens["access"], "otp_code": otp(secret, offset=1)}
        assert assert_error(call("jwt-step-up", body), 401)["code"] == "token_not_valid"
        assert Totp.objects.get().verifications == 1

    def test_an_expired_one_is_none(self, clock, step_up, tokens, secret, otp):
        clock.shift(timedelta(days=2))
        body = assert_error(step_up(tokens, otp_code=otp(secret)), 401)
        assert body["code"] == "token_not_valid"

    @pytest.mark.parametrize("change", ["inactive", "deleted"])
    def test_who_is_gone(self, step_up, tokens, enrolled_user, secret, otp, change):
        if change == "inactive":
            type(enrolled_user)._default_manager.update(is_active=False)
        else:
            enrolled_user.delete()
        response = step_up(tokens, otp_code=otp(secret, offset=1))
        assert_error(response, 401)
        assert response["WWW-Authenticate"] == 'Bearer realm="api"'

    def test_a_new_password(self, simplejwt, login, step_up, enrolled_user, secret, otp):
        simplejwt(CHECK_REVOKE_TOKEN=True)
        tokens = login(enrolled_user, otp_code=otp(secret)).json()
        enrolled_user.set_password("a new one")
        enrolled_user.save()
        body = assert_error(step_up(tokens, otp_code=otp(secret, offset=1)), 401)
        assert body["code"] == "password_changed"

    @pytest.mark.parametrize(
        ("codes", "code"),
        [({}, "no_code"), ({"otp_code": "1", "backup_code": "2"}, "both_codes")],
    )
    def test_one_code(self, step_up, tokens, codes, code):
        assert assert_error(step_up(tokens, **codes), 400)["code"] == code

    def test_it_is_counted_by_the_user_of_the_token(self, settings, call, tokens, make_user, login):
        settings.TOTP_THROTTLE_RATE = "2/minute"
        body = {"refresh": tokens["refresh"], "otp_code": "x"}
        for address in ("192.0.2.1", "192.0.2.2"):
            assert call("jwt-step-up", body, REMOTE_ADDR=address).status_code == 400
        response = call("jwt-step-up", body, REMOTE_ADDR="192.0.2.3")
        assert assert_error(response, 429)["code"] == "throttled"
        other = {"refresh": str(RefreshToken.for_user(make_user("bob"))), "otp_code": "x"}
        assert call("jwt-step-up", other, REMOTE_ADDR="192.0.2.1").status_code == 400

    def test_it_is_told(self, clock, caplog, step_up, tokens, enrolled_user, secret, otp):
        caplog.set_level("INFO", "django_totp")
        clock.shift(60)
        step_up(tokens, otp_code=otp(secret))
        told = [(record.event, record.user_pk, record.method) for record in caplog.records]
        assert told[-1] == ("stepped_up", str(enrolled_user.pk), "totp")

    def test_a_stale_header_keeps_nobody_out(self, clock, call, tokens, secret, otp):
        clock.shift(60)
        body = {"refresh": tokens["refresh"], "otp_code": otp(secret)}
        client = APIClient(HTTP_AUTHORIZATION="Bearer stale")
        assert call("jwt-step-up", body, client=client).status_code == 200


@pytest.mark.parametrize("name", ["totp-disable", "totp-rotate-backup-codes"])
class TestProof:
    """A login that is stated not to have given the second factor changes none without a proof."""

    def refused(self, response):
        assert assert_error(response, 403)["code"] == "reauthentication_required"
        return True

    def test_a_stolen_token_from_before_the_enrollment(
        self, clock, call, login, enroll, user, password, name
    ):
        here, stolen = login(user).json(), login(user).json()
        clock.shift(60)
        _secret, codes = enroll(here)
        assert self.refused(call(name, client=bearer(stolen)))
        assert self.refused(call(name, {"password": password}, client=bearer(stolen)))
        assert is_totp_enabled(user)
        proof = {"backup_code": codes[0]}
        assert call(name, proof, client=bearer(stolen)).status_code in {200, 201, 204}

    def test_the_login_that_confirmed_needs_none(self, call, login, enroll, user, name):
        here = login(user).json()
        enroll(here)
        assert call(name, client=bearer(here)).status_code in {200, 201, 204}

    def test_a_login_with_the_second_factor_needs_none(
        self, clock, call, login, enrolled_user, secret, otp, name
    ):
        tokens = login(enrolled_user, otp_code=otp(secret)).json()
        clock.shift(200)
        assert call(name, client=bearer(tokens)).status_code in {200, 201, 204}

    def test_one_of_an_earlier_enrollment_does(self, clock, call, sign_in, enrolled_user, name):
        client = sign_in(enrolled_user, "pwd", "otp", age=1)
        assert self.refused(call(name, client=client))

    def test_an_unknown_login_needs_none(self, call, signed_in, enrolled_user, name):
        assert call(name, client=signed_in).status_code in {200, 201, 204}

    def test_any_body_of_an_unknown_login_will_do(self, signed_in, enrolled_user, name):
        response = signed_in.post(reverse(name), "[", content_type="application/json")
        assert response.status_code in {200, 201, 204}

    def test_a_client_of_1_1(self, call, login, user, otp, name):
        """Log in with the password, create, confirm, and change it with an empty body."""
        tokens = login(user).json()
        secret = call("totp-create", client=bearer(tokens)).json()["secret"]
        code = {"input_code": otp(secret)}
        assert call("totp-confirm", code, client=bearer(tokens)).status_code == 200
        assert bearer(tokens).post(reverse(name)).status_code in {200, 201, 204}

    def test_reauthentication_asks_the_confirming_login_after_a_while(
        self, settings, clock, call, login, enroll, user, password, name
    ):
        settings.TOTP_REAUTHENTICATE, settings.TOTP_REAUTHENTICATE_MAX_AGE = True, 100
        here = login(user).json()
        enroll(here)
        clock.shift(99)
        before = Totp.objects.values().get()
        assert call(name, client=bearer(here)).status_code in {200, 201, 204}
        if name == "totp-disable":
            Totp.objects.create(**before)
        clock.shift(1)
        assert self.refused(call(name, client=bearer(here)))
        assert call(name, {"password": password}, client=bearer(here)).status_code in {
            200,
            201,
            204,
        }


@pytest.mark.parametrize("name", ["totp-create", "totp-confirm"])
class TestPasswordToEnroll:
    """Under ``TOTP_REAUTHENTICATE`` the password is asked for unless the login is recent."""

    @pytest.fixture(autouse=True)
    def _on(self, settings):
        settings.TOTP_REAUTHENTICATE = True

    @pytest.fixture
    def body(self, pending_user, secret, otp, name):
        return {"input_code": otp(secret)} if name == "totp-confirm" else {}

    @pytest.mark.parametrize("age", [0, 299])
    def test_a_recent_login(self, call, sign_in, pending_user, body, name, age):
        client = sign_in(pending_user, "pwd", age=age)
        assert call(name, body, client=client).status_code in {200, 201}

    @pytest.mark.parametrize("methods", [("pwd",), ("pwd", "otp"), ()])
    def test_another_login(self, call, sign_in, pending_user, password, body, name, methods):
        client = sign_in(pending_user, *methods, age=300)
        for wrong in ({}, {"password": ""}, {"password": "wrong"}, {"otp_code": "1"}):
            response = call(name, {**body, **wrong}, client=client)
            assert assert_error(response, 403)["code"] == "reauthentication_required"
        assert not is_totp_enabled(pending_user)
        response = call(name, {**body, "password": password}, client=client)
        assert response.status_code in {200, 201}

    def test_off(self, settings, call, sign_in, pending_user, body, name):
        settings.TOTP_REAUTHENTICATE = False
        assert call(name, body, client=sign_in(pending_user)).status_code in {200, 201}


def test_a_session_that_confirms_is_upgraded(monkeypatch, client, pending_user, secret, otp):
    monkeypatch.setattr(APIView, "authentication_classes", (SessionAuthentication,))
    client.force_login(pending_user)
    body = {"input_code": otp(secret)}
    assert client.post(reverse("totp-confirm"), body).status_code == 200
    request = client.get("/").wsgi_request
    login = assurance_of(request)
    assert login.has_second_factor
    assert login.time == int(time.time())
    assert client.post(reverse("totp-rotate-backup-codes")).status_code == 200


def test_a_reset_ends_logins_and_removal_together(enrolled_user, monkeypatch):
    monkeypatch.setattr(Totp, "remove", lambda totp: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        reset_totp(enrolled_user)
    assert not Account.objects.exists()
    assert is_totp_enabled(enrolled_user)


def test_the_moment_of_an_end_moves_on(user):
    moments = []
    for _ in range(3):
        end_sessions(user)
        moments.append(Account.objects.get().valid_from)
    assert moments[1] - moments[0] == moments[2] - moments[1] == timedelta(seconds=1)
    assert moments[0] == timezone.now()
