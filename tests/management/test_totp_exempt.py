import logging
from datetime import UTC, date, datetime, timedelta

import pytest
import time_machine
from django.core.management import CommandError

from django_totp import policy
from django_totp.models import Account, AccountManager
from django_totp.moments import today

pytestmark = pytest.mark.django_db
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _named(settings):
    settings.TOTP_REQUIRED_FOR = ["everyone"]
    settings.TIME_ZONE = "UTC"


@pytest.fixture
def exempt(run, user):
    """Return a function that exempts the user."""

    def exempt(until="2030-01-31", reason="no phone yet"):
        return run("totp_exempt", user.get_username(), "--until", until, "--reason", reason)

    return exempt


@pytest.fixture
def end(run, user):
    """Return a function that ends the exemption."""
    return lambda *more: run("totp_exempt", user.get_username(), "--end", *more)


@pytest.fixture
def told(caplog):
    """Return a function that gives event, user and reason of what was logged."""
    caplog.set_level(logging.INFO, "django_totp")
    return lambda: [
        (record.event, record.user_pk, record.reason)
        for record in caplog.records
        if record.name == "django_totp"
    ]


def owes(user):
    user.refresh_from_db()
    return policy.owes(user)


def test_until_the_end_of_that_day(exempt, user):
    with time_machine.travel(NOON, tick=False):
        text = exempt("2030-01-31", " no phone yet ")
    assert text == "ada@example.com is exempt up to and including 2030-01-31.\n"
    account = Account.objects.get()
    assert (account.exempt_until, account.exempt_reason) == (date(2030, 1, 31), "no phone yet")
    for moment, is_owing in (
        (datetime(2030, 1, 31, 23, 59, tzinfo=UTC), False),
        (datetime(2030, 2, 1, tzinfo=UTC), True),
    ):
        with time_machine.travel(moment, tick=False):
            assert owes(user) is is_owing


def test_today_is_a_day_in_the_time_zone_of_the_project(exempt, settings):
    settings.TIME_ZONE = "Asia/Tokyo"
    with time_machine.travel(datetime(2030, 1, 1, 16, tzinfo=UTC), tick=False):
        exempt("2030-01-02")
        with pytest.raises(CommandError, match="--until must be today or later, not 2030-01-01"):
            exempt("2030-01-01")


def test_tells_the_log(exempt, end, user, told):
    exempt("9999-12-31")
    end("--reason", "has one now")
    assert told() == [
        ("exempted", str(user.pk), "no phone yet"),
        ("exemption_ended", str(user.pk), "has one now"),
    ]


def test_the_row_that_there_is_keeps_what_else_it_knows(exempt, user):
    Account.objects.create(user=user, valid_from=NOON, required_since=NOON)
    exempt("9999-12-31")
    account = Account.objects.get()
    assert (account.valid_from, account.required_since) == (NOON, NOON)
    assert account.exempt_until == date(9999, 12, 31)


def test_another_one(exempt):
    exempt("2999-01-01", "a month")
    exempt("9999-12-31", "longer")
    account = Account.objects.get()
    assert (account.exempt_until, account.exempt_reason) == (date(9999, 12, 31), "longer")


def test_end(exempt, end, user):
    exempt("9999-12-31")
    assert not owes(user)
    assert end() == "ada@example.com is not exempt any more.\n"
    assert owes(user)
    account = Account.objects.get()
    assert (account.exempt_until, account.exempt_reason) == (None, "")


@pytest.mark.parametrize("until", [None, date(2029, 12, 31)])
def test_nothing_to_end(end, user, told, until):
    Account.objects.create(user=user, exempt_until=until, exempt_reason="x")
    with time_machine.travel(NOON, tick=False), pytest.raises(CommandError) as caught:
        end()
    assert str(caught.value) == "This user is not exempt."
    assert caught.value.returncode == 1
    assert Account.objects.get().exempt_until == until
    assert told() == []


def test_nothing_to_end_without_a_row(end):
    with pytest.raises(CommandError, match="not exempt"):
        end()
    assert not Account.objects.exists()


@pytest.mark.parametrize("until", ["", "31.12.2030", "2030-02-30", "tomorrow", "2030-01-01T00:00"])
def test_what_is_no_date(exempt, until, told):
    with pytest.raises(CommandError, match="--until must be a date such as 2030-12-31, not "):
        exempt(until)
    assert not Account.objects.exists()
    assert told() == []


def test_a_day_that_is_over(exempt):
    yesterday = today() - timedelta(days=1)
    with pytest.raises(CommandError, match=f"must be today or later, not {yesterday}"):
        exempt(str(yesterday))
    exempt(str(today()))


@pytest.mark.parametrize("reason", ["", "  ", "x" * 201])
def test_a_reason_that_is_none_or_too_long(exempt, reason):
    with pytest.raises(CommandError, match="--reason must have from 1 to 200 characters"):
        exempt("9999-12-31", reason)
    assert not Account.objects.exists()


@pytest.mark.parametrize("reason", ["no\0phone", "no\udc80phone"])
def test_a_reason_that_a_database_cannot_hold(exempt, reason):
    with pytest.raises(CommandError, match="cannot hold"):
        exempt("9999-12-31", reason)


def test_the_longest_reason(exempt):
    exempt("9999-12-31", "é" * 200)
    assert Account.objects.get().exempt_reason == "é" * 200


@pytest.mark.parametrize(
    "options", [[], ["--until", "9999-12-31", "--end"], ["--until", "9999-12-31"]]
)
def test_options_that_say_too_little_or_too_much(run, user, options):
    with pytest.raises(CommandError):
        run("totp_exempt", user.get_username(), *options)


def after_reading(monkeypatch, act):
    """Let ``act`` run once, after the next read of an account."""
    of, left = AccountManager.of, [act]

    def and_then(manager, user):
        account = of(manager, user)
        if left:
            left.pop()()
        return account

    monkeypatch.setattr(AccountManager, "of", and_then)


def test_a_row_that_somebody_makes_meanwhile(exempt, user, monkeypatch):
    after_reading(monkeypatch, lambda: Account.objects.create(user=user, valid_from=NOON))
    exempt("9999-12-31")
    account = Account.objects.get()
    assert (account.valid_from, account.exempt_until) == (NOON, date(9999, 12, 31))


def test_an_end_of_all_logins_meanwhile(exempt, user, monkeypatch):
    Account.objects.create(user=user)
    after_reading(monkeypatch, lambda: Account.objects.update(valid_from=NOON))
    exempt("9999-12-31")
    assert Account.objects.get().valid_from == NOON


def test_an_exemption_that_somebody_ends_meanwhile(exempt, end, monkeypatch, told):
    exempt("9999-12-31")
    after_reading(monkeypatch, lambda: Account.objects.update(exempt_until=None))
    with pytest.raises(CommandError, match="not exempt"):
        end()
    assert [event for event, *_ in told()] == ["exempted"]
