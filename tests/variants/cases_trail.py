"""The events are in a database of their own, which fails in each of its ways."""

import logging
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command
from django.db import connections, transaction
from django.test import Client
from django.urls import reverse

from django_totp import events
from django_totp.models import Event, Totp
from tests.endpoints import wrong_code

pytestmark = pytest.mark.django_db(databases=["default", "trail"], transaction=True)


@pytest.fixture
def journey(login, enrolled_user, secret, otp):
    """Return a function that guesses wrong and logs in."""

    def journey():
        assert login(enrolled_user, otp_code=wrong_code(secret)).status_code == 400
        assert login(enrolled_user, otp_code=otp(secret)).status_code == 200

    return journey


@pytest.fixture
def trail():
    """Return the connection to the database of the events, which is as it was at the end."""
    connection = connections["trail"]
    name = connection.settings_dict["NAME"]
    yield connection
    connection.close()
    connection.settings_dict["NAME"] = name
    connection.settings_dict["OPTIONS"].pop("uri", None)


def names():
    return list(Event.objects.order_by("pk").values_list("event", flat=True))


def test_they_are_written_there(journey):
    journey()
    assert names() == ["verification_failed", "verified", "login"]
    assert "django_totp_event" not in connections["default"].introspection.table_names()


def test_a_transaction_of_the_project_does_not_take_them_along(user):
    with transaction.atomic():
        events.record("login", user, None)
        transaction.set_rollback(True)
    assert names() == ["login"]


def test_the_other_way_round(trail, journey):
    with transaction.atomic(using="trail"):
        journey()
        transaction.set_rollback(True, using="trail")
    assert names() == []
    assert Totp.objects.get().last_used_step is not None


def test_a_database_that_is_locked(trail, journey, capsys):
    holder = sqlite3.connect(trail.settings_dict["NAME"], isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        journey()
    finally:
        holder.close()
    assert capsys.readouterr().err.count("database is locked\n") >= 3
    assert names() == []
    events.record("login", None, None)
    assert names() == ["login"]


def test_a_database_that_can_only_be_read(trail, journey, capsys):
    trail.close()
    trail.settings_dict["OPTIONS"]["uri"] = True
    trail.settings_dict["NAME"] = f"file:{trail.settings_dict['NAME']}?mode=ro"
    journey()
    assert capsys.readouterr().err.count("readonly database\n") >= 3
    assert names() == []


def test_a_database_that_is_down(trail, journey, capsys):
    trail.close()
    trail.settings_dict["NAME"] = "/nowhere/at/all.sqlite3"
    journey()
    assert capsys.readouterr().err.count("unable to open database file\n") >= 3


def test_pages_and_pruning(user, make_user, password):
    with_old = datetime.now(UTC) - timedelta(days=40)
    Event.objects.create(at=with_old, event="verified", user_pk=str(user.pk))
    events.record("disabled", user, None, reason="lost phone")
    client = Client()
    client.force_login(make_user("root", is_staff=True, is_superuser=True))
    page = client.get(reverse("admin:django_totp_event_changelist"), {"q": "ada@example.com"})
    assert page.content.decode().count('class="field-username">ada@example.com<') == 2
    call_command("totp_prune", older_than=30, verbosity=0)
    assert names() == ["disabled"]


def test_pruning_one_database(capsys):
    old = datetime.now(UTC) - timedelta(days=40)
    Event.objects.create(at=old, event="verified")
    call_command("totp_prune", older_than=30, database="default")
    assert "events" not in capsys.readouterr().out
    call_command("totp_prune", older_than=30, database="trail")
    assert capsys.readouterr().out == "Removed: 1 events.\n"


def test_the_handler_is_the_settings(settings):
    [handler] = logging.getLogger("django_totp").handlers
    assert type(handler).__module__ == "django_totp.trail"
