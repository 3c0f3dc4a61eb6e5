"""docs/trusted-devices.md: its line, its requests, and what its table says."""

import shlex

import pytest
import time_machine
from django.conf import settings as django_settings
from django.contrib.auth.hashers import make_password
from django.test import Client

from django_totp import devices
from django_totp.accounts import account_by
from django_totp.assurance import new_login
from django_totp.auth import end_sessions, reset_totp
from django_totp.device_cookie import COOKIE, MOST
from django_totp.totp import disable_totp
from tests import markdown, replay

PAGE = "docs/trusted-devices.md"
pytestmark = pytest.mark.django_db
MONTH = 30 * 86400


@pytest.fixture
def line(settings):
    """Let the project have the line of the page."""
    [line, *_] = markdown.blocks(markdown.read(PAGE), "python")
    for name, value in markdown.run(line).items():
        if name.isupper():
            setattr(settings, name, value)


@pytest.fixture
def kept(line, enrolled_user):
    """Return what a device of the user keeps."""
    user = account_by("pk", enrolled_user.pk)
    return devices.trust(user, new_login(user, "pwd", "otp"))


def test_the_line_is_thirty_days(line):
    assert django_settings.TOTP_TRUSTED_DEVICE_MAX_AGE == MONTH


def test_the_requests(line, enrolled_user):
    page = markdown.read(PAGE)
    assert replay.Replay({"grace": enrolled_user}).play(page) == 3


def test_the_command(line, enrolled_user, kept, password):
    """What curl sends is a form: with the name of the field that the user model has."""
    [command] = markdown.blocks(markdown.read(PAGE), "sh")
    _curl, *words, url = shlex.split(command)
    data = [words[at + 1] for at, word in enumerate(words) if word == "-d"]
    assert words[words.index("-X") + 1] == "POST"
    sent = dict(each.split("=", 1) for each in data)
    assert set(sent) == {"username", "password", "trusted_device"}
    assert sent["password"] == password
    name = {enrolled_user.USERNAME_FIELD: enrolled_user.get_username()}
    body = {**name, "password": sent["password"], "trusted_device": kept}
    answer = Client().post(url.removeprefix("http://127.0.0.1:8000"), body)
    assert answer.json()["trusted_device"] != kept


def lower(user, settings, value):
    settings.TOTP_TRUSTED_DEVICE_MAX_AGE = 0


def use(user, settings, value):
    assert devices.use(user, value)


def remove(user, settings, value):
    devices.remove_all(user)


def change(user, settings, value):
    type(user)._base_manager.filter(pk=user.pk).update(password=make_password("another"))


def disable(user, settings, value):
    disable_totp(user)


def end(user, settings, value):
    end_sessions(user)


def reset(user, settings, value):
    reset_totp(user)


ENDS = {
    "the time since the code is over": [lambda *_: None],
    "`TOTP_TRUSTED_DEVICE_MAX_AGE` is lowered": [lower],
    "a value comes that was used before": [use],
    "the user, or an administrator, removes the device": [remove],
    "the password is changed, by whatever way": [change],
    "the second factor is removed, set up anew or replaced": [disable],
    "[`end_sessions`](python-api.md#end_sessions), a reset": [end, reset],
}


def rows():
    section = markdown.sections(markdown.read(PAGE), 2)["What ends it"]
    return [what for what, _ in markdown.rows(section)]


def test_the_table_is_what_is_tried():
    assert rows() == [*ENDS]


@pytest.mark.parametrize(
    ("what", "act"), [(what, act) for what, acts in ENDS.items() for act in acts]
)
def test_it_ends(settings, kept, enrolled_user, what, act):
    user = account_by("pk", enrolled_user.pk)
    act(user, settings, kept)
    late = MONTH if what == "the time since the code is over" else 1
    with time_machine.travel(devices.parsed(kept).at + late, tick=False):
        assert devices.use(account_by("pk", enrolled_user.pk), kept) is None


def test_the_names_and_numbers_are_those_of_the_code():
    text = markdown.sentences(PAGE)
    assert f"gets a cookie, `{COOKIE}`," in text
    assert MOST == 5
    assert "Up to five people" in text
    assert f"The table `{devices.TrustedDevice._meta.db_table}` has" in text
    for name in ("SESSION_COOKIE_SECURE", "SESSION_COOKIE_DOMAIN", "SESSION_COOKIE_PATH"):
        assert name in text
        assert hasattr(django_settings, name)
