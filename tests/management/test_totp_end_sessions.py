import logging

import pytest
from django.core.management import CommandError

from django_totp.accounts import accounts
from django_totp.assurance import Standing, new_login, standing
from django_totp.models import Account, Totp

pytestmark = pytest.mark.django_db


def is_outdated(user, login):
    return standing(accounts().get(pk=user.pk), login) is Standing.OUTDATED


def test_ends_all_logins(run, user):
    before = new_login(user, "pwd")
    text = run("totp_end_sessions", user.get_username(), "--yes")
    assert text == "All logins of ada@example.com were ended.\n"
    assert is_outdated(user, before)
    user.refresh_from_db()
    assert not is_outdated(user, new_login(user, "pwd"))


def test_of_nobody_else(run, user, make_user):
    other = make_user("grace")
    login = new_login(other, "pwd")
    run("totp_end_sessions", user.get_username(), "--yes")
    assert not is_outdated(other, login)


def test_the_enrollment_stays(run, enrolled_user):
    run("totp_end_sessions", enrolled_user.get_username(), "--yes")
    assert Totp.objects.get().is_enabled


def test_again(run, user):
    run("totp_end_sessions", user.get_username(), "--yes")
    first = Account.objects.get().valid_from
    run("totp_end_sessions", user.get_username(), "--yes")
    assert Account.objects.get().valid_from > first


def test_tells_the_log(run, user, caplog):
    caplog.set_level(logging.INFO, "django_totp")
    run("totp_end_sessions", user.get_username(), "--yes", "--reason", "lost laptop")
    (record,) = [record for record in caplog.records if record.name == "django_totp"]
    assert (record.event, record.reason) == ("sessions_ended", "lost laptop")
    assert record.user_pk == str(user.pk)


def test_asks_first(run, user, answer):
    questions = answer("y")
    run("totp_end_sessions", user.get_username())
    assert questions == ["End all logins of ada@example.com? [y/N] "]
    assert Account.objects.exists()


@pytest.mark.parametrize("no", ["", "n", "yesterday", None])
def test_anything_else_is_a_no(run, user, answer, no):
    answer(no)
    with pytest.raises(CommandError, match="Nothing was changed") as caught:
        run("totp_end_sessions", user.get_username())
    assert caught.value.returncode == 1
    assert not Account.objects.exists()
