"""Every kind of primary key, from the enrollment to the last login."""

import logging

import pytest
from django.conf import settings
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.urls import reverse
from rest_framework.test import APIClient

from django_totp import auth, totp
from django_totp.admin import EventAdmin
from django_totp.models import BackupCode, Event, Totp
from django_totp.operations.support import users_by_key
from django_totp.trail import DatabaseHandler

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(login, user):
    """Return a client with the access token of a login with a password."""
    access = login(user).json()["access"]
    return APIClient(HTTP_AUTHORIZATION=f"Bearer {access}")


def test_the_model_is_the_one_that_was_asked_for():
    model = get_user_model()
    assert f"keys.{model.__name__}" == settings.AUTH_USER_MODEL
    assert model._meta.pk.name != "id"


def test_over_http(client, login, user, make_user, otp):
    secret = client.post(reverse("totp-create")).json()["secret"]
    confirmed = client.post(reverse("totp-confirm"), {"input_code": otp(secret, offset=-1)})
    codes = confirmed.json()["backup_codes"]
    assert client.get(reverse("totp-status")).json()["is_totp_enabled"] is True
    code = otp(secret)
    response = login(user, otp_code=code)
    assert response.status_code == 200
    assert login(user, otp_code=code).status_code == 400
    assert login(user, backup_code=codes[0]).status_code == 200
    refreshed = client.post(reverse("jwt-refresh"), {"refresh": response.json()["refresh"]})
    assert refreshed.status_code == 200
    assert login(make_user("bob")).json()["is_totp_enabled"] is False
    assert client.post(reverse("totp-rotate-backup-codes")).status_code == 200
    assert client.post(reverse("totp-disable")).status_code == 204
    assert login(user).json()["is_totp_enabled"] is False


def test_in_python(enrolled_user, secret, otp):
    token = auth.generate_challenge_token(enrolled_user)
    assert auth.verify_challenge_token(token) == enrolled_user.pk
    assert auth.get_user_from_challenge_token(token) == enrolled_user
    assert totp.verify_totp_code(enrolled_user, otp(secret))
    totp.disable_totp(enrolled_user)


def test_events_name_whoever_has_such_a_key(user, make_user, login, password):
    handler = DatabaseHandler()
    logger = logging.getLogger("django_totp")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        assert login(user).status_code == 200
    finally:
        logger.removeHandler(handler)
    [event] = Event.objects.all()
    assert event.user_pk == event.actor_pk == str(user.pk)
    assert users_by_key([event.user_pk, "no key"]) == {event.user_pk: user}
    assert EventAdmin(Event, admin.site).username(event) == user.get_username()


def test_rows_go_with_their_user(enrolled_user):
    enrolled_user.delete()
    assert not Totp.objects.exists()
    assert not BackupCode.objects.exists()


def test_no_migration_is_missing():
    call_command("makemigrations", "django_totp", check=True, dry_run=True, verbosity=0)
