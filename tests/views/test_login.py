"""The login of an account that must have a second factor, and has none."""

import time
from datetime import timedelta

import pytest
from django.core.signing import loads
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from django_totp.auth import end_sessions, generate_challenge_token, next_step
from django_totp.models import Account, Totp
from django_totp.totp import start_totp_setup
from tests.endpoints import BAD_CHALLENGE, BAD_OTP, NO_SECRET, assert_error, wrong_code
from tests.receivers import connected


@pytest.fixture(autouse=True)
def _owed(settings):
    settings.TOTP_REQUIRED_FOR = ["everyone"]
    settings.TOTP_THROTTLE_RATE = settings.TOTP_ADDRESS_THROTTLE_RATE = None


def broken(user):
    raise RuntimeError("the directory is down")


@pytest.fixture
def challenge(login, user):
    return login(user).json()["totp_challenge_token"]


@pytest.fixture
def start(call):
    return lambda token: call("jwt-totp-create", {"totp_challenge_token": token})


@pytest.fixture
def finish(call):
    return lambda token, code: call(
        "jwt-totp-confirm", {"totp_challenge_token": token, "input_code": code}
    )


class TestOwed:
    def test_no_tokens(self, login, user):
        response = login(user)
        assert response.status_code == 200
        body = response.json()
        assert body.pop("totp_challenge_token")
        assert body == {"is_totp_enabled": False, "is_totp_required": True}
        assert Account.objects.get().required_since is not None

    def test_the_whole_way(self, call, user, challenge, start, finish, otp):
        made = start(challenge)
        assert made.status_code == 201
        assert made.json().keys() == {"svg", "secret", "otpauth_uri"}
        done = finish(challenge, otp(made.json()["secret"]))
        assert done.status_code == 200
        assert done.json().keys() == {"backup_codes", "refresh", "access"}
        assert len(done.json()["backup_codes"]) == 10
        token = AccessToken(done.json()["access"])
        assert token["amr"] == ["pwd", "otp", "mfa"]
        assert token["acr"] == "aal2"
        assert token["auth_time"] == int(time.time())
        assert Totp.objects.get(user=user).is_enabled
        assert call("jwt-refresh", {"refresh": done.json()["refresh"]}).status_code == 200

    def test_signals_come_once(self, user, challenge, start, finish, otp):
        code = otp(start(challenge).json()["secret"])
        told = []
        receive = lambda name, arguments: told.append((name, arguments.get("method")))  # noqa: E731
        with connected(receive):
            finish(challenge, code)
        assert told == [("totp_created", None), ("totp_login_success", "totp")]

    def test_a_wrong_code_costs_nothing_but_a_count(self, challenge, start, finish, otp):
        secret = start(challenge).json()["secret"]
        assert_error(finish(challenge, wrong_code(secret)), 400, BAD_OTP)
        assert Totp.objects.get().failures == 1
        assert finish(challenge, otp(secret)).status_code == 200

    def test_nothing_was_started(self, challenge, finish):
        assert_error(finish(challenge, "123456"), 400, NO_SECRET)

    def test_it_is_used_up(self, challenge, start, finish, otp):
        secret = start(challenge).json()["secret"]
        finish(challenge, otp(secret))
        assert_error(finish(challenge, otp(secret, offset=1)), 400, BAD_CHALLENGE)
        assert_error(start(challenge), 400, BAD_CHALLENGE)

    def test_it_may_be_started_again(self, challenge, start, finish, otp):
        first = start(challenge).json()["secret"]
        second = start(challenge).json()["secret"]
        assert first != second
        assert finish(challenge, otp(second)).status_code == 200

    def test_it_lives_as_long_as_a_setup(self, clock, challenge, start):
        clock.shift(3600)
        assert start(challenge).status_code == 201
        clock.shift(1)
        assert_error(start(challenge), 400, BAD_CHALLENGE)

    @pytest.mark.parametrize("change", ["password", "inactive", "deleted", "ended", "enrolled"])
    def test_it_ends_with_a_change_of_the_account(
        self, user, challenge, start, finish, otp, request, change
    ):
        start(challenge)
        if change == "password":
            user.set_password("another")
            user.save()
        elif change == "inactive":
            type(user)._default_manager.update(is_active=False)
        elif change == "deleted":
            user.delete()
        elif change == "ended":
            end_sessions(user)
        else:
            Totp.objects.all().delete()
            request.getfixturevalue("enrolled_user")
        assert_error(start(challenge), 400, BAD_CHALLENGE)
        assert_error(finish(challenge, "123456"), 400, BAD_CHALLENGE)


class TestPurposes:
    def test_a_challenge_to_enroll_opens_nothing_else(self, call, challenge):
        for name, body in {
            "jwt-totp-verify": {"totp_challenge_token": challenge, "otp_code": "123456"},
            "jwt-refresh": {"refresh": challenge},
            "jwt-verify": {"token": challenge},
            "jwt-step-up": {"refresh": challenge, "otp_code": "123456"},
        }.items():
            assert call(name, body).status_code in {400, 401}
        response = call("totp-status", HTTP_AUTHORIZATION=f"Bearer {challenge}")
        assert response.status_code == 401

    def test_not_even_once_the_account_has_a_factor(self, call, challenge, request, secret, otp):
        request.getfixturevalue("enrolled_user")
        body = {"totp_challenge_token": challenge, "otp_code": otp(secret)}
        assert_error(call("jwt-totp-verify", body), 400, BAD_CHALLENGE)

    def test_one_to_verify_enrolls_nobody(self, login, enrolled_user, start, finish):
        token = login(enrolled_user).json()["totp_challenge_token"]
        assert loads(token, salt="django-totp-token-salt")["purpose"] == "totp_verification"
        assert_error(start(token), 400, BAD_CHALLENGE)
        assert_error(finish(token, "123456"), 400, BAD_CHALLENGE)

    def test_nor_one_that_was_made_for_who_has_none(self, settings, user, start):
        assert_error(start(generate_challenge_token(user)), 400, BAD_CHALLENGE)

    def test_it_lives_no_longer_at_the_second_step(self, clock, login, call, enrolled_user):
        token = login(enrolled_user).json()["totp_challenge_token"]
        clock.shift(121)
        body = {"totp_challenge_token": token, "otp_code": "123456"}
        assert_error(call("jwt-totp-verify", body), 400, BAD_CHALLENGE)


class TestGrace:
    @pytest.fixture(autouse=True)
    def _day(self, settings):
        settings.TOTP_GRACE_PERIOD = 86400

    def test_tokens_and_the_end_of_it(self, clock, call, login, user):
        body = login(user).json()
        assert body.keys() == {"is_totp_enabled", "refresh", "access", "totp_required_from"}
        assert body["totp_required_from"] == "2031-05-05T12:00:15Z"
        clock.shift(3600)
        assert login(user).json()["totp_required_from"] == "2031-05-05T12:00:15Z"
        assert call("jwt-refresh", {"refresh": body["refresh"]}).status_code == 200

    def test_the_end_of_it_ends_the_login(self, settings, clock, call, login, user):
        login(user)
        clock.shift(timedelta(seconds=86399))
        foreign = str(RefreshToken.for_user(user))
        assert call("jwt-refresh", {"refresh": foreign}).status_code == 200
        clock.shift(1)
        refused = assert_error(call("jwt-refresh", {"refresh": foreign}), 401)
        assert refused["code"] == "enrollment_required"
        assert login(user).json()["is_totp_required"] is True

    def test_it_may_begin_at_a_refresh(self, call, user):
        token = str(RefreshToken.for_user(user))
        assert call("jwt-refresh", {"refresh": token}).status_code == 200
        assert Account.objects.get(user=user).required_since is not None

    def test_nothing_is_said_of_it_where_nobody_must(self, settings, login, user):
        settings.TOTP_REQUIRED_FOR = []
        assert login(user).json().keys() == {"is_totp_enabled", "refresh", "access"}
        assert not Account.objects.exists()


class TestFault:
    @pytest.fixture(autouse=True)
    def _broken(self, settings):
        settings.TOTP_REQUIRED_FOR = [f"{__name__}.broken"]

    def test_a_login_is_refused_and_the_log_says_why(self, caplog, login, user):
        body = assert_error(login(user), 503)
        assert body["code"] == "policy_unavailable"
        assert "the directory is down" in caplog.text

    def test_a_login_with_a_second_factor_is_not(self, login, enrolled_user, secret, otp):
        assert login(enrolled_user, otp_code=otp(secret)).status_code == 200

    def test_a_refresh_is_refused_for_now(self, settings, call, login, user):
        settings.TOTP_REQUIRED_FOR = []
        tokens = login(user).json()
        settings.TOTP_REQUIRED_FOR = [f"{__name__}.broken"]
        body = assert_error(call("jwt-refresh", {"refresh": tokens["refresh"]}), 503)
        assert body["code"] == "policy_unavailable"
        settings.TOTP_REQUIRED_FOR = []
        assert call("jwt-refresh", {"refresh": tokens["refresh"]}).status_code == 200


def test_disable_is_refused(call, sign_in, enrolled_user):
    client = sign_in(enrolled_user, "pwd", "otp")
    body = assert_error(call("totp-disable", client=client), 403)
    assert body["code"] == "totp_required"
    assert Totp.objects.exists()


def test_a_challenge_for_one_who_enrolled_by_himself_meanwhile(user, start):
    token = next_step(user).challenge
    start_totp_setup(user)
    assert start(token).status_code == 201
    Totp.objects.update(confirmed_at="2031-05-04T12:00:00Z")
    assert_error(start(token), 400, BAD_CHALLENGE)
