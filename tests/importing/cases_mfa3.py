"""django-mfa3."""

import pytest
from mfa.methods import totp
from mfa.models import MFAKey

from tests.importing.move import *  # noqa: F403
from tests.importing.move import log_in, run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def enroll():
    def enroll(user, code):
        _, state = totp.register_begin(user)
        secret = totp.register_complete(state, code(state))
        MFAKey.objects.create(user=user, method=totp.name, name="phone", secret=secret)
        return secret

    return enroll


@pytest.fixture
def accepts():
    def accepts(user, code):
        try:
            totp.authenticate_complete(None, user, code)
        except ValueError:
            return False
        return True

    return accepts


def test_of_several_the_first_one_that_was_used(moving, phone, enroll, accepts):
    _unused, secret = enroll(moving.user, phone.code), enroll(moving.user, phone.code)
    assert accepts(moving.user, phone.code(secret))
    assert "the one used last was taken: 1 (" in run("mfa3")
    phone.wait(2)
    moving.keep(log_in(moving, phone.code(secret)))
