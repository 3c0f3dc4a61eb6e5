"""django-axes limits wrong passwords per account, because the login tells it of them."""

import pytest
from axes.models import AccessAttempt
from django.urls import reverse

from tests.endpoints import wrong_code

pytestmark = pytest.mark.django_db


@pytest.fixture
def attempt(api, password):
    """Return a function that takes the first step of a login."""

    def attempt(user, given=password, form="json", **extra):
        body = {user.USERNAME_FIELD: user.get_username(), "password": given}
        return api.post(reverse("jwt-create"), body, format=form, **extra)

    return attempt


@pytest.mark.parametrize("form", ["json", "multipart"])
def test_locks_the_account_after_wrong_passwords(attempt, make_user, user, form):
    for number in range(2):
        refused = attempt(user, "wrong", form, REMOTE_ADDR=f"192.0.2.{number}")
        assert refused.status_code == 401
    attempt(user, "wrong", form)
    locked = attempt(user, form=form, REMOTE_ADDR="192.0.2.99")
    assert locked.status_code in {401, 403, 429}
    assert b"access" not in locked.content
    assert attempt(make_user("bob"), form=form).status_code == 200


def test_knows_the_name_and_not_the_password(attempt, user):
    attempt(user, "open sesame", "multipart")
    row = AccessAttempt.objects.values().get()
    assert row["username"] == user.get_username()
    assert row["path_info"] == reverse("jwt-create")
    assert "open sesame" not in str(row)


def test_is_not_told_of_wrong_codes(attempt, login, enrolled_user, secret):
    for _ in range(4):
        assert login(enrolled_user, otp_code=wrong_code(secret)).status_code == 400
    assert attempt(enrolled_user).status_code == 200
    assert not AccessAttempt.objects.exists()


def test_a_wrong_password_as_a_proof_counts(settings, sign_in, attempt, enrolled_user):
    settings.TOTP_REAUTHENTICATE, settings.TOTP_REAUTHENTICATE_MAX_AGE = True, 0
    signed_in = sign_in(enrolled_user, "pwd", "otp")
    for _ in range(3):
        signed_in.post(reverse("totp-disable"), {"password": "wrong"}, format="json")
    assert attempt(enrolled_user).status_code != 200
