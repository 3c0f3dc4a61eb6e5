"""docs/commands.md and docs/comparison.md: what they show is what is printed, and set."""

import io
import re
from datetime import UTC, datetime

import pytest
import time_machine
from django.core.management import call_command

from django_totp.backup_code_utils import rotate_backup_codes, verify_backup_code
from django_totp.conf import conf
from django_totp.encryption import decrypt
from django_totp.management.commands import totp_status
from django_totp.models import BackupCode, Totp
from django_totp.operations.support import FEW_CODES, State
from django_totp.totp import confirm_totp_setup, create_totp_setup, verify_totp_code
from tests import markdown

SECTIONS = markdown.sections(markdown.read("docs/commands.md"), 2)
COMPARISON = markdown.read("docs/comparison.md")
pytestmark = pytest.mark.django_db


@pytest.fixture
def enroll(otp):
    """Return a function that gives a user an authenticator and backup codes."""

    def enroll(user, traveller=None):
        create_totp_setup(user)
        if traveller:
            traveller.shift(30)
        return confirm_totp_setup(user, otp(decrypt(Totp.objects.get(user=user).secret_key)))

    return enroll


def printed(section):
    """Return the commands of a section, and what the page says they print."""
    commands = [
        line.split()[2:] for block in markdown.blocks(section, "sh") for line in block.splitlines()
    ]
    [shown] = markdown.blocks(section, "text")
    return commands, shown


def run(arguments):
    out = io.StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def test_the_status(make_user, enroll, settings):
    settings.TIME_ZONE = "UTC"
    ada = make_user("ada")
    [command], shown = printed(SECTIONS["totp_status"])
    with time_machine.travel(datetime(2030, 1, 1, 12, tzinfo=UTC), tick=False) as traveller:
        codes = enroll(ada, traveller)
        traveller.move_to(datetime(2030, 1, 14, 8, 30, tzinfo=UTC))
        assert verify_backup_code(ada, codes[0])
        traveller.move_to(datetime(2030, 1, 15, 12, tzinfo=UTC))
        for _ in range(conf.TOTP_FAILURE_LIMIT + 1):
            assert not verify_totp_code(ada, "12345")
        assert run(command) == shown


def test_each_line_of_the_status_is_explained():
    told = [markdown.code(name)[0] for name, *_ in markdown.rows(SECTIONS["totp_status"])]
    source = (markdown.ROOT / "src/django_totp/management/commands/totp_status.py").read_text()
    assert sorted(told) == sorted(set(re.findall(r'\("([A-Z][a-z ]+)", ', source)))
    assert totp_status.__file__.endswith("totp_status.py")
    states = dict(zip(told, markdown.rows(SECTIONS["totp_status"]), strict=True))["State"][1]
    assert set(markdown.code(states)) == {*State} - {State.WAITING}


def test_the_report(make_user, enroll):
    ada, grace = make_user("ada", is_staff=True), make_user("grace")
    mary, _ = make_user("mary"), make_user("alan", is_active=False)
    for user in (ada, grace):
        enroll(user)
    rotate_backup_codes(grace)
    spent = BackupCode.objects.filter(totp__user=grace).values_list("pk", flat=True)[1:]
    BackupCode.objects.filter(pk__in=list(spent)).update(is_used=True)
    create_totp_setup(mary)
    [command, *others], shown = printed(SECTIONS["totp_report"])
    assert run(command) == shown
    for other in others:
        assert '"percent_enabled": 50.0' in run(other) or ",50.0\n" in run(other)


def test_each_column_of_the_report_is_explained():
    _, shown = printed(SECTIONS["totp_report"])
    columns = re.split(r"\s{2,}", shown.splitlines()[0])
    assert [name for name, _ in markdown.rows(SECTIONS["totp_report"])] == columns[1:]
    assert FEW_CODES == 3
    assert "fewer than three backup codes" in SECTIONS["totp_report"]


def test_the_packages_are_compared_in_each_table():
    named, has, treats = (
        [row[0].strip("*") for row in markdown.rows(section)]
        for section in (COMPARISON, *list(markdown.sections(COMPARISON, 2).values())[:2])
    )
    assert has == treats
    assert "django-totp" in has
    for name in named:
        assert any(name.partition(" (")[0] in other for other in has), name


def test_what_the_comparison_says_of_us():
    [ours] = [
        row
        for row in markdown.rows(markdown.sections(COMPARISON, 2)["How they treat a code"])
        if row[0] == "**django-totp**"
    ]
    assert "after five a wait that doubles, up to 15 minutes" in ours[2]
    assert (conf.TOTP_FAILURE_LIMIT, conf.TOTP_LOCKOUT_MAX_SECONDS) == (5, 15 * 60)
