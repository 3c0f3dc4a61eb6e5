"""The real Sentry SDK, as eager as it can be: nothing that it sends carries a secret."""

import json
from urllib.parse import urlencode

import pytest
import sentry_sdk
from django.db import OperationalError, connection
from django.test import Client
from django.urls import reverse
from sentry_sdk.transport import Transport

from django_totp.sentry import before_send
from tests.field.journey import test_journey  # noqa: F401

FORM = "application/x-www-form-urlencoded"
pytestmark = pytest.mark.django_db(transaction=True)


class Collecting(Transport):
    """Keep what would be sent."""

    sent = []

    def capture_envelope(self, envelope):
        self.sent.append(envelope.serialize().decode(errors="replace"))


@pytest.fixture(autouse=True)
def sent():
    Collecting.sent.clear()
    sentry_sdk.init(
        dsn="https://key@sentry.example.org/1",
        transport=Collecting,
        before_send=before_send,
        before_send_transaction=before_send,
        traces_sample_rate=1.0,
        include_local_variables=True,
        max_request_body_size="always",
        send_default_pii=True,
    )
    yield Collecting.sent
    sentry_sdk.init()


def breaks(execute, sql, params, many, context):
    if sql.startswith(("UPDATE", "INSERT", "DELETE")):
        raise OperationalError("the server closed the connection")
    return execute(sql, params, many, context)


def crash(name, body, content_type, **headers):
    client = Client(raise_request_exception=False)
    text = urlencode(body) if "form" in content_type else json.dumps(body)
    with connection.execute_wrapper(breaks):
        answer = client.post(reverse(name), text, content_type, headers=headers)
    assert answer.status_code == 500


@pytest.fixture
def requests(settings, person):
    """Return requests that write to the database in their middle."""
    settings.TOTP_REAUTHENTICATE = True  # proofs are read
    person.enroll()
    challenge = person.challenge()
    signed_in = {"Authorization": person.authorization}
    verify = {"totp_challenge_token": challenge}
    return [
        ("jwt-totp-verify", verify | {"otp_code": person.next_code()}, {}),
        ("jwt-totp-verify", verify | {"backup_code": person.codes[0]}, {}),
        ("totp-rotate-backup-codes", {"password": person.password}, signed_in),
        ("totp-disable", {"otp_code": person.next_code()}, signed_in),
    ]


@pytest.mark.parametrize("content_type", ["application/json", FORM])
def test_sends_no_secret(person, requests, sent, content_type):
    for name, body, headers in requests:
        crash(name, body, content_type, **headers)
    assert len(sent) >= len(requests)
    assert "closed the connection" in str(sent)
    assert_nothing_of(person, sent)


def test_sends_no_secret_of_a_new_enrollment(person, sent):
    person.keep(person.first_step())
    crash("totp-create", {}, "application/json", Authorization=person.authorization)
    person.secret = person.signed_in("totp-create").body["secret"]
    person.known.add(person.secret)
    body = {"input_code": person.next_code()}
    crash("totp-confirm", body, "application/json", Authorization=person.authorization)
    assert len(sent) >= 2
    assert_nothing_of(person, sent)


def test_json_that_is_sent_as_a_form(person, sent):
    person.keep(person.first_step())
    person.secret = person.signed_in("totp-create").body["secret"]
    body = {"input_code": person.next_code()}
    client = Client(raise_request_exception=False)
    with connection.execute_wrapper(lambda *args: 1 / 0):
        client.post(
            reverse("totp-confirm"),
            json.dumps(body),
            FORM,
            headers={"Authorization": person.authorization},
        )
    assert sent
    assert_nothing_of(person, sent)


def test_reports_of_the_project_keep_their_variables(sent):
    of_the_project = "visible"
    try:
        raise RuntimeError(of_the_project.upper())
    except RuntimeError as error:
        sentry_sdk.capture_exception(error)
    assert "of_the_project" in str(sent)


def assert_nothing_of(person, sent):
    found = {secret for secret in person.known if any(secret in text for text in sent)}
    assert not found
