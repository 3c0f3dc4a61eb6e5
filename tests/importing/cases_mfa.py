"""django-mfa, with its encryption on."""

import pytest
from django.core.management import CommandError
from django.test import RequestFactory
from django_mfa.adapters.totp import TOTPAdapter
from django_mfa.models import Authenticator

from django_totp.models import Totp
from tests.importing.move import *  # noqa: F403
from tests.importing.move import log_in, run

pytestmark = pytest.mark.django_db(transaction=True)


def request_of(user):
    request = RequestFactory().get("/")
    request.user = user
    return request


@pytest.fixture
def enroll():
    def enroll(user, code):
        request = request_of(user)
        secret = TOTPAdapter().begin_enroll(request)["secret_key"]
        TOTPAdapter().complete_enroll(request, {"secret_key": secret, "code": code(secret)})
        return secret

    return enroll


@pytest.fixture
def accepts():
    def accepts(user, code):
        return TOTPAdapter().complete_verify(request_of(user), user, {"code": code})

    return accepts


def test_its_last_step_is_carried(moving, phone, enroll, accepts):
    secret = enroll(moving.user, phone.code)
    phone.wait(2)
    assert accepts(moving.user, phone.code(secret))
    run("mfa")
    phone.wait(1)
    moving.keep(log_in(moving, phone.code(secret)))


def test_a_key_that_is_gone(moving, phone, enroll, settings):
    enroll(moving.user, phone.code)
    settings.MFA_SECRET_ENCRYPTION_KEYS = ["another"]
    with pytest.raises(CommandError, match="could not be read"):
        run("mfa")
    assert not Totp.objects.exists()
    assert Authenticator.objects.count() == 1
