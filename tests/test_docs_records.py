"""docs/records.md: its settings and programs run, and its lists and numbers are the code's."""

import logging
import logging.config

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command

from django_totp.admin.base import SEARCH_LIMIT
from django_totp.admin.events import NEWEST
from django_totp.models import Event, Totp
from django_totp.operations.pruning import BATCH_SIZE
from tests import markdown

PAGE = "docs/records.md"

pytestmark = pytest.mark.django_db


@pytest.fixture
def configure():
    """Return a function that configures logging like a project, for this test."""
    loggers = [logging.getLogger(), logging.getLogger("django_totp")]
    before = [(logger, [*logger.handlers], logger.level) for logger in loggers]
    yield logging.config.dictConfig
    for logger, handlers, level in before:
        logger.handlers[:] = handlers
        logger.setLevel(level)


def programs():
    return markdown.blocks(markdown.read(PAGE), "python")


def test_the_setting_switches_it_on(configure, login, enrolled_user, secret, otp):
    configure(markdown.run(programs()[0])["LOGGING"])
    assert login(enrolled_user, otp_code=otp(secret)).status_code == 200
    rows = list(Event.objects.order_by("pk").values_list("event", "user_pk"))
    assert rows == [(event, str(enrolled_user.pk)) for event in ("verified", "login")]


def test_what_is_known_of_a_user_can_be_removed(user, make_user):
    other = make_user("grace")
    for one in (user, other):
        Event.objects.create(at="2030-01-01T12:00Z", event="login", user_pk=str(one.pk))
    markdown.run(programs()[1], user=user)
    assert [event.user_pk for event in Event.objects.all()] == [str(other.pk)]


def test_the_router():
    router = markdown.run(programs()[2])["RecordsApart"]()
    assert router.db_for_write(Event) == router.db_for_read(Event) == "records"
    for model in (Totp, get_user_model()):
        assert router.db_for_write(model) is router.db_for_read(model) is None
    assert router.allow_migrate("records", "django_totp", "event") is True
    assert router.allow_migrate("records", "django_totp", "totp") is False
    assert router.allow_migrate("records", "auth") is False
    assert router.allow_migrate("default", "django_totp", "totp") is None


def test_every_column_is_explained():
    rows = markdown.rows(markdown.sections(markdown.read(PAGE), 2)["What is in a record"])
    names = [field.name for field in Event._meta.fields]
    assert [markdown.code(row[0])[0] for row in rows] == names[1:]


@pytest.mark.parametrize(
    "words",
    [
        f"in the names of more than {SEARCH_LIMIT} users",
        f"after the newest {NEWEST} events",
        f"in batches of {BATCH_SIZE}",
    ],
)
def test_numbers_are_those_of_the_code(words):
    assert words in markdown.sentences(PAGE)


def test_the_command_is_written_so_that_it_runs(capsys):
    [line] = markdown.blocks(markdown.read(PAGE), "sh")
    _python, _script, command, *arguments = line.split()
    call_command(command, *arguments)
    assert capsys.readouterr().out.startswith("Removed: 0 events")
