"""The record of what happened: what is written, by whom it was done, and what cannot break."""

import copy
import logging
import logging.config
import logging.handlers
import queue
from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import Permission
from django.core.exceptions import SynchronousOnlyOperation
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.db.models.signals import post_save
from django.test import RequestFactory
from django.test.testcases import DatabaseOperationForbidden
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from django_totp import events
from django_totp.auth import end_sessions
from django_totp.models import Event, Totp
from django_totp.totp import disable_totp, verify_totp_code
from django_totp.trail import DEEPEST, DatabaseHandler
from tests.endpoints import assert_error, wrong_code

pytestmark = pytest.mark.django_db

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"trail": {"class": "django_totp.trail.DatabaseHandler"}},
    "loggers": {"django_totp": {"handlers": ["trail"], "level": "INFO"}},
}
COLUMNS = ("event", "user_pk", "actor_pk", "method", "reason", "address", "user_agent")
BROWSER = {"HTTP_USER_AGENT": "Browser/1.0", "REMOTE_ADDR": "203.0.113.7"}


@pytest.fixture
def trail():
    """Switch the trail on, as a project does, and return its handler."""
    logger = logging.getLogger("django_totp")
    handlers, level = [*logger.handlers], logger.level
    logging.config.dictConfig(LOGGING)
    [handler] = logger.handlers
    yield handler
    logger.handlers[:], logger.level = handlers, level
    logger.manager._clear_cache()


@pytest.fixture
def request_from_outside():
    return RequestFactory().post("/", **BROWSER)


@pytest.fixture
def factory():
    """Return a function that makes each record of logging have attributes of the project."""
    before = logging.getLogRecordFactory()

    def factory(**attributes):
        def make(*args, **kwargs):
            record = before(*args, **kwargs)
            vars(record).update(attributes)
            return record

        logging.setLogRecordFactory(make)

    yield factory
    logging.setLogRecordFactory(before)


@pytest.fixture
def without_table(transactional_db):
    """Take the table away."""
    with connection.schema_editor() as editor:
        editor.delete_model(Event)
    yield
    with connection.schema_editor() as editor:
        editor.create_model(Event)


def rows(*columns):
    """Return what was written, in order, without what is empty."""
    found = Event.objects.order_by("pk").values(*(columns or COLUMNS))
    return [{name: value for name, value in row.items() if value} for row in found]


def told(record=None, **attributes):
    """Return a record as ``events.record`` makes them, or with these attributes."""
    facts = dict.fromkeys(COLUMNS, "") | {"event": "login"} | attributes
    record = logging.LogRecord("django_totp", logging.INFO, "", 0, "%s %s", ("login", ""), None)
    vars(record).update(facts)
    return record


# --- What is written ---


@pytest.fixture
def log_in(api, password):
    """Return a function that takes both steps of a login from a known place."""

    def log_in(user, **code):
        credentials = {user.USERNAME_FIELD: user.get_username(), "password": password}
        answer = api.post(reverse("jwt-create"), credentials, format="json", **BROWSER)
        if not code:
            return answer
        body = {"totp_challenge_token": answer.json()["totp_challenge_token"], **code}
        return api.post(reverse("jwt-totp-verify"), body, format="json", **BROWSER)

    return log_in


def test_a_login_writes_what_the_log_says(trail, log_in, enrolled_user, secret, otp):
    assert log_in(enrolled_user, otp_code=wrong_code(secret)).status_code == 400
    assert log_in(enrolled_user, otp_code=otp(secret)).status_code == 200
    own = {"user_pk": str(enrolled_user.pk), "actor_pk": str(enrolled_user.pk)}
    place = {"address": "203.0.113.7", "user_agent": "Browser/1.0"}
    assert rows() == [
        {"event": "verification_failed", "method": "totp", "reason": "wrong", **own, **place},
        {"event": "verified", "method": "totp", **own, **place},
        {"event": "login", "method": "totp", **own, **place},
    ]


def test_a_login_by_session_does_so_too(trail, enrolled, code):
    enrolled.password()
    enrolled.code(code(), **BROWSER)
    assert enrolled.is_signed_in
    own = str(enrolled.user.pk)
    assert [(row["event"], row["user_pk"], row["address"]) for row in rows()] == [
        ("verified", own, "203.0.113.7"),
        ("login", own, "203.0.113.7"),
    ]


def test_a_refused_login_names_whom_the_password_was_right_for(
    trail, api, user, password, simplejwt
):
    simplejwt(USER_AUTHENTICATION_RULE=lambda user: False)
    names = {"password": "wrong", user.USERNAME_FIELD: user.get_username()}
    api.post(reverse("jwt-create"), names, format="json", **BROWSER)
    api.post(reverse("jwt-create"), names | {"password": password}, format="json", **BROWSER)
    failed = {"event": "login_failed", "method": "password"}
    assert rows("event", "method", "user_pk", "actor_pk") == [
        failed,
        {**failed, "user_pk": str(user.pk), "actor_pk": str(user.pk)},
    ]


def test_events_of_a_life(trail, login, sign_in, user, otp, time_machine):
    time_machine.move_to(datetime(2030, 1, 1, 12, tzinfo=UTC), tick=False)
    client = sign_in(user)
    secret = client.post(reverse("totp-create")).json()["secret"]
    client.post(reverse("totp-confirm"), {"input_code": otp(secret)})
    time_machine.shift(60)
    assert login(user, otp_code=otp(secret)).status_code == 200
    call_command("totp_unlock", user.get_username(), reason="called us", verbosity=0)
    assert [(row["event"], row.get("reason", "")) for row in rows()] == [
        ("enrollment_started", ""),
        ("enrollment_confirmed", ""),
        ("verified", ""),
        ("login", ""),
        ("wait_ended", "called us"),
    ]
    moments = list(Event.objects.order_by("pk").values_list("at", flat=True))
    assert moments[0] == datetime(2030, 1, 1, 12, tzinfo=UTC)
    assert moments[-1] == datetime(2030, 1, 1, 12, 1, tzinfo=UTC)


def test_the_level_of_the_logger_decides(trail, user):
    logging.getLogger("django_totp").setLevel(logging.WARNING)
    events.record("login", user, None)
    events.record("login_failed", user, None, level=logging.WARNING)
    assert rows("event") == [{"event": "login_failed"}]


def test_a_filter_of_the_project_decides(trail, user):
    trail.addFilter(lambda record: record.event != "login")
    for event in ("login", "verified"):
        events.record(event, user, None)
    assert rows("event") == [{"event": "verified"}]


def test_a_filter_may_put_another_record_in_the_place(trail, user, monkeypatch):
    def masked(record):
        record = copy.copy(record)
        record.address = "somewhere"
        return record

    monkeypatch.setattr(trail, "filter", masked)  # as filters do from Python 3.12 on
    events.record("login", user, None)
    assert rows("address") == [{"address": "somewhere"}]


# --- Who did it ---


def test_oneself(trail, signed_in, enrolled_user):
    assert signed_in.post(reverse("totp-disable")).status_code == 204
    own = str(enrolled_user.pk)
    assert rows("event", "user_pk", "actor_pk") == [
        {"event": "disabled", "user_pk": own, "actor_pk": own}
    ]


@pytest.mark.usefixtures("without_middleware")
def test_an_administrator(trail, client, make_user, enrolled_user):
    admin = make_user("grace", is_staff=True)
    names = ("view_totp", "reset_totp")
    admin.user_permissions.set(Permission.objects.filter(codename__in=names))
    client.force_login(admin)
    chosen = [Totp.objects.get().pk]
    form = {"action": "reset_two_factor", "_selected_action": chosen, "confirmed": "yes"}
    url = reverse("admin:django_totp_totp_changelist")
    assert client.post(url, form | {"reason": "lost phone"}).status_code == 302
    assert rows("event", "user_pk", "actor_pk", "reason") == [
        {
            "event": "disabled",
            "user_pk": str(enrolled_user.pk),
            "actor_pk": str(admin.pk),
            "reason": "lost phone",
        }
    ]


def test_a_command(trail, enrolled_user):
    call_command("totp_reset", enrolled_user.get_username(), yes=True, verbosity=0)
    assert rows() == [{"event": "disabled", "user_pk": str(enrolled_user.pk)}]


# --- What is not written, and not twice ---


def test_sentences_without_an_event_are_left_to_other_handlers(trail, factory):
    events.complain("No cache.")
    logging.getLogger("django_totp").info("a word of the project's own")
    logging.getLogger("django_totp.own").info("child", extra={"event": "own"})
    logging.getLogger("other").error("other", extra={"event": "other"})
    factory(**dict.fromkeys(COLUMNS, "theirs"))
    events.complain("No cache.")
    assert rows() == []


def test_at_the_root_it_hears_the_others_and_writes_ours(trail, user, caplog):
    caplog.set_level(logging.DEBUG, "django.db.backends")
    logging.getLogger().addHandler(trail)
    try:
        with CaptureQueriesContext(connection):  # and the INSERT is logged, too
            events.record("login", user, None)
    finally:
        logging.getLogger().removeHandler(trail)
    assert "INSERT INTO" in caplog.text
    assert rows("event") == [{"event": "login"}]


def test_several_handlers_write_one_row(trail, user):
    logging.getLogger("django_totp").addHandler(DatabaseHandler())
    logging.getLogger().addHandler(trail)
    try:
        events.record("login", user, None)
    finally:
        logging.getLogger().removeHandler(trail)
    assert Event.objects.count() == 1


def test_behind_a_queue(trail, user, request_from_outside):
    logger, line = logging.getLogger("django_totp"), queue.SimpleQueue()
    logger.handlers[:] = [logging.handlers.QueueHandler(line)]
    events.record("verified", user, request_from_outside, method="totp")
    assert rows() == []
    trail.handle(line.get())
    [row] = rows()
    assert (row["event"], row["method"]) == ("verified", "totp")
    assert row["user_agent"] == "Browser/1.0"


@pytest.mark.parametrize("name", COLUMNS)
def test_a_record_factory_may_own_our_names(trail, factory, user, request_from_outside, name):
    factory(**{name: "theirs"})
    events.record("verified", user, request_from_outside, method="totp", reason="because")
    key = str(user.pk)
    assert rows() == [
        {
            "event": "verified",
            "user_pk": key,
            "actor_pk": key,
            "method": "totp",
            "reason": "because",
            "address": "203.0.113.7",
            "user_agent": "Browser/1.0",
        }
    ]


# --- Values that a column does not take ---


def test_long_values_are_cut(trail):
    trail.handle(told(**dict.fromkeys(COLUMNS, "x" * 5000)))
    [row] = rows()
    assert {name: len(value) for name, value in row.items()} == {
        name: Event._meta.get_field(name).max_length for name in COLUMNS
    }


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("a\0b", "a\N{REPLACEMENT CHARACTER}b"),
        ("a\ud800b", "a\\ud800b"),
        ("Gerät verloren", "Gerät verloren"),
        ("Телефон", "Телефон"),
        (None, "None"),
        (7, "7"),
    ],
)
def test_values_of_people(trail, capsys, value, stored):
    trail.handle(told(reason=value))
    assert rows("reason") == [{"reason": stored}]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["address", "user_agent"])
@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("a\0b", "a\\ufffdb"),
        ("a\ud800b", "a\\ud800b"),
        ("\xe9\U0001f600", "\\xe9\\U0001f600"),
        ("\U0001f600" * 255, ("\\U0001f600" * 26)[:255]),
    ],
)
def test_no_letter_of_a_client_keeps_it_out_of_the_record(trail, name, value, stored):
    trail.handle(told(**{name: value}))
    assert rows(name) == [{name: stored}]


def test_headers_as_they_come(trail, log_in, enrolled_user, secret, api):
    hostile = {"HTTP_USER_AGENT": "\xff\0" * 500, "REMOTE_ADDR": "\xff\0" * 500}
    names = {"password": "wrong", enrolled_user.USERNAME_FIELD: "nobody"}
    answer = api.post(reverse("jwt-create"), names, format="json", **hostile)
    assert_error(answer, 401)
    assert [len(row["user_agent"]) for row in rows()] == [255]


# --- Statements ---


@pytest.mark.django_db(transaction=True)
def test_an_event_is_one_statement(trail, user):
    with CaptureQueriesContext(connection) as captured:
        events.record("login", user, None)
    assert [query["sql"].partition(" ")[0] for query in captured] == ["INSERT"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("without_table")
def test_one_that_fails_is_one_statement_as_well(trail, user, capsys):
    logging.getLogger("django_totp").addHandler(DatabaseHandler())
    with CaptureQueriesContext(connection) as captured:
        events.record("login", user, None)
    assert len(captured) == 1
    assert capsys.readouterr().err.count("--- Logging error ---") == 1


# --- A table that fails ---


@pytest.fixture
def journey(log_in, enrolled_user, secret, otp):
    """Return a function that guesses wrong and logs in."""

    def journey():
        assert log_in(enrolled_user, otp_code=wrong_code(secret)).status_code == 400
        assert log_in(enrolled_user, otp_code=otp(secret)).status_code == 200

    return journey


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("without_table")
def test_a_dropped_table_breaks_no_login(trail, journey, capsys, caplog):
    journey()
    err = capsys.readouterr().err
    assert err.count("--- Logging error ---") == 3  # each event is told once
    assert "django_totp_event" in err
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("without_table")
def test_it_breaks_no_login_by_session(trail, enrolled, code, capsys):
    enrolled.password()
    enrolled.code(code())
    assert enrolled.is_signed_in
    assert "--- Logging error ---" in capsys.readouterr().err


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("without_table")
def test_it_poisons_no_transaction(trail, enrolled_user, secret, otp, capsys):
    with transaction.atomic():
        end_sessions(enrolled_user)
        assert verify_totp_code(enrolled_user, otp(secret))
    totp = Totp.objects.get()
    assert totp.last_used_step is not None
    assert enrolled_user.totp_account.valid_from is not None
    assert "--- Logging error ---" in capsys.readouterr().err


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("without_table")
def test_nor_one_that_was_opened_by_hand(trail, enrolled_user, capsys):
    transaction.set_autocommit(False)
    try:
        disable_totp(enrolled_user)
        assert not Totp.objects.exists()
        transaction.commit()
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)
    assert not Totp.objects.exists()
    assert "--- Logging error ---" in capsys.readouterr().err


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("without_table")
def test_it_breaks_no_project_with_atomic_requests(trail, monkeypatch, signed_in, user, capsys):
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    assert signed_in.post(reverse("totp-create")).status_code == 201
    assert Totp.objects.filter(user=user).exists()
    assert "--- Logging error ---" in capsys.readouterr().err


@pytest.mark.django_db(transaction=True)
def test_there_a_refused_code_is_recorded(trail, monkeypatch, log_in, enrolled, secret, code):
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    assert log_in(enrolled.user, otp_code=wrong_code(secret)).status_code == 400
    enrolled.password()
    enrolled.code(wrong_code(secret))
    assert [row["event"] for row in rows("event")] == ["verification_failed"] * 2


@pytest.mark.django_db(transaction=True)
def test_a_transaction_that_is_broken_stays_so(trail, user, capsys):
    with transaction.atomic():
        transaction.set_rollback(True)
        events.record("login", user, None)
        assert transaction.get_rollback()
    assert "--- Logging error ---" in capsys.readouterr().err
    assert rows() == []


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_was_not(trail, user):
    with transaction.atomic():
        events.record("login", user, None)
        assert Event.objects.count() == 1
        transaction.set_rollback(True)
    assert rows() == []


@pytest.mark.parametrize(
    "error",
    [
        DatabaseError("down"),
        DatabaseOperationForbidden("in a SimpleTestCase"),
        SynchronousOnlyOperation("in an event loop"),
    ],
)
def test_whatever_is_raised(trail, journey, monkeypatch, capsys, error):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(Event, "save", fail)
    journey()
    assert type(error).__name__ in capsys.readouterr().err


@pytest.mark.parametrize("broken", ["raises", "lies"])
def test_a_router_that_misbehaves(trail, journey, settings, capsys, broken):
    class Router:
        def db_for_write(self, model, **hints):
            if model is not Event:
                return None
            return "nowhere" if broken == "lies" else 1 / 0

    settings.DATABASE_ROUTERS = [Router()]
    journey()
    assert "--- Logging error ---" in capsys.readouterr().err


def test_a_receiver_that_raises(trail, journey, capsys):
    def fail(sender, **kwargs):
        if sender is Event:
            raise RuntimeError("not today")

    post_save.connect(fail)
    try:
        journey()
    finally:
        post_save.disconnect(fail)
    assert "not today" in capsys.readouterr().err


def test_a_receiver_that_does_more(trail, user):
    """What it does is recorded as well."""

    def end(sender, instance, **kwargs):
        if sender is Event and instance.event == "login":
            end_sessions(user, reason="after a login")

    post_save.connect(end)
    try:
        events.record("login", user, None)
    finally:
        post_save.disconnect(end)
    assert [row["event"] for row in rows("event")] == ["login", "sessions_ended"]


def test_a_receiver_without_end(trail, user, capsys):
    def again(sender, **kwargs):
        if sender is Event:
            events.record("login", user, None)

    post_save.connect(again)
    try:
        events.record("login", user, None)
    finally:
        post_save.disconnect(again)
    assert capsys.readouterr().err.count("--- Logging error ---") == 1
    assert len(rows()) == DEEPEST


def test_no_lock_is_held_while_the_database_works(trail, user, monkeypatch):
    """Another thread may wait in the database for this one, which may wait for the lock."""
    seen = []
    monkeypatch.setattr(Event, "save", lambda *args, **kwargs: seen.append(trail.lock._is_owned()))
    events.record("login", user, None)
    assert seen == [False]


# --- Secrets ---


def test_no_secret_is_in_the_table(
    trail, login, sign_in, enrolled_user, secret, otp, backup_codes, password
):
    tokens = login(enrolled_user, otp_code=otp(secret)).json()
    again = login(enrolled_user, backup_code=backup_codes[0]).json()
    login(enrolled_user, otp_code=otp(secret))
    login(enrolled_user, backup_code=backup_codes[1] + "x")
    client = sign_in(enrolled_user, "pwd", "otp")
    client.post(reverse("totp-rotate-backup-codes"), {"backup_code": backup_codes[2]})
    client.post(reverse("totp-disable"), {"password": password})
    assert len(rows()) >= 8
    hidden = [secret, password, otp(secret), *backup_codes, *tokens.values(), *again.values()]
    stored = str(list(Event.objects.values_list(*COLUMNS)))
    assert not [value for value in hidden if value in stored]
