"""``manage.py totp_prune``: what it prints, and its exit status."""

import io
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from django_totp.management import progress
from django_totp.management.commands import totp_prune
from django_totp.models import Event, Totp
from django_totp.operations.pruning import Tally

pytestmark = pytest.mark.django_db

NOTHING = "Removed: 0 events, 0 trusted devices, 0 abandoned setups, 0 abandoned replacements.\n"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def events():
    """Write events of 10, 20, 30 and 40 days ago."""
    now = datetime.now(UTC)
    Event.objects.using("default").bulk_create(
        Event(at=now - timedelta(days=days), event="login") for days in (10, 20, 30, 40)
    )


@pytest.fixture
def told(monkeypatch):
    """Return a function that makes the command hear of ``tallies``, and then of an error."""

    def told(tallies, error=None):
        def prune(*args, **options):
            yield from tallies
            if error:
                raise error

        monkeypatch.setattr(totp_prune, "prune", prune)

    return told


@pytest.fixture
def clock(monkeypatch):
    """Make a second pass between two looks at the clock."""
    seconds = iter(range(1000))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(seconds))


def run(*arguments, out=None, **options):
    """Return what the command prints."""
    out = out or io.StringIO()
    call_command("totp_prune", *arguments, stdout=out, no_color=True, **options)
    return out.getvalue()


def tallies(steps, total):
    """Yield one tally, as it is after each of ``steps`` rows."""
    tally = Tally("events", total)
    yield tally
    for step in steps:
        tally.seen += step
        tally.removed += step
        yield tally


def test_says_what_it_removed(events):
    assert run("--older-than=15") == NOTHING.replace("0 events", "3 events")
    assert Event.objects.count() == 1
    assert run("--older-than", "15") == NOTHING


def test_a_dry_run_says_what_it_would_remove(events):
    printed = run("--older-than=15", "--dry-run")
    assert printed == NOTHING.replace("Removed: 0 events", "Would remove: 3 events")
    assert Event.objects.count() == 4


def test_can_be_called_by_a_program(events):
    assert run(older_than=35, verbosity=0) == ""
    assert Event.objects.count() == 3


@pytest.mark.parametrize("days", ["0", "-1", "1.5", "x", "", "36501", "1e3", str(10**12)])
def test_days_that_make_no_sense(days):
    with pytest.raises(CommandError, match="--older-than"):
        run(f"--older-than={days}")


def test_days_must_be_told():
    with pytest.raises(CommandError, match="--older-than"):
        run()


def test_a_hundred_years(events):
    assert run("--older-than=36500") == NOTHING


def test_a_database_that_is_not_there():
    with pytest.raises(CommandError, match="--database"):
        run("--older-than=1", "--database=elsewhere")


@pytest.mark.usefixtures("no_routing")
def test_a_database_that_is_named(events):
    assert "3 events" in run("--older-than=15", "--database=default")


def test_options_reach_the_service(monkeypatch):
    calls = []

    def prune(*args, **options):
        calls.append((args, options))
        return iter(())

    monkeypatch.setattr(totp_prune, "prune", prune)
    run("--older-than=1")
    run("--older-than=7", "--database=default", "--dry-run")
    assert calls == [
        ((timedelta(days=1), None), {"dry_run": False}),
        ((timedelta(days=7), "default"), {"dry_run": True}),
    ]


def test_a_database_without_our_tables_has_nothing(told):
    told([])
    assert run("--older-than=1") == "Removed: nothing.\n"


def test_what_was_changed_meanwhile_is_told(told):
    told([Tally("abandoned setups", 3, seen=3, removed=1, left=2)])
    assert run("--older-than=1") == (
        "Removed: 1 abandoned setups.\nLeft alone, since somebody changed them meanwhile: 2.\n"
    )


def test_a_run_that_takes_long_prints_a_line_every_ten_seconds(told, clock):
    told(tallies([100] * 25, total=5000))
    assert run("--older-than=1").splitlines() == [
        "Events: 20%, 100 rows/s, 0:00:40 left",
        "Events: 40%, 100 rows/s, 0:00:30 left",
        "Removed: 2500 events.",
    ]


def test_a_terminal_has_a_bar(told, clock):
    told(tallies([10] * 10, total=100))
    printed = Terminal()
    run("--older-than=1", out=printed)
    frames = printed.getvalue().split("\r\033[K")
    assert frames[1] == f"Events [###{'.' * 27}] 10%, 10 rows/s, 0:00:09 left"
    assert frames[10] == f"Events [{'#' * 30}] 100%, 10 rows/s, 0:00:00 left"
    assert frames[11] == "Removed: 100 events.\n"
    assert max(map(len, frames)) < 80


def test_an_interrupted_run_says_what_is_done(told):
    told(tallies([100, 100], total=5000), error=KeyboardInterrupt())
    out = io.StringIO()
    with pytest.raises(CommandError, match="run the command again") as failure:
        run("--older-than=1", out=out)
    assert failure.value.returncode == 130
    assert "Removed: 200 events." in out.getvalue()


@pytest.mark.parametrize("verbosity", [0, 1, 2])
def test_verbosity(events, verbosity):
    lines = run("--older-than=15", verbosity=verbosity).splitlines()
    assert len(lines) == {0: 0, 1: 1, 2: 2}[verbosity]
    assert verbosity < 2 or lines[0].startswith("Events: 100%, ")


def test_enrollments_stay(events, enrolled_user):
    run("--older-than=1")
    assert Totp.objects.get().is_enabled


def test_debug_does_not_collect_the_statements(events, settings):
    settings.DEBUG = True
    run("--older-than=15")
    assert len(connection.queries) < 5
