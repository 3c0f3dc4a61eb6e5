"""django-axes locks an account for wrong passwords. Codes are counted by us alone."""

import pytest
from axes.models import AccessAttempt

from tests.field.journey import test_journey  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_lock_holds_and_is_not_ours(person):
    person.enroll()
    right, person.password = person.password, "wrong"
    name = {"username": person.user.get_username()}
    for _ in range(3):
        person.send("jwt-create", name | {"password": "wrong"})
    locked = person.send("jwt-create", name | {"password": right})
    assert locked.status in {401, 403, 429}
    assert b"totp_challenge_token" not in locked.raw
    assert person.status()["is_totp_enabled"] is True


def test_wrong_codes_lock_no_password(person):
    person.enroll()
    person.wait()
    person.challenge()
    assert not AccessAttempt.objects.exists()
