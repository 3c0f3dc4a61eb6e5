"""docs/sentry.md: its lines, with the real SDK, and what is left of an event as it says."""

import json
import re

import pytest
import sentry_sdk
from django.db import OperationalError, connection
from sentry_sdk.transport import Transport

from django_totp.sentry import FILTERED
from django_totp.totp import verify_totp_code
from tests import markdown

PAGE = markdown.read("docs/sentry.md")
INIT, OF_MINE = markdown.blocks(PAGE, "python")
SECRET = "a code that nobody may see"
pytestmark = pytest.mark.django_db


class Kept(Transport):
    def __init__(self, options):
        super().__init__(options)
        self.events = []

    def capture_envelope(self, envelope):
        self.events += [item.payload.json for item in envelope.items if item.payload.json]


@pytest.fixture
def report(monkeypatch):
    """Return a function that reports what a function raises, with the options of the page.

    The client is its own, and in no scope but this test's: the SDK changes the process else.
    """

    def report(fails, **changed):
        given = {}
        with monkeypatch.context() as patch:
            patch.setattr(sentry_sdk, "init", lambda **options: given.update(options))
            names = markdown.run(INIT)
        options = {**given, **{name: names.get(value, value) for name, value in changed.items()}}
        client = sentry_sdk.Client(transport=Kept, default_integrations=False, **options)
        with sentry_sdk.new_scope() as scope:
            scope.set_client(client)
            try:
                fails()
            except Exception as error:
                scope.capture_exception(error)
        client.flush()
        [event] = client.transport.events
        return event

    return report


@pytest.fixture
def broken(enrolled_user):
    """Return a function that verifies a code while the database fails, and quotes it."""

    def fails(run, sql, params, many, context):
        raise OperationalError(f"lost while at {SECRET}")

    def broken():
        with connection.execute_wrapper(fails):
            verify_totp_code(enrolled_user, SECRET)

    return broken


def test_an_event_of_ours(report, broken):
    event = report(broken)
    text = json.dumps(event)
    assert SECRET not in text
    assert FILTERED in text
    assert f"`{FILTERED}`" in PAGE
    error = event["exception"]["values"][-1]
    assert error["type"] == "OperationalError"
    assert error["value"] == FILTERED
    frame = next(one for one in error["stacktrace"]["frames"] if "totp" in one["module"])
    assert {"function", "lineno", "context_line", "vars"} <= frame.keys()
    assert set(frame["vars"].values()) <= {FILTERED}
    assert frame["vars"]


def test_without_the_line_the_code_is_there(report, broken):
    """Else the test above would prove nothing."""
    assert SECRET in json.dumps(report(broken, before_send=None, before_send_transaction=None))


def test_another_event_is_left_as_it_was(report):
    def elsewhere():
        kept = "what the project wants to see"
        raise ValueError(f"{kept}, not /two-factor/recovery/{SECRET.replace(' ', '-')}/")

    event = report(elsewhere)
    text = json.dumps(event)
    assert event["exception"]["values"][-1]["type"] == "ValueError"
    assert "what the project wants to see" in text
    assert SECRET.replace(" ", "-") not in json.dumps(event["exception"]["values"][-1]["value"])
    assert "totp_device" not in text


def test_a_function_of_ones_own(report, broken):
    mine = markdown.run(OF_MINE)["before_send_of_mine"]
    event = report(broken, before_send=mine)
    assert event["tags"]["team"] == "login"
    assert SECRET not in json.dumps(event)


def test_the_names_that_sentry_scrubs_itself_are_those_it_gives():
    from sentry_sdk.scrubber import DEFAULT_DENYLIST

    line = next(line for line in PAGE.split("\n\n") if "own scrubber knows" in line)
    named = re.findall(r"such as `(\w+)`\s+or `(\w+)`", line)[0]
    assert set(named) <= set(DEFAULT_DENYLIST)


def test_it_is_for_settings_modules():
    """Neither Sentry nor a model is imported by it."""
    source = (markdown.ROOT / "src/django_totp/sentry.py").read_text(encoding="utf-8")
    imports = re.findall(r"^(?:from|import) (\S+)", source, re.M)
    assert not [one for one in imports if "sentry" in one or "models" in one or one[0] == "."]
