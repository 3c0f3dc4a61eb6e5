import logging
from datetime import timedelta

import pytest
from django.utils import timezone

from django_totp.models import Totp
from django_totp.totp import verify_totp_code

pytestmark = pytest.mark.django_db


def test_codes_are_accepted_again(run, enrolled_user, secret, otp):
    soon = timezone.now() + timedelta(minutes=5)
    Totp.objects.update(failures=100, waiting_until=soon)
    text = run("totp_unlock", enrolled_user.get_username())
    assert text == "TOTP codes of ada@example.com are accepted again.\n"
    assert verify_totp_code(enrolled_user, otp(secret))


def test_keeps_the_backup_codes(run, enrolled_user):
    run("totp_unlock", enrolled_user.get_username())
    assert Totp.objects.get().backup_codes.count() == 10


def test_tells_the_log(run, enrolled_user, caplog):
    caplog.set_level(logging.INFO, "django_totp")
    run("totp_unlock", enrolled_user.get_username(), "--reason", "was on the phone")
    (record,) = [record for record in caplog.records if record.name == "django_totp"]
    assert (record.event, record.reason) == ("wait_ended", "was on the phone")
