"""``manage.py totp_import``: what it prints, and its exit status."""

import io

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from django_totp.management import progress
from django_totp.management.commands import totp_import
from django_totp.models import Totp
from django_totp.operations.importers import Tally, base
from tests.former import models as former

pytestmark = pytest.mark.django_db

KEY = bytes(range(20)).hex()


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def _tables(monkeypatch):
    monkeypatch.setattr(base, "_model", former.TABLES.__getitem__)


@pytest.fixture
def device(make_user):
    """Return a function that adds a device of django-otp, of a user of that name."""

    def device(name, **fields):
        row = {"user_id": make_user(name).pk, "key": KEY, **fields}
        return former.TOTPDevice.objects.create(**row)

    return device


@pytest.fixture
def told(monkeypatch):
    """Return a function that makes the command hear of ``seen`` rows, and then of an error."""

    def told(seen, total, error=None):
        def import_factors(*args, **options):
            tally = Tally(total)
            yield tally
            for step in seen:
                tally.seen += step
                tally.imported += step
                yield tally
            if error:
                raise error

        monkeypatch.setattr(totp_import, "import_factors", import_factors)

    return told


@pytest.fixture
def clock(monkeypatch):
    """Make a second pass between two looks at the clock."""
    seconds = iter(range(1000))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(seconds))


def run(*arguments, out=None, **options):
    """Return what the command prints."""
    out = out or io.StringIO()
    call_command("totp_import", *arguments, stdout=out, no_color=True, **options)
    return out.getvalue()


def test_says_what_it_took_over(device):
    rows = [device("ada"), device("grace", drift=5), device("emmy", t0=1)]
    rest = (
        "Taken, though the clock of the phone is off by more than TOTP_VALID_WINDOW: "
        f"1 ({rows[1].pk}).\n"
        f"Left, since they make codes in a way that is not known here: 1 ({rows[2].pk}).\n"
    )
    assert run("otp", "--dry-run") == f"Would take over the apps of 2 users.\n{rest}"
    assert not Totp.objects.exists()
    assert run("otp") == f"Took over the apps of 2 users.\n{rest}"
    head, enrolled, *_ = run("otp").splitlines()
    assert head == "Took over the apps of 0 users."
    keys = enrolled.removeprefix("Left alone, since their users are enrolled here: 2 (")[:-2]
    assert sorted(keys.split(", "), key=int) == [str(row.pk) for row in rows[:2]]


def test_what_cannot_be_read_is_a_failure(device):
    device("ada")
    row, out = device("grace", key="nonsense"), io.StringIO()
    with pytest.raises(CommandError, match="could not be read") as failure:
        run("otp", out=out)
    assert failure.value.returncode == 1
    assert f"cannot be read: 1 ({row.pk})." in out.getvalue()
    assert "nonsense" not in out.getvalue()
    with pytest.raises(CommandError, match="could not be read"):
        run("otp", "--dry-run")


def test_what_cannot_be_read_is_named_where_nothing_else_is(device):
    row = device("ada", key="nonsense")
    for key in (f"{row.pk}", r"(\d+, ){19}\d+ and 2 more"):
        with pytest.raises(CommandError, match=rf"by primary key: {key}\. Nothing is lost"):
            run("otp", verbosity=0)
        for number in range(21):
            device(f"{key}{number}", key="nonsense")


def test_who_was_removed_here_is_taken_by_name_only(device):
    rows = [device(name) for name in ("ada", "grace")]
    run("otp")
    Totp.objects.all().delete()
    printed = run("otp")
    assert printed.startswith("Took over the apps of 0 users.\nLeft, since they were taken over ")
    keys = printed.partition("removed here since: see --again: 2 (")[2].partition(")")[0]
    assert set(keys.split(", ")) == {str(row.pk) for row in rows}
    names = [f"--again={name}@example.com" for name in ("ada", "grace")]
    assert run("otp", *names[:1], "--dry-run").startswith("Would take over the apps of 1 user.")
    assert run("otp", *names).startswith("Took over the apps of 2 users.")


def test_a_name_that_nobody_has(device):
    device("ada")
    with pytest.raises(CommandError, match=r"No single user has the .+ 'x'"):
        run("otp", "--again=x")
    assert not Totp.objects.exists()


@pytest.mark.parametrize("key", [None, "", "nonsense"])
def test_a_key_that_is_none(device, settings, key):
    device("ada")
    settings.TOTP_ENCRYPTION_KEY = key
    with pytest.raises(CommandError, match="TOTP_ENCRYPTION_KEY"):
        run("otp")


def test_codes_that_stay_behind_are_told(device):
    former.StaticToken.objects.create(token="abcdefgh")
    assert "1 of the source's records of backup codes stay behind" in run("otp")


def test_what_is_to_be_known_of_a_source():
    assert "15 minutes" in run("mfa2")


def test_tables_that_are_not_there(monkeypatch):
    monkeypatch.undo()
    with pytest.raises(CommandError, match=r"django-otp's tables are not here: put django_otp\."):
        run("otp")


@pytest.mark.parametrize("source", ["", "otp2", "django_otp"])
def test_a_source_that_nobody_knows(source):
    with pytest.raises(CommandError, match="SOURCE"):
        run(source)


def test_a_source_must_be_named():
    with pytest.raises(CommandError, match="SOURCE"):
        run()


@pytest.mark.usefixtures("no_routing")
def test_a_database_that_is_named(device):
    assert "0 users" in run("otp", "--database=default", "--dry-run")


def test_a_run_that_takes_long_prints_a_line_every_ten_seconds(told, clock):
    told([100] * 25, total=5000)
    assert run("otp").splitlines() == [
        "Devices: 20%, 100 rows/s, 0:00:40 left",
        "Devices: 40%, 100 rows/s, 0:00:30 left",
        "Took over the apps of 2500 users.",
    ]


def test_a_terminal_has_a_bar(told, clock):
    told([10] * 10, total=100)
    printed = Terminal()
    run("otp", out=printed)
    frames = printed.getvalue().split("\r\033[K")
    assert frames[1] == f"Devices [###{'.' * 27}] 10%, 10 rows/s, 0:00:09 left"
    assert frames[11] == "Took over the apps of 100 users.\n"
    assert max(map(len, frames)) < 80


def test_an_interrupted_run_says_what_is_done(told):
    told([100, 100], total=5000, error=KeyboardInterrupt())
    out = io.StringIO()
    with pytest.raises(CommandError, match="run the command again") as failure:
        run("otp", out=out)
    assert failure.value.returncode == 130
    assert out.getvalue() == "Took over the apps of 200 users.\n"


def test_an_error_says_what_is_done(told):
    """As one of a receiver of the project."""
    told([100, 100], total=5000, error=RuntimeError())
    out = io.StringIO()
    with pytest.raises(RuntimeError):
        run("otp", out=out)
    assert out.getvalue() == "Took over the apps of 200 users.\n"


@pytest.mark.parametrize("verbosity", [0, 1, 2])
def test_verbosity(device, verbosity):
    device("ada")
    lines = run("otp", verbosity=verbosity).splitlines()
    assert len(lines) == {0: 0, 1: 1, 2: 2}[verbosity]
    assert verbosity < 2 or lines[0].startswith("Devices: 100%, ")


def test_debug_does_not_collect_the_statements(device, settings):
    settings.DEBUG = True
    device("ada")
    run("otp")
    assert len(connection.queries) < 5
