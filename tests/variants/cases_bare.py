"""A user model without AbstractBaseUser: no is_active, no session hash, no get_username."""

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.urls import reverse
from rest_framework.test import APIClient

from django_totp import auth
from django_totp.models import Totp
from django_totp.totp import start_totp_setup

pytestmark = pytest.mark.django_db


@pytest.fixture
def user(django_user_model, password):
    return django_user_model.objects.create_user("ada", password)


@pytest.fixture
def log_in(api, password):
    """Return a function that takes both steps."""

    def log_in(**code):
        body = {"handle": "ada", "password": password}
        first = api.post(reverse("jwt-create"), body, format="json").json()
        body = {"totp_challenge_token": first["totp_challenge_token"], **code}
        return api.post(reverse("jwt-totp-verify"), body, format="json")

    return log_in


def test_over_http(user, api, log_in, password, otp):
    body = {"handle": "ada", "password": password}
    tokens = api.post(reverse("jwt-create"), body, format="json").json()
    client = APIClient(HTTP_AUTHORIZATION=f"Bearer {tokens['access']}")
    created = client.post(reverse("totp-create")).json()
    assert "MyApp:ada?" in created["otpauth_uri"]
    code = {"input_code": otp(created["secret"], offset=-1)}
    codes = client.post(reverse("totp-confirm"), code).json()["backup_codes"]
    finished = log_in(otp_code=otp(created["secret"]))
    assert finished.status_code == 200
    assert log_in(backup_code=codes[0]).status_code == 200
    refresh = {"refresh": finished.json()["refresh"]}
    assert api.post(reverse("jwt-refresh"), refresh).status_code == 200
    assert client.post(reverse("totp-rotate-backup-codes")).status_code == 200
    assert client.post(reverse("totp-disable")).status_code == 204


def test_a_password_as_a_proof(sign_in, enrolled_user, settings, password):
    settings.TOTP_REAUTHENTICATE, settings.TOTP_REAUTHENTICATE_MAX_AGE = True, 0
    client = sign_in(enrolled_user, "pwd", "otp")
    assert client.post(reverse("totp-disable"), {"password": "wrong"}).status_code == 403
    assert client.post(reverse("totp-disable"), {"password": password}).status_code == 204


@pytest.mark.parametrize(
    ("mail", "label"), [("ada@example.com", "ada%40example.com"), ("", "{pk}")]
)
def test_a_user_without_a_name(django_user_model, mail, label):
    nameless = django_user_model.objects.create_user(None, mail=mail)
    uri = start_totp_setup(nameless).otpauth_uri
    assert f":{label.format(pk=nameless.pk)}?" in uri


def test_a_challenge(enrolled_user):
    token = auth.generate_challenge_token(enrolled_user)
    assert auth.verify_challenge_token(token) == enrolled_user.pk


@pytest.mark.parametrize(
    "command",
    [
        ["totp_status", "ada"],
        ["totp_unlock", "ada"],
        ["totp_report"],
        ["totp_prune", "--older-than", "30"],
        ["totp_end_sessions", "ada", "--yes"],
        ["totp_exempt", "ada", "--until", "9999-12-31", "--reason", "no phone"],
    ],
)
@pytest.mark.parametrize("words", [[], ["everyone"], ["staff"]])
def test_commands(enrolled_user, settings, command, words):
    settings.TOTP_REQUIRED_FOR = words
    call_command(*command)


@pytest.mark.parametrize("word", ["staff", "superusers", "group:editors"])
def test_a_word_that_the_model_does_not_know(settings, word):
    settings.TOTP_REQUIRED_FOR = [word]
    with pytest.raises(SystemCheckError, match=r"django_totp\.E026"):
        call_command("check")


def test_a_reset(enrolled_user):
    call_command("totp_reset", "ada", yes=True)
    assert not Totp.objects.exists()


def test_no_check_complains():
    call_command("check")
