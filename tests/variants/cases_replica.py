"""A read replica that lags behind decides nothing about a second factor."""

from datetime import date

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import router
from django.db.models.signals import post_delete
from django.urls import reverse

from django_totp import auth, totp
from django_totp.encryption import encrypt
from django_totp.models import Account, BackupCode, Totp
from django_totp.operations.support import Duty, account_status_of, duties
from tests.endpoints import BAD_BACKUP, BAD_CHALLENGE, BAD_OTP, assert_error, wrong_code

pytestmark = pytest.mark.django_db(databases=["default", "replica"])


@pytest.fixture
def replicate():
    """Return a function that copies all rows to the replica, once."""

    def replicate():
        for model in (get_user_model(), Totp, BackupCode):
            model._default_manager.using("replica").all().delete()
        for model in (get_user_model(), Totp, BackupCode):
            rows = list(model._default_manager.using("default").all())
            model._default_manager.using("replica").bulk_create(rows)

    return replicate


@pytest.fixture
def lagging_user(enrolled_user, replicate):
    """Return the enrolled user, as the replica will know it to the end of the test."""
    replicate()
    return enrolled_user


def test_reads_go_to_the_replica(user):
    assert router.db_for_read(type(user)) == "replica"
    assert not type(user)._default_manager.filter(pk=user.pk).exists()


def test_a_used_code_stays_used(login, lagging_user, secret, otp):
    code = otp(secret)
    assert login(lagging_user, otp_code=code).status_code == 200
    assert_error(login(lagging_user, otp_code=code), 400, BAD_OTP)
    assert totp.verify_totp_code(lagging_user, code) is False


def test_a_used_backup_code_stays_used(login, lagging_user, backup_codes):
    assert login(lagging_user, backup_code=backup_codes[0]).status_code == 200
    assert_error(login(lagging_user, backup_code=backup_codes[0]), 400, BAD_BACKUP)


def test_a_used_challenge_stays_used(api, lagging_user, secret, otp, backup_codes):
    token = {"totp_challenge_token": auth.generate_challenge_token(lagging_user)}
    url = reverse("jwt-totp-verify")
    assert api.post(url, token | {"otp_code": otp(secret)}).status_code == 200
    refused = api.post(url, token | {"backup_code": backup_codes[0]})
    assert_error(refused, 400, BAD_CHALLENGE)


def test_wrong_codes_are_counted(settings, login, lagging_user, secret, otp):
    settings.TOTP_FAILURE_LIMIT = 1
    for _ in range(2):
        assert_error(login(lagging_user, otp_code=wrong_code(secret)), 400, BAD_OTP)
    assert_error(login(lagging_user, otp_code=otp(secret)), 429)


def test_a_login_asks_at_once_for_the_new_factor(login, signed_in, user, replicate, otp):
    replicate()
    secret = signed_in.post(reverse("totp-create")).json()["secret"]
    code = {"input_code": otp(secret, offset=-1)}
    assert signed_in.post(reverse("totp-confirm"), code).status_code == 200
    assert signed_in.get(reverse("totp-status")).json()["is_totp_enabled"] is True
    assert login(user).json()["is_totp_enabled"] is True
    assert login(user, otp_code=otp(secret)).status_code == 200


def test_old_backup_codes_die_at_once(login, signed_in, lagging_user, backup_codes):
    response = signed_in.post(reverse("totp-rotate-backup-codes"))
    new = response.json()["backup_codes"]
    assert_error(login(lagging_user, backup_code=backup_codes[0]), 400, BAD_BACKUP)
    assert login(lagging_user, backup_code=new[0]).status_code == 200


@pytest.mark.parametrize("change", ["inactive", "password", "disabled"])
def test_a_change_of_the_account_counts_at_once(api, lagging_user, secret, otp, change):
    token = auth.generate_challenge_token(lagging_user)
    if change == "disabled":
        totp.disable_totp(lagging_user)
    else:
        lagging_user.is_active = change != "inactive"
        lagging_user.set_password("new" if change == "password" else "old")
        lagging_user.save(using="default")
    body = {"totp_challenge_token": token, "otp_code": otp(secret)}
    assert_error(api.post(reverse("jwt-totp-verify"), body), 400)


def test_a_fresh_proof_is_asked_of_the_primary(settings, signed_in, lagging_user, secret, otp):
    settings.TOTP_REAUTHENTICATE = True
    code = {"otp_code": otp(secret)}
    assert signed_in.post(reverse("totp-rotate-backup-codes"), code).status_code == 200
    assert_error(signed_in.post(reverse("totp-disable"), code), 403)


def test_disable(signed_in, lagging_user):
    assert signed_in.post(reverse("totp-disable")).status_code == 204
    assert not Totp.objects.using("default").exists()
    assert signed_in.get(reverse("totp-status")).json()["is_totp_enabled"] is False


def test_a_row_that_an_operator_names_in_the_other_database_is_the_one_that_goes(make_user):
    """Also where the ORM deletes it, because somebody watches."""
    users = {"default": make_user("here"), "replica": make_user("there")}
    users["replica"].save(using="replica", force_insert=True)
    for alias, user in users.items():
        Totp.objects.using(alias).create(pk=1, user_id=user.pk, secret_key=encrypt("S"))
    hear = lambda **kwargs: None  # noqa: E731
    post_delete.connect(hear)
    try:
        call_command("totp_reset", users["replica"].get_username(), database="replica", yes=True)
    finally:
        post_delete.disconnect(hear)
    left = [alias for alias in users if Totp.objects.using(alias).exists()]
    assert left == ["default"]


@pytest.mark.parametrize("is_known", [True, False])
def test_accounts_are_written_to_the_primary(lagging_user, is_known):
    name = lagging_user.get_username()
    if is_known:
        Account.objects.create(user=lagging_user)
    call_command("totp_end_sessions", name, yes=True)
    call_command("totp_exempt", name, until="9999-12-31", reason="no phone")
    account = Account.objects.using("default").get()
    assert account.valid_from is not None
    assert account.exempt_reason == "no phone"
    assert not Account.objects.using("replica").exists()


def test_numbers_and_states_are_those_of_the_primary(lagging_user, settings):
    settings.TOTP_REQUIRED_FOR = ["everyone", "tests.variants.cases_replica.nobody"]
    Totp.objects.all().delete()
    Account.objects.create(user=lagging_user, exempt_until=date.max, exempt_reason="no phone")
    assert duties()["all"] == Duty(required=1, in_grace=0, overdue=0, exempt=1)
    assert account_status_of(lagging_user).exempt_reason == "no phone"


def nobody(user):
    return False
