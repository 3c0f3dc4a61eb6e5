import logging
from datetime import timedelta

import pytest
from django.core.management import CommandError
from django.db.models import F

from django_totp.models import Totp

pytestmark = pytest.mark.django_db


def test_lets_the_user_set_up_another(run, enrolled_user, caplog):
    caplog.set_level(logging.INFO, "django_totp")
    name = enrolled_user.get_username()
    text = run("totp_allow_recovery", name, "--yes", "--reason", "lost phone")
    assert text == "ada@example.com may set up a new authenticator now, for seven days.\n"
    assert Totp.objects.get().is_recovery_ready
    assert Totp.objects.get().is_enabled
    (record,) = [record for record in caplog.records if hasattr(record, "event")]
    assert (record.event, record.reason, record.actor_pk) == ("recovery_allowed", "lost phone", "")


def test_asks_first(run, enrolled_user, answer):
    questions = answer("n")
    with pytest.raises(CommandError, match="Nothing was changed"):
        run("totp_allow_recovery", enrolled_user.get_username())
    assert questions == [
        "Let ada@example.com set up a new authenticator with the password alone? [y/N] "
    ]
    assert not Totp.objects.get().is_recovery_ready


def test_without_an_enrollment(run, user):
    with pytest.raises(CommandError) as caught:
        run("totp_allow_recovery", user.get_username(), "--yes")
    assert caught.value.returncode == 1


def test_what_was_asked_about_is_what_it_is_for(run, enrolled_user, monkeypatch):
    def read(prompt):
        Totp.objects.update(created_at=F("created_at") + timedelta(seconds=1))
        return "y"

    monkeypatch.setattr("builtins.input", read)
    with pytest.raises(CommandError, match="while you were asked"):
        run("totp_allow_recovery", enrolled_user.get_username())
    assert not Totp.objects.get().is_recovery_ready
