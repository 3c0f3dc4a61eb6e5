"""What the README tells people to paste is pasted, and what it says is compared."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import django_totp
from django_totp.conf import conf
from tests import markdown

README = markdown.read("README.md")
INSTALL = markdown.sections(README, 2)["Install"]
PROJECT = tomllib.loads(markdown.read("pyproject.toml"))["project"]

# Run in the scratch project, with a user who is there: the README's first login and exchange.
EXCHANGE = """
import shlex
from urllib.parse import urlsplit
import django
django.setup()
from django.contrib.auth import get_user_model
from django.test import Client
from django.test.utils import setup_test_environment
from tests import markdown, replay
setup_test_environment()
README = markdown.read("README.md")
ada = get_user_model().objects.create_user("ada", password="correct horse battery staple")
[command] = [block for block in markdown.blocks(README, "sh") if block.startswith("curl")]
arguments = shlex.split(command)
form = [value for option, value in zip(arguments, arguments[1:]) if option == "-d"]
url = urlsplit(arguments[-1])
answer = Client().post(url.path, "&".join(form), "application/x-www-form-urlencoded")
print(f"curl to port {url.port} gets {sorted(answer.json())}.")
requests = replay.Replay({"ada": ada}).play(README)
print(f"{requests} requests were answered as the README says.")
"""


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """Return a project fresh from ``startproject``, with stand-ins for ``python`` and ``pip``.

    ``python`` is the interpreter of the tests. ``pip`` only notes what it is asked for: the
    package that is under test is there already.
    """
    _script(tmp_path / "bin" / "python", f'exec "{sys.executable}" "$@"')
    _script(tmp_path / "bin" / "pip", f'echo "$@" >> "{tmp_path}/pip"')
    _run(tmp_path, "python -m django startproject mysite .")
    return tmp_path


def _script(path: Path, command: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{command}\n")
    path.chmod(0o755)


def _run(directory: Path, commands: str) -> str:
    """Return what ``commands`` print, run by one shell that stops at the first failure."""
    package = Path(django_totp.__file__).parents[1]
    environment = {
        "PATH": f"{directory / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONWARNINGS": "error",
        "PYTHONPATH": f"{package}{os.pathsep}{markdown.ROOT}",
    }
    done = subprocess.run(
        ["bash", "-euc", commands], cwd=directory, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_four_steps_make_a_project_that_logs_in(scratch: Path) -> None:
    install, migrate, *_ = markdown.blocks(INSTALL, "sh")
    settings, urls = markdown.blocks(INSTALL, "python")
    for name, addition in (("settings", settings), ("urls", urls)):
        with (scratch / "mysite" / f"{name}.py").open("a") as module:
            module.write(f"\n{addition}")
    (scratch / "exchange.py").write_text(EXCHANGE)

    printed = _run(
        scratch,
        f"{install}\n{migrate}\n"
        "python manage.py check --fail-level WARNING\n"
        "python manage.py totp_audit || echo 'The audit found something.'\n"
        "DJANGO_SETTINGS_MODULE=mysite.settings python exchange.py\n",
    )

    assert "curl to port 8000 gets ['access', 'is_totp_enabled', 'refresh']." in printed
    assert "5 requests were answered as the README says." in printed
    assert "django.contrib.admin.sites.AdminSite.login" in printed
    assert (scratch / "pip").read_text().split() == ["install", PROJECT["name"]]


def test_there_are_four_steps() -> None:
    assert re.findall(r"^(\d)\. ", INSTALL, re.M) == ["1", "2", "3", "4"]


def test_the_versions_it_needs_are_those_of_the_package() -> None:
    lowest = dict(requirement.split(">=") for requirement in PROJECT["dependencies"])
    assert (
        f"It needs Python {PROJECT['requires-python'].removeprefix('>=')}, "
        f"Django {lowest['django']}, Django REST Framework {lowest['djangorestframework']} "
        f"and simplejwt {lowest['djangorestframework-simplejwt']}, or newer."
    ) in markdown.sentences("README.md")


def test_the_numbers_it_gives_are_the_defaults() -> None:
    text = markdown.sentences("README.md")
    number = {2: "two", 5: "Five"}
    assert f"{number[conf.TOTP_FAILURE_LIMIT]} wrong codes in a row cost nothing" in text
    assert (
        f"{conf.TOTP_LOCKOUT_SECONDS} seconds, then twice as long each time, "
        f"up to {conf.TOTP_LOCKOUT_MAX_SECONDS // 60} minutes"
    ) in text
    assert f"It lives for {number[conf.TOTP_TOKEN_MAX_AGE // 60]} minutes" in text


def test_it_leads_to_every_page() -> None:
    linked = set(markdown.links(markdown.ROOT / "README.md"))
    pages = {str(page.relative_to(markdown.ROOT)) for page in markdown.pages()}
    assert pages - {"README.md"} <= {link.partition("#")[0] for link in linked}
