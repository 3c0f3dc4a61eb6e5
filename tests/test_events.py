"""The log record and the signal of what happened."""

import logging
from contextlib import nullcontext

import pytest
from django.core.exceptions import ObjectDoesNotExist
from django.dispatch import Signal
from django.test import RequestFactory
from django.utils.functional import SimpleLazyObject

from django_totp import events
from django_totp.signals import totp_verification_failed

pytestmark = pytest.mark.django_db


@pytest.fixture
def request_from_outside():
    return RequestFactory().post("/", REMOTE_ADDR="203.0.113.7")


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.INFO, "django_totp")
    return caplog


@pytest.fixture
def signal():
    return Signal()


@pytest.fixture
def received(signal):
    """Return what a receiver of ``signal`` and of failed verifications got."""
    calls = []

    def receive(sender, **arguments):
        calls.append((sender, arguments))

    signal.connect(receive, weak=False)
    totp_verification_failed.connect(receive, weak=False)
    yield calls
    totp_verification_failed.disconnect(receive)


# --- Records ---


def test_a_record_says_what_happened_to_whom_and_from_where(log, user, request_from_outside):
    events.record("verified", user, request_from_outside, method="totp")
    [record] = log.records
    assert (record.name, record.levelname) == ("django_totp", "INFO")
    assert record.getMessage() == (
        f"verified user_pk='{user.pk}' method='totp' address='203.0.113.7'"
    )


def test_who_did_it_is_the_user_unless_somebody_else_is_said_to(log, user, request_from_outside):
    events.record("disabled", user, request_from_outside)
    with events.acting(request_from_outside, type(user)(pk=user.pk)):
        events.record("disabled", user, request_from_outside)
    admin = type("Admin", (), {"pk": "admin"})
    with events.acting(request_from_outside, admin):
        events.record("disabled", user, request_from_outside)
    events.record("disabled", user, request_from_outside)
    events.record("disabled", user, None)
    own = str(user.pk)
    assert [record.actor_pk for record in log.records] == [own, own, "admin", own, ""]
    named = ["actor_pk" in record.getMessage() for record in log.records]
    assert named == [False, False, True, False, False]


def test_the_client_is_told_up_to_a_length(log, user):
    request = RequestFactory().get("/", HTTP_USER_AGENT="x" * 300)
    events.record("verified", user, request)
    events.record("verified", user, None)
    assert [record.user_agent for record in log.records] == ["x" * 255, ""]
    assert "xxx" not in log.records[0].getMessage()


def test_our_own_modules_hear_of_each_event(user, request_from_outside):
    heard = []

    def hear(sender, **told):
        heard.append((sender, told["user"], told["request"], told["facts"]))
        raise RuntimeError

    events.happened.connect(hear)
    try:
        events.record("verified", user, request_from_outside, method="totp")
    finally:
        events.happened.disconnect(hear)
    assert heard == [("verified", user, request_from_outside, {"method": "totp"})]


def test_a_record_has_the_facts_as_attributes(log, user, request_from_outside):
    events.record("verified", user, request_from_outside, method="totp", reason="because")
    [record] = log.records
    assert (record.event, record.user_pk, record.address) == (
        "verified",
        str(user.pk),
        "203.0.113.7",
    )
    assert (record.method, record.reason) == ("totp", "because")


@pytest.mark.parametrize(
    ("who", "is_own"), [("nobody", False), ("user", True), ("admin", False), ("self", True)]
)
def test_whose_doing_it_is(user, request_from_outside, who, is_own):
    if who == "nobody":
        assert events.is_own(user, None) == is_own
        return
    actor = {"admin": type("Admin", (), {"pk": "admin"}), "self": user}.get(who)
    with events.acting(request_from_outside, actor) if actor else nullcontext():
        assert events.is_own(user, request_from_outside) == is_own


def test_a_record_leaves_out_what_is_unknown(log):
    events.record("login_failed", None, None, level=logging.WARNING, reason="")
    [record] = log.records
    assert (record.levelname, record.getMessage()) == ("WARNING", "login_failed ")
    assert (record.user_pk, record.address, record.reason) == ("", "", "")


def test_the_address_that_the_face_has_resolved_goes_first(log, user, request_from_outside):
    request_from_outside.totp_client_address = "198.51.100.1"
    events.record("verified", user, request_from_outside)
    assert log.records[0].address == "198.51.100.1"


@pytest.mark.parametrize("seen", ["::ffff:198.51.100.1", "198.51.100.1:50001"])
def test_an_address_has_one_form(log, user, request_from_outside, seen):
    request_from_outside.META["REMOTE_ADDR"] = seen
    events.record("verified", user, request_from_outside)
    assert log.records[0].address == "198.51.100.1"


def test_a_request_without_an_address_is_no_error(log, user, request_from_outside):
    del request_from_outside.META["REMOTE_ADDR"]
    events.record("verified", user, request_from_outside)
    assert log.records[0].address == ""


def test_line_breaks_do_not_forge_a_second_line(log, user):
    events.record("disabled", user, None, reason="lost\nverified user_pk='1'")
    assert "\n" not in log.records[0].getMessage()


def test_a_logger_that_is_off_gets_nothing(log, user):
    log.set_level(logging.WARNING, "django_totp")
    events.record("verified", user, None)
    assert log.records == []


# --- Signals ---


def test_a_signal_carries_the_request_and_the_user(signal, received, user, request_from_outside):
    events.send(signal, user, request_from_outside, method="totp")
    [(sender, arguments)] = received
    assert sender is type(user)
    del arguments["signal"]
    assert arguments == {"request": request_from_outside, "user": user, "method": "totp"}


def test_the_sender_of_a_lazy_user_is_the_class_of_the_user(signal, received, user):
    """Django's ``request.user`` is lazy: a receiver that names a sender would hear nothing."""
    events.send(signal, SimpleLazyObject(lambda: user), None)
    [(sender, _)] = received
    assert sender is type(user)


def test_a_receiver_that_raises_breaks_nothing(signal, user, caplog):
    heard = []
    signal.connect(lambda **arguments: 1 / 0, weak=False)
    signal.connect(lambda **arguments: heard.append(arguments["user"]), weak=False)
    events.send(signal, user, None)
    assert heard == [user]
    assert "ZeroDivisionError" in caplog.text


# --- Verifications ---


def test_a_code_that_was_refused_is_recorded_and_signalled(log, received, user):
    events.refused(user, None, method="backup_code", reason="wrong")
    [record], [(_, arguments)] = log.records, received
    assert (record.event, record.levelname) == ("verification_failed", "WARNING")
    assert (record.method, record.reason) == ("backup_code", "wrong")
    assert (arguments["user"], arguments["method"]) == (user, "backup_code")


def test_that_nobody_is_there_is_no_complaint(caplog):
    events.complain_of_search(ObjectDoesNotExist())
    assert caplog.records == []
    events.complain_of_search(TypeError())
    assert "TypeError was raised" in caplog.text
