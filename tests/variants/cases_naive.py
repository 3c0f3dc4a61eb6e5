"""Local time that comes twice in autumn, and leaps in spring.

Time travels by timestamps: a moment in UTC would make UTC the local time.
"""

import time
from datetime import UTC, datetime, timedelta

import pyotp
import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from django_totp.models import Event, Totp
from django_totp.totp import start_totp_setup
from tests.endpoints import assert_error, wrong_code

pytestmark = pytest.mark.django_db

CHANGES = {
    "autumn": datetime(2026, 10, 25, 1, tzinfo=UTC),
    "spring": datetime(2027, 3, 28, 1, tzinfo=UTC),
}


@pytest.fixture
def otp():
    """Return a function that gives the code of now: older PyOTPs go by local time."""
    return lambda secret: pyotp.HOTP(secret).at(int(time.time()) // 30)


@pytest.fixture(params=CHANGES)
def change(request):
    """Return the moment at which the clocks change."""
    return CHANGES[request.param]


@pytest.mark.parametrize("before", [1, 5, 10, 14, -1, 16, 50])
def test_a_wait_of_15_minutes_lasts_15_minutes(
    time_machine, change, enrolled_user, login, secret, otp, before
):
    start = change - timedelta(minutes=before)
    time_machine.move_to(start.timestamp(), tick=False)
    Totp.objects.update(failures=20)
    assert login(enrolled_user, otp_code=wrong_code(secret)).status_code == 400
    for minutes, status in ((0, 429), (1, 429), (14.9, 429), (15.1, 200)):
        time_machine.move_to((start + timedelta(minutes=minutes)).timestamp(), tick=False)
        response = login(enrolled_user, otp_code=otp(secret))
        assert response.status_code == status, minutes
        if status == 429:
            assert int(response["Retry-After"]) == round((15 - minutes) * 60)
            assert assert_error(response, 429)["code"] == "too_many_attempts"


@pytest.mark.parametrize("before", [1, 30, 59, -1, -30, 61, 90])
def test_a_setup_of_an_hour_lasts_an_hour(
    time_machine, change, user, signed_in, login, otp, before
):
    start = change - timedelta(minutes=before)
    time_machine.move_to(start.timestamp(), tick=False)
    client = _client(login, user)
    created = client.post(reverse("totp-create")).json()
    assert client.get(reverse("totp-status")).json()["is_pending"] is True
    time_machine.move_to((start + timedelta(minutes=3)).timestamp(), tick=False)
    assert client.get(reverse("totp-status")).json()["is_pending"] is True
    confirm = {"input_code": otp(created["secret"])}
    assert client.post(reverse("totp-confirm"), confirm).status_code == 200


@pytest.mark.parametrize("before", [1, 30, 59, -1, -30, 61, 90])
def test_a_setup_of_an_hour_is_not_abandoned_before(time_machine, change, user, before):
    start = change - timedelta(minutes=before)
    time_machine.move_to(start.timestamp(), tick=False)
    start_totp_setup(user)
    for minutes, left in ((59, 1), (121, 0)):  # an hour of local time may come twice
        time_machine.move_to((start + timedelta(minutes=minutes)).timestamp(), tick=False)
        call_command("totp_prune", older_than=1, verbosity=0)
        assert Totp.objects.count() == left


@pytest.mark.parametrize("before", [1, 61, 120])
def test_a_setup_ends(time_machine, change, user, login, otp, before):
    start = change - timedelta(minutes=before)
    time_machine.move_to(start.timestamp(), tick=False)
    client = _client(login, user)
    created = client.post(reverse("totp-create")).json()
    time_machine.move_to((start + timedelta(hours=2, minutes=1)).timestamp(), tick=False)
    client = _client(login, user)
    confirm = {"input_code": otp(created["secret"])}
    assert client.post(reverse("totp-confirm"), confirm).status_code == 400


def test_admin_and_commands(enrolled_user, django_user_model, capsys, secret, login, settings):
    Totp.objects.update(failures=20)
    login(enrolled_user, otp_code=wrong_code(secret))
    name = {django_user_model.USERNAME_FIELD: "root@example.com", "password": "x"}
    admin = Client()
    admin.force_login(django_user_model.objects.create_superuser(**name, **_mail()))
    changelist = reverse("admin:django_totp_totp_changelist")
    for query in ("", "?state=waiting", "?state=pending", "?state=expired", "?state=enabled"):
        assert admin.get(changelist + query).status_code == 200
    [row] = Totp.objects.all()
    assert admin.get(reverse("admin:django_totp_totp_change", args=[row.pk])).status_code == 200
    call_command("totp_status", enrolled_user.get_username())
    settings.TOTP_REQUIRED_FOR, settings.TOTP_GRACE_PERIOD = ["everyone"], 3600
    call_command("totp_end_sessions", enrolled_user.get_username(), yes=True)
    today = time.strftime("%Y-%m-%d")
    call_command("totp_exempt", enrolled_user.get_username(), until=today, reason="no phone")
    call_command("totp_report")
    Event.objects.create(at=datetime.now(UTC), event="login")
    assert admin.get(reverse("admin:django_totp_event_changelist")).status_code == 200
    call_command("totp_prune", older_than=1)
    assert "Waiting until" in capsys.readouterr().out


def _mail():
    from django.conf import settings

    return {} if settings.AUTH_USER_MODEL == "users.User" else {"email": ""}


def _client(login, user):
    from rest_framework.test import APIClient

    return APIClient(HTTP_AUTHORIZATION=f"Bearer {login(user).json()['access']}")
