"""The real SDK of Sentry, set to tell all it can, over a database that fails in the middle."""

import json

import pytest
import sentry_sdk
from django.db import OperationalError, connection
from django.urls import reverse

from django_totp import backup_code_utils, oath, reauthentication, totp
from django_totp.models import Totp
from django_totp.sentry import before_send
from tests.test_secrets import *  # noqa: F403
from tests.test_secrets import ALL, BACKUP_CODES, PASSWORD
from tests.variants.settings_sentry import SENT, tell

# Only the fixtures of that module: its tests are run by itself.
for _name in [name for name in globals() if name.startswith(("Test", "test_"))]:
    del globals()[_name]


@pytest.fixture(autouse=True)
def _nothing_sent_yet():
    for scope in (sentry_sdk.get_isolation_scope(), sentry_sdk.get_current_scope()):
        scope.clear()
    SENT.clear()


@pytest.fixture
def fails():
    """Return a function that lets the database fail at the first statement of a kind."""

    def fails(*kinds):
        def execute(run, sql, params, many, context):
            if sql.startswith(kinds):
                raise OperationalError(f"lost while at {sql} with {params}")
            return run(sql, params, many, context)

        return connection.execute_wrapper(execute)

    return fails


def events(kind="exception"):
    sentry_sdk.flush()
    return [event for event in SENT if kind in event]


WRITES = ("UPDATE", "INSERT", "DELETE")


@pytest.mark.parametrize("form", ["json", "multipart", "urlencoded"])
@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("kinds", [("SELECT",), WRITES], ids=["read", "write"])
def test_nothing_is_sent(planted, requests, fails, settings, name, form, kinds):
    settings.TOTP_REAUTHENTICATE = True
    # As Sentry's WSGI middleware has it, which a test client does without.
    transaction = sentry_sdk.start_transaction(op="http", name=reverse(name))
    with sentry_sdk.isolation_scope(), transaction, fails(*kinds):
        response = requests(name, form)
    if response.status_code == 500:
        [event] = events()
        assert event["exception"]["values"][-1]["type"] == "OperationalError"
        text = json.dumps(event)
        assert "django_totp" in text
        assert "execute" in text
    else:
        assert not events()
    assert events("spans")
    assert planted.found_in(json.dumps(SENT)) == set()


def test_without_it_they_would_be(planted, requests, fails):
    """Else every test here would pass."""
    try:
        tell()
        with fails(*WRITES):
            assert requests("jwt-totp-verify").status_code == 500
        assert planted.found_in(json.dumps(events())) >= {"code", "challenge"}
    finally:
        tell(before_send=before_send, before_send_transaction=before_send)


def test_services_that_a_project_calls_by_itself(planted, enrolled, make_user, monkeypatch):
    """Its own frames hold the same codes, and so does the message of the exception."""

    def broken(*args, **kwargs):
        raise OperationalError(f"lost with {args} {kwargs} {planted.secrets}")

    monkeypatch.setattr(Totp, "move", broken)
    monkeypatch.setattr(Totp.objects, "create", broken)
    monkeypatch.setattr(backup_code_utils, "generate_backup_codes", lambda: [*BACKUP_CODES])
    monkeypatch.setattr(oath, "generate_secret", lambda: planted.secrets["secret"])
    code, user = planted.secrets["code"], make_user("new")
    calls = [
        lambda given=code: totp.verify_totp_code(enrolled, given),
        lambda given=BACKUP_CODES[0]: backup_code_utils.verify_backup_code(enrolled, given),
        lambda: backup_code_utils.rotate_backup_codes(enrolled),
        lambda: totp.create_totp_setup(user),
        lambda given=PASSWORD: reauthentication.reauthenticate(
            enrolled, otp_code=code, password=given
        ),
    ]
    for call in calls:
        try:
            call()
        except OperationalError:
            sentry_sdk.set_context("form", {"code": code})
            sentry_sdk.set_extra("code", code)
            sentry_sdk.add_breadcrumb(message=code, data={"code": code})
            sentry_sdk.capture_exception()
    assert len(events()) == len(calls)
    assert planted.found_in(json.dumps(SENT)) == set()


def test_an_event_that_is_none_of_ours_goes_as_it_came():
    mine = "a variable of the project"
    try:
        raise ZeroDivisionError(mine)
    except ZeroDivisionError:
        sentry_sdk.capture_exception()
    [event] = events()
    assert event["exception"]["values"][-1]["value"] == mine
    assert mine in json.dumps(event["exception"]["values"][-1]["stacktrace"])
