"""django-trench, whose app has the name ``app``."""

import pytest
from trench.backends.provider import get_mfa_handler
from trench.command.activate_mfa_method import activate_mfa_method_command
from trench.command.create_mfa_method import create_mfa_method_command
from trench.models import MFAMethod

from tests.importing.move import *  # noqa: F403
from tests.importing.move import log_in, run

pytestmark = pytest.mark.django_db(transaction=True)
SOURCE = "trench"


@pytest.fixture
def begin():
    return lambda user: create_mfa_method_command(user_id=user.pk, name="app")


@pytest.fixture
def enroll(begin):
    def enroll(user, code):
        method = begin(user)
        assert get_mfa_handler(method).validate_confirmation_code(code(method.secret))
        activate_mfa_method_command(user_id=user.pk, name="app", code=code(method.secret))
        return method.secret

    return enroll


@pytest.fixture
def accepts():
    def accepts(user, code):
        return get_mfa_handler(MFAMethod.objects.get(user=user)).validate_code(code)

    return accepts


def test_codes_of_two_minutes(moving, phone, enroll, settings):
    secret = enroll(moving.user, phone.code)
    app = {"HANDLER": "trench.backends.application.ApplicationMessageDispatcher"}
    settings.TRENCH_AUTH = {"MFA_METHODS": {"app": {**app, "VALIDITY_PERIOD": 120}}}
    run("trench")
    phone.wait(8)
    moving.keep(log_in(moving, phone.code(secret, interval=120)))


def test_its_backup_codes_stay_behind(moving, phone, enroll):
    enroll(moving.user, phone.code)
    assert "1 of the source's records of backup codes stay behind" in run("trench")
