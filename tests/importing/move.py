"""What each move must keep. A module of cases says how people enroll and log in at its source.

Its fixture ``enroll`` is a function that enrolls a user with the package's own code, given how to
make a code of a secret, and returns the secret; its fixture ``accepts`` is one that tells whether
the package takes a code.
"""

import io
import time
from typing import Any

import pyotp
import pytest
from django.core.management import call_command
from rest_framework_simplejwt.tokens import RefreshToken

from django_totp.models import Totp
from django_totp.operations.importers import SOURCES
from tests.field.journey import Person, Shape, through_test_client

PERIOD = 30
START = 1_900_000_005  # some seconds into a step


class Phone:
    """An authenticator app, and the time."""

    def __init__(self, clock: Any) -> None:
        self.clock, self.now = clock, START
        clock.move_to(START, tick=False)

    def code(self, secret: str, **parameters: Any) -> str:
        return pyotp.TOTP(secret, **parameters).at(int(time.time()))

    def wait(self, steps: int) -> None:
        self.now += steps * PERIOD
        self.clock.move_to(self.now, tick=False)


@pytest.fixture
def phone(time_machine):
    return Phone(time_machine)


@pytest.fixture
def make_moving(make_user, password):
    """Return a function that makes a person of a name, without any second factor."""

    def make_moving(name):
        shape = Shape()
        return Person(make_user(name), password, through_test_client(shape), shape)

    return make_moving


@pytest.fixture
def moving(make_moving):
    return make_moving("ada")


def run(source, *options, fails=False):
    """Return what the command writes."""
    out = io.StringIO()
    call_command("totp_import", source, *options, stdout=out, no_color=True)
    return out.getvalue()


def log_in(person, code):
    return person.login(otp_code=code)


def test_people_keep_their_app(source, moving, phone, enroll, accepts):
    secret = enroll(moving.user, phone.code)
    phone.wait(2)
    code = phone.code(secret)
    assert accepts(moving.user, code)
    assert "apps of 1 user." in run(source)
    moving.refused(log_in(moving, code), 400, "invalid_totp_code")
    phone.wait(2)
    moving.refused(log_in(moving, code), 400, "invalid_totp_code")
    fresh = phone.code(secret)
    moving.keep(log_in(moving, fresh))
    moving.refused(log_in(moving, fresh), 400, "invalid_totp_code")
    assert moving.status()["is_totp_enabled"] is True
    assert moving.status()["backup_codes_remaining"] == 0


def test_the_code_that_enrolled_there_does_not_log_in_here(source, moving, phone, enroll):
    secret = enroll(moving.user, phone.code)
    run(source)
    moving.refused(log_in(moving, phone.code(secret)), 400, "invalid_totp_code")
    phone.wait(2)
    moving.keep(log_in(moving, phone.code(secret)))


def test_a_code_of_the_phones_next_step_that_it_has_accepted(
    source, moving, phone, enroll, accepts
):
    secret = enroll(moving.user, phone.code)
    phone.wait(2)
    code = pyotp.TOTP(secret).at(phone.now + PERIOD)
    accepts(moving.user, code)  # not all of them take it
    run(source)
    phone.wait(1)
    moving.refused(log_in(moving, code), 400, "invalid_totp_code")


def test_twice_is_once_and_a_dry_run_says_what_the_real_one_will(
    source, make_moving, phone, enroll
):
    for name in ("ada", "grace", "emmy"):
        secret = enroll(make_moving(name).user, phone.code)
    theirs = SOURCES[source]().devices
    untouched = list(theirs.order_by("pk").values())
    dry = run(source, "--dry-run")
    assert not Totp.objects.exists()
    real = run(source)
    assert list(theirs.order_by("pk").values()) == untouched
    assert secret not in dry + real
    assert dry.replace("Would take over", "Took over") == real
    assert real.startswith("Took over the apps of 3 users.\n")
    before = list(Totp.objects.order_by("pk").values())
    assert "apps of 0 users.\nLeft alone, since their users are enrolled here: 3 (" in run(source)
    assert list(Totp.objects.order_by("pk").values()) == before


def test_who_was_logged_in_by_the_password_owes_a_code(source, moving, phone, enroll):
    moving.keep(moving.first_step())
    unknown = str(RefreshToken.for_user(moving.user))  # as a view of the project makes them
    secret = enroll(moving.user, phone.code)
    phone.wait(2)
    run(source)
    for token in (moving.refresh, unknown):
        answer = moving.send("jwt-refresh", {"refresh": token})
        moving.refused(answer, 401, "second_factor_required")
    phone.wait(2)
    moving.keep(moving.send("jwt-step-up", {"refresh": unknown, "otp_code": phone.code(secret)}))


def test_who_has_not_finished_enrolling_there_is_not_taken(source, moving, begin):
    begin(moving.user)
    assert run(source).startswith("Took over the apps of 0 users.")
