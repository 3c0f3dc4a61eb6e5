"""A user name that is no string, as a number of members or of a telephone may be."""

import io

import pytest
from django.contrib.admin.models import LogEntry
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from django_totp.models import Totp

pytestmark = pytest.mark.django_db


@pytest.fixture
def user(django_user_model, password):
    return django_user_model.objects.create_user(4711, password)


@pytest.fixture
def admin(django_user_model, password):
    fields = {"is_staff": True, "is_superuser": True}
    client = Client()
    client.force_login(django_user_model.objects.create_user(1, password, **fields))
    return client


@pytest.fixture
def login(api, password):
    """Return a function that logs a member in by both steps."""

    def login(user, **code):
        body = {"number": str(user.number), "password": password}
        first = api.post(reverse("jwt-create"), body, format="json").json()
        body = {"totp_challenge_token": first["totp_challenge_token"], **code}
        return api.post(reverse("jwt-totp-verify"), body, format="json")

    return login


def test_over_http(signed_in, login, user, otp):
    created = signed_in.post(reverse("totp-create")).json()
    assert "MyApp:4711?" in created["otpauth_uri"]
    secret = created["secret"]
    confirm = {"input_code": otp(secret, offset=-1)}
    assert signed_in.post(reverse("totp-confirm"), confirm).status_code == 200
    assert login(user, otp_code=otp(secret)).status_code == 200


@pytest.mark.parametrize("name", ["ada", "4711.5", "9" * 30, "9" * 5000])
def test_a_name_that_is_no_number(api, user, password, name):
    body = {"number": name, "password": password}
    assert api.post(reverse("jwt-create"), body, format="json").status_code in {400, 401}


def test_password_as_a_proof(settings, sign_in, enrolled_user, password):
    settings.TOTP_REAUTHENTICATE, settings.TOTP_REAUTHENTICATE_MAX_AGE = True, 0
    body = {"password": password}
    signed_in = sign_in(enrolled_user, "pwd", "otp")
    assert signed_in.post(reverse("totp-disable"), body, format="json").status_code == 204


@pytest.mark.parametrize("command", ["totp_status", "totp_unlock"])
def test_commands(enrolled_user, command):
    out = io.StringIO()
    call_command(command, "4711", stdout=out)
    assert "4711" in out.getvalue()


def test_admin(admin, enrolled_user):
    url = reverse("admin:django_totp_totp_changelist")
    assert b"4711" in admin.get(url).content
    assert b"4711" in admin.get(url, {"q": "4711"}).content
    assert admin.get(url, {"q": "ada"}).status_code == 200
    totp = Totp.objects.get()
    assert admin.get(reverse("admin:django_totp_totp_change", args=[totp.pk])).status_code == 200
    action = {"action": "reset_two_factor", "_selected_action": [totp.pk], "confirmed": "yes"}
    assert admin.post(url, action).status_code == 302
    assert not Totp.objects.exists()
    assert {entry.object_repr for entry in LogEntry.objects.all()} == {"4711"}
