"""drf-totp, whose settings are called like ours, and which encrypts with our key."""

import base64
import re

import pytest
from django.core.management import CommandError, get_commands
from django.db.models import CharField, Value
from drf_totp import services
from drf_totp.conf import DEFAULTS
from drf_totp.exceptions import InvalidToken
from drf_totp.models import TOTPAuth

from django_totp.conf import Conf
from django_totp.models import Totp
from tests import markdown
from tests.importing.move import *  # noqa: F403
from tests.importing.move import log_in, run

pytestmark = pytest.mark.django_db(transaction=True)
OTHER_KEY = base64.urlsafe_b64encode(b"another thirty-two bytes of test").decode()


@pytest.fixture
def begin():
    return lambda user: services.setup_totp(user)[:2]


@pytest.fixture
def enroll(begin):
    def enroll(user, code):
        auth, secret = begin(user)
        services.confirm_totp(auth, code(secret))
        return secret

    return enroll


@pytest.fixture
def accepts():
    def accepts(user, code):
        try:
            services.validate_token(TOTPAuth.objects.get(user=user), code)
        except InvalidToken:
            return False
        return True

    return accepts


def test_its_last_step_is_carried(moving, phone, enroll):
    secret = enroll(moving.user, phone.code)
    run("drf_totp")
    phone.wait(1)
    moving.keep(log_in(moving, phone.code(secret)))


def test_an_older_key_of_its_list_is_one_of_our_fallbacks(moving, phone, enroll, settings):
    old, settings.TOTP_ENCRYPTION_KEY = settings.TOTP_ENCRYPTION_KEY, OTHER_KEY
    secret = enroll(moving.user, phone.code)
    settings.TOTP_ENCRYPTION_KEY = old
    with pytest.raises(CommandError, match="could not be read"):
        run("drf_totp")
    assert not Totp.objects.exists()
    settings.TOTP_ENCRYPTION_KEY_FALLBACKS = [OTHER_KEY]
    assert "apps of 1 user." in run("drf_totp")
    phone.wait(1)
    moving.keep(log_in(moving, phone.code(secret)))


def test_one_that_was_never_encrypted(moving, phone, enroll):
    secret = enroll(moving.user, phone.code)
    as_text = Value(secret, output_field=CharField())
    TOTPAuth.objects.filter(user=moving.user).update(otp_base32=as_text)
    run("drf_totp")
    phone.wait(1)
    moving.keep(log_in(moving, phone.code(secret)))


def test_the_page_names_the_settings_that_both_read():
    section = markdown.sections(markdown.read("docs/importing.md"), 2)["drf_totp"]
    named = section.partition("read ")[2].partition(".")[0]
    assert set(re.findall(r"`(TOTP_\w+)`", named)) == set(DEFAULTS) & set(vars(Conf))


def test_the_command_of_both_is_that_of_the_app_that_comes_first():
    assert get_commands()["totp_reencrypt"] == "django_totp"
