"""django-mfa2, which takes codes of a quarter of an hour before and after."""

import json

import pytest
from django.test import RequestFactory
from mfa import totp
from mfa.models import User_Keys

from django_totp.models import Totp
from tests.importing.move import *  # noqa: F403
from tests.importing.move import run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def enroll():
    def enroll(user, code):
        request = RequestFactory().get("/")
        request.user, request.session = user, {}
        secret = json.loads(totp.getToken(request).content)["secret_key"]
        request.GET = {"key": secret, "answer": code(secret)}
        assert totp.verify(request).content == b"Success"
        return secret

    return enroll


@pytest.fixture
def accepts():
    return lambda user, code: totp.verify_login(None, user.username, code)[0]


def test_a_name_that_nobody_has(moving, phone, enroll):
    enroll(moving.user, phone.code)
    key = User_Keys.objects.create(username="nobody", properties={"secret_key": "A" * 32})
    printed = run("mfa2")
    assert printed.startswith("Took over the apps of 1 user.\n")
    assert f"there is no such user: 1 ({key.pk})." in printed
    assert "15 minutes" in printed
    assert Totp.objects.get().user == moving.user
