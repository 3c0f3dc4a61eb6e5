"""docs/several-databases.md: a project whose users are in a database of their own."""

import io
import shlex

import pytest
from cryptography.fernet import Fernet
from django.contrib.auth import get_user_model
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import connections, transaction

from django_totp.models import Account, BackupCode, Event, Totp, TrustedDevice
from django_totp.totp import verify_totp_code
from tests import markdown
from tests.browsing import Browser, age_enrollment
from tests.endpoints import BAD_OTP, assert_error, wrong_code

PAGE = markdown.read("docs/several-databases.md")
pytestmark = pytest.mark.django_db(databases=["default", "accounts"], transaction=True)


def tables(alias):
    return set(connections[alias].introspection.table_names())


def test_our_tables_are_beside_the_users():
    ours = {model._meta.db_table for model in (Account, BackupCode, Event, Totp, TrustedDevice)}
    users = get_user_model()._meta.db_table
    assert tables("accounts") >= {*ours, users}
    assert not tables("default") & {*ours, users}
    assert "django_session" in tables("default")
    assert "django_session" not in tables("accounts")


def test_the_models_that_are_named_are_all():
    named = markdown.sentences("docs/several-databases.md").partition("Ours are ")[2]
    models = {model._meta.model_name for model in (Account, BackupCode, Event, Totp, TrustedDevice)}
    assert set(markdown.code(named.partition(".")[0])) == models


def test_a_login_by_token(login, enrolled_user, secret, otp):
    assert_error(login(enrolled_user, otp_code=wrong_code(secret)), 400, BAD_OTP)
    assert Totp.objects.using("accounts").get().failures == 1
    assert login(enrolled_user, otp_code=otp(secret)).status_code == 200
    assert_error(login(enrolled_user, otp_code=otp(secret)), 400, BAD_OTP)


def test_a_login_by_session(enrolled_user, secret, otp):
    age_enrollment(enrolled_user)
    browser = Browser(enrolled_user)
    browser.password()
    assert browser.is_half
    browser.code(otp(secret))
    assert browser.is_signed_in


@pytest.mark.parametrize("alias", ["default", "accounts"])
def test_a_wrong_code_stays_counted_whatever_is_rolled_back(
    login, enrolled_user, secret, settings, alias
):
    connections[alias].settings_dict["ATOMIC_REQUESTS"] = True
    try:
        assert_error(login(enrolled_user, otp_code=wrong_code(secret)), 400, BAD_OTP)
    finally:
        connections[alias].settings_dict["ATOMIC_REQUESTS"] = False
    assert Totp.objects.get().failures == 1


def test_a_rollback_of_the_caller_is_told(enrolled_user, caplog):
    with transaction.atomic(using="accounts"):
        verify_totp_code(enrolled_user, "1")
        transaction.set_rollback(True, using="accounts")
    assert Totp.objects.get().failures == 0
    assert "rolled back" in caplog.text


def test_the_commands(enrolled_user):
    commands = [line for block in markdown.blocks(PAGE, "sh") for line in block.splitlines()]
    for command in commands[1:]:
        _, _, name, *arguments = shlex.split(command)
        arguments = [enrolled_user.get_username() if one == "ada" else one for one in arguments]
        out = io.StringIO()
        call_command(name, *arguments, stdout=out)
        assert out.getvalue()
    assert [command.split()[2] for command in commands] == [
        "migrate",
        "check",
        "totp_status",
        "totp_reencrypt",
    ]


def test_the_check_looks_where_it_is_told(enrolled_user, settings):
    settings.TOTP_ENCRYPTION_KEY = Fernet.generate_key()
    for alias, warned in (("default", False), ("accounts", True)):
        found = {one.id for one in run_checks(databases=[alias])}
        assert ("django_totp.W090" in found) is warned


def test_a_commands_default_is_where_the_enrollments_are(enrolled_user):
    call_command("totp_reset", enrolled_user.get_username(), yes=True, stdout=io.StringIO())
    assert not Totp.objects.using("accounts").exists()
