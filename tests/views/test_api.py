"""The ``totp/`` endpoints: who may use them, and what each answers in each state."""

import time
from datetime import timedelta
from unittest.mock import ANY

import pytest
from cryptography.fernet import Fernet
from django.contrib.auth.signals import user_login_failed
from django.urls import reverse
from django.utils import timezone
from rest_framework.authentication import BasicAuthentication, SessionAuthentication
from rest_framework.test import APIClient
from rest_framework.views import APIView
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from django_totp.auth import is_totp_enabled
from django_totp.backup_code_utils import verify_backup_code
from django_totp.encryption import decrypt
from django_totp.models import BackupCode, Totp
from tests.endpoints import (
    BAD_OTP,
    EXISTS,
    NO_SECRET,
    SIGNED_IN,
    assert_error,
    wrong_code,
)

GUARDED = ["totp-disable", "totp-replace", "totp-rotate-backup-codes"]


class TestAuthentication:
    @pytest.mark.parametrize("name", sorted(SIGNED_IN))
    def test_nobody(self, call, db, name):
        response = call(name)
        assert_error(response, 401)
        assert response["WWW-Authenticate"].startswith("Bearer")

    @pytest.mark.parametrize("name", sorted(SIGNED_IN))
    @pytest.mark.parametrize("header", ["Bearer junk", "Bearer a b", "Bearer " + "x" * 5000])
    def test_a_bad_token(self, call, db, name, header):
        response = call(name, HTTP_AUTHORIZATION=header)
        assert_error(response, 401)
        assert response["WWW-Authenticate"]

    @pytest.mark.parametrize("change", ["inactive", "deleted", "expired", "refresh token"])
    def test_a_token_that_is_no_longer_good(self, call, clock, user, sign_in, change):
        client = sign_in(user)
        if change == "inactive":
            type(user)._default_manager.update(is_active=False)
        elif change == "deleted":
            user.delete()
        elif change == "expired":
            clock.shift(timedelta(days=1))
        else:
            client = APIClient(HTTP_AUTHORIZATION=f"Bearer {RefreshToken.for_user(user)}")
        assert_error(call("totp-status", client=client), 401)

    @pytest.mark.parametrize("name", sorted(SIGNED_IN - {"totp-status"}))
    def test_a_session_without_csrf_token(self, call, by_session, user, name):
        response = call(name, client=by_session)
        assert "CSRF" in assert_error(response, 403)["detail"]
        assert not Totp.objects.exists()

    def test_a_session_with_csrf_token(self, call, by_session, user):
        by_session.cookies["csrftoken"] = token = "x" * 32
        in_header = call("totp-create", client=by_session, HTTP_X_CSRFTOKEN=token)
        assert in_header.status_code == 201
        in_form = call(
            "totp-disable", {"csrfmiddlewaretoken": token}, client=by_session, form="multipart"
        )
        assert in_form.status_code == 204

    def test_a_session_may_confirm_by_form(self, call, by_session, pending_user, secret, otp):
        """The CSRF check has read the form before our parser comes to it."""
        by_session.cookies["csrftoken"] = token = "x" * 32
        form = {"csrfmiddlewaretoken": token, "input_code": otp(secret)}
        response = call("totp-confirm", form, client=by_session, form="multipart")
        assert response.status_code == 200

    def test_a_session_is_asked_for_nothing_to_read(self, call, by_session):
        assert call("totp-status", client=by_session).status_code == 200

    @pytest.mark.parametrize("name", sorted(SIGNED_IN))
    def test_nobody_where_there_is_no_challenge(self, monkeypatch, call, db, name):
        monkeypatch.setattr(APIView, "authentication_classes", (SessionAuthentication,))
        response = call(name)
        assert_error(response, 403)
        assert "WWW-Authenticate" not in response

    def test_whatever_the_project_configured(self, monkeypatch, call, user):
        class Always(BasicAuthentication):
            def authenticate(self, request):
                return user, None

        monkeypatch.setattr(APIView, "authentication_classes", (Always,))
        assert call("totp-create").status_code == 201
        assert Totp.objects.get().user_id == user.pk


class TestStatus:
    def test_an_expired_enrollment_is_none(self, call, clock, pending_user, sign_in):
        clock.shift(3601)
        body = call("totp-status", client=sign_in(pending_user)).json()
        assert body == {
            "is_totp_enabled": False,
            "is_pending": False,
            "created_at": None,
            "confirmed_at": None,
            "backup_codes_remaining": 0,
            "recovery_ready_at": None,
            "is_replacement_pending": False,
        }

    def test_a_pending_enrollment_has_no_codes_yet(self, call, pending_user, signed_in):
        body = call("totp-status", client=signed_in).json()
        assert (body["is_pending"], body["backup_codes_remaining"]) == (True, 0)

    def test_used_codes_are_not_counted(self, call, enrolled_user, signed_in, backup_codes):
        for left in (9, 8):
            assert verify_backup_code(enrolled_user, backup_codes[left])
            assert call("totp-status", client=signed_in).json()["backup_codes_remaining"] == left

    def test_codes_that_cannot_be_found_are_not_counted(self, call, enrolled_user, signed_in):
        """Such as the migration leaves where no key reads a code of an older version."""
        code = BackupCode.objects.first()
        BackupCode.objects.filter(pk=code.pk).update(code="of a lost key", digest=None)
        assert call("totp-status", client=signed_in).json()["backup_codes_remaining"] == 9

    def test_another_user_is_another_user(self, call, enrolled_user, make_user, sign_in):
        body = call("totp-status", client=sign_in(make_user("bob"))).json()
        assert body["is_totp_enabled"] is False


class TestCreate:
    def test_stores_what_it_shows(self, call, user, signed_in):
        body = call("totp-create", client=signed_in).json()
        assert decrypt(Totp.objects.get(user_id=user.pk).secret_key) == body["secret"]
        assert body["otpauth_uri"].startswith("otpauth://totp/MyApp:ada%40example.com?")

    def test_never_gives_an_existing_secret(self, call, enrolled_user, signed_in, secret):
        response = call("totp-create", client=signed_in)
        assert_error(response, 400, EXISTS)
        assert secret not in response.content.decode()
        first, second = None, None
        call("totp-disable", client=signed_in)
        first = call("totp-create", client=signed_in).json()["secret"]
        second = call("totp-create", client=signed_in).json()["secret"]
        assert len({secret, first, second}) == 3

    def test_makes_an_expired_enrollment_anew(
        self, call, clock, pending_user, sign_in, otp, patient
    ):
        for _ in range(7):
            call("totp-confirm", {"input_code": "0"}, client=sign_in(pending_user))
        clock.shift(7200)
        client = sign_in(pending_user)
        secret = call("totp-create", client=client).json()["secret"]
        assert Totp.objects.get().created_at == timezone.now()
        assert Totp.objects.get().failures == 0
        response = call("totp-confirm", {"input_code": otp(secret)}, client=client)
        assert response.status_code == 200


class TestConfirm:
    def test_waits(self, call, patient, clock, pending_user, sign_in, secret, otp):
        for _ in range(6):
            body = {"input_code": wrong_code(secret)}
            assert_error(call("totp-confirm", body, client=sign_in(pending_user)), 400, BAD_OTP)
        response = call("totp-confirm", {"input_code": otp(secret)}, client=sign_in(pending_user))
        assert assert_error(response, 429)["code"] == "too_many_attempts"
        assert response["Retry-After"] == "30"
        assert "30 seconds" in response.json()["detail"]
        assert not is_totp_enabled(pending_user)
        clock.shift(29)
        almost = call("totp-confirm", {"input_code": otp(secret)}, client=sign_in(pending_user))
        assert assert_error(almost, 429)["detail"].endswith("in 1 second.")
        clock.shift(1)
        response = call("totp-confirm", {"input_code": otp(secret)}, client=sign_in(pending_user))
        assert response.status_code == 200

    def test_stops_at_the_cap(self, settings, call, clock, pending_user, sign_in, secret, otp):
        settings.TOTP_FAILURE_CAP = 1
        client = sign_in(pending_user)
        call("totp-confirm", {"input_code": wrong_code(secret)}, client=client)
        response = call("totp-confirm", {"input_code": otp(secret)}, client=client)
        assert_error(response, 429)
        assert "Retry-After" not in response
        secret = call("totp-create", client=client).json()["secret"]  # a way out for the owner
        response = call("totp-confirm", {"input_code": otp(secret)}, client=client)
        assert response.status_code == 200

    def test_another_users_code(self, call, pending_user, make_user, sign_in, secret, otp):
        other = sign_in(make_user("bob"))
        call("totp-create", client=other)
        response = call("totp-confirm", {"input_code": otp(secret)}, client=other)
        assert_error(response, 400, BAD_OTP)

    def test_an_expired_enrollment(self, call, clock, pending_user, sign_in, secret, otp):
        clock.shift(3600)
        body = {"input_code": otp(secret)}
        assert_error(call("totp-confirm", body, client=sign_in(pending_user)), 400, NO_SECRET)

    @pytest.mark.parametrize("code", ["", " ", None, [], {}, 123456, "1" * 256])
    def test_what_is_no_string(self, call, pending_user, signed_in, code):
        body = assert_error(call("totp-confirm", {"input_code": code}, client=signed_in), 400)
        assert list(body) == ["input_code", "detail", "code"]
        assert Totp.objects.get().failures == 0


class TestUnreadableSecret:
    """No configured key reads the secret: the owner must still get rid of it."""

    @pytest.fixture(autouse=True)
    def _lost_key(self, settings, enrolled_user):
        settings.TOTP_ENCRYPTION_KEY = Fernet.generate_key()

    def test_status(self, call, signed_in):
        body = call("totp-status", client=signed_in).json()
        assert body["is_totp_enabled"] is True

    def test_disable(self, call, user, signed_in):
        assert call("totp-disable", client=signed_in).status_code == 204
        assert call("totp-create", client=signed_in).status_code == 201

    def test_rotate(self, call, user, signed_in):
        response = call("totp-rotate-backup-codes", client=signed_in)
        assert verify_backup_code(user, response.json()["backup_codes"][0])

    def test_confirm(self, settings, call, make_user, sign_in, otp, caplog):
        client = sign_in(make_user("bob"))
        secret = call("totp-create", client=client).json()["secret"]
        settings.TOTP_ENCRYPTION_KEY = Fernet.generate_key()
        response = call("totp-confirm", {"input_code": otp(secret)}, client=client)
        assert_error(response, 400, BAD_OTP)
        assert set(Totp.objects.values_list("failures", flat=True)) == {0}
        assert "No configured key can read" in caplog.text

    def test_reauthentication(self, settings, call, user, sign_in, secret, otp, password):
        settings.TOTP_REAUTHENTICATE, settings.TOTP_REAUTHENTICATE_MAX_AGE = True, 0
        signed_in = sign_in(user, "pwd", "otp")
        for proof in ({"otp_code": otp(secret)}, {"backup_code": "abcd-abcd"}):
            assert_error(call("totp-disable", proof, client=signed_in), 403)
        response = call("totp-disable", {"password": password}, client=signed_in)
        assert response.status_code == 204


def test_a_proof_is_used_up(settings, call, login, enrolled_user, signed_in, secret, otp):
    settings.TOTP_REAUTHENTICATE = True
    proof = {"otp_code": otp(secret)}
    assert call("totp-rotate-backup-codes", proof, client=signed_in).status_code == 200
    assert_error(call("totp-disable", proof, client=signed_in), 403)
    assert_error(login(enrolled_user, **proof), 400, BAD_OTP)


@pytest.mark.parametrize("name", GUARDED)
class TestReauthentication:
    @pytest.fixture(autouse=True)
    def _on(self, settings):
        settings.TOTP_REAUTHENTICATE = True

    @pytest.fixture
    def proofs(self, secret, otp, backup_codes, password):
        """Return a good proof of each kind."""
        return {"otp_code": otp(secret), "backup_code": backup_codes[0], "password": password}

    @pytest.fixture
    def signed_in(self, user, sign_in):
        """Return a client whose login gave the second factor, but not recently."""
        hour_ago = timezone.now() - timedelta(hours=1)
        Totp.objects.filter(confirmed_at__isnull=False).update(confirmed_at=hour_ago)
        return sign_in(user, "pwd", "otp", age=301)

    def refused(self, response):
        assert assert_error(response, 403)["code"] == "reauthentication_required"
        assert Totp.objects.filter(confirmed_at__isnull=False).exists()
        return True

    @pytest.mark.parametrize("form", ["json", "multipart"])
    @pytest.mark.parametrize("kind", ["otp_code", "backup_code", "password"])
    def test_a_good_proof(self, call, enrolled_user, signed_in, proofs, name, kind, form):
        response = call(name, {kind: proofs[kind]}, client=signed_in, form=form)
        assert response.status_code in {200, 201, 204}

    @pytest.mark.parametrize(
        "body",
        [
            None,
            {},
            {"otp_code": "", "backup_code": "", "password": ""},
            {"otp_code": "000"},
            {"backup_code": "abcd-efgh-jkmn-pqrs"},
            {"password": "wrong"},
            {"password": "correct horse battery staple "},
            {"input_code": "123456"},
        ],
    )
    def test_no_good_proof(self, call, enrolled_user, signed_in, name, body):
        assert self.refused(call(name, body, client=signed_in))

    def test_a_used_code(self, call, login, enrolled_user, signed_in, proofs, name):
        """Its own login is not recent for this token, which came from a password alone."""
        assert login(enrolled_user, otp_code=proofs["otp_code"]).status_code == 200
        assert login(enrolled_user, backup_code=proofs["backup_code"]).status_code == 200
        for kind in ("otp_code", "backup_code"):
            assert self.refused(call(name, {kind: proofs[kind]}, client=signed_in))

    def test_another_users_password(self, call, enrolled_user, make_user, signed_in, name):
        other = make_user("bob")
        other.set_password("bob's own")
        other.save()
        assert self.refused(call(name, {"password": "bob's own"}, client=signed_in))

    def test_the_first_proof_counts(self, call, enrolled_user, signed_in, proofs, secret, name):
        """More than one proof is not more than one guess."""
        for body in (
            proofs | {"otp_code": wrong_code(secret)},
            proofs | {"otp_code": "", "backup_code": "wrong"},
        ):
            assert self.refused(call(name, body, client=signed_in))
        assert Totp.objects.get().failures == 2
        assert BackupCode.objects.filter(is_used=False).count() == 10

    @pytest.mark.parametrize("body", [{"otp_code": 123456}, {"password": None}, [], "text"])
    def test_a_malformed_proof(self, call, enrolled_user, signed_in, name, body):
        assert_error(call(name, body, client=signed_in), 400)
        assert is_totp_enabled(enrolled_user)

    def test_the_wait(self, call, patient, enrolled_user, signed_in, proofs, secret, name):
        for _ in range(6):
            body = {"otp_code": wrong_code(secret)}
            assert self.refused(call(name, body, client=signed_in))
        response = call(name, {"otp_code": proofs["otp_code"]}, client=signed_in)
        assert assert_error(response, 429)["code"] == "too_many_attempts"
        assert response["Retry-After"] == "30"

    @pytest.mark.parametrize("kind", ["backup_code", "password"])
    def test_ways_out_of_the_wait(
        self, call, patient, enrolled_user, signed_in, proofs, secret, name, kind
    ):
        for _ in range(6):
            call(name, {"otp_code": wrong_code(secret)}, client=signed_in)
        response = call(name, {kind: proofs[kind]}, client=signed_in)
        assert response.status_code in {200, 201, 204}

    def test_a_wrong_password_is_told_to_the_project(self, call, enrolled_user, signed_in, name):
        told = []

        def tell(**kwargs):
            told.append(kwargs)

        user_login_failed.connect(tell)
        try:
            call(name, {"password": "wrong"}, client=signed_in)
        finally:
            user_login_failed.disconnect(tell)
        [failure] = told
        assert failure["request"].path == reverse(name)
        assert failure["credentials"] == {
            enrolled_user.USERNAME_FIELD: enrolled_user.get_username(),
            "password": "*" * 20,
        }

    def test_without_an_enrollment(self, call, signed_in, name):
        assert_error(call(name, client=signed_in), 400, NO_SECRET)

    def test_a_pending_enrollment_needs_no_proof(self, call, pending_user, signed_in, name):
        response = call(name, client=signed_in)
        if name == "totp-disable":
            assert response.status_code == 204
        else:
            assert_error(response, 400, NO_SECRET)

    @pytest.mark.usefixtures("without_middleware")
    def test_a_session_needs_a_proof(self, call, enrolled_user, by_session, proofs, name):
        by_session.cookies["csrftoken"] = token = "x" * 32
        assert self.refused(call(name, client=by_session, HTTP_X_CSRFTOKEN=token))
        response = call(
            name,
            {"otp_code": proofs["otp_code"], "csrfmiddlewaretoken": token},
            client=by_session,
            form="multipart",
        )
        assert response.status_code in {200, 201, 204}

    @pytest.mark.parametrize("kind", ["otp_code", "backup_code"])
    def test_a_recent_second_factor(self, call, clock, login, enrolled_user, proofs, name, kind):
        tokens = login(enrolled_user, **{kind: proofs[kind]}).json()
        clock.shift(299)
        assert call(name, client=self.bearer(tokens["access"])).status_code in {200, 201, 204}

    def test_a_second_factor_of_some_time_ago(
        self, settings, call, clock, login, enrolled_user, proofs, name
    ):
        tokens = login(enrolled_user, otp_code=proofs["otp_code"]).json()
        clock.shift(299)
        fresh = call("jwt-refresh", {"refresh": tokens["refresh"]}).json()["access"]
        clock.shift(1)  # the access token is new, the login is not
        assert self.refused(call(name, client=self.bearer(fresh)))
        settings.TOTP_REAUTHENTICATE_MAX_AGE = 301
        assert call(name, client=self.bearer(fresh)).status_code in {200, 201, 204}

    @pytest.mark.parametrize(
        "claims",
        [
            {},
            {"amr": ["pwd"], "auth_time": ANY},
            {"amr": ["otp"]},
            {"amr": [], "auth_time": ANY},
            {"amr": None, "auth_time": ANY},
            {"amr": "hotp", "auth_time": ANY},
            {"amr": ["otp"], "auth_time": None},
            {"amr": ["otp"], "auth_time": "today"},
            {"amr": ["otp"], "auth_time": -(10**400)},
            {"auth_time": ANY},
        ],
    )
    def test_a_token_that_does_not_say_so(self, call, enrolled_user, name, claims):
        token = AccessToken.for_user(enrolled_user)
        for claim, value in claims.items():
            token[claim] = int(time.time()) if value is ANY else value
        assert self.refused(call(name, client=self.bearer(token)))

    def bearer(self, token):
        return APIClient(HTTP_AUTHORIZATION=f"Bearer {token}")
