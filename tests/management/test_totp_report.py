import csv
import json

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError

from django_totp.models import Totp
from django_totp.operations.support import numbers

pytestmark = pytest.mark.django_db

ALL = {
    "group": "all",
    "users": 3,
    "enabled": 1,
    "pending": 0,
    "waiting": 1,
    "low_on_codes": 0,
    "percent_enabled": 33.3,
}


@pytest.fixture(autouse=True)
def _three_users(enrolled_user, make_user):
    make_user("grace", is_staff=True)
    make_user("emmy", is_staff=True, is_superuser=True)
    Totp.objects.update(failures=100)


def test_a_table(run):
    assert run("totp_report") == (
        "group      users  enabled  pending  waiting  low on codes  percent enabled\n"
        "all            3        1        0        1             0             33.3\n"
        "active         3        1        0        1             0             33.3\n"
        "staff          2        0        0        0             0              0.0\n"
        "superuser      1        0        0        0             0              0.0\n"
    )


def test_json(run):
    groups = json.loads(run("totp_report", "--format", "json"))
    assert groups[0] == ALL
    assert [group["group"] for group in groups] == ["all", "active", "staff", "superuser"]


def test_csv(run):
    text = run("totp_report", "--format", "csv")
    assert "\r" not in text
    groups = list(csv.DictReader(text.splitlines()))
    assert len(groups) == 4
    assert groups[0] == {name: str(fact) for name, fact in ALL.items()}


def test_verbosity(run):
    table = run("totp_report")
    assert run("totp_report", verbosity=0) == table.partition("\n")[2]
    notes = run("totp_report", verbosity=2).removeprefix(table)
    assert "low on codes: enabled, with fewer than 3 unused backup codes" in notes


@pytest.mark.parametrize("format", ["json", "csv"])
def test_verbosity_does_not_change_what_programs_read(run, format):
    outputs = {run("totp_report", format=format, verbosity=verbosity) for verbosity in (0, 1, 3)}
    assert len(outputs) == 1


def test_a_model_without_groups(run, monkeypatch):
    monkeypatch.setattr(numbers, "FLAGS", ("is_vip", get_user_model().USERNAME_FIELD))
    assert [group["group"] for group in json.loads(run("totp_report", format="json"))] == ["all"]


def test_the_database_that_was_asked_for(run, no_routing):
    assert "percent" in run("totp_report", "--database", "default")


def test_a_database_that_there_is_not(run):
    with pytest.raises(CommandError, match="--database"):
        run("totp_report", "--database", "elsewhere")


def test_an_enrollment_of_1_1_is_on(run):
    Totp.objects.update(confirmed_at=None, failures=0)
    group = json.loads(run("totp_report", format="json"))[0]
    assert (group["enabled"], group["pending"], group["low_on_codes"]) == (1, 0, 0)


def test_no_user_at_all(run):
    get_user_model().objects.all().delete()
    assert json.loads(run("totp_report", format="json"))[0] == {
        **dict.fromkeys(ALL, 0),
        "group": "all",
        "percent_enabled": 0.0,
    }


class TestRequired:
    @pytest.fixture(autouse=True)
    def _required(self, settings):
        settings.TOTP_REQUIRED_FOR = ["staff"]

    def test_a_table(self, run):
        table = run("totp_report")
        heading, *rows = table.splitlines()
        assert heading.endswith("percent enabled  required  in grace  overdue  exempt")
        assert [row.split()[7:] for row in rows] == [
            ["2", "0", "2", "0"],
            ["2", "0", "2", "0"],
            ["2", "0", "2", "0"],
            ["1", "0", "1", "0"],
        ]
        notes = run("totp_report", verbosity=2).removeprefix(table)
        assert "overdue: required and not enabled, and must enroll to log in" in notes

    def test_json(self, run):
        group = json.loads(run("totp_report", "--format", "json"))[0]
        assert group == ALL | {"required": 2, "in_grace": 0, "overdue": 2, "exempt": 0}

    def test_csv(self, run):
        (row, *_) = csv.DictReader(run("totp_report", "--format", "csv").splitlines())
        assert (row["required"], row["overdue"]) == ("2", "2")

    def test_the_database_that_was_asked_for(self, run, settings, no_routing):
        settings.TOTP_REQUIRED_FOR = ["group:editors", f"{__name__}.is_grace"]
        groups = json.loads(run("totp_report", "--database", "default", format="json"))
        assert groups[0]["required"] == 1

    @pytest.mark.parametrize(
        ("word", "error"),
        [
            ("fails_for_grace", "ZeroDivisionError: division by zero"),
            ("no_such_name", "ImportError: "),
        ],
    )
    def test_a_predicate_that_does_not_tell(self, run, settings, word, error):
        settings.TOTP_REQUIRED_FOR = ["superusers", f"{__name__}.{word}"]
        with pytest.raises(CommandError) as caught:
            run("totp_report")
        assert str(caught.value).startswith(f"TOTP_REQUIRED_FOR: '{__name__}.{word}' cannot tell")
        assert error in str(caught.value)
        assert caught.value.returncode == 1


def is_grace(user):
    return user.get_username() == "grace@example.com"


def fails_for_grace(user):
    return is_grace(user) and 1 / 0
