"""What an endpoint costs in statements: SQL and transaction commands, authentication included.

An ORM statement costs several times the whole check of a code, so this count is the
performance. It is counted outside of any transaction of the test, which would put savepoints
in the place of BEGIN and COMMIT.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.core import mail
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from rest_framework.test import APIClient
from rest_framework.views import APIView
from rest_framework_simplejwt.authentication import JWTStatelessUserAuthentication
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, api_settings

from django_totp import devices
from django_totp.accounts import account_by
from django_totp.assurance import new_login
from django_totp.auth import generate_challenge_token, next_step
from django_totp.encryption import decrypt
from django_totp.models import Totp
from django_totp.totp import start_totp_replacement
from django_totp.users import email_field
from tests.endpoints import GET, wrong_code

pytestmark = pytest.mark.django_db(transaction=True)

# simplejwt stores each refresh token that it makes.
TOKENS = int(apps.is_installed("rest_framework_simplejwt.token_blacklist"))
REFRESH = (1 + 8, 4) if TOKENS else (1, 0)  # the eight and the transactions are the blacklist's


@pytest.fixture
def rotation(monkeypatch):
    """Do all that the blacklist is for, where it is."""
    if TOKENS:
        monkeypatch.setattr(api_settings, "ROTATE_REFRESH_TOKENS", True)
        monkeypatch.setattr(api_settings, "BLACKLIST_AFTER_ROTATION", True)


@pytest.fixture
def cost(settings: Any) -> Callable[..., tuple[int, int]]:
    """Return a function that calls an endpoint and gives what it cost: (SQL, transactions)."""
    settings.TOTP_THROTTLE_RATE = "1000/minute"

    def cost(client: APIClient, name: str, status: int, **body: str) -> tuple[int, int]:
        reads = name in GET or name == "totp-devices"
        post = client.get if reads else client.post
        with CaptureQueriesContext(connection) as captured:
            response = post(reverse(name), body, **({} if reads else {"format": "json"}))
        assert response.status_code == status, response.content
        commands = [query["sql"].split()[0].upper() for query in captured]
        in_transactions = Counter(commands)["BEGIN"] + Counter(commands)["COMMIT"]
        assert not {"SAVEPOINT", "RELEASE", "ROLLBACK"} & set(commands), commands
        return len(commands) - in_transactions, in_transactions

    return cost


@pytest.fixture
def second_step(cost, api, enrolled_user):
    """Return a function that takes the second step of a login and gives what it cost."""

    def second_step(status: int, **code: str) -> tuple[int, int]:
        token = generate_challenge_token(enrolled_user)
        return cost(api, "jwt-totp-verify", status, totp_challenge_token=token, **code)

    return second_step


@pytest.fixture
def credentials(user, password):
    return {user.USERNAME_FIELD: user.get_username(), "password": password}


def test_the_commands_of_a_transaction_are_counted(db):
    """Else the other tests here would count too little and pass."""
    with CaptureQueriesContext(connection) as captured, transaction.atomic():
        pass
    assert [query["sql"] for query in captured] == ["BEGIN", "COMMIT"]


def test_login_with_a_password(cost, api, credentials):
    assert cost(api, "jwt-create", 200, **credentials) == (2 + TOKENS, 0)


def test_first_step(cost, api, enrolled_user, credentials):
    assert cost(api, "jwt-create", 200, **credentials) == (2, 0)


def test_right_code(second_step, secret, otp):
    assert second_step(200, otp_code=otp(secret)) == (2 + TOKENS, 0)


def test_wrong_code(second_step, secret):
    assert second_step(400, otp_code=wrong_code(secret)) == (2, 0)


def test_replayed_code(second_step, secret, otp):
    code = otp(secret)
    second_step(200, otp_code=code)
    assert second_step(400, otp_code=code) == (2, 0)


def test_code_during_the_wait(settings, second_step, secret):
    settings.TOTP_FAILURE_LIMIT = 0
    second_step(400, otp_code=wrong_code(secret))
    assert second_step(429, otp_code=wrong_code(secret)) == (1, 0)


def test_backup_code(second_step, backup_codes):
    assert second_step(200, backup_code=backup_codes[0]) == (3 + TOKENS, 2)


@pytest.fixture
def notices(settings, enrolled_user):
    """Let the owner be mailed, and return the mails."""
    settings.TOTP_SEND_NOTICES = True
    setattr(enrolled_user, email_field(enrolled_user), "ada@example.org")
    enrolled_user.save()
    return mail.outbox


def test_notices_cost_a_login_nothing(notices, cost, api, second_step, user, password, secret, otp):
    credentials = {user.USERNAME_FIELD: user.get_username(), "password": password}
    assert cost(api, "jwt-create", 200, **credentials) == (2, 0)
    assert second_step(200, otp_code=otp(secret)) == (2 + TOKENS, 0)
    assert second_step(400, otp_code=wrong_code(secret)) == (2, 0)
    assert notices == []


def test_the_wait_that_is_mailed(notices, settings, second_step, secret):
    settings.TOTP_FAILURE_LIMIT = 0
    assert second_step(400, otp_code=wrong_code(secret)) == (2, 0)
    assert len(notices) == 1


def test_the_backup_code_that_is_mailed(notices, second_step, backup_codes):
    """One more: how many are left is counted for the mail."""
    assert second_step(200, backup_code=backup_codes[0]) == (4 + TOKENS, 2)
    assert len(notices) == 1


def test_wrong_backup_code(second_step):
    """One more than a right one: it may be one of 1.1.x that nobody has digested yet."""
    assert second_step(400, backup_code="abcd-efgh-jkmn-pqrs") == (4, 2)


@pytest.fixture
def device(settings, enrolled_user):
    """Return what a trusted device of the user keeps."""
    settings.TOTP_TRUSTED_DEVICE_MAX_AGE = 86400
    user = account_by("pk", enrolled_user.pk)
    return devices.trust(user, new_login(user, "pwd", "otp"))


def test_login_by_a_trusted_device(cost, api, device, credentials):
    """As many as the first step, and one: fewer than with a code."""
    made = cost(api, "jwt-create", 200, **credentials, trusted_device=device)
    assert made == (3 + TOKENS, 0)


def test_a_device_that_is_none(cost, api, device, credentials):
    tag, rest = device[:8], device[9:]
    assert cost(api, "jwt-create", 200, **credentials, trusted_device="x") == (2, 0)
    other = f"{'x' * len(tag)}.{rest}"
    assert cost(api, "jwt-create", 200, **credentials, trusted_device=other) == (2, 0)


def test_a_device_that_was_used_before(cost, api, device, credentials):
    """One finds no row, one looks why, one ends it."""
    body = {**credentials, "trusted_device": device}
    cost(api, "jwt-create", 200, **body)
    assert cost(api, "jwt-create", 200, **body) == (2 + 3, 2)
    assert cost(api, "jwt-create", 200, **body) == (2 + 2, 0)


def test_right_code_that_makes_a_trusted_device(settings, second_step, secret, otp):
    settings.TOTP_TRUSTED_DEVICE_MAX_AGE = 86400
    made = second_step(200, otp_code=otp(secret), trust_device=True)
    assert made == (2 + TOKENS + 1, 0)


def test_the_list_of_trusted_devices(cost, device, signed_in):
    assert cost(signed_in, "totp-devices", 200) == (2, 0)


def test_status_with_trusted_devices(cost, device, signed_in):
    assert cost(signed_in, "totp-status", 200) == (3, 0)


def test_last_login(monkeypatch, cost, api, credentials):
    monkeypatch.setattr(api_settings, "UPDATE_LAST_LOGIN", True)
    assert cost(api, "jwt-create", 200, **credentials) == (3 + TOKENS, 0)


def test_refresh(rotation, cost, api, user):
    refresh = str(RefreshToken.for_user(user))
    assert cost(api, "jwt-refresh", 200, refresh=refresh) == REFRESH


def test_refresh_with_a_check_of_the_password(monkeypatch, rotation, cost, api, user):
    monkeypatch.setattr(api_settings, "CHECK_REVOKE_TOKEN", True)
    refresh = str(RefreshToken.for_user(user))
    assert cost(api, "jwt-refresh", 200, refresh=refresh) == REFRESH


def test_step_up(cost, api, enrolled_user, secret, otp):
    """One more than a refresh that rotates: the row is moved."""
    refresh = str(RefreshToken.for_user(enrolled_user))
    sql, transactions = REFRESH
    body = {"refresh": refresh, "otp_code": otp(secret)}
    assert cost(api, "jwt-step-up", 200, **body) == (sql + 1, transactions)


def test_an_owed_enrollment(settings, cost, api, user, credentials, otp):
    settings.TOTP_REQUIRED_FOR = ["everyone"]
    cost(api, "jwt-create", 200, **credentials)  # the first notes that it is owed
    assert cost(api, "jwt-create", 200, **credentials) == (2, 0)
    challenge = {"totp_challenge_token": next_step(user).challenge}
    assert cost(api, "jwt-totp-create", 201, **challenge) == (3, 2)
    code = otp(decrypt(Totp.objects.get().secret_key))
    made = cost(api, "jwt-totp-confirm", 200, **challenge, input_code=code)
    assert made == (5 + TOKENS, 2)


def test_a_login_in_groups_that_must_have_a_factor(settings, cost, api, credentials):
    settings.TOTP_REQUIRED_FOR = ["staff", "group:editors"]
    assert cost(api, "jwt-create", 200, **credentials) == (2 + TOKENS, 0)


def test_verify(cost, api, user):
    """simplejwt looks into the blacklist where it was told to when it was imported."""
    looks = int(api_settings.BLACKLIST_AFTER_ROTATION)
    token = str(AccessToken.for_user(user))
    assert cost(api, "jwt-verify", 200, token=token) == (looks, 0)


def test_login_with_a_name_to_normalize(cost, api, user, password):
    type(user)._default_manager.update(**{user.USERNAME_FIELD: "jos\xe9@example.com"})
    credentials = {user.USERNAME_FIELD: "jose\u0301@example.com", "password": password}
    assert cost(api, "jwt-create", 200, **credentials) == (3 + TOKENS, 0)


def test_a_stateless_user(monkeypatch, cost, signed_in):
    monkeypatch.setattr(APIView, "authentication_classes", (JWTStatelessUserAuthentication,))
    assert cost(signed_in, "totp-status", 200) == (2, 0)


def test_create(cost, signed_in):
    assert cost(signed_in, "totp-create", 201) == (3, 2)


def test_create_again(cost, pending_user, signed_in):
    assert cost(signed_in, "totp-create", 201) == (3, 0)


def test_confirm(cost, pending_user, signed_in, secret, otp):
    assert cost(signed_in, "totp-confirm", 200, input_code=otp(secret)) == (4, 2)


def test_confirm_with_a_wrong_code(cost, pending_user, signed_in, secret):
    assert cost(signed_in, "totp-confirm", 400, input_code=wrong_code(secret)) == (3, 0)


def test_replace(cost, enrolled_user, signed_in):
    assert cost(signed_in, "totp-replace", 201) == (3, 0)


def test_confirm_a_replacement(cost, enrolled_user, signed_in, otp):
    code = otp(start_totp_replacement(enrolled_user).secret)
    assert cost(signed_in, "totp-confirm", 200, input_code=code) == (5, 2)


def test_disable(cost, enrolled_user, signed_in):
    assert cost(signed_in, "totp-disable", 204) == (4, 2)


def test_rotate(cost, enrolled_user, signed_in):
    assert cost(signed_in, "totp-rotate-backup-codes", 200) == (5, 2)


def test_status(cost, enrolled_user, signed_in):
    assert cost(signed_in, "totp-status", 200) == (2, 0)


def test_status_without_an_enrollment(cost, signed_in):
    assert cost(signed_in, "totp-status", 200) == (2, 0)
