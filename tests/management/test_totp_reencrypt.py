"""``manage.py totp_reencrypt``: what it prints, and its exit status."""

import io
import re

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import connection

from django_totp.management import progress
from django_totp.management.commands import totp_reencrypt
from django_totp.models import BackupCode, Totp
from django_totp.operations.reencryption import Tally
from django_totp.operations.reencryption.tables import LISTED

pytestmark = pytest.mark.django_db

ONE_AND_TEN = [
    "TOTP enrollments: 1 moved, 0 already current, 0 unreadable.",
    "Backup codes: 10 moved, 0 already current, 0 unreadable.",
]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def rotating_user(enrolled_user, settings):
    """Return the enrolled user, whose rows are under the old one of two keys."""
    settings.TOTP_ENCRYPTION_KEY_FALLBACKS = [settings.TOTP_ENCRYPTION_KEY]
    settings.TOTP_ENCRYPTION_KEY = Fernet.generate_key()
    return enrolled_user


@pytest.fixture
def told(monkeypatch):
    """Return a function that makes the command hear of ``tallies``, and then of an error."""

    def told(tallies, error=None):
        def reencrypt(using, **options):
            yield from tallies
            if error:
                raise error

        monkeypatch.setattr(totp_reencrypt, "reencrypt", reencrypt)

    return told


@pytest.fixture
def clock(monkeypatch):
    """Make a second pass between two looks at the clock."""
    seconds = iter(range(1000))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(seconds))


def run(*arguments, out=None, **options):
    """Return the lines that the command prints."""
    out = out or io.StringIO()
    call_command("totp_reencrypt", *arguments, stdout=out, no_color=True, **options)
    return out.getvalue().splitlines()


def tallies(steps, total):
    """Yield one tally, as it is after each of ``steps`` rows."""
    tally = Tally(Totp, total)
    yield tally
    for step in steps:
        tally.moved += step
        yield tally


def test_counts_what_it_moved(rotating_user):
    assert run() == ONE_AND_TEN


def test_counts_what_is_done_already(enrolled_user):
    assert run() == [
        "TOTP enrollments: 0 moved, 1 already current, 0 unreadable.",
        "Backup codes: 0 moved, 10 already current, 0 unreadable.",
    ]


def test_a_dry_run_counts_what_there_is_to_do(rotating_user):
    assert run("--dry-run") == [line.replace("moved", "to be moved") for line in ONE_AND_TEN]
    assert run() == ONE_AND_TEN


@pytest.mark.parametrize("key", [None, "", "nonsense"])
def test_a_key_that_is_none(enrolled_user, settings, key):
    settings.TOTP_ENCRYPTION_KEY = key
    with pytest.raises(CommandError, match="TOTP_ENCRYPTION_KEY"):
        run()


def test_an_empty_database_has_nothing_to_move(db):
    assert [re.findall(r"\d+", line) for line in run()] == [["0"] * 3] * 2


@pytest.mark.parametrize(("verbosity", "lines"), [(0, 0), (1, 2), (2, 6), (3, 6)])
def test_verbosity(rotating_user, verbosity, lines):
    assert len(run("--batch-size=4", verbosity=verbosity)) == lines


def test_a_wordy_run_tells_of_each_batch(rotating_user):
    lines = [line for line in run("--batch-size=4", verbosity=2) if "%" in line]
    assert [line.partition("%")[0] for line in lines] == [
        "TOTP enrollments: 100",
        "Backup codes: 40",
        "Backup codes: 80",
        "Backup codes: 100",
    ]


def test_a_run_that_takes_long_prints_a_line_every_ten_seconds(told, clock):
    told(tallies([100] * 25, total=5000))
    assert run() == [
        "TOTP enrollments: 20%, 100 rows/s, 0:00:40 left",
        "TOTP enrollments: 40%, 100 rows/s, 0:00:30 left",
        "TOTP enrollments: 2500 moved, 0 already current, 0 unreadable.",
    ]


def test_a_terminal_has_a_bar(told, clock):
    told(tallies([10] * 10, total=100))
    printed = Terminal()
    run(out=printed)
    frames = printed.getvalue().split("\r\033[K")
    assert frames[1] == f"TOTP enrollments [###{'.' * 27}] 10%, 10 rows/s, 0:00:09 left"
    assert frames[10] == f"TOTP enrollments [{'#' * 30}] 100%, 10 rows/s, 0:00:00 left"
    assert frames[11] == "TOTP enrollments: 100 moved, 0 already current, 0 unreadable.\n"
    assert max(map(len, frames)) < 80


def test_a_terminal_has_no_bar_where_every_batch_has_a_line(told):
    told(tallies([50, 50], total=100))
    printed = Terminal()
    run(out=printed, verbosity=2)
    assert "\r" not in printed.getvalue()


def test_progress_of_a_table_that_grows_or_shrinks(told, clock):
    told(tallies([0, 150], total=100))
    lines = run(verbosity=2)
    assert lines[0] == "TOTP enrollments: 0%, 0 rows/s, ? left"
    assert lines[1].startswith("TOTP enrollments: 100%, ")


@pytest.mark.parametrize("verbosity", [0, 1])
@pytest.mark.parametrize("dry_run", [True, False])
def test_unreadable_rows_are_named_and_are_a_failure(rotating_user, verbosity, dry_run):
    first, second, *_ = BackupCode.objects.order_by("pk").values_list("pk", flat=True)
    BackupCode.objects.filter(pk__in=[first, second]).update(code="no token")
    with pytest.raises(CommandError) as failure:
        run(verbosity=verbosity, dry_run=dry_run)
    assert failure.value.returncode == 1
    assert str(failure.value).splitlines() == [
        f"No configured key can read these backup codes, by primary key: {first}, {second}.",
        totp_reencrypt.WAY_OUT,
    ]


def test_many_unreadable_rows_are_not_all_named(told):
    tally = Tally(BackupCode, 1000)
    for pk in range(1, LISTED + 4):
        tally.add_unreadable(pk)
    told([tally])
    with pytest.raises(CommandError, match=rf": 1, 2, .*, {LISTED} and 3 more\.\n"):
        run()


def test_rows_that_never_stood_still_are_a_failure(told):
    told([Tally(Totp, 3, moved=1, busy=2)])
    with pytest.raises(CommandError) as failure:
        run()
    assert failure.value.returncode == 1
    assert str(failure.value) == (
        "2 TOTP enrollments were locked or changed all the time: run the command again."
    )


def test_an_interrupted_run_says_what_is_done(told):
    told(tallies([100, 100], total=5000), error=KeyboardInterrupt())
    out = io.StringIO()
    with pytest.raises(CommandError, match="run the command again") as failure:
        run(out=out)
    assert failure.value.returncode == 130
    assert "TOTP enrollments: 200 moved" in out.getvalue()


def test_options_reach_the_service(monkeypatch):
    calls = []

    def reencrypt(*args, **options):
        calls.append((args, options))
        return iter(())

    monkeypatch.setattr(totp_reencrypt, "reencrypt", reencrypt)
    run()
    run("--database=default", "--batch-size=7", "--dry-run")
    assert calls == [
        ((None,), {"batch_size": 500, "dry_run": False}),
        (("default",), {"batch_size": 7, "dry_run": True}),
    ]


@pytest.mark.parametrize(
    "option", ["--batch-size=0", "--batch-size=10001", "--batch-size=x", "--database=elsewhere"]
)
def test_options_that_make_no_sense(option):
    with pytest.raises(CommandError, match=option.partition("=")[0]):
        run(option)


def test_nothing_secret_is_printed(rotating_user, secret, backup_codes):
    tokens = BackupCode.objects.values_list("code", "digest")
    hidden = [secret, *backup_codes, *(text for row in tokens for text in row)]
    printed = "\n".join(run("--batch-size=1", verbosity=3))
    assert not [text for text in hidden if text in printed]


def test_debug_does_not_collect_the_statements(rotating_user, settings):
    settings.DEBUG = True
    run("--batch-size=1")
    assert len(connection.queries) < 5
