import io
from datetime import UTC, date, datetime, timedelta

import pytest
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from django.utils import timezone

from django_totp.backup_code_utils import verify_backup_code
from django_totp.management.base import show
from django_totp.models import Account, BackupCode, Totp
from django_totp.recovery import allow_recovery
from django_totp.totp import start_totp_replacement

pytestmark = pytest.mark.django_db
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def status(run, user):
    """Return a function that gives the lines of the status as a dictionary."""

    def status():
        name, *lines = run("totp_status", user.get_username()).splitlines()
        assert name == user.get_username()
        return {line[2:17].strip(): line[17:] for line in lines}

    return status


def test_enabled(status, enrolled_user, backup_codes, settings):
    settings.TIME_ZONE = "UTC"
    verify_backup_code(enrolled_user, backup_codes[0])
    Totp.objects.update(created_at=NOON, confirmed_at=NOON, last_verified_at=NOON)
    assert status() == {
        "State": "enabled",
        "Set up": "2030-01-01 12:00:00+00:00",
        "Enabled since": "2030-01-01 12:00:00+00:00",
        "Last verified": "2030-01-01 12:00:00+00:00",
        "Waiting until": "not waiting",
        "Failures": "0 wrong codes in a row",
        "Backup codes": "9 of 10 left",
        "Required": "no",
        "Logins count": "all",
    }


def test_what_is_to_become_of_it(status, enrolled_user, settings):
    settings.TIME_ZONE = "UTC"
    start_totp_replacement(enrolled_user)
    assert status()["Replacement"] == "begun, not confirmed yet"
    allow_recovery(enrolled_user)
    assert status()["Recovery"].endswith(" on, an administrator has allowed it")
    Totp.objects.update(recovery_ready_at=timezone.now() + timedelta(days=1))
    Totp.objects.update(is_recovery_allowed=False)
    assert status()["Recovery"].endswith(" on, by mail")
    Totp.objects.update(recovery_ready_at=timezone.now() - timedelta(days=8), replacement="")
    assert {"Recovery", "Replacement"}.isdisjoint(status())


def test_in_the_time_zone_of_the_project(status, enrolled_user, settings):
    settings.TIME_ZONE = "Asia/Tokyo"
    Totp.objects.update(confirmed_at=NOON)
    assert status()["Enabled since"] == "2030-01-01 21:00:00+09:00"


def test_a_project_without_time_zones():
    assert show(datetime(2030, 1, 1, 12)) == "2030-01-01 12:00:00"


def test_pending(status, pending_user):
    facts = status()
    assert facts["State"] == "pending"
    assert facts["Enabled since"] == "not enabled"
    assert facts["Last verified"] == "never"
    assert facts["Backup codes"] == "0 of 0 left"


def test_waiting(status, enrolled_user):
    until = timezone.now() + timedelta(minutes=5)
    Totp.objects.update(failures=7, waiting_until=until)
    facts = status()
    assert facts["Waiting until"] == show(until)
    assert facts["Failures"] == "7 wrong codes in a row"


def test_off(status, enrolled_user):
    Totp.objects.update(failures=100)
    assert status()["Waiting until"] == "a backup code, totp_unlock or totp_reset ends it"


def test_an_enrollment_of_1_1(status, enrolled_user):
    Totp.objects.update(confirmed_at=None, created_at=NOON)
    BackupCode.objects.update(digest=None)
    facts = status()
    assert facts["State"] == "enabled"
    assert facts["Enabled since"] == facts["Set up"] == show(NOON)
    assert facts["Backup codes"] == "10 of 10 left"


def test_no_wait_is_longer_than_the_longest(status, enrolled_user, settings):
    settings.TOTP_LOCKOUT_MAX_SECONDS = 900
    Totp.objects.update(failures=7, waiting_until=timezone.now() + timedelta(days=365))
    until = datetime.fromisoformat(status()["Waiting until"])
    left = until - timezone.now()
    assert timedelta(minutes=14) < left <= timedelta(minutes=15)


def test_a_clock_that_was_once_ahead(status, enrolled_user, settings):
    settings.TIME_ZONE = "UTC"
    Totp.objects.update(last_used_step=NOON.timestamp() // 30)
    assert status()["Waiting until"] == (
        "2030-01-01 12:00:00+00:00: the server's clock was once ahead, and codes are refused until "
        "it is there again; totp_unlock ends it"
    )


class TestAccount:
    @pytest.fixture(autouse=True)
    def _utc(self, settings):
        settings.TIME_ZONE = "UTC"

    def test_who_must_have_one(self, status, enrolled_user, settings):
        settings.TOTP_REQUIRED_FOR = ["everyone"]
        assert status()["Required"] == "yes, and it will be noted at the next login"
        assert not Account.objects.exists()
        Account.objects.create(user=enrolled_user, required_since=NOON)
        facts = status()
        assert facts["Required"] == "yes, since 2030-01-01 12:00:00+00:00"
        assert "In grace until" not in facts

    def test_the_grace_period(self, status, enrolled_user, settings):
        settings.TOTP_REQUIRED_FOR, settings.TOTP_GRACE_PERIOD = ["everyone"], 3600
        Account.objects.create(user=enrolled_user, required_since=NOON)
        assert status()["In grace until"] == "2030-01-01 13:00:00+00:00"

    def test_an_exemption(self, status, enrolled_user):
        day = date(2030, 1, 31)
        reason = "no\x1b[2Kphone"
        Account.objects.create(user=enrolled_user, exempt_until=day, exempt_reason=reason)
        assert status()["Exempt until"] == r"2030-01-31 (no\x1b[2Kphone)"

    def test_logins_that_were_ended(self, status, enrolled_user):
        Account.objects.create(user=enrolled_user, valid_from=NOON)
        assert status()["Logins count"] == "from 2030-01-01 12:00:00+00:00 on"

    def test_in_a_group(self, run, enrolled_user, settings, request):
        settings.TOTP_REQUIRED_FOR = ["group:editors"]
        enrolled_user.groups.add(Group.objects.create(name="editors"))
        request.getfixturevalue("no_routing")
        text = run("totp_status", enrolled_user.get_username(), "--database", "default")
        assert "Required       yes" in text

    def test_nobody_can_tell(self, status, enrolled_user, settings):
        settings.TOTP_REQUIRED_FOR = ["tests.no_such_module.f"]
        assert status()["Required"].startswith("nobody can tell: ")

    def test_without_an_enrollment(self, user, settings):
        settings.TOTP_REQUIRED_FOR = ["everyone"]
        out = io.StringIO()
        with pytest.raises(CommandError, match="does not have an associated TOTP secret"):
            call_command("totp_status", user.get_username(), stdout=out)
        assert [line[:16].strip() for line in out.getvalue().splitlines()] == [
            user.get_username(),
            "Required",
            "Logins count",
        ]


@pytest.mark.parametrize("verbosity", ["1", "3"])
def test_shows_no_secret(run, enrolled_user, secret, backup_codes, verbosity):
    text = run("totp_status", enrolled_user.get_username(), "--verbosity", verbosity)
    (totp,) = Totp.objects.all()
    stored = [value for row in BackupCode.objects.values_list("code", "digest") for value in row]
    for hidden in (secret, totp.secret_key, *backup_codes, *stored):
        assert hidden not in text
