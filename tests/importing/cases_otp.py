"""django-two-factor-auth, whose devices are django-otp's: people set up and log in on its pages."""

import base64

import pytest
from django.test import Client
from django_otp.plugins.otp_totp.models import TOTPDevice

from tests.importing.move import *  # noqa: F403
from tests.importing.move import log_in, run

pytestmark = pytest.mark.django_db(transaction=True)
SETUP, LOGIN = "/account/two_factor/setup/", "/account/login/"


def secret_of(device):
    return base64.b32encode(device.bin_key).decode()


@pytest.fixture
def enroll():
    def enroll(user, code):
        client = Client()
        client.force_login(user)
        client.get(SETUP)
        page = client.post(SETUP, {"setup_view-current_step": "welcome"})
        if page.context["wizard"]["steps"].current == "method":
            choice = {"setup_view-current_step": "method", "method-method": "generator"}
            page = client.post(SETUP, choice)
        secret = page.context["secret_key"]
        token = {"setup_view-current_step": "generator", "generator-token": code(secret)}
        assert client.post(SETUP, token).status_code == 302
        return secret

    return enroll


@pytest.fixture
def accepts(password):
    def accepts(user, code):
        client = Client()
        name = {"auth-username": user.get_username(), "auth-password": password}
        client.post(LOGIN, {"login_view-current_step": "auth", **name})
        token = {"login_view-current_step": "token", "token-otp_token": code}
        return client.post(LOGIN, token).status_code == 302

    return accepts


@pytest.fixture
def begin():
    return lambda user: TOTPDevice.objects.create(user=user, name="default", confirmed=False)


def test_its_last_step_is_carried(moving, phone, enroll, accepts):
    """So the code of the next step is good at once, where nothing must be burnt."""
    secret = enroll(moving.user, phone.code)
    phone.wait(2)
    assert accepts(moving.user, phone.code(secret))
    run("otp")
    phone.wait(1)
    moving.keep(log_in(moving, phone.code(secret)))


def test_of_several_the_one_used_last(moving, phone, password):
    old, new, unused = (TOTPDevice.objects.create(user=moving.user) for _ in range(3))
    for device in (old, new):
        phone.wait(2)
        assert device.verify_token(int(phone.code(secret_of(device))))
    printed = run("otp")
    assert f"the one used last was taken: 2 ({old.pk}, {unused.pk})." in printed
    phone.wait(2)
    moving.refused(log_in(moving, phone.code(secret_of(old))), 400, "invalid_totp_code")
    moving.keep(log_in(moving, phone.code(secret_of(new))))


def test_a_clock_that_is_off(moving, phone):
    device = TOTPDevice.objects.create(user=moving.user, tolerance=10)
    code = phone.code(secret_of(device))
    phone.wait(5)
    assert device.verify_token(int(code))
    assert device.drift == -5
    assert f"the clock of the phone is off by more than TOTP_VALID_WINDOW: 1 ({device.pk})." in run(
        "otp"
    )
    moving.refused(log_in(moving, code), 400, "invalid_totp_code")


def test_eight_digits_of_a_minute(moving, phone):
    device = TOTPDevice.objects.create(user=moving.user, digits=8, step=60)
    run("otp")
    phone.wait(6)
    moving.keep(log_in(moving, phone.code(secret_of(device), digits=8, interval=60)))


def test_static_tokens_stay_behind(moving):
    moving.user.staticdevice_set.create(name="backup").token_set.create(token="abcdefgh")
    TOTPDevice.objects.create(user=moving.user)
    assert "1 of the source's records of backup codes stay behind" in run("otp")
