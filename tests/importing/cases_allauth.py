"""django-allauth, with an adapter of the project that encrypts the secrets in its own way."""

import pytest
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret, validate_totp_code

from tests.importing.move import *  # noqa: F403
from tests.importing.move import run

pytestmark = pytest.mark.django_db(transaction=True)


class Adapter(DefaultMFAAdapter):
    def encrypt(self, text):
        return text[::-1]

    decrypt = encrypt


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
    def accepts(user, code):
        return Authenticator.objects.get(user=user, type="totp").wrap().validate_code(code)

    return accepts


def test_eight_digits_are_its_setting(moving, phone, enroll, settings):
    settings.MFA_TOTP_DIGITS = 8
    secret = enroll(moving.user, lambda secret: phone.code(secret, digits=8))
    run("allauth")
    phone.wait(2)
    moving.keep(moving.login(otp_code=phone.code(secret, digits=8)))
