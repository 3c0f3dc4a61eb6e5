"""dj-rest-auth, which signs the secrets."""

import pyotp
import pytest
from dj_rest_auth.mfa.totp import TOTP, generate_totp_secret, validate_totp_code
from django.core.management import CommandError

from django_totp.models import Totp
from tests.importing.move import *  # noqa: F403
from tests.importing.move import run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def enroll():
    def enroll(user, code):
        secret = generate_totp_secret()
        assert validate_totp_code(secret, code(secret))
        TOTP.activate(user, secret)
        return secret

    return enroll


@pytest.fixture
def accepts():
    return TOTP.validate_code


def test_a_key_that_has_changed_since(moving, phone, enroll, settings):
    secret, settings.SECRET_KEY = enroll(moving.user, phone.code), "another-" + "0" * 40
    with pytest.raises(CommandError, match="could not be read"):
        run("dj_rest_auth")
    assert not Totp.objects.exists()
    settings.SECRET_KEY_FALLBACKS = ["only-for-tests-and-long-enough-to-sign-with-HS256"]
    assert "apps of 1 user." in run("dj_rest_auth")
    phone.wait(2)
    moving.keep(moving.login(otp_code=pyotp.TOTP(secret).at(phone.now)))
