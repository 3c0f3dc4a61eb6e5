"""Login in two steps that ends in JSON web tokens."""

import time
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import MD5PasswordHasher
from django.contrib.auth.signals import user_login_failed
from django.core.signing import dumps, loads
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.authentication import SessionAuthentication
from rest_framework.test import APIClient
from rest_framework.views import APIView
from rest_framework_simplejwt.serializers import TokenRefreshSerializer
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from django_totp.auth import generate_challenge_token
from django_totp.models import BackupCode, Totp
from django_totp.views import login as login_views
from django_totp.views.jwt import JWTRefreshView
from tests.endpoints import (
    BAD_BACKUP,
    BAD_CHALLENGE,
    BAD_CREDENTIALS,
    BAD_OTP,
    LOGIN,
    NOT_ENABLED,
    assert_error,
    wrong_code,
)
from tests.receivers import connected


@pytest.fixture
def credentials(user, password):
    return {user.USERNAME_FIELD: user.get_username(), "password": password}


@pytest.fixture
def finish(call):
    """Return a function that takes the second step with a challenge token and a code."""

    def finish(token, **codes):
        return call("jwt-totp-verify", {"totp_challenge_token": token, **codes})

    return finish


class OwnRefresh(TokenRefreshSerializer):
    """A serializer of the project, as TOKEN_REFRESH_SERIALIZER names one."""

    def validate(self, attrs):
        return {**super().validate(attrs), "greeting": "hello"}


class Closed(TokenRefreshSerializer):
    def validate(self, attrs):
        return {"closed": True}


class TestFirstStep:
    @pytest.mark.parametrize("header", ["Bearer junk", "Bearer a b", "Basic eA==", "junk"])
    def test_a_stale_header_keeps_nobody_out(self, call, credentials, header):
        response = call("jwt-create", credentials, HTTP_AUTHORIZATION=header)
        assert response.status_code == 200

    def test_a_session_keeps_nobody_out(self, call, by_session, credentials):
        """No CSRF token is asked for: the session that comes along means nothing here."""
        assert call("jwt-create", credentials, client=by_session).status_code == 200

    def test_a_refusal_names_its_scheme(self, call, credentials):
        response = call("jwt-create", credentials | {"password": "wrong"})
        assert_error(response, 401, BAD_CREDENTIALS)
        assert response["WWW-Authenticate"] == 'Bearer realm="api"'

    @pytest.mark.parametrize("project", [SessionAuthentication, None])
    def test_whatever_the_project_uses_a_refusal_is_401(
        self, monkeypatch, call, credentials, project
    ):
        classes = (project,) if project else ()
        monkeypatch.setattr(APIView, "authentication_classes", classes)
        assert_error(call("jwt-create", credentials | {"password": "wrong"}), 401)

    def test_the_first_step_tells_nothing_but_the_challenge(self, call, enrolled_user, credentials):
        body = call("jwt-create", credentials).json()
        assert set(body) == {"is_totp_enabled", "totp_challenge_token"}
        assert "pwd" not in str(body)
        enrolled_user.refresh_from_db()
        assert enrolled_user.last_login is None

    def test_a_wrong_password_does_not_tell_whether_totp_is_on(
        self, call, make_user, enrolled_user, credentials
    ):
        plain = make_user("bob")
        attempts = [
            credentials | {"password": "wrong"},
            {plain.USERNAME_FIELD: plain.get_username(), "password": "wrong"},
        ]
        with_totp, without = (call("jwt-create", attempt) for attempt in attempts)
        assert with_totp.content == without.content
        assert sorted(with_totp.items()) == sorted(without.items())

    def test_refusals_take_alike(self, monkeypatch, call, make_user, enrolled_user, password):
        """As much is hashed and asked for a name that nobody has as for one that somebody has."""
        hashed = []
        encode = MD5PasswordHasher.encode

        def counting(self, *args, **kwargs):
            hashed.append(args[0])
            return encode(self, *args, **kwargs)

        monkeypatch.setattr(MD5PasswordHasher, "encode", counting)
        sleeper = make_user("eve", is_active=False)
        name = sleeper.USERNAME_FIELD
        costs = set()
        for attempt in [
            {name: "nobody@example.com", "password": password},
            {name: enrolled_user.get_username(), "password": "wrong"},
            {name: sleeper.get_username(), "password": password},
            {name: sleeper.get_username(), "password": "wrong"},
        ]:
            hashed.clear()
            with CaptureQueriesContext(
                connection,
            ) as queries:
                assert_error(call("jwt-create", attempt), 401, BAD_CREDENTIALS)
            costs.add((len(hashed), len(queries)))
        assert costs == {(1, 1)}

    def test_an_empty_password_is_an_error_of_the_field(self, call, credentials):
        body = assert_error(call("jwt-create", credentials | {"password": ""}), 400)
        assert body["password"] == ["This field may not be blank."]

    def test_a_user_without_a_usable_password(self, call, user, credentials):
        user.set_unusable_password()
        user.save()
        assert_error(call("jwt-create", credentials), 401, BAD_CREDENTIALS)

    @pytest.mark.parametrize(
        ("stored", "sent"),
        [(" space ", "space"), ("space", " space "), ("tab\t", "tab"), ("a" * 4096, "a" * 4095)],
    )
    def test_the_password_is_taken_verbatim(self, call, user, credentials, stored, sent):
        user.set_password(stored)
        user.save()
        assert_error(call("jwt-create", credentials | {"password": sent}), 401)
        assert call("jwt-create", credentials | {"password": stored}).status_code == 200

    def test_a_password_that_is_too_long(self, call, credentials):
        body = assert_error(call("jwt-create", credentials | {"password": "a" * 4097}), 400)
        assert "4096" in body["password"][0]

    def test_the_user_name_loses_its_outer_spaces(self, call, user, credentials):
        name = user.USERNAME_FIELD
        assert call("jwt-create", credentials | {name: f" {credentials[name]} "}).status_code == 200


class TestNames:
    """A name is looked for as it was typed, and then as Django's login form makes it (NFKC)."""

    DECOMPOSED, COMPOSED = "jose\u0301@example.com", "jos\xe9@example.com"
    ODD = ["\uff4aos\xe9@example.com", "jos\xe9\uff20example.com", DECOMPOSED]

    @pytest.fixture
    def attempt(self, call, user, password):
        """Return a function that tries a name with a password and gives the status."""

        def attempt(name, password=password):
            body = {user.USERNAME_FIELD: name, "password": password}
            return call("jwt-create", body).status_code

        return attempt

    @pytest.fixture
    def rename(self, user):
        def rename(name, user=user):
            type(user)._default_manager.filter(pk=user.pk).update(**{user.USERNAME_FIELD: name})

        return rename

    @pytest.mark.parametrize("typed", ODD)
    def test_are_normalized(self, attempt, rename, typed):
        rename(self.COMPOSED)
        assert attempt(typed) == 200
        assert attempt(self.COMPOSED) == 200

    def test_as_they_were_typed_come_first(self, attempt, rename, make_user):
        """Rows of before the project used Django's forms are found as they are."""
        rename(self.DECOMPOSED)
        assert attempt(self.DECOMPOSED) == 200

    def test_a_name_that_is_too_long_for_one_is_not_normalized(self):
        """To put marks in order takes the square of their number: seconds, for some bodies."""
        credentials = {get_user_model().USERNAME_FIELD: "a" + "\u0345" * 1000 + "\u0316" * 1000}
        assert login_views._as_in_forms(credentials) is credentials

    def test_a_password_is_not_normalized(self, attempt, user):
        user.set_password(self.DECOMPOSED)
        user.save()
        name = user.get_username()
        assert attempt(name, self.COMPOSED) == 401
        assert attempt(name, self.DECOMPOSED) == 200

    @pytest.mark.parametrize("name", [*ODD, "nobody@example.com"])
    def test_one_mistake_is_told_once(self, attempt, rename, name):
        rename(self.COMPOSED)
        told = []

        def tell(**kwargs):
            told.append(kwargs)

        user_login_failed.connect(tell)
        try:
            assert attempt(name, "wrong") == 401
        finally:
            user_login_failed.disconnect(tell)
        assert len(told) == 1

    def test_refusals_take_alike(self, monkeypatch, attempt, rename, make_user):
        """Whoever types such a name: unknown, inactive or with a wrong password."""
        encode, hashed, costs = MD5PasswordHasher.encode, [], set()

        def counting(self, *args, **kwargs):
            hashed.append(args)
            return encode(self, *args, **kwargs)

        monkeypatch.setattr(MD5PasswordHasher, "encode", counting)
        rename(self.COMPOSED)
        rename("\xe9ve@example.com", make_user("eve", is_active=False))
        rename("bo\uff42@example.com", make_user("bob"))
        for name in (
            self.DECOMPOSED,
            "e\u0301ve@example.com",
            "bo\uff42@example.com",
            "\uff4e@x.org",
        ):
            hashed.clear()
            with CaptureQueriesContext(connection) as queries:
                assert attempt(name, "wrong") == 401
            costs.add((len(hashed), len(queries)))
        assert costs == {(1, 2)}


class TestSecondStep:
    @pytest.mark.parametrize("kind", ["totp", "backup_code"])
    def test_the_signal_says_by_what(self, login, enrolled_user, secret, otp, backup_codes, kind):
        told = []
        with connected(lambda name, facts: told.append((name, facts))):
            code = {"otp_code": otp(secret)} if kind == "totp" else {"backup_code": backup_codes[0]}
            assert login(enrolled_user, **code).status_code == 200
        [(name, facts)] = told
        assert (name, facts["method"]) == ("totp_login_success", kind)

    @pytest.mark.parametrize("header", ["Bearer junk", "Bearer a b", "Basic eA=="])
    def test_a_stale_header_keeps_nobody_out(self, call, enrolled_user, secret, otp, header):
        body = {
            "totp_challenge_token": generate_challenge_token(enrolled_user),
            "otp_code": otp(secret),
        }
        response = call("jwt-totp-verify", body, HTTP_AUTHORIZATION=header)
        assert response.status_code == 200

    def test_an_empty_code_counts_as_none(self, finish, enrolled_user, secret, otp, backup_codes):
        token = generate_challenge_token(enrolled_user)
        blank = finish(token, otp_code="", backup_code="")
        assert_error(blank, 400, "Either otp_code or backup_code is required.")
        assert finish(token, otp_code="", backup_code=backup_codes[0]).status_code == 200
        token = generate_challenge_token(enrolled_user)
        assert finish(token, otp_code=otp(secret), backup_code="").status_code == 200

    def test_both_codes_use_up_neither(self, finish, enrolled_user, secret, otp, backup_codes):
        token = generate_challenge_token(enrolled_user)
        both = {"otp_code": otp(secret), "backup_code": backup_codes[0]}
        sentence = "Provide only one of otp_code or backup_code, not both."
        assert_error(finish(token, **both), 400, sentence)
        assert Totp.objects.get().failures == 0
        for name, code in both.items():
            token = generate_challenge_token(enrolled_user)
            assert finish(token, **{name: code}).status_code == 200

    @pytest.mark.parametrize("codes", [{}, {"otp_code": "1", "backup_code": "2"}])
    def test_an_error_of_the_whole_body_is_told_as_detail(self, finish, enrolled_user, codes):
        body = assert_error(finish("token", **codes), 400)
        assert body["detail"] == body["non_field_errors"][0]

    @pytest.mark.parametrize("field", ["otp_code", "backup_code", "totp_challenge_token"])
    def test_the_query_string_is_not_read(self, api, enrolled_user, secret, otp, field):
        token = generate_challenge_token(enrolled_user)
        url = f"/api/jwt/totp/verify/?otp_code={otp(secret)}&totp_challenge_token={token}"
        assert_error(api.post(url, {}, format="json"), 400)

    def test_waits_and_says_for_how_long(
        self, patient, clock, finish, enrolled_user, secret, otp, backup_codes
    ):
        for _ in range(6):
            token = generate_challenge_token(enrolled_user)
            assert_error(finish(token, otp_code=wrong_code(secret)), 400, BAD_OTP)
        token = generate_challenge_token(enrolled_user)
        clock.shift(0.5)
        response = finish(token, otp_code=otp(secret))
        body = assert_error(response, 429)
        assert body["code"] == "too_many_attempts"
        assert body["detail"] == "Too many wrong codes. Try again in 30 seconds."
        assert response["Retry-After"] == "30"
        assert body["retry_after"] == 30
        for _ in range(20):
            assert finish(token, otp_code=wrong_code(secret)).status_code == 429
        assert Totp.objects.get().failures == 6
        clock.shift(29.5)
        assert finish(token, otp_code=otp(secret)).status_code == 200
        assert Totp.objects.get().failures == 0

    def test_is_off_at_the_cap(
        self, settings, clock, finish, enrolled_user, secret, otp, backup_codes
    ):
        settings.TOTP_FAILURE_CAP = 3
        for _ in range(3):
            finish(generate_challenge_token(enrolled_user), otp_code=wrong_code(secret))
        clock.shift(timedelta(days=400))
        response = finish(generate_challenge_token(enrolled_user), otp_code=otp(secret))
        body = assert_error(response, 429)
        assert body["code"] == "too_many_attempts"
        assert "backup code" in body["detail"]
        assert "Retry-After" not in response
        assert "retry_after" not in body
        token = generate_challenge_token(enrolled_user)
        assert_error(finish(token, backup_code="wrong"), 400, BAD_BACKUP)
        assert finish(token, backup_code=backup_codes[0]).status_code == 200
        token = generate_challenge_token(enrolled_user)
        assert finish(token, otp_code=otp(secret)).status_code == 200

    def test_backup_codes_are_not_the_price_of_a_lost_row(self, finish, enrolled_user):
        """Enabled is a state of its own: it does not end with the last backup code."""
        BackupCode.objects.all().delete()
        token = generate_challenge_token(enrolled_user)
        assert_error(finish(token, backup_code="any"), 400, BAD_BACKUP)
        assert_error(finish(token, otp_code="0"), 400, BAD_OTP)

    def test_a_pending_enrollment_opens_nothing(self, finish, pending_user, secret, otp):
        token = generate_challenge_token(pending_user)
        assert_error(finish(token, otp_code=otp(secret)), 400, NOT_ENABLED)
        assert_error(finish(token, backup_code="any"), 400, NOT_ENABLED)

    def test_a_challenge_of_before_the_enrollment(self, finish, pending_user, secret, otp, call):
        token = generate_challenge_token(pending_user)
        client = APIClient(HTTP_AUTHORIZATION=f"Bearer {AccessToken.for_user(pending_user)}")
        codes = call("totp-confirm", {"input_code": otp(secret)}, client=client).json()
        refused = finish(token, backup_code=codes["backup_codes"][0])
        assert_error(refused, 400, BAD_CHALLENGE)

    @pytest.mark.parametrize(
        "claims",
        [
            {},
            [],
            "text",
            {"purpose": "totp_verification"},
            {"user_id": "%s"},
            {"user_id": "%s", "purpose": "something else"},
            {"user_id": "%s", "purpose": "totp_verification"},
            {"user_id": "%s", "purpose": "totp_verification", "fingerprint": None},
            {"user_id": None, "purpose": "totp_verification", "fingerprint": ""},
            {"user_id": "no key", "purpose": "totp_verification", "fingerprint": ""},
        ],
    )
    def test_signed_with_our_salt_but_not_by_us(
        self, settings, finish, enrolled_user, secret, otp, claims
    ):
        """Whoever has SECRET_KEY can sign; what is no challenge must still be a 400."""
        if isinstance(claims, dict) and claims.get("user_id") == "%s":
            claims = claims | {"user_id": str(enrolled_user.pk)}
        token = dumps(claims, salt="django-totp-token-salt")
        assert_error(finish(token, otp_code=otp(secret)), 400, BAD_CHALLENGE)

    def test_a_token_for_another_purpose(self, finish, enrolled_user, secret, otp):
        """Good in every other way, and still no challenge."""
        salt = "django-totp-token-salt"
        claims = loads(generate_challenge_token(enrolled_user), salt=salt)
        token = dumps(claims | {"purpose": "recovery"}, salt=salt)
        assert_error(finish(token, otp_code=otp(secret)), 400, BAD_CHALLENGE)
        assert finish(dumps(claims, salt=salt), otp_code=otp(secret)).status_code == 200

    @pytest.mark.parametrize("age", [110, 120])
    def test_a_challenge_lives_two_minutes(self, clock, finish, enrolled_user, secret, otp, age):
        token = generate_challenge_token(enrolled_user)
        clock.shift(age)
        assert finish(token, otp_code=otp(secret)).status_code == 200

    def test_the_tokens_tell_how_the_user_logged_in(
        self, call, clock, login, enrolled_user, secret, otp, backup_codes
    ):
        for code in ({"otp_code": otp(secret)}, {"backup_code": backup_codes[0]}):
            now = int(time.time())
            body = login(enrolled_user, **code).json()
            for token in (AccessToken(body["access"]), RefreshToken(body["refresh"])):
                assert token["amr"] == ["pwd", "otp", "mfa"]
                assert token["auth_time"] == now
            clock.shift(60)
            renewed = call("jwt-refresh", {"refresh": body["refresh"]}).json()["access"]
            assert AccessToken(renewed)["amr"] == ["pwd", "otp", "mfa"]
            assert AccessToken(renewed)["auth_time"] == now

    def test_a_password_alone_is_told_as_well(self, login, user):
        assert AccessToken(login(user).json()["access"])["amr"] == ["pwd"]


class TestRefresh:
    @pytest.mark.parametrize("change", ["inactive", "deleted"])
    def test_users_who_are_gone(self, call, user, change):
        token = str(RefreshToken.for_user(user))
        assert call("jwt-refresh", {"refresh": token}).status_code == 200
        if change == "inactive":
            type(user)._default_manager.update(is_active=False)
        else:
            user.delete()
        response = call("jwt-refresh", {"refresh": token})
        assert_error(response, 401)
        assert response["WWW-Authenticate"] == 'Bearer realm="api"'

    def test_a_key_of_another_kind(self, call, user):
        """Such as tokens carry that were made before the project changed its user model."""
        token = RefreshToken.for_user(user)
        token["user_id"] = "no key of this model"
        assert_error(call("jwt-refresh", {"refresh": str(token)}), 401)

    @pytest.mark.parametrize("custom", [False, True], ids=["simplejwt's", "the project's"])
    def test_a_new_password(self, monkeypatch, simplejwt, call, login, user, custom):
        """Authentication refuses what came of it, and a client would come back without end."""
        if custom:
            monkeypatch.setattr(JWTRefreshView, "_serializer_class", f"{__name__}.OwnRefresh")
        simplejwt(CHECK_REVOKE_TOKEN=True, ROTATE_REFRESH_TOKENS=True)
        refresh = login(user).json()["refresh"]
        refresh = call("jwt-refresh", {"refresh": refresh}).json()["refresh"]
        user.set_password("a new one")
        user.save()
        response = call("jwt-refresh", {"refresh": refresh})
        assert assert_error(response, 401)["code"] == "password_changed"
        assert response["WWW-Authenticate"] == 'Bearer realm="api"'
        simplejwt(CHECK_REVOKE_TOKEN=False)
        assert call("jwt-refresh", {"refresh": refresh}).status_code == 200

    def test_a_token_from_before_the_setting(self, simplejwt, call, user):
        token = str(RefreshToken.for_user(user))
        simplejwt(CHECK_REVOKE_TOKEN=True)
        body = assert_error(call("jwt-refresh", {"refresh": token}), 401)
        assert body["code"] == "password_changed"

    def test_a_serializer_of_the_project(self, monkeypatch, caplog, call, user, make_user):
        monkeypatch.setattr(JWTRefreshView, "_serializer_class", f"{__name__}.OwnRefresh")
        token, key = RefreshToken.for_user(user), str(user.pk)
        assert call("jwt-refresh", {"refresh": str(token)}).json()["greeting"] == "hello"
        token["user_id"] = None  # simplejwt's own look-up is left out for it
        assert_error(call("jwt-refresh", {"refresh": str(token)}), 401)
        user.delete()
        token["user_id"] = key
        assert_error(call("jwt-refresh", {"refresh": str(token)}), 401)
        assert "in search of the user" not in caplog.text, "nobody is there: no bug"
        monkeypatch.setattr(JWTRefreshView, "_serializer_class", f"{__name__}.Closed")
        assert_error(call("jwt-refresh", {"refresh": "x"}), 401)
        assert "nobody can tell what the login is worth" in caplog.text
        refresh = str(RefreshToken.for_user(make_user("bob")))
        assert call("jwt-refresh", {"refresh": refresh}).json() == {"closed": True}

    @pytest.mark.parametrize("kind", ["access", "expired", "challenge", "forged", "none"])
    def test_what_is_no_refresh_token(self, call, clock, enrolled_user, kind):
        token = {
            "access": lambda: str(AccessToken.for_user(enrolled_user)),
            "expired": lambda: self.expired(clock, enrolled_user),
            "challenge": lambda: generate_challenge_token(enrolled_user),
            "forged": lambda: str(RefreshToken.for_user(enrolled_user))[:-4] + "AAAA",
            "none": lambda: "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJ1c2VyX2lkIjoiMSJ9.",
        }[kind]()
        assert_error(call("jwt-refresh", {"refresh": token}), 401)
        if kind != "access":
            assert_error(call("jwt-verify", {"token": token}), 401)

    def expired(self, clock, user):
        token = str(RefreshToken.for_user(user))
        clock.shift(timedelta(days=2))
        return token


@pytest.mark.parametrize("name", sorted(LOGIN))
@pytest.mark.parametrize("value", ["x" * 5000, "ä", "\N{PILE OF POO}", "a.b.c", "..", "=" * 100])
def test_odd_strings(call, db, name, value):
    fields = ["refresh", "token", "totp_challenge_token", "otp_code", "username", "email"]
    response = call(name, dict.fromkeys([*fields, "password"], value))
    assert response.status_code in {400, 401}
    assert_error(response, response.status_code)
