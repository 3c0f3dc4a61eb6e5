"""docs/notices.md: its lines work, and what its tables say is so."""

import logging
import threading
from typing import Any

import django
import pytest
from django.core import mail
from django.core.mail.backends import smtp
from django.test import RequestFactory
from django.utils.html import escape

from django_totp import events
from django_totp.notices import letters, sentences
from django_totp.users import email_field
from tests import markdown

PAGE = markdown.read("docs/notices.md")
SECTIONS = markdown.sections(PAGE, 2)
pytestmark = pytest.mark.django_db


@pytest.fixture
def ada(user: Any) -> Any:
    setattr(user, email_field(user), "ada@example.org")
    user.save()
    return user


@pytest.fixture
def sent(ada: Any, settings: Any, django_capture_on_commit_callbacks: Any) -> Any:
    """Return a function that gives the mail about an event, with the settings of the page."""
    names = markdown.run(markdown.blocks(PAGE, "python")[0])
    for name in ("TOTP_SEND_NOTICES", "TOTP_NOTICE_URL", "DEFAULT_FROM_EMAIL"):
        setattr(settings, name, names[name])

    def sent(event: str, **facts: str) -> Any:
        request = RequestFactory().get("/")
        with django_capture_on_commit_callbacks(execute=True):
            events.record(event, ada, request, **facts)
        return mail.outbox[-1]

    return sent


def test_the_settings(sent: Any, settings: Any) -> None:
    message = sent("disabled")
    assert message.from_email == settings.DEFAULT_FROM_EMAIL
    assert settings.TOTP_NOTICE_URL in message.body


def test_the_events_and_their_subjects() -> None:
    rows = markdown.rows(SECTIONS["What is mailed"])
    documented = {markdown.code(event)[0]: subject for event, subject, _ in rows}
    assert documented == {event: str(notice.subject) for event, notice in sentences.NOTICES.items()}


def test_the_variables(ada: Any) -> None:
    rows = markdown.rows(SECTIONS["Templates"])
    documented = {name for cell, _ in rows for name in markdown.code(cell)}
    assert documented == set(letters._context(letters.occasion(ada, "disabled", None, {})))


def test_the_html_template(sent: Any, settings: Any, tmp_path: Any) -> None:
    [example] = markdown.blocks(SECTIONS["Templates"], "html")
    path = tmp_path / letters.HTML
    path.parent.mkdir(parents=True)
    path.write_text(example)
    [engine] = settings.TEMPLATES
    settings.TEMPLATES = [{**engine, "DIRS": [tmp_path]}]
    [(html, _)] = sent("device_trusted", device="<b>").alternatives
    assert "<th>Address</th><td>127.0.0.1</td>" in html
    assert f'<a href="{settings.TOTP_NOTICE_URL}">' in html
    assert escape("<b>") in html
    assert "<b>" not in html


@pytest.mark.parametrize("error", [None, OSError("down")])
def test_the_backend_that_sends_in_the_background(
    sent: Any,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception | None,
) -> None:
    [example] = markdown.blocks(SECTIONS["In the background"], "python")
    names = markdown.run(example, __name__=__name__)
    monkeypatch.setitem(globals(), "BackgroundBackend", names["BackgroundBackend"])
    backend = f"{__name__}.BackgroundBackend"
    if django.VERSION >= (6, 1):
        settings.MAILERS = {"default": {"BACKEND": backend, "OPTIONS": {"host": "localhost"}}}
    else:
        settings.EMAIL_BACKEND = backend
    delivered = []

    def send_messages(backend: Any, messages: Any) -> None:
        delivered.append((threading.current_thread(), messages))
        if error is not None:
            raise error

    monkeypatch.setattr(smtp.EmailBackend, "send_messages", send_messages)
    mail.outbox.append(None)
    with caplog.at_level(logging.ERROR):
        sent("disabled")
        names["pool"].shutdown()
    [(thread, [message])] = delivered
    assert thread is not threading.current_thread()
    assert message.subject.endswith("Two-factor authentication is off")
    assert [record.name for record in caplog.records] == ["mail"] * (error is not None)
