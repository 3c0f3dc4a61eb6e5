"""Trusted devices over HTTP: logins that end in tokens, and the list."""

import json
import time
import uuid
from datetime import datetime, timedelta

import pytest
from django.contrib.auth.hashers import make_password
from django.urls import reverse
from rest_framework.test import APIClient
from rest_framework.views import APIView
from rest_framework_simplejwt.authentication import JWTStatelessUserAuthentication
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import AccessToken, UntypedToken

from django_totp import devices
from django_totp.assurance import of_claims
from django_totp.auth import end_sessions, generate_challenge_token
from django_totp.models import Account, Totp, TrustedDevice
from django_totp.permissions import HasRecentSecondFactor, HasSecondFactor
from tests.browsing import age_enrollment
from tests.endpoints import assert_error
from tests.receivers import heard

DAY = 86400
MONTH = 30 * DAY


@pytest.fixture(autouse=True)
def _on(settings, patient):
    settings.TOTP_TRUSTED_DEVICE_MAX_AGE = MONTH


@pytest.fixture
def ada(enrolled_user):
    age_enrollment(enrolled_user)
    return enrolled_user


@pytest.fixture
def verify(call, ada, secret, otp, clock):
    """Return a function that takes the second step of a login and gives the answer."""

    def verify(**told):
        challenge = {"totp_challenge_token": generate_challenge_token(ada)}
        if not {"otp_code", "backup_code"} & set(told):
            clock.shift(30)  # each code is of a step of its own
            told["otp_code"] = otp(secret)
        return call("jwt-totp-verify", {**challenge, **told})

    return verify


@pytest.fixture
def value(verify):
    """Return what a device of the user keeps."""
    return verify(trust_device=True, device_name="laptop").json()["trusted_device"]


@pytest.fixture
def log_in(call, ada, password):
    """Return a function that gives the password, and what a device keeps, if so."""

    def log_in(value=None, user=ada, **told):
        told = told if value is None else {"trusted_device": value, **told}
        credentials = {user.USERNAME_FIELD: user.get_username(), "password": password}
        return call("jwt-create", {**credentials, **told})

    return log_in


def device():
    return TrustedDevice.objects.get()


def assert_trusted(response):
    body = response.json()
    assert response.status_code == 200
    assert set(body) == {"is_totp_enabled", "refresh", "access", "trusted_device"}
    assert body["is_totp_enabled"] is True
    assert response["Cache-Control"] == "no-store"
    return body


def assert_asked(response):
    assert response.status_code == 200
    assert set(response.json()) == {"is_totp_enabled", "totp_challenge_token"}


def login_in(token):
    return of_claims(UntypedToken(token).payload)


def bearer(token):
    return APIClient(HTTP_AUTHORIZATION=f"Bearer {token}")


class TestTrust:
    def test_a_code_and_the_wish_make_one(self, verify):
        begin = int(time.time()) + 30
        answer = verify(trust_device=True, device_name="laptop").json()
        assert set(answer) == {"refresh", "access", "trusted_device"}
        assert device().name == "laptop"
        assert device().created_at.timestamp() == begin
        assert device().expires_at - device().created_at == timedelta(seconds=MONTH)
        assert "device" not in UntypedToken(answer["access"]).payload

    @pytest.mark.parametrize(
        "told", [{}, {"trust_device": False}, {"device_name": "x"}, {"trust_device": None}]
    )
    def test_without_the_wish_there_is_none(self, verify, told):
        response = verify(**told)
        assert "trusted_device" not in response.json()
        assert not TrustedDevice.objects.exists()

    def test_a_form_is_read_as_well(self, api, ada, secret, otp):
        body = {"totp_challenge_token": generate_challenge_token(ada), "otp_code": otp(secret)}
        named = {"trust_device": "on", "device_name": ""}
        response = api.post(reverse("jwt-totp-verify"), {**body, **named}, format="multipart")
        assert "trusted_device" in response.json()

    def test_never_by_a_backup_code(self, verify, backup_codes):
        response = verify(backup_code=backup_codes[0], trust_device=True)
        assert set(response.json()) == {"refresh", "access"}
        assert not TrustedDevice.objects.exists()

    def test_never_by_a_wrong_code(self, verify):
        assert_error(verify(otp_code="000000", trust_device=True), 400)
        assert not TrustedDevice.objects.exists()

    def test_never_where_it_is_off(self, verify, settings):
        settings.TOTP_TRUSTED_DEVICE_MAX_AGE = 0
        assert set(verify(trust_device=True).json()) == {"refresh", "access"}
        assert not TrustedDevice.objects.exists()

    def test_never_by_a_step_up(self, call, verify, secret, otp, clock):
        refresh = verify().json()["refresh"]
        clock.shift(30)
        body = {"refresh": refresh, "otp_code": otp(secret), "trust_device": True}
        assert set(call("jwt-step-up", body).json()) == {"refresh", "access"}
        assert not TrustedDevice.objects.exists()

    @pytest.mark.parametrize(
        "told",
        [
            {"trust_device": "perhaps"},
            {"trust_device": []},
            {"device_name": 7},
            {"device_name": "x" * 101},
            {"device_name": "a\0b"},
            {"device_name": ["x"]},
        ],
    )
    def test_an_odd_wish_keeps_nobody_out(self, verify, told):
        answer = verify(**{"trust_device": True, **told})
        assert answer.status_code == 200
        assert TrustedDevice.objects.exists() is ("trust_device" not in told)
        assert all(len(one.name) <= 100 for one in TrustedDevice.objects.all())

    def test_a_fault_makes_none_and_breaks_no_login(self, verify, monkeypatch):
        monkeypatch.setattr(devices, "_insert", lambda *args: 1 / 0)
        assert set(verify(trust_device=True).json()) == {"refresh", "access"}


class TestLogin:
    def test_no_code_is_asked_for(self, log_in, value, clock):
        begin = int(device().created_at.timestamp())
        for _ in range(3):
            clock.shift(DAY)
            answer = assert_trusted(log_in(value))
            value = answer["trusted_device"]
            for token in (answer["refresh"], answer["access"]):
                login = login_in(token)
                assert login.methods == ("pwd", "otp", "mfa")
                assert (login.time, login.device) == (begin, str(device().pk))
        assert device().last_used_at.timestamp() == time.time()
        assert Totp.objects.get().verifications == 1

    def test_the_moment_is_that_of_the_code_through_refreshes(self, call, log_in, value, clock):
        clock.shift(DAY)
        refresh = log_in(value).json()["refresh"]
        before = login_in(refresh)
        for rotates in (False, True):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(api_settings, "ROTATE_REFRESH_TOKENS", rotates)
                answer = call("jwt-refresh", {"refresh": refresh}).json()
            for token in answer.values():
                assert login_in(token) == before

    def test_without_it_a_code_is_asked_for(self, log_in, value):
        assert_asked(log_in())
        assert_trusted(log_in(value))

    def test_not_without_the_password(self, call, ada, value):
        body = {ada.USERNAME_FIELD: ada.get_username(), "trusted_device": value}
        assert_error(call("jwt-create", body), 400)
        assert_error(call("jwt-create", {**body, "password": "wrong"}), 401)
        assert devices.use(ada, value)

    def test_a_value_that_was_used_ends_the_device(self, log_in, value):
        newer = assert_trusted(log_in(value))["trusted_device"]
        assert_asked(log_in(value))
        assert_asked(log_in(newer))
        assert not TrustedDevice.objects.exists()

    def test_it_is_nobody_elses(self, log_in, value, make_user, password):
        eve = make_user("eve")
        Totp.objects.create(user=eve, secret_key="x", confirmed_at=device().created_at)
        assert_asked(log_in(value, user=eve))
        assert_trusted(log_in(value))

    def test_it_is_no_second_factor_of_others(self, log_in, value, make_user):
        assert "trusted_device" not in log_in(value, user=make_user("eve")).json()
        assert_trusted(log_in(value))

    @pytest.mark.parametrize(
        "odd",
        [None, 7, True, [], {}, ["x"], "", "x", "\0", "\ud800", "ä", "x" * 50_000, "1.2.3.4.5"],
    )
    def test_whatever_is_odd_asks_for_a_code(self, api, ada, password, odd):
        credentials = {ada.USERNAME_FIELD: ada.get_username(), "password": password}
        body = json.dumps({**credentials, "trusted_device": odd})  # surrogates as they are sent
        extra = {"content_type": "application/json"}
        assert_asked(api.post(reverse("jwt-create"), body, **extra))

    def test_it_is_not_told_to_the_backends(self, log_in, value, monkeypatch):
        from django_totp.views import login

        told, authenticate = [], login.authenticate
        note = lambda request, **given: told.append(set(given)) or authenticate(request, **given)  # noqa: E731
        monkeypatch.setattr(login, "authenticate", note)
        assert_trusted(log_in(value))
        assert len(told[0]) == 2
        assert "trusted_device" not in told[0]

    def test_where_it_is_off_it_is_ignored(self, settings, log_in, value):
        settings.TOTP_TRUSTED_DEVICE_MAX_AGE = 0
        assert_asked(log_in(value))
        settings.TOTP_TRUSTED_DEVICE_MAX_AGE = MONTH
        assert_trusted(log_in(value))

    def test_a_fault_asks_for_a_code(self, log_in, value, monkeypatch):
        monkeypatch.setattr(devices, "_used", lambda *args: 1 / 0)
        assert_asked(log_in(value))

    def test_a_new_password_ends_it(self, ada, log_in, value, password):
        type(ada)._base_manager.filter(pk=ada.pk).update(password=make_password(password))
        assert_asked(log_in(value))

    def test_an_upgrade_of_the_hasher_does_not(self, settings, log_in, value):
        hashers = "django.contrib.auth.hashers."
        old, new = f"{hashers}MD5PasswordHasher", f"{hashers}PBKDF2PasswordHasher"
        settings.PASSWORD_HASHERS = [new, old]
        value = assert_trusted(log_in(value))["trusted_device"]
        settings.PASSWORD_HASHERS = [old, new]
        assert_trusted(log_in(value))

    def test_end_sessions_ends_it(self, ada, log_in, value, clock):
        clock.shift(5)
        end_sessions(ada)
        assert_asked(log_in(value))

    def test_after_its_time(self, log_in, value, clock):
        clock.shift(MONTH)
        assert_asked(log_in(value))

    def test_the_signal_tells_the_method(self, log_in, value):
        with heard() as calls:
            log_in(value)
        told = [(name, facts["method"]) for name, facts in calls]
        assert told == [("totp_login_success", "trusted_device")]

    def test_enforcement_is_content(self, settings, log_in, value):
        settings.TOTP_REQUIRED_FOR = ["everyone"]
        assert_trusted(log_in(value))

    def test_a_claim_of_the_project_under_this_name_makes_no_device(
        self, log_in, verify, monkeypatch
    ):
        """Nor does it make the login unknown."""
        from rest_framework_simplejwt.serializers import TokenObtainPairSerializer as Obtain

        get_token = Obtain.get_token.__func__

        def with_device(cls, user):
            token = get_token(cls, user)
            token["device"] = {"os": "none"}
            return token

        monkeypatch.setattr(Obtain, "get_token", classmethod(with_device))
        login = login_in(verify().json()["access"])
        assert login.stated
        assert login.device == ""


class TestWorth:
    @pytest.fixture
    def tokens(self, log_in, value, clock):
        """Return the tokens of a login from a device that was trusted a moment ago."""
        return log_in(value).json()

    def test_it_is_good(self, call, tokens):
        assert call("totp-status", client=bearer(tokens["access"])).status_code == 200

    def test_permissions(self, rf, ada, tokens):
        request = rf.get("/")
        request.auth, request.user = AccessToken(tokens["access"]), ada
        assert HasSecondFactor().has_permission(request, None)
        with pytest.raises(Exception, match="recent") as caught:
            HasRecentSecondFactor().has_permission(request, None)
        assert caught.value.get_codes()["code"] == "insufficient_user_authentication"

    @pytest.mark.parametrize("name", ["totp-disable", "totp-rotate-backup-codes"])
    @pytest.mark.parametrize("reauthenticate", [False, True])
    def test_it_changes_no_factor_without_a_proof(
        self, settings, call, tokens, password, name, reauthenticate
    ):
        settings.TOTP_REAUTHENTICATE = reauthenticate
        client = bearer(tokens["access"])
        for proof in ({}, {"password": password}, {"trusted_device": tokens["trusted_device"]}):
            error = assert_error(call(name, proof, client=client), 403)
            assert error["code"] == "reauthentication_required"
        assert Totp.objects.get().is_enabled

    @pytest.mark.parametrize("name", ["totp-disable", "totp-rotate-backup-codes"])
    def test_with_a_code_it_does(self, call, tokens, backup_codes, name):
        proof = {"backup_code": backup_codes[0]}
        assert call(name, proof, client=bearer(tokens["access"])).status_code in (200, 204)

    def test_a_step_up_makes_it_a_login_of_its_own(self, call, tokens, secret, otp, clock):
        clock.shift(30)
        body = {"refresh": tokens["refresh"], "otp_code": otp(secret)}
        answer = call("jwt-step-up", body).json()
        for token in (answer["refresh"], answer["access"]):
            login = login_in(token)
            assert login.device == ""
            assert login.is_recent(1)
            assert "device" not in UntypedToken(token).payload
            assert login.sid == login_in(tokens["refresh"]).sid
        done = call("totp-rotate-backup-codes", {}, client=bearer(answer["access"]))
        assert done.status_code == 200

    @pytest.mark.parametrize("odd", [None, "", 7, True, [], {}, "ä", "x" * 65, "a\0"])
    def test_an_odd_claim_makes_it_unknown(self, tokens, odd):
        token = UntypedToken(tokens["access"])
        token["device"] = odd
        assert not of_claims(token.payload).stated

    def test_what_ends_logins_ends_it(self, call, ada, tokens, clock):
        clock.shift(5)
        end_sessions(ada)
        assert_error(call("jwt-refresh", {"refresh": tokens["refresh"]}), 401)


@pytest.fixture
def client(ada, sign_in):
    """Return somebody who is signed in by a code."""
    return sign_in(ada, "pwd", "otp")


ONE = "totp-device"


class TestList:
    def test_it_tells_what_is_there(self, client, value):
        [told] = client.get(reverse("totp-devices")).json()
        begin = device().created_at
        moments = {name: told.pop(name) for name in ("created_at", "last_used_at", "expires_at")}
        assert told == {"id": device().pk, "name": "laptop"}
        assert [*map(datetime.fromisoformat, moments.values())] == [
            *(begin, begin),
            begin + timedelta(seconds=MONTH),
        ]

    def test_no_value_is_told(self, client, value):
        content = client.get(reverse("totp-devices")).content.decode()
        row = device()
        assert not [part for part in value.split(".")[3:] if part in content]
        assert not [one for one in (row.series, row.digest, row.fingerprint) if one in content]

    def test_the_login_names_its_device(self, client, log_in, value):
        login = login_in(log_in(value).json()["access"])
        [told] = client.get(reverse("totp-devices")).json()
        assert login.device == str(told["id"])

    def test_it_is_of_ones_own(self, client, value, make_user, sign_in):
        eve = sign_in(make_user("eve"))
        assert eve.get(reverse("totp-devices")).json() == []
        assert eve.delete(reverse("totp-devices")).status_code == 204
        assert eve.delete(reverse(ONE, args=[device().pk])).status_code == 404
        assert len(client.get(reverse("totp-devices")).json()) == 1

    def test_the_state_counts_them(self, settings, call, client, verify):
        for _ in range(2):
            verify(trust_device=True)
        assert call("totp-status", client=client).json()["trusted_devices"] == 2
        settings.TOTP_TRUSTED_DEVICE_MAX_AGE = 0
        assert "trusted_devices" not in call("totp-status", client=client).json()

    def test_one_is_removed(self, client, log_in, verify, value):
        other = verify(trust_device=True).json()["trusted_device"]
        first, second = TrustedDevice.objects.order_by("pk")
        response = client.delete(reverse(ONE, args=[first.pk]))
        assert (response.status_code, response.content) == (204, b"")
        assert [one["id"] for one in client.get(reverse("totp-devices")).json()] == [second.pk]
        assert_error(client.delete(reverse(ONE, args=[first.pk])), 404)
        assert_asked(log_in(value))
        assert_trusted(log_in(other))

    def test_all_are_removed(self, client, log_in, value):
        for _ in range(2):
            response = client.delete(reverse("totp-devices"))
            assert (response.status_code, response.content) == (204, b"")
        assert_asked(log_in(value))

    def test_a_password_alone_may_remove(self, ada, sign_in, value):
        assert sign_in(ada, "pwd").delete(reverse(ONE, args=[device().pk])).status_code == 204

    @pytest.mark.parametrize(
        "key",
        [
            "x",
            "0",
            "-1",
            "1.5",
            "9" * 18,
            "9" * 19,
            "9" * 400,
            "%00",
            "%ED%A0%80",
            "٣",
            uuid.uuid4(),
        ],
    )
    def test_keys_of_nothing(self, client, value, key):
        response = client.delete(f"{reverse('totp-devices')}{key}/")
        assert assert_error(response, 404)["code"] == "not_found"
        assert TrustedDevice.objects.exists()

    def test_nobody(self, api, value):
        for response in (
            api.get(reverse("totp-devices")),
            api.delete(reverse("totp-devices")),
            api.delete(reverse(ONE, args=[device().pk])),
        ):
            assert_error(response, 401)
        assert TrustedDevice.objects.exists()

    def test_a_login_that_was_ended(self, ada, client, value, clock):
        Account.objects.create(user_id=ada.pk, valid_from=device().created_at)
        for url in (reverse("totp-devices"), reverse(ONE, args=[device().pk])):
            assert assert_error(client.delete(url), 401)["code"] == "login_outdated"

    def test_other_methods(self, client):
        for method in (client.post, client.put, client.patch):
            assert_error(method(reverse("totp-devices")), 405)
            assert_error(method(reverse(ONE, args=[1])), 405)
        assert_error(client.get(reverse(ONE, args=[1])), 405)

    def test_a_stateless_user(self, monkeypatch, client, value):
        monkeypatch.setattr(APIView, "authentication_classes", (JWTStatelessUserAuthentication,))
        assert len(client.get(reverse("totp-devices")).json()) == 1
        assert client.delete(reverse(ONE, args=[device().pk])).status_code == 204

    def test_a_session_needs_a_csrf_token(self, by_session):
        assert_error(by_session.delete(reverse("totp-devices")), 403)
        assert by_session.get(reverse("totp-devices")).status_code == 200

    def test_an_answer_is_not_kept(self, client):
        assert client.get(reverse("totp-devices"))["Cache-Control"] == "no-store"
