"""Mails to the owner: which, to whom, what they say, and that they break nothing."""

import re
from datetime import UTC, datetime, timedelta
from functools import partial

import pyotp
import pytest
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.core.management import call_command
from django.db import connection, router, transaction
from django.test import RequestFactory
from django.utils import dateformat, timezone, translation
from django.utils.functional import lazy
from django.utils.translation import get_language

from django_totp import events, notices
from django_totp.auth import generate_challenge_token, reset_totp
from django_totp.backup_code_utils import (
    rotate_backup_codes,
    store_backup_codes,
    verify_backup_code,
)
from django_totp.exceptions import TooManyAttempts
from django_totp.models import Totp
from django_totp.notices import letters, sentences
from django_totp.reauthentication import reauthenticate
from django_totp.totp import (
    confirm_totp_setup,
    disable_totp,
    end_wait,
    start_totp_setup,
    verify_totp_code,
)
from django_totp.users import email_field

from .rivals import at_once

pytestmark = pytest.mark.django_db

NOON = datetime(2031, 5, 4, 12, tzinfo=UTC)
TO = "ada@example.org"
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:127.0) Gecko/20100101 Firefox/127.0"
LINK = "https://example.org/recovery/confirm/the-token?a=1&b=2"
READY = "2031-05-07T12:00:00+00:00"
# What is recorded by others than the services that are called below.
RECORDED = {
    "replaced": ({}, "Codes from the one before no longer work."),
    "device_trusted": ({"device": "Ada's laptop"}, "A device is now trusted: Ada's laptop."),
    "recovery_cancelled": ({}, "It was stopped"),
    "recovered": ({}, "without a code from the one before"),
}
RECOVERY = {"recovery_cancelled", "recovered"}


@pytest.fixture(autouse=True)
def clock(time_machine):
    time_machine.move_to(NOON, tick=False)
    return time_machine


@pytest.fixture(autouse=True)
def on(settings):
    settings.TOTP_SEND_NOTICES = True
    settings.TOTP_ISSUER = "Example"
    settings.TIME_ZONE = "Europe/Berlin"
    settings.TOTP_THROTTLE_RATE = None


def give_address(user, address=TO):
    setattr(user, email_field(user), address)
    user.save()
    return user


@pytest.fixture
def ada(user):
    return give_address(user)


@pytest.fixture
def enrolled_ada(ada, enrolled_user):
    Totp.objects.update(confirmed_at=NOON - timedelta(days=1))
    return enrolled_user


@pytest.fixture
def request_of_ada():
    return RequestFactory().post("/", REMOTE_ADDR="203.0.113.7", HTTP_USER_AGENT=FIREFOX)


@pytest.fixture
def mailed(django_capture_on_commit_callbacks):
    """Return a function that calls another and gives the mails that were sent by then."""

    def mailed(act, *arguments, **options):
        before = len(mail.outbox)
        with django_capture_on_commit_callbacks(execute=True):
            act(*arguments, **options)
        return mail.outbox[before:]

    return mailed


def one(mails):
    [message] = mails
    return message


def body(mails):
    """Return the text of the only one of ``mails``, in one line."""
    return " ".join(one(mails).body.split())


def complaints(caplog):
    return [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]


def test_a_setup_that_is_dropped_is_no_news(mailed, ada, pending_user):
    assert mailed(disable_totp, pending_user) == []


class Administrator:
    pk = "the-key-of-the-administrator"


# --- Which events ---


def test_enabled(mailed, ada, request_of_ada):
    code = pyotp.TOTP(start_totp_setup(ada).secret).now()
    message = one(mailed(confirm_totp_setup, ada, code, request=request_of_ada))
    assert message.subject == "Example: Two-factor authentication is on"
    assert "was turned on for your account" in message.body


def test_disabled_by_the_owner(mailed, enrolled_ada, request_of_ada):
    message = one(mailed(disable_totp, enrolled_ada, request=request_of_ada))
    assert message.subject == "Example: Two-factor authentication is off"
    assert "administrator" not in message.body


def test_reset_by_an_administrator(mailed, enrolled_ada, request_of_ada):
    with events.acting(request_of_ada, Administrator):
        message = one(mailed(reset_totp, enrolled_ada, request=request_of_ada))
    assert message.subject == "Example: Two-factor authentication was reset"
    assert "An administrator has reset" in message.body


def test_reset_by_a_command(mailed, enrolled_ada):
    name = enrolled_ada.get_username()
    message = one(mailed(call_command, "totp_reset", name, "--yes", verbosity=0))
    assert "An administrator has reset" in message.body


def test_new_backup_codes(mailed, enrolled_ada, request_of_ada):
    message = one(mailed(rotate_backup_codes, enrolled_ada, request=request_of_ada))
    assert message.subject == "Example: You have new backup codes"


def test_a_backup_code_and_how_many_are_left(mailed, enrolled_ada, request_of_ada):
    codes = store_backup_codes(enrolled_ada, ["aaaa-1", "aaaa-2", "aaaa-3"])
    told = [
        body(mailed(verify_backup_code, enrolled_ada, code, request=request_of_ada))
        for code in codes
    ]
    assert "2 backup codes are left." in told[0]
    assert "1 backup code is left." in told[1]
    assert "0 backup codes are left." in told[2]


def test_a_backup_code_at_the_login(mailed, enrolled_ada, login, backup_codes):
    assert "9 backup codes are left." in body(
        mailed(login, enrolled_ada, backup_code=backup_codes[0])
    )


@pytest.mark.parametrize("event", RECORDED)
def test_events_of_others(mailed, ada, request_of_ada, event):
    facts, words = RECORDED[event]
    assert words in body(mailed(events.record, event, ada, request_of_ada, **facts))


def test_a_device_without_a_name_is_called_by_its_browser(mailed, ada, request_of_ada):
    told = body(mailed(events.record, "device_trusted", ada, request_of_ada, device=""))
    assert "A device is now trusted: Firefox on Windows." in told


@pytest.mark.parametrize(
    "event", ["recovery_asked", "recovery_started", "recovery_allowed", "sessions_ended", "login"]
)
def test_events_that_are_not_mailed(mailed, ada, request_of_ada, event):
    """A link is a secret, so that no event has it: whoever has it sends the mail."""
    assert mailed(events.record, event, ada, request_of_ada, ready_at=READY) == []


def test_logins_and_proofs_are_not_mailed(mailed, enrolled_ada, login, secret, otp, password):
    assert mailed(login, enrolled_ada) == []
    assert mailed(login, enrolled_ada, otp_code=otp(secret)) == []
    assert mailed(login, enrolled_ada, otp_code="wrong") == []
    assert mailed(login, enrolled_ada, backup_code="wrong") == []
    assert mailed(reauthenticate, enrolled_ada, password=password) == []


def test_the_table_has_a_sentence_for_each_event():
    kept = {"enrollment_confirmed", "disabled", "reset", "backup_codes_rotated", "wait_began"}
    kept |= {"backup_code_used", "codes_off", *RECORDED, *sentences.LINKED}
    assert kept == set(sentences.NOTICES)


# --- Switched off ---


@pytest.mark.parametrize("event", RECORDED)
def test_without_the_setting_only_mails_about_a_recovery_are_sent(
    mailed, settings, ada, request_of_ada, event
):
    del settings.TOTP_SEND_NOTICES
    sent = mailed(events.record, event, ada, request_of_ada, **RECORDED[event][0])
    assert bool(sent) == (event in RECOVERY)


def test_without_the_setting_the_life_of_a_factor_is_not_mailed(
    mailed, settings, enrolled_ada, request_of_ada, backup_codes
):
    settings.TOTP_SEND_NOTICES = False
    assert mailed(verify_backup_code, enrolled_ada, backup_codes[0], request=request_of_ada) == []
    assert mailed(rotate_backup_codes, enrolled_ada, request=request_of_ada) == []
    assert mailed(guess, enrolled_ada, times=6) == []
    assert Totp.objects.get().wait_told_at is None
    assert mailed(reset_totp, enrolled_ada) == []


# --- The wait ---


def guess(user, *, times=1, request=None, verify=verify_totp_code):
    for _ in range(times):
        verify(user, "wrong", request=request)


def test_a_wait_that_begins(mailed, enrolled_ada, request_of_ada):
    assert mailed(guess, enrolled_ada, times=5, request=request_of_ada) == []
    message = one(mailed(guess, enrolled_ada, request=request_of_ada))
    assert message.subject == "Example: Too many wrong codes"
    told = " ".join(message.body.split())
    assert "refused until May 4, 2031, 2:01 p.m. (Europe/Berlin)." in told
    assert "Address: 203.0.113.7" in told
    assert "somebody knows your password" in told


def test_a_wait_that_wrong_backup_codes_begin(mailed, enrolled_ada):
    assert (
        "Too many wrong codes"
        in one(mailed(guess, enrolled_ada, times=6, verify=verify_backup_code)).subject
    )


def test_a_wait_that_begins_at_a_login(mailed, enrolled_ada, login):
    for _ in range(5):
        assert mailed(login, enrolled_ada, otp_code="wrong") == []
    assert "Address: 127.0.0.1" in body(mailed(login, enrolled_ada, otp_code="wrong"))


def test_one_mail_a_wait_and_one_an_hour(mailed, enrolled_ada, clock):
    assert len(mailed(guess, enrolled_ada, times=6)) == 1
    with pytest.raises(TooManyAttempts):
        verify_totp_code(enrolled_ada, "wrong")
    assert mailed(verify_backup_code, enrolled_ada, "wrong") == []
    for minutes in (15, 15, 15, 14):
        clock.shift(timedelta(minutes=minutes))
        assert mailed(guess, enrolled_ada) == []
    clock.shift(timedelta(minutes=16))
    assert len(mailed(guess, enrolled_ada)) == 1
    clock.shift(timedelta(minutes=16))
    assert mailed(guess, enrolled_ada) == []


def test_the_hour_outlasts_a_right_code(mailed, enrolled_ada):
    assert len(mailed(guess, enrolled_ada, times=6)) == 1
    end_wait(enrolled_ada)
    assert mailed(guess, enrolled_ada, times=6) == []


def test_a_mail_of_a_clock_that_was_ahead_keeps_none_back(mailed, enrolled_ada, clock):
    Totp.objects.update(wait_told_at=NOON + timedelta(days=9))
    assert len(mailed(guess, enrolled_ada, times=6)) == 1


@pytest.mark.parametrize("limit", [1000, 5])
def test_codes_that_are_off(mailed, enrolled_ada, settings, limit):
    settings.TOTP_FAILURE_LIMIT, settings.TOTP_FAILURE_CAP = limit, 6
    assert mailed(guess, enrolled_ada, times=5) == []
    assert "refused until you use a backup code." in body(mailed(guess, enrolled_ada))


def test_a_wait_of_an_enrollment_that_is_not_on_is_not_mailed(mailed, ada, pending_user):
    def confirm():
        for _ in range(6):
            with pytest.raises(ValueError, match="Invalid TOTP code"):
                confirm_totp_setup(pending_user, "wrong")

    assert mailed(confirm) == []
    assert Totp.objects.get().waiting_until is not None
    assert Totp.objects.get().wait_told_at is None


@pytest.mark.django_db(transaction=True)
def test_of_many_guesses_at_once_one_is_mailed(enrolled_ada, settings):
    settings.TOTP_FAILURE_LIMIT = 3
    at_once(*[partial(verify_totp_code, enrolled_ada, "wrong")] * 12)
    assert Totp.objects.get().failures == 4
    assert [message.subject for message in mail.outbox] == ["Example: Too many wrong codes"]


# --- To whom, from whom ---


def test_the_envelope(mailed, settings, ada, request_of_ada):
    settings.DEFAULT_FROM_EMAIL = "The site <site@example.org>"
    message = one(mailed(events.record, "disabled", ada, request_of_ada))
    assert message.from_email == "The site <site@example.org>"
    assert message.recipients() == [TO]
    assert message.message()["Auto-Submitted"] == "auto-generated"
    assert message.alternatives == []


@pytest.mark.parametrize("address", ["", None])
def test_nobody_without_an_address_is_mailed(
    mailed, user, request_of_ada, caplog, monkeypatch, address
):
    monkeypatch.setattr(user, email_field(user), address)
    assert mailed(events.record, "disabled", user, request_of_ada) == []
    assert not notices.send(user, "recovery_asked", request_of_ada, link=LINK)
    assert complaints(caplog) == []


def test_the_address_of_a_model_without_such_a_field(mailed, request_of_ada, caplog):
    class Nobody:
        pk = 7

    assert mailed(events.record, "disabled", Nobody(), request_of_ada) == []
    assert complaints(caplog) == []


# --- What it says ---


def test_the_whole_mail(mailed, settings, ada, request_of_ada):
    settings.TOTP_NOTICE_URL = "https://example.org/help?a=1&b=2"
    message = one(mailed(events.record, "disabled", ada, request_of_ada))
    assert message.body == (
        "Two-factor authentication was turned off for your account. Your password alone is now "
        f"""enough to log in.

Account: {ada.get_username()}
Time: May 4, 2031, 2 p.m. (Europe/Berlin)
Address: 203.0.113.7
Browser: Firefox on Windows

If it was not you, change your password at once and tell us.
https://example.org/help?a=1&b=2
"""
    )


def test_without_a_page_of_the_project_no_link_is_there(mailed, ada, request_of_ada):
    assert "http" not in body(mailed(events.record, "disabled", ada, request_of_ada))


def test_an_administrator_has_no_name_and_no_address(mailed, ada, request_of_ada):
    with events.acting(request_of_ada, Administrator):
        told = body(mailed(events.record, "disabled", ada, request_of_ada))
    assert "An administrator" in told
    assert Administrator.pk not in told
    assert "203.0.113.7" not in told
    assert "Firefox" not in told


def test_the_address_is_that_of_the_log(mailed, ada, request_of_ada):
    request_of_ada.totp_client_address = "198.51.100.1,2001:db8::1"
    told = body(mailed(events.record, "disabled", ada, request_of_ada))
    assert "Address: 198.51.100.1, 2001:db8::1 Browser" in told


@pytest.mark.parametrize(
    "address", ["call +1 555 0100", "fe80::1%call-555", "http://evil.example", "1.2.3.4.call"]
)
def test_an_address_is_no_place_for_a_message(mailed, ada, request_of_ada, address):
    request_of_ada.totp_client_address = f"{address},203.0.113.7"
    told = body(mailed(events.record, "disabled", ada, request_of_ada))
    assert "203.0.113.7" in told
    assert "call" not in told
    assert "evil" not in told


def test_a_browser_that_does_not_say_what_it_is(mailed, ada, request_of_ada):
    del request_of_ada.META["HTTP_USER_AGENT"]
    told = body(mailed(events.record, "disabled", ada, request_of_ada))
    assert "Browser: an unknown program" in told


def test_outside_of_a_request_there_is_neither(mailed, ada):
    told = body(mailed(rotate_backup_codes, give_codes(ada)))
    assert "Time: " in told
    assert "Address" not in told
    assert "Browser" not in told


def give_codes(user):
    start_totp_setup(user)
    store_backup_codes(user, ["aaaa-1"])
    return user


# --- Language and time ---


@pytest.fixture
def spoken(monkeypatch):
    """Let the sentences be what language they are in."""
    language = lazy(lambda: str(get_language()), str)
    for event in sentences.NOTICES:
        notice = sentences.Notice(
            language(), language(), is_owners=sentences.NOTICES[event].is_owners
        )
        monkeypatch.setitem(sentences.NOTICES, event, notice)


def test_the_language_of_the_owners_request(mailed, spoken, ada, request_of_ada):
    with translation.override("de"):
        message = one(mailed(events.record, "disabled", ada, request_of_ada))
    assert message.subject == "Example: de"
    assert message.body.startswith("de\n")
    assert "4. Mai 2031 14:00" in message.body


def test_the_language_is_that_of_the_event_and_not_of_the_commit(
    mailed, spoken, ada, request_of_ada
):
    def act():
        with translation.override("de"):
            events.record("disabled", ada, request_of_ada)

    assert one(mailed(act)).subject == "Example: de"


@pytest.mark.parametrize("who", ["administrator", "command", "whoever guesses", "nobody"])
def test_the_language_of_the_project(mailed, settings, spoken, enrolled_ada, request_of_ada, who):
    settings.LANGUAGE_CODE = "fr"
    if who == "administrator":
        with translation.override("de"), events.acting(request_of_ada, Administrator):
            sent = mailed(events.record, "disabled", enrolled_ada, request_of_ada)
    elif who == "command":
        with translation.override("de"):
            sent = mailed(events.record, "disabled", enrolled_ada, None)
    elif who == "whoever guesses":
        with translation.override("de"):
            sent = mailed(guess, enrolled_ada, times=6, request=request_of_ada)
    else:
        with translation.override(None):
            sent = mailed(events.record, "disabled", enrolled_ada, request_of_ada)
    assert one(sent).subject == "Example: fr"


def test_the_time_zone_of_the_owners_request(mailed, ada, request_of_ada):
    with timezone.override("Asia/Tokyo"):
        told = body(mailed(events.record, "disabled", ada, request_of_ada))
        assert "Time: May 4, 2031, 9 p.m. (Asia/Tokyo)" in told
        with events.acting(request_of_ada, Administrator):
            told = body(mailed(events.record, "disabled", ada, request_of_ada))
        assert "Time: May 4, 2031, 2 p.m. (Europe/Berlin)" in told


def test_the_time_of_a_project_without_time_zones(mailed, settings, ada, request_of_ada):
    settings.USE_TZ = False
    told = body(mailed(events.record, "disabled", ada, request_of_ada))
    assert "Time: May 4, 2031, 2 p.m. (Europe/Berlin)" in told


def test_the_time_is_that_of_the_event(mailed, ada, request_of_ada, clock):
    def act():
        events.record("disabled", ada, request_of_ada)
        clock.shift(timedelta(hours=2))

    assert "Time: May 4, 2031, 2 p.m." in body(mailed(act))


@pytest.mark.parametrize("is_own", [True, False])
def test_the_time_zone_of_the_system(mailed, settings, ada, request_of_ada, is_own):
    settings.USE_TZ, settings.TIME_ZONE = False, None
    told = body(mailed(events.record, "replaced", ada, request_of_ada if is_own else None))
    there = NOON.astimezone()
    assert f"Time: {dateformat.format(there, 'N j, Y, P')} ({there.tzname()})" in told


# --- Hostile text ---

HOSTILE = "<b>x</b> & {{ site }} %s\r\nBcc: all@example.com\u2028\u202e"


@pytest.fixture
def project_templates(settings, tmp_path):
    """Return a function that gives the project a template of ours of its own."""
    (tmp_path / "django_totp" / "mail").mkdir(parents=True)

    def write(name, text):
        (tmp_path / "django_totp" / "mail" / name).write_text(text)
        [engine] = settings.TEMPLATES
        settings.TEMPLATES = [{**engine, "DIRS": [tmp_path]}]

    return write


def test_names_are_text_and_stay_in_their_line(mailed, ada, request_of_ada, monkeypatch):
    monkeypatch.setattr(letters, "name_of", lambda user: HOSTILE)
    message = one(mailed(events.record, "device_trusted", ada, request_of_ada, device=HOSTILE))
    line = "<b>x</b> & {{ site }} %s Bcc: all@example.com"
    assert f"Account: {line}\n" in message.body
    assert f"A device is now trusted: {line}. For" in message.body
    assert message.subject == "Example: A device needs no codes now"
    assert message.recipients() == [TO]
    assert message.message()["Bcc"] is None


def test_names_are_escaped_in_html(mailed, ada, request_of_ada, monkeypatch, project_templates):
    project_templates(
        "notice.html", "{{ sentence }}{{ details }}{% for _, v in details %}{{ v }}{% endfor %}"
    )
    monkeypatch.setattr(letters, "name_of", lambda user: HOSTILE)
    message = one(mailed(events.record, "device_trusted", ada, request_of_ada, device=HOSTILE))
    [(html, kind)] = message.alternatives
    assert kind == "text/html"
    assert "<b>" not in html
    assert html.count("&lt;b&gt;x&lt;/b&gt; &amp; {{ site }}") >= 2


def test_a_name_is_not_long(mailed, ada, request_of_ada):
    message = one(mailed(events.record, "device_trusted", ada, request_of_ada, device="x" * 10**6))
    assert len(message.body) < 1000


def test_the_name_of_the_site_is_one_line(mailed, settings, ada, request_of_ada):
    settings.TOTP_ISSUER = "Example\r\nBcc: all@example.com"
    message = one(mailed(events.record, "disabled", ada, request_of_ada))
    assert message.message()["Subject"].startswith("Example Bcc: all@example.com: Two-factor")
    assert message.message()["Bcc"] is None


@pytest.mark.parametrize("address", ["ada@example.org\nBcc: b@example.org", "no address\r\n"])
def test_an_address_that_is_none_gets_nothing(mailed, ada, request_of_ada, caplog, address):
    setattr(ada, email_field(ada), address)
    assert mailed(events.record, "disabled", ada, request_of_ada) == []
    assert len(complaints(caplog)) == 1


# --- Templates of the project ---


def test_a_text_template_of_the_project(mailed, ada, request_of_ada, project_templates, settings):
    settings.TOTP_NOTICE_URL = "https://example.org/help"
    project_templates(
        "notice.txt", "{{ event }} {{ user.pk }} {{ site }} {{ subject }} {{ notice_url }}"
    )
    message = one(mailed(events.record, "disabled", ada, request_of_ada))
    subject = "Example: Two-factor authentication is off"
    assert message.body == f"disabled {ada.pk} Example {subject} https://example.org/help"
    assert message.subject == subject


@pytest.mark.parametrize("broken", ["{% nonsense %}", "{% extends 'not there' %}"])
def test_a_broken_html_template_leaves_the_text(
    mailed, ada, request_of_ada, project_templates, caplog, broken
):
    project_templates("notice.html", broken)
    message = one(mailed(events.record, "disabled", ada, request_of_ada))
    assert message.alternatives == []
    [complaint] = complaints(caplog)
    assert "Check" in complaint
    assert repr(str(ada.pk)) in complaint


def test_a_broken_text_template_breaks_no_request(
    mailed, enrolled_ada, login, backup_codes, project_templates, caplog
):
    project_templates("notice.txt", "{% nonsense %}")
    answers = []
    assert mailed(lambda: answers.append(login(enrolled_ada, backup_code=backup_codes[0]))) == []
    assert answers[0].status_code == 200
    [complaint] = complaints(caplog)
    assert "TemplateSyntaxError" in complaint
    assert "your template" in complaint


# --- After commit, and never breaking ---


@pytest.fixture
def down(monkeypatch):
    """Return a function that lets the mail server be down, and quote what it was sent."""

    def send_messages(backend, messages):
        raise OSError(messages[0].body)

    return lambda: monkeypatch.setattr(EmailBackend, "send_messages", send_messages)


def test_a_mail_server_that_is_down_breaks_no_request(
    mailed, down, enrolled_ada, login, backup_codes, caplog
):
    down()
    answers = []
    mailed(lambda: answers.append(login(enrolled_ada, backup_code=backup_codes[0])))
    assert answers[0].status_code == 200
    [complaint] = complaints(caplog)
    assert "OSError" in complaint
    assert "settings for mail" in complaint
    assert repr("backup_code_used") in complaint


def test_an_error_that_is_long_is_cut(mailed, ada, request_of_ada, caplog, monkeypatch):
    monkeypatch.setattr(letters, "get_template", lambda name: {}["x" * 10**6])
    mailed(events.record, "disabled", ada, request_of_ada)
    assert len(one_of(complaints(caplog))) < 1000


def test_a_router_that_raises_breaks_nothing(mailed, ada, request_of_ada, monkeypatch, caplog):
    def fail(model, **hints):
        raise RuntimeError("no database")

    monkeypatch.setattr(router, "db_for_write", fail)
    assert mailed(events.record, "disabled", ada, request_of_ada) == []
    assert "no database" in one_of(complaints(caplog))


def one_of(texts):
    [text] = texts
    return text


@pytest.mark.django_db(transaction=True)
def test_nothing_is_mailed_before_the_commit_and_nothing_without_one(ada, request_of_ada):
    with transaction.atomic():
        events.record("disabled", ada, request_of_ada)
        assert mail.outbox == []
    assert len(mail.outbox) == 1
    with transaction.atomic():
        events.record("disabled", ada, request_of_ada)
        transaction.set_rollback(True)
    assert len(mail.outbox) == 1


@pytest.mark.django_db(transaction=True)
def test_a_transaction_by_hand_keeps_no_mail_back(ada, request_of_ada):
    connection.set_autocommit(False)
    try:
        events.record("disabled", ada, request_of_ada)
        assert len(mail.outbox) == 1
    finally:
        connection.rollback()
        connection.set_autocommit(True)


def test_the_commit_is_that_of_the_database_of_the_enrollments(ada, request_of_ada, monkeypatch):
    seen = []
    monkeypatch.setattr(transaction, "on_commit", lambda run, **told: seen.append(told))
    events.record("disabled", ada, request_of_ada)
    assert seen == [{"using": router.db_for_write(Totp), "robust": True}]


# --- Mails with a link ---


@pytest.mark.parametrize("is_on", [True, False])
def test_a_link_that_confirms(mailed, settings, ada, request_of_ada, is_on):
    settings.TOTP_SEND_NOTICES = is_on
    send = partial(notices.send, ada, "recovery_asked", request_of_ada, link=LINK)
    message = one(mailed(send))
    assert message.subject == "Example: Do you want to set up a new authenticator app?"
    assert f"\n\nIf it was you, go on here:\n{LINK}\n\nAccount: " in message.body
    assert "Somebody who knows your password has asked to set up" in message.body
    assert "do not use the link" in message.body


def test_a_link_that_cancels(mailed, ada, request_of_ada):
    send = partial(notices.send, ada, "recovery_started", request_of_ada, link=LINK)
    told = body(mailed(send, ready_at=READY))
    assert "From May 7, 2031, 2 p.m. (Europe/Berlin) on, a new authenticator app" in told
    assert f"Stop it here: {LINK} " in told


def test_a_link_in_html_is_escaped(mailed, ada, request_of_ada, project_templates):
    project_templates("notice.html", '<a href="{{ link }}">{{ caption }}</a>')
    message = one(mailed(notices.send, ada, "recovery_asked", request_of_ada, link=LINK))
    href = LINK.replace("&", "&amp;")
    assert message.alternatives[0][0] == f'<a href="{href}">If it was you, go on here:</a>'


@pytest.mark.django_db(transaction=True)
def test_whether_it_was_handed_over(ada, request_of_ada, down):
    send = partial(notices.send, ada, "recovery_asked", request_of_ada, link=LINK)
    assert send()
    assert len(mail.outbox) == 1
    with transaction.atomic():
        assert send()
        assert len(mail.outbox) == 1
    assert len(mail.outbox) == 2
    down()
    assert not send()
    setattr(ada, email_field(ada), "")
    assert not send()


@pytest.mark.parametrize("told", [{}, {"ready_at": "soon"}])
def test_facts_that_are_missing_are_a_complaint(mailed, ada, caplog, told):
    assert mailed(notices.send, ada, "recovery_started", None, link=LINK, **told) == []
    assert len(complaints(caplog)) == 1
    assert mailed(notices.send, ada, "no such event", None) == []
    assert len(complaints(caplog)) == 2


def test_a_link_is_in_the_mail_alone(mailed, down, ada, request_of_ada, caplog):
    caplog.set_level(0)
    down()
    mailed(notices.send, ada, "recovery_asked", request_of_ada, link=LINK)
    assert "OSError" in one_of(complaints(caplog))
    assert all("the-token" not in repr(vars(record)) for record in caplog.records)
    assert "the-token" not in repr(letters.occasion(ada, "recovery_asked", None, {}, LINK))


# --- No secret ---


def test_no_mail_has_a_secret(mailed, ada, login, request_of_ada):
    setup = start_totp_setup(ada)
    app = pyotp.TOTP(setup.secret)
    secrets = {setup.secret, app.now(), setup.otpauth_uri}

    def live():
        codes = confirm_totp_setup(ada, app.now(), request=request_of_ada)
        challenge = generate_challenge_token(ada)
        answer = login(ada, backup_code=codes[0])
        secrets.update(codes, {challenge}, answer.json().values())
        secrets.update(rotate_backup_codes(ada, request=request_of_ada))
        guess(ada, times=6, request=request_of_ada)
        disable_totp(ada, request=request_of_ada)

    sent = mailed(live)
    assert len(sent) == 5
    for message in sent:
        written = f"{message.subject}\n{message.body}\n{message.message().as_string()}"
        assert not [secret for secret in secrets if secret in written]
        assert not re.search(r"\b\d{6}\b|[0-9a-z]{4}-[0-9a-z]{4}-", message.body)
