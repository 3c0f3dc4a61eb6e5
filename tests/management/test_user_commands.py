"""What the commands about one user share: finding the user, and how they fail."""

import io

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command

from django_totp.models import Totp
from tests.capitals import speak_in_capitals

OF_ENROLLMENTS = [["totp_status"], ["totp_reset", "--yes"], ["totp_unlock"]]
COMMANDS = [
    *OF_ENROLLMENTS,
    ["totp_end_sessions", "--yes"],
    ["totp_exempt", "--until", "9999-12-31", "--reason", "no phone"],
]
pytestmark = [
    pytest.mark.django_db,
    pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0]),
]


def test_by_name(run, command, enrolled_user):
    assert enrolled_user.get_username() in run(*command, enrolled_user.get_username())


def test_by_primary_key(run, command, enrolled_user):
    assert enrolled_user.get_username() in run(*command, "--pk", str(enrolled_user.pk))


def test_an_unknown_user(run, command, enrolled_user):
    with pytest.raises(CommandError, match=r"^No single user has the \w+ 'nobody'\.$") as caught:
        run(*command, "nobody")
    assert caught.value.returncode == 1


def test_a_primary_key_that_is_none(run, command, enrolled_user):
    with pytest.raises(CommandError, match="No single user has the primary key 'x'"):
        run(*command, "--pk", "x")


def test_a_user_without_an_enrollment(run, command, user):
    if command not in OF_ENROLLMENTS:
        assert user.get_username() in run(*command, user.get_username())
        return
    with pytest.raises(CommandError, match="does not have an associated TOTP secret") as caught:
        run(*command, user.get_username())
    assert caught.value.returncode == 1


def test_they_speak_english(run, command, enrolled_user, monkeypatch):
    name = enrolled_user.get_username()
    speak_in_capitals(monkeypatch)
    said = run(*command, name).replace(name, "")
    assert said != said.upper()
    with pytest.raises(CommandError, match="No single user has the primary key 'x'"):
        run(*command, "--pk", "x")
    Totp.objects.all().delete()
    if command in OF_ENROLLMENTS:
        with pytest.raises(CommandError, match="does not have an associated TOTP secret"):
            run(*command, name)


@pytest.mark.parametrize("who", [[], ["ada@example.com", "--pk", "1"]])
def test_exactly_one_way_to_name_the_user(run, command, who):
    with pytest.raises(CommandError):
        run(*command, *who)


def test_silence(run, command, enrolled_user):
    assert run(*command, enrolled_user.get_username(), "--verbosity", "0") == ""


def test_the_database_that_was_asked_for(run, command, enrolled_user, no_routing):
    name = enrolled_user.get_username()
    assert name in run(*command, name, "--database", "default")


def test_a_database_that_there_is_not(run, command):
    with pytest.raises(CommandError, match="--database"):
        run(*command, "ada", "--database", "elsewhere")


NAMES = {
    "ada\x1b[2K\rroot": r"ada\x1b[2K\rroot",
    "ada\n  State          enabled": r"ada\n  State          enabled",
    "\u202eada\u2066": r"\u202eada\u2066",
    "ada\u2028b\u2029c\x85": r"ada\u2028b\u2029c\x85",
    "a\u200bd\ufeffa\x7f": r"a\u200bd\ufeffa\x7f",
    "CORP\\adä \u732b": "CORP\\adä \u732b",
}


@pytest.mark.parametrize(("name", "shown"), NAMES.items(), ids=range(len(NAMES)))
def test_a_name_cannot_steer_the_terminal(run, command, enrolled_user, name, shown):
    get_user_model().objects.update(**{enrolled_user.USERNAME_FIELD: name})
    text = run(*command, name)
    assert shown in text
    assert all(letter.isprintable() for letter in text.replace("\n", ""))
    with pytest.raises(CommandError) as caught:
        run(*command, f"{name}!")
    assert str(caught.value).isprintable()


def test_a_terminal_that_has_few_letters(command, enrolled_user):
    get_user_model().objects.update(**{enrolled_user.USERNAME_FIELD: "łucja"})
    out = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    call_command(*command, "łucja", stdout=out)
    out.flush()
    assert rb"\u0142ucja" in out.buffer.getvalue()


def test_a_name_that_is_no_text(run, command, enrolled_user):
    for name in ("ada\0", "ada\udc80"):
        with pytest.raises(CommandError, match="No single user has"):
            run(*command, name)


def test_a_user_without_a_name(run, command, enrolled_user, monkeypatch):
    monkeypatch.setattr(get_user_model(), "get_username", lambda user: None)
    get_user_model().objects.update(email="post@example.com")
    assert "post@example.com" in run(*command, "--pk", str(enrolled_user.pk))


def test_help_names_the_field(command, capsys):
    module = __import__(f"django_totp.management.commands.{command[0]}", fromlist=["Command"])
    parser = module.Command().create_parser("manage.py", command[0])
    text = parser.format_help()
    assert f"The {get_user_model().USERNAME_FIELD} of the user." in text
    assert "The exit status is 1" in " ".join(text.split())


def test_needs_no_key_and_no_secret(run, command, enrolled_user, settings):
    settings.TOTP_ENCRYPTION_KEY = None
    assert enrolled_user.get_username() in run(*command, enrolled_user.get_username())
