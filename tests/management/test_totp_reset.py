import logging
from datetime import timedelta

import pytest
from django.core.management import CommandError
from django.db.models import F

from django_totp.models import BackupCode, Totp
from tests.receivers import heard

pytestmark = pytest.mark.django_db


def test_removes_the_enrollment_with_its_codes(run, enrolled_user):
    text = run("totp_reset", enrolled_user.get_username(), "--yes")
    assert text == "Two-factor authentication of ada@example.com was reset.\n"
    assert not Totp.objects.exists()
    assert not BackupCode.objects.exists()


def test_a_pending_one_too(run, pending_user):
    run("totp_reset", pending_user.get_username(), "--yes")
    assert not Totp.objects.exists()


def test_tells_the_signal_and_the_log(run, enrolled_user, caplog):
    caplog.set_level(logging.INFO, "django_totp")
    with heard() as signals:
        run("totp_reset", enrolled_user.get_username(), "--yes", "--reason", "lost phone")
    assert signals == [("totp_disabled", signals[0][1])]
    assert signals[0][1]["user"] == enrolled_user
    assert signals[0][1]["request"] is None
    (record,) = [record for record in caplog.records if record.name == "django_totp"]
    assert (record.event, record.reason) == ("disabled", "lost phone")
    assert record.user_pk == str(enrolled_user.pk)


@pytest.mark.parametrize("yes", ["y", "Yes", " YES "])
def test_asks_first(run, enrolled_user, answer, yes):
    questions = answer(yes)
    run("totp_reset", enrolled_user.get_username())
    assert questions == ["Reset two-factor authentication of ada@example.com? [y/N] "]
    assert not Totp.objects.exists()


@pytest.mark.parametrize("no", ["", "n", "no", "yesterday", None])
def test_anything_else_is_a_no(run, enrolled_user, answer, no):
    answer(no)
    with heard() as signals, pytest.raises(CommandError, match="Nothing was changed") as caught:
        run("totp_reset", enrolled_user.get_username())
    assert caught.value.returncode == 1
    assert Totp.objects.exists()
    assert not signals


def test_what_was_asked_about_is_what_is_removed(run, enrolled_user, monkeypatch):
    def read(prompt):
        Totp.objects.update(created_at=F("created_at") + timedelta(seconds=1))
        return "y"

    monkeypatch.setattr("builtins.input", read)
    with heard() as signals, pytest.raises(CommandError, match="while you were asked") as caught:
        run("totp_reset", enrolled_user.get_username())
    assert caught.value.returncode == 1
    assert Totp.objects.exists()
    assert not signals


def test_what_is_gone_by_now(run, enrolled_user, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda prompt: Totp.objects.all().delete() and "y")
    with pytest.raises(CommandError, match="while you were asked"):
        run("totp_reset", enrolled_user.get_username())


def test_a_code_that_is_wrong_meanwhile_changes_nothing_about_it(run, enrolled_user, monkeypatch):
    def read(prompt):
        Totp.objects.update(failures=7, version=F("version") + 1)
        return "y"

    monkeypatch.setattr("builtins.input", read)
    run("totp_reset", enrolled_user.get_username())
    assert not Totp.objects.exists()


def test_an_enrollment_of_1_1(run, enrolled_user, answer):
    Totp.objects.update(confirmed_at=None)
    answer("y")
    run("totp_reset", enrolled_user.get_username())
    assert not Totp.objects.exists()


def test_does_not_ask_where_there_is_nothing_to_reset(run, user, answer):
    questions = answer("y")
    with pytest.raises(CommandError):
        run("totp_reset", user.get_username())
    assert not questions
