"""django-axes locks an account for wrong passwords. Codes are counted by us alone."""

import pytest
from axes.models import AccessAttempt, AccessLog

from tests.field.journey import test_journey  # noqa: F401
from tests.visitors import MIDDLEWARE, PASSWORD, make_visitor

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


DOORS = ["/account/login/", "/admin/login/"]


@pytest.fixture
def visitor():
    return make_visitor("root", is_staff=True, is_superuser=True).enroll()


@pytest.mark.parametrize(("door", "ours"), [(DOORS[0], True), (DOORS[1], True), (DOORS[1], False)])
def test_a_session_is_locked_as_without_us(settings, visitor, door, ours):
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if ours or name != MIDDLEWARE]
    for _ in range(2):
        assert visitor.give_password(door, "wrong").status_code == 200
    for given in ("wrong", PASSWORD):
        locked = visitor.give_password(door, given)
        assert locked.status_code == 429
        assert b"Account locked" in locked.content
    assert AccessAttempt.objects.get().failures_since_start == 4
    assert not visitor.is_in


@pytest.mark.parametrize("door", DOORS)
def test_both_steps_come_in_and_only_then_axes_forgets(visitor, door):
    visitor.give_password(door, "wrong")
    assert AccessAttempt.objects.get().failures_since_start == 1
    answer = visitor.give_password(door, next="/who/")
    assert AccessAttempt.objects.get().failures_since_start == 1
    assert visitor.client.post(answer["Location"], {"otp_code": "x"}).status_code == 200
    assert AccessAttempt.objects.get().failures_since_start == 1  # codes are counted by us
    assert visitor.give_code(answer)["Location"] == "/who/"
    assert visitor.is_in
    assert not AccessAttempt.objects.exists()
    assert AccessLog.objects.get().username == visitor.name
