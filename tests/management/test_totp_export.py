"""``manage.py totp_export``: the lines, the question, and where they must not go."""

import io
import json
import logging
import os
import subprocess
import sys
from datetime import UTC, datetime

import pyotp
import pytest
from cryptography.fernet import Fernet
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_totp.backup_code_utils import verify_backup_code
from django_totp.encryption import encrypt
from django_totp.models import BackupCode, Totp
from django_totp.operations import export
from django_totp.operations.export import Export
from tests.memory import peak_of
from tests.projects import ROOT

pytestmark = pytest.mark.django_db

CONFIRMED = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def run(*arguments, out=None, err=None, **options):
    """Return what the command writes, line by line."""
    out, err = out or io.StringIO(), err or io.StringIO()
    call_command("totp_export", *arguments, stdout=out, stderr=err, no_color=True, **options)
    return out.getvalue().splitlines()


@pytest.fixture
def confirmed(enrolled_user):
    Totp.objects.update(confirmed_at=CONFIRMED)
    return enrolled_user


@pytest.fixture
def add(make_user, monkeypatch):
    """Return a function that adds so many enrollments. A batch has two."""
    monkeypatch.setattr(export, "BATCH_SIZE", 2)

    def add(count):
        model, first = get_user_model(), Totp.objects.count()
        names = [f"user{number}" for number in range(first, first + count)]
        model.objects.bulk_create(model(**{model.USERNAME_FIELD: name}) for name in names)
        users = model.objects.filter(**{f"{model.USERNAME_FIELD}__in": names})
        Totp.objects.bulk_create(
            Totp(user=user, secret_key=encrypt("A" * 32), confirmed_at=CONFIRMED) for user in users
        )

    return add


def test_a_line_of_each(confirmed, secret, backup_codes, settings):
    settings.TOTP_ISSUER = "Ours"
    assert verify_backup_code(confirmed, backup_codes[0])
    (line,) = map(json.loads, run("--yes"))
    uri = line.pop("otpauth_uri")
    assert line == {
        "user": confirmed.get_username(),
        "pk": confirmed.pk if isinstance(confirmed.pk, int) else str(confirmed.pk),
        "confirmed_at": "2026-03-04T05:06:07+00:00",
        "backup_codes_left": 9,
    }
    parsed = pyotp.parse_uri(uri)
    assert (parsed.secret, parsed.issuer, parsed.name) == (secret, "Ours", confirmed.get_username())


def test_parameters_are_in_the_uri(confirmed):
    Totp.objects.update(
        digits=8, period=60, algorithm="SHA256", secret_key=encrypt("ab cd-" + "2" * 28)
    )
    parsed = pyotp.parse_uri(json.loads(run("--yes")[0])["otpauth_uri"])
    assert (parsed.digits, parsed.interval, parsed.digest().name) == (8, 60, "sha256")
    assert parsed.secret == "ABCD" + "2" * 28


def test_what_is_not_confirmed_is_left_out(pending_user):
    assert run("--yes") == []


def test_an_enrollment_of_1_1_is_on(pending_user):
    totp = Totp.objects.get()
    BackupCode.objects.create(totp=totp, code=encrypt("12345678"))
    line = json.loads(run("--yes")[0])
    assert datetime.fromisoformat(line["confirmed_at"]) == totp.created_at
    assert line["backup_codes_left"] == 1


def test_a_terminal_is_refused(confirmed, secret):
    out = Terminal()
    with pytest.raises(CommandError, match="do not belong on a screen"):
        run("--yes", out=out)
    assert out.getvalue() == ""


@pytest.mark.parametrize("text", ["y", "yes", " Y "])
def test_asks_where_the_output_does_not_go(confirmed, answer, text):
    questions, err = answer(text), io.StringIO()
    assert len(run(err=err)) == 1
    assert questions == [""]  # input() would write to standard output
    assert err.getvalue() == "Write the secrets of all second factors, in the clear? [y/N] "


@pytest.mark.parametrize("text", ["", "n", None])
def test_no_is_no(confirmed, answer, text, caplog):
    answer(text)
    out = io.StringIO()
    with pytest.raises(CommandError, match="Nothing was written"):
        run(out=out)
    assert out.getvalue() == ""
    assert not caplog.records


def test_is_an_event(confirmed, secret, caplog):
    with caplog.at_level(logging.INFO, logger="django_totp"):
        run("--yes")
    (record,) = caplog.records
    assert (record.event, record.user_pk, record.levelname) == ("exported", "", "WARNING")
    assert secret not in caplog.text


def test_what_no_key_reads_is_named(make_user, confirmed):
    foreign = Fernet(Fernet.generate_key()).encrypt(b"A" * 32).decode()
    bad = [
        Totp.objects.create(
            user=make_user(f"user{number}"), secret_key=foreign, confirmed_at=CONFIRMED
        ).pk
        for number in range(22)
    ]
    out = io.StringIO()
    with pytest.raises(
        CommandError, match="have no secret that a configured key can read"
    ) as failure:
        run("--yes", out=out)
    assert len(out.getvalue().splitlines()) == 1
    assert f"{', '.join(map(str, bad[:20]))} and 2 more." in str(failure.value)
    Totp.objects.filter(pk__in=bad[1:]).delete()
    with pytest.raises(CommandError, match=rf"primary key: {bad[0]}\."):
        run("--yes")


@pytest.mark.usefixtures("no_routing")
def test_a_database_that_is_named(db):
    assert run("--yes", "--database=default") == []


@pytest.mark.parametrize("plain", ["", "1", "not base32", "JBSWY3DP\n0"])
def test_a_secret_that_is_none_is_named(make_user, confirmed, plain):
    totp = Totp.objects.create(
        user=make_user("grace"), secret_key=encrypt(plain), confirmed_at=CONFIRMED
    )
    out = io.StringIO()
    with pytest.raises(CommandError, match=rf"primary key: {totp.pk}\."):
        run("--yes", out=out)
    assert len(out.getvalue().splitlines()) == 1


def test_a_key_that_is_none(confirmed, settings):
    settings.TOTP_ENCRYPTION_KEY = "nonsense"
    with pytest.raises(CommandError, match="TOTP_ENCRYPTION_KEY"):
        run("--yes")


def test_letters_that_end_a_line_elsewhere(make_user, confirmed):
    """As U+2028 and U+0085 do: a line is one enrollment to whatever reads it."""
    model = get_user_model()
    name = "a\u2028b\u0085c\u00e9"
    model.objects.filter(pk=confirmed.pk).update(**{model.USERNAME_FIELD: name})
    (line,) = run("--yes")
    assert line.isascii()
    assert json.loads(line)["user"] == name
    assert pyotp.parse_uri(json.loads(line)["otpauth_uri"]).name == name


def test_few_statements(add):
    add(5)
    with CaptureQueriesContext(connection) as captured:
        assert sum(1 for _ in Export()) == 5
    assert len(captured) == 7  # of enrollments 2, 2, 1 and none, and of the codes of each batch


def test_memory_stays_flat(add, monkeypatch):
    monkeypatch.setattr(export, "BATCH_SIZE", 50)

    def peak(count):
        add(count)
        return peak_of(Export(), every=50)

    peak(100)  # what is made once
    few = peak(100)
    assert peak(1500) < 2 * few


def test_keys_that_json_has_not():
    assert export._plain(None) is None
    assert (export._plain(7), export._plain("a"), export._plain(1.5)) == (7, "a", "1.5")


def test_who_reads_no_further_is_the_callers_to_handle(confirmed, monkeypatch):
    """Where it is not the standard output of the process: an output need not be a file."""
    moved = []
    monkeypatch.setattr(os, "dup2", lambda *files: moved.append(files))
    out = io.StringIO()
    out.flush = _broken
    with pytest.raises(BrokenPipeError):
        run("--yes", out=out)
    assert moved == []


def test_who_reads_no_further_ends_the_process(confirmed, monkeypatch):
    """And nobody hears what the interpreter still wants to write at its exit."""
    moved = []
    monkeypatch.setattr(os, "dup2", lambda *files: moved.append(files[1]))
    out = io.StringIO()
    out.fileno = lambda: 1
    out.flush = _broken
    monkeypatch.setattr(sys, "stdout", out)
    with pytest.raises(SystemExit) as end:
        run("--yes", out=out)
    assert (end.value.code, moved) == (141, [1])


def test_an_output_that_was_closed_before(confirmed, monkeypatch, caplog):
    monkeypatch.setattr(sys, "stdout", None)  # as Python has it then
    with pytest.raises(CommandError, match="Standard output is closed"):
        call_command("totp_export", "--yes")
    assert not caplog.records


def _broken():
    raise BrokenPipeError


PROGRAM = """
import django
django.setup()
from django.core.management import execute_from_command_line
from django_totp.management.commands import totp_export
totp_export.Export = lambda using: ("x" * 1000 for _ in range(1000))
execute_from_command_line(["manage.py", "totp_export", "--yes"])
"""


@pytest.fixture
def shell(tmp_path):
    """Return a function that runs the command, of a long export, as a shell runs ``line``."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, sys.path)])

    def shell(line):
        command = line.format(command=f"{sys.executable} {program}")
        return subprocess.run(
            ["bash", "-c", command], env=environment, capture_output=True, text=True, check=False
        )

    return shell


@pytest.mark.slow
def test_who_reads_no_further_ends_it_quietly(shell):
    reading = shell("{command} | head -n 1; echo ${{PIPESTATUS[0]}}")
    assert reading.stderr == ""
    assert reading.stdout.splitlines()[1:] == ["141"]


@pytest.mark.slow
def test_an_output_that_is_closed(shell):
    reading = shell("{command} >&-")
    assert reading.returncode == 1
    assert reading.stderr.startswith("CommandError: Standard output is closed")
