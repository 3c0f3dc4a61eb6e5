"""Guessing, made slow: the count, the wait, the cap, and the retries of a lost race."""

import tracemalloc
from datetime import UTC, datetime, timedelta

import pyotp
import pytest
import time_machine as time_travel
from cryptography.fernet import Fernet
from django.db import IntegrityError, OperationalError
from django.db.models import F
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from django_totp import attempts
from django_totp.attempts import refuse_while_waiting
from django_totp.backup_code_utils import (
    generate_backup_codes,
    store_backup_codes,
    verify_backup_code,
)
from django_totp.encryption import encrypt
from django_totp.exceptions import InvalidTotpCode, TooManyAttempts
from django_totp.models import Moved, Totp
from django_totp.retrying import TRIES, retried
from django_totp.totp import (
    confirm_totp_setup,
    end_wait,
    generate_totp_secret,
    verify_totp_code,
)

from .rivals import act_after_reading

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
WAITS = [
    (1, None),
    (4, None),
    (5, None),
    (6, 30),
    (7, 60),
    (8, 120),
    (9, 240),
    (10, 480),
    (11, 900),
    (12, 900),
    (99, 900),
    (10_000, 900),
]


@pytest.fixture
def clock(time_machine):
    time_machine.move_to(NOON, tick=False)
    return time_machine


@pytest.fixture
def totp(clock, enrolled_user):
    """Return the confirmed enrollment of ``enrolled_user``, at noon."""
    return Totp.objects.get()


def row():
    return Totp.objects.get()


def set_failures(failures):
    Totp.objects.update(failures=failures, waiting_until=None)
    return row()


# --- The wait ---


@pytest.mark.parametrize(("failures", "seconds"), WAITS)
def test_the_wait_after_a_wrong_code_doubles_up_to_a_maximum(totp, failures, seconds):
    attempts.wrong(set_failures(failures - 1))
    assert row().failures == failures
    assert row().waiting_until == (seconds and NOON + timedelta(seconds=seconds))


def test_the_wait_after_any_number_of_wrong_codes_is_reckoned_with_small_numbers(totp):
    many = set_failures(2**27)  # as a power of two: 16 MiB
    tracemalloc.start()
    try:
        attempts.wrong(many)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20


def test_the_limits_are_settings(totp, settings):
    settings.TOTP_FAILURE_LIMIT = 2
    settings.TOTP_LOCKOUT_SECONDS, settings.TOTP_LOCKOUT_MAX_SECONDS = 7, 20
    waits = []
    for _ in range(5):
        attempts.wrong(row())
        waits.append(row().waiting_until and (row().waiting_until - NOON).total_seconds())
    assert waits == [None, None, 7, 14, 20]


def test_a_right_code_ends_the_count_and_the_wait(totp):
    attempts.wrong(set_failures(9))
    totp = row()
    totp.move(**attempts.right(totp, last_used_step=7))
    assert (row().failures, row().waiting_until) == (0, None)
    assert (row().verifications, row().last_verified_at) == (1, NOON)
    assert row().last_used_step == 7


@pytest.mark.parametrize(
    "answer", [lambda totp: attempts.move(totp, attempts.right(totp)), attempts.wrong]
)
def test_an_answer_to_a_row_that_was_moved_is_not_written(totp, answer):
    attempts.wrong(row())
    with pytest.raises(Moved):
        answer(totp)
    assert (row().failures, row().verifications) == (1, 0)


@pytest.mark.parametrize(
    ("passed", "left"), [(0, 30), (0.5, 30), (1, 29), (29, 1), (29.999, 1), (30, None)]
)
def test_codes_are_refused_until_the_wait_is_over(totp, clock, passed, left):
    attempts.wrong(set_failures(5))
    clock.shift(passed)
    if left is None:
        refuse_while_waiting(row())
    else:
        with pytest.raises(TooManyAttempts) as raised:
            refuse_while_waiting(row())
        assert raised.value.retry_after == left


@pytest.mark.parametrize(("cap", "is_refused"), [(100, True), (101, False), (None, False)])
def test_after_the_cap_waiting_does_not_help(totp, clock, settings, cap, is_refused):
    settings.TOTP_FAILURE_CAP = cap
    attempts.wrong(set_failures(99))
    clock.shift(timedelta(days=365))
    if is_refused:
        with pytest.raises(TooManyAttempts) as raised:
            refuse_while_waiting(row())
        assert raised.value.retry_after is None
    else:
        refuse_while_waiting(row())


def test_the_hundredth_wrong_code_turns_codes_off_until_a_backup_code(
    totp, enrolled_user, secret, backup_codes, otp, clock
):
    set_failures(99)
    assert not verify_totp_code(enrolled_user, "wrong")
    clock.shift(timedelta(days=365))
    with pytest.raises(TooManyAttempts):
        verify_totp_code(enrolled_user, otp(secret))
    assert verify_backup_code(enrolled_user, backup_codes[0])
    assert verify_totp_code(enrolled_user, otp(secret))


@pytest.mark.parametrize("codes", [True, False])
@pytest.mark.parametrize(("failures", "is_counted"), [(98, True), (99, True), (100, False)])
def test_wrong_backup_codes_do_not_go_beyond_the_cap(
    totp, enrolled_user, codes, failures, is_counted
):
    if not codes:
        totp.codes.delete()
    set_failures(failures)
    assert not verify_backup_code(enrolled_user, "wrong")
    assert row().failures == failures + is_counted


def test_wrong_backup_codes_do_not_count_during_the_wait(totp, clock, enrolled_user, secret, otp):
    attempts.wrong(set_failures(5))
    for _ in range(200):
        assert not verify_backup_code(enrolled_user, "wrong")
    assert row().failures == 6
    clock.shift(31)
    assert not verify_backup_code(enrolled_user, "wrong")
    assert row().failures == 7


def test_a_strangers_success_does_not_end_the_count(totp, make_user, secret, otp):
    set_failures(5)
    stranger = make_user("grace")
    Totp.objects.create(user=stranger, secret_key=encrypt(secret), confirmed_at=NOON)
    assert verify_totp_code(stranger, otp(secret))
    assert Totp.objects.get(pk=totp.pk).failures == 5


# --- What is told of a wait ---


@pytest.fixture
def waits(caplog):
    """Return a function that gives what the log says of the waits that have begun."""

    def waits():
        records = [one for one in caplog.records if getattr(one, "event", "") == "wait_began"]
        assert {one.levelname for one in records} <= {"WARNING"}
        return [(one.method, one.until, one.notice) for one in records]

    return waits


def test_each_wait_that_begins_is_logged(totp, enrolled_user, clock, waits):
    set_failures(4)
    verify_totp_code(enrolled_user, "wrong")
    assert waits() == []
    verify_totp_code(enrolled_user, "wrong")
    with pytest.raises(TooManyAttempts):
        verify_totp_code(enrolled_user, "wrong")
    verify_backup_code(enrolled_user, "wrong")
    clock.shift(30)
    verify_backup_code(enrolled_user, "wrong")
    assert waits() == [
        ("totp", "2030-01-01T12:00:30+00:00", ""),
        ("backup_code", "2030-01-01T12:01:30+00:00", ""),
    ]


@pytest.mark.parametrize("limit", [5, 1000])
def test_codes_that_go_off_are_logged_and_wait_for_no_moment(
    totp, enrolled_user, settings, waits, limit
):
    settings.TOTP_FAILURE_LIMIT, settings.TOTP_FAILURE_CAP = limit, 10
    set_failures(9)
    verify_totp_code(enrolled_user, "wrong")
    assert waits() == [("totp", "", "")]


def test_the_wait_of_a_setup_is_logged_and_not_mailed(clock, pending_user, settings, waits):
    settings.TOTP_SEND_NOTICES = True
    Totp.objects.update(created_at=NOON)
    set_failures(5)
    with pytest.raises(InvalidTotpCode):
        confirm_totp_setup(pending_user, "wrong")
    assert waits() == [("totp", "2030-01-01T12:00:30+00:00", "")]
    assert row().wait_told_at is None


@pytest.mark.parametrize(
    ("minutes", "is_due"),
    [(None, True), (0, False), (59.9, False), (60, True), (-59.9, False), (-60, True)],
)
def test_a_notice_is_due_once_an_hour(totp, enrolled_user, settings, waits, minutes, is_due):
    settings.TOTP_SEND_NOTICES = True
    told = None if minutes is None else NOON - timedelta(minutes=minutes)
    Totp.objects.update(wait_told_at=told)
    set_failures(5)
    verify_totp_code(enrolled_user, "wrong")
    assert [notice for *_, notice in waits()] == ["due" if is_due else ""]
    assert row().wait_told_at == (NOON if is_due else told)


def test_a_wait_that_is_not_mailed_leaves_the_hour_alone(totp, enrolled_user, waits):
    set_failures(5)
    verify_totp_code(enrolled_user, "wrong")
    assert [notice for *_, notice in waits()] == [""]
    assert row().wait_told_at is None


def test_a_wrong_code_that_begins_no_wait_is_no_notice(totp, enrolled_user, settings):
    settings.TOTP_SEND_NOTICES = True
    verify_totp_code(enrolled_user, "wrong")
    assert row().wait_told_at is None


# --- Retries ---


@pytest.fixture
def loser():
    """Return a function that loses as often as it is told to, and the list of its calls."""
    calls = []

    @retried
    def lose(times, answer="done"):
        """Lose."""
        calls.append(times)
        if len(calls) <= times:
            raise Moved
        return answer

    return lose, calls


@pytest.mark.parametrize("times", [0, 1, TRIES - 1])
def test_a_race_that_was_lost_is_run_again(loser, times):
    lose, calls = loser
    assert lose(times, answer="won") == "won"
    assert len(calls) == times + 1


def test_retries_end(loser):
    lose, calls = loser
    with pytest.raises(TooManyAttempts) as raised:
        lose(TRIES)
    assert raised.value.retry_after == 1
    assert len(calls) == TRIES


def database_error(*arguments, kind=OperationalError, **attributes):
    """Return an error of Django that was caused by one of a database driver."""
    error = kind(*arguments)
    error.__cause__ = type("DriverError", (Exception,), attributes)()
    return error


@pytest.mark.parametrize(
    "error",
    [
        database_error("deadlock detected", sqlstate="40P01"),
        database_error("could not serialize access", sqlstate="40001"),
        database_error("deadlock detected", pgcode="40P01"),
        database_error(1213, "Deadlock found when trying to get lock"),
        database_error(1020, "Record has changed since last read"),
        database_error("still referenced", kind=IntegrityError, sqlstate="23503"),
        database_error(1451, "Cannot delete a parent row", kind=IntegrityError),
    ],
    ids=str,
)
def test_a_transaction_that_gave_way_to_another_is_run_again(error):
    losses = [error, error]

    @retried
    def give_way():
        if losses:
            raise losses.pop()
        return "done"

    assert give_way() == "done"


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (database_error("could not serialize access", sqlstate="40001"), TooManyAttempts),
        (database_error(1213, "Deadlock found"), TooManyAttempts),
        (database_error("referenced", kind=IntegrityError, sqlstate="23503"), IntegrityError),
    ],
    ids=str,
)
def test_who_gives_way_all_the_time_is_asked_for_patience(error, raised):
    """Unless rows are in the way that stay there: that is for somebody to mend."""
    calls = []

    @retried
    def give_way():
        calls.append(error)
        raise error

    with pytest.raises(raised):
        give_way()
    assert len(calls) == TRIES


@pytest.mark.parametrize(
    "error",
    [
        database_error("database is locked"),
        database_error("server closed the connection", sqlstate="08006"),
        database_error(1205, "Lock wait timeout exceeded"),
        database_error("duplicate key", kind=IntegrityError, sqlstate="23505"),
        database_error(1062, "Duplicate entry", kind=IntegrityError),
        OperationalError(),
        TypeError(),
    ],
    ids=repr,
)
def test_other_errors_are_not_retried(error):
    calls = []

    @retried
    def fail():
        calls.append(error)
        raise error

    with pytest.raises(type(error)):
        fail()
    assert calls == [error]


def test_a_function_keeps_its_name(loser):
    assert (loser[0].__name__, loser[0].__doc__) == ("lose", "Lose.")


@pytest.mark.parametrize("times", [TRIES - 1, TRIES])
def test_an_account_under_fire_refuses_codes_and_uses_none_up(
    totp, enrolled_user, secret, otp, monkeypatch, times
):
    fire = lambda: Totp.objects.update(version=F("version") + 1)  # noqa: E731
    act_after_reading(monkeypatch, fire, times)
    if times < TRIES:
        assert verify_totp_code(enrolled_user, otp(secret))
        return
    with pytest.raises(TooManyAttempts):
        verify_totp_code(enrolled_user, otp(secret))
    assert row().last_used_step is None
    assert verify_totp_code(enrolled_user, otp(secret))


# --- The secret ---


def test_a_secret_is_read(totp, secret):
    assert attempts.read_secret(totp) == secret


def test_a_secret_that_no_key_reads_is_reported_by_its_row(totp, caplog):
    totp.secret_key = "gAAAA-of-a-lost-key"
    assert attempts.read_secret(totp) is None
    [record] = caplog.records
    assert (record.name, record.levelname, record.args) == ("django_totp", "ERROR", (totp.pk,))
    assert "TOTP_ENCRYPTION_KEY_FALLBACKS" in record.getMessage()
    assert totp.secret_key not in record.getMessage()


def test_a_secret_that_is_no_text_is_no_secret(totp, settings):
    totp.secret_key = Fernet(settings.TOTP_ENCRYPTION_KEY).encrypt(b"\xff").decode()
    assert attempts.read_secret(totp) is None


# --- The whole protocol, against a model of it ---

LIMIT, FIRST_WAIT, LONGEST_WAIT, CAP = 2, 40, 100, 6
OFF, REFUSED = "off", "refused"


class Protocol(RuleBasedStateMachine):
    """Any order of codes, backup codes and time, alone and at once, beside a simple model."""

    unused_codes = Bundle("unused_codes")
    used_codes = Bundle("used_codes")

    def __init__(self, user):
        super().__init__()
        self.user = user
        self.secret = generate_totp_secret()
        self.clock = time_travel.travel(NOON, tick=False)
        self.traveller = self.clock.start()
        self.now = NOON
        self.failures, self.waiting_until = 0, None
        self.verifications, self.last_step = 0, None

    def teardown(self):
        self.clock.stop()

    # What happens

    @initialize(target=unused_codes)
    def enroll(self):
        Totp.objects.all().delete()
        Totp.objects.create(user=self.user, secret_key=encrypt(self.secret))
        return multiple(*store_backup_codes(self.user, generate_backup_codes()))

    @rule(offset=st.integers(-3, 3))
    def code(self, offset):
        assert self.verify(offset) == self.expect_code(offset)

    @rule(offset=st.integers(-1, 1), rival=st.integers(-1, 1))
    def two_codes_at_once(self, offset, rival):
        answers = []
        with pytest.MonkeyPatch.context() as patch:
            act_after_reading(patch, lambda: answers.append(self.verify(rival)))
            answers.append(self.verify(offset))
        assert answers == [self.expect_code(rival), self.expect_code(offset)]

    @rule(code=st.sampled_from(["", "12345", "1234567", "１２３４５６", "abcdef"]))
    def malformed_code(self, code):
        assert self.answer(verify_totp_code, code) == self.expect(False, waits=True)

    @rule(target=used_codes, code=consumes(unused_codes))
    def backup_code(self, code):
        assert self.answer(verify_backup_code, code) == self.expect(True)
        return code

    @rule(target=used_codes, code=consumes(unused_codes), offset=st.integers(-3, 3))
    def backup_code_at_once_with_a_code(self, code, offset):
        answers = []
        with pytest.MonkeyPatch.context() as patch:
            act_after_reading(patch, lambda: answers.append(self.verify(offset)))
            answers.append(self.answer(verify_backup_code, code))
        assert answers == [self.expect_code(offset), self.expect(True)]
        return code

    @rule(code=used_codes)
    def used_backup_code(self, code):
        assert self.answer(verify_backup_code, code) == self.expect(False)

    @rule(code=st.sampled_from(["", "0000-0000-0000-0000", "schlüssel"]))
    def wrong_backup_code(self, code):
        assert self.answer(verify_backup_code, code) == self.expect(False)

    @rule(seconds=st.sampled_from([1, 29, 30, 31, 40, 80, 100]))
    def time_passes(self, seconds):
        self.now += timedelta(seconds=seconds)
        self.traveller.move_to(self.now)

    @rule()
    def an_administrator_ends_the_wait(self):
        end_wait(self.user)
        self.failures, self.waiting_until = 0, None

    @invariant()
    def the_row_is_as_the_model_says(self):
        for totp in Totp.objects.all():
            assert (totp.failures, totp.waiting_until) == (self.failures, self.waiting_until)
            assert (totp.verifications, totp.last_used_step) == (self.verifications, self.last_step)

    # What the package answers

    def verify(self, offset):
        return self.answer(verify_totp_code, pyotp.HOTP(self.secret).at(self.step + offset))

    def answer(self, verify, code):
        try:
            return verify(self.user, code)
        except TooManyAttempts as error:
            return OFF if error.retry_after is None else REFUSED

    # What the model answers

    @property
    def step(self):
        return int(self.now.timestamp()) // 30

    def expect_code(self, offset):
        step = self.step + offset
        is_right = abs(offset) <= 1 and (self.last_step is None or step > self.last_step)
        answer = self.expect(is_right, waits=True)
        if answer is True:
            self.last_step = step
        return answer

    def expect(self, is_right, waits=False):
        if waits and self.failures >= CAP:
            return OFF
        if waits and self.waiting_until is not None and self.waiting_until > self.now:
            return REFUSED
        is_waiting = self.waiting_until is not None and self.waiting_until > self.now
        if not is_right and (is_waiting or self.failures >= CAP):
            return False
        self.verifications += is_right
        self.failures = 0 if is_right else self.failures + 1
        wait = min(FIRST_WAIT * 2 ** (self.failures - LIMIT - 1), LONGEST_WAIT)
        is_over = self.failures > LIMIT
        self.waiting_until = self.now + timedelta(seconds=wait) if is_over else None
        return is_right


def test_the_protocol_is_as_the_model_says(user, settings):
    settings.TOTP_FAILURE_LIMIT, settings.TOTP_FAILURE_CAP = LIMIT, CAP
    settings.TOTP_LOCKOUT_SECONDS = FIRST_WAIT
    settings.TOTP_LOCKOUT_MAX_SECONDS = LONGEST_WAIT
    run_state_machine_as_test(
        lambda: Protocol(user),
        settings=hypothesis_settings(max_examples=30, stateful_step_count=30),
    )
