"""What the README tells people to paste is pasted, and what it says is compared."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from django_totp.conf import conf
from tests import markdown, scratch

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

# What a project has that knows REST framework already: permissions, authentication of its own,
# apps with middleware, and a page of a single-page app that takes every path that is left.
EXISTING_SETTINGS = """
INSTALLED_APPS = (*INSTALLED_APPS, "mysite.headers", "rest_framework.apps.RestFrameworkConfig")
MIDDLEWARE.insert(0, "mysite.headers.middleware")
REST_FRAMEWORK = {
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_AUTHENTICATION_CLASSES": (
        "rest_framework.authentication.BasicAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ),
    "PAGE_SIZE": 7,
}
"""
EXISTING_URLS = """
from django.http import HttpResponse
from django.urls import re_path
from rest_framework.decorators import api_view
from rest_framework.response import Response

@api_view()
def mine(request):
    return Response({"name": request.user.get_username()})

urlpatterns += [path("mine/", mine), re_path("", lambda request: HttpResponse("<!doctype html>"))]
"""
HEADERS = """
def middleware(get_response):
    def add(request):
        response = get_response(request)
        response.headers["Access-Control-Allow-Origin"] = "https://app.example.com"
        return response
    return add
"""

# Run in it before and after: who gets in at the view that it had all along.
DOORS = """
import base64
import django
django.setup()
from django.contrib.auth import get_user_model
from django.test import Client
from django.test.utils import setup_test_environment
setup_test_environment()
user, _ = get_user_model().objects.get_or_create(username="old")
user.set_password("pw")
user.save()
signed_in = Client()
signed_in.force_login(user)
basic = "Basic " + base64.b64encode(b"old:pw").decode()
answers = [
    Client().get("/mine/"),
    Client().get("/mine/", headers={"Authorization": basic}),
    signed_in.get("/mine/"),
    Client().get("/anything/"),
]
print([answer.status_code for answer in answers], answers[0]["Access-Control-Allow-Origin"])
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return scratch.start(tmp_path)


def _paste(project: Path) -> None:
    settings, urls = markdown.blocks(INSTALL, "python")
    scratch.append(project, "settings", settings)
    scratch.append(project, "urls", urls)


def _follow(project: Path, *last: str) -> str:
    """Return what the commands of the README print, and those of ``last`` after them."""
    install, migrate, *_ = markdown.blocks(INSTALL, "sh")
    (project / "exchange.py").write_text(EXCHANGE)
    commands = [
        install,
        "python manage.py check",
        migrate,
        "python manage.py totp_audit || echo 'The audit found something.'",
        "export DJANGO_SETTINGS_MODULE=mysite.settings",
        "python exchange.py",
        *last,
    ]
    printed = scratch.run(project, "\n".join(commands))
    assert "curl to port 8000 gets ['access', 'is_totp_enabled', 'refresh']." in printed
    assert "5 requests were answered as the README says." in printed
    assert "django.contrib.admin.sites.AdminSite.login" in printed
    return printed


@pytest.mark.slow
def test_the_four_steps_make_a_project_that_logs_in(project: Path) -> None:
    _paste(project)
    _follow(project, "python manage.py check --fail-level WARNING")
    version = PROJECT["version"].partition(".")[0]
    assert (project / "pip").read_text().split() == ["install", f"{PROJECT['name']}>={version}"]


# Run in a project that has nothing but Django's admin: the section about sessions, as a browser.
SESSIONS = """
import re
import django
django.setup()
import pyotp
from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import Client
from django.test.utils import setup_test_environment
from django_totp.models import Totp
setup_test_environment()
assert "rest_framework" not in settings.INSTALLED_APPS
get_user_model().objects.create_superuser("ada", password="pw")
form = {"username": "ada", "password": "pw", "next": "/admin/"}
browser = Client()
print(browser.post("/admin/login/", form)["Location"])
page = browser.get("/account/two-factor/setup/?next=/admin/").content.decode()
[secret] = re.findall('name="secret" value="([A-Z2-7]+)"', page)
code = {"otp_code": pyotp.TOTP(secret).now(), "secret": secret}
page = browser.post("/account/two-factor/setup/?next=/admin/", code).content.decode()
print(len(re.findall("<li><code dir=", page)), "codes,", 'href="/admin/"' in page)
print(browser.get("/admin/").status_code)
Totp.objects.update(last_used_step=None)
browser = Client()
step = browser.post("/admin/login/", form)["Location"]
print(step, browser.get("/admin/").status_code)
print(browser.post(step, code)["Location"], browser.get("/admin/").status_code)
print(Client().get("/account/two-factor/")["Location"])
"""


@pytest.mark.slow
def test_its_lines_alone_make_an_admin_that_asks(project: Path) -> None:
    section = markdown.sections(README, 2)["Sessions and the admin"]
    settings, urls = markdown.blocks(section, "python")
    scratch.append(project, "settings", settings)
    scratch.append(project, "urls", urls)
    (project / "sessions.py").write_text(SESSIONS)
    commands = [
        markdown.blocks(INSTALL, "sh")[0],
        "python manage.py check --fail-level WARNING",
        "python manage.py migrate -v 0",
        "python manage.py totp_audit",
        "DJANGO_SETTINGS_MODULE=mysite.settings python sessions.py",
    ]
    assert "`python manage.py migrate`" in section
    printed = scratch.run(project, "\n".join(commands)).splitlines()
    assert printed[-6:] == [
        "/account/two-factor/setup/?next=%2Fadmin%2F",
        "10 codes, True",
        "200",
        "/account/two-factor/verify/?next=%2Fadmin%2F 302",
        "/admin/ 200",
        "/account/login/?next=%2Faccount%2Ftwo-factor%2F",
    ]


@pytest.mark.slow
def test_the_four_steps_leave_a_project_what_it_has(project: Path) -> None:
    scratch.append(project, "settings", EXISTING_SETTINGS)
    scratch.append(project, "urls", EXISTING_URLS)
    (project / "mysite" / "headers.py").write_text(HEADERS)
    (project / "doors.py").write_text(DOORS)
    doors = "DJANGO_SETTINGS_MODULE=mysite.settings python doors.py"
    before = scratch.run(project, f"python manage.py migrate -v 0\n{doors}")
    assert before == "[401, 200, 200, 200] https://app.example.com\n"

    _paste(project)
    assert _follow(project, doors).endswith(before)


def _settings(**project: Any) -> dict[str, Any]:
    """Return the settings of a project after what the README adds to them."""
    return markdown.run(markdown.blocks(INSTALL, "python")[0], **project)


class TestSettings:
    """What the README adds to ``settings.py``, in projects of many kinds."""

    JWT = "django_totp.authentication.JWTAuthentication"
    SESSION = "rest_framework.authentication.SessionAuthentication"
    BASIC = "rest_framework.authentication.BasicAuthentication"
    SIMPLEJWT = "rest_framework_simplejwt.authentication.JWTAuthentication"
    STATELESS = "rest_framework_simplejwt.authentication.JWTStatelessUserAuthentication"

    @pytest.fixture(autouse=True)
    def _key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TOTP_ENCRYPTION_KEY", "from the environment")

    @pytest.mark.parametrize(
        ("apps", "added"),
        [
            ([], ["rest_framework", "django_totp"]),
            (("rest_framework", "own"), ["django_totp"]),
            (["rest_framework.apps.RestFrameworkConfig"], ["django_totp"]),
            (["django_totp"], ["rest_framework"]),
            (["rest_framework.authtoken"], ["rest_framework", "django_totp"]),
            (["own", "django_totp.apps.DjangoTotpConfig", "rest_framework"], []),
        ],
    )
    def test_no_app_stands_twice(self, apps: Any, added: list[str]) -> None:
        assert _settings(INSTALLED_APPS=apps)["INSTALLED_APPS"] == [*apps, *added]

    @pytest.mark.parametrize(
        ("apps", "rest", "classes"),
        [
            ([], None, [JWT]),
            ([], {}, [JWT]),
            (["rest_framework"], None, [JWT, SESSION]),
            (["rest_framework"], {"PAGE_SIZE": 7}, [JWT, SESSION]),
            ([], {"PAGE_SIZE": 7}, [JWT, SESSION]),
            (["rest_framework"], {"DEFAULT_AUTHENTICATION_CLASSES": None}, [JWT, SESSION]),
            (["rest_framework"], {"DEFAULT_AUTHENTICATION_CLASSES": []}, [JWT]),
            (
                ["rest_framework"],
                {"DEFAULT_AUTHENTICATION_CLASSES": (SESSION, BASIC)},
                [JWT, SESSION, BASIC],
            ),
            (
                ["rest_framework"],
                {"DEFAULT_AUTHENTICATION_CLASSES": [SESSION, JWT]},
                [SESSION, JWT],
            ),
            (["rest_framework"], {"DEFAULT_AUTHENTICATION_CLASSES": (STATELESS,)}, (STATELESS,)),
            (["rest_framework"], {"DEFAULT_AUTHENTICATION_CLASSES": [SIMPLEJWT]}, [SIMPLEJWT]),
        ],
    )
    def test_tokens_come_to_what_is_there(self, apps: Any, rest: Any, classes: Any) -> None:
        project = {} if rest is None else {"REST_FRAMEWORK": rest}
        added = _settings(INSTALLED_APPS=apps, **project)["REST_FRAMEWORK"]
        assert added == {**(rest or {}), "DEFAULT_AUTHENTICATION_CLASSES": classes}

    def test_pasted_twice_is_pasted_once(self) -> None:
        once = _settings(INSTALLED_APPS=["own"])
        twice = _settings(**once)
        assert {name: twice[name] for name in twice if name.isupper()} == {
            name: once[name] for name in once if name.isupper()
        }

    def test_a_project_that_imports_them_sees_settings_only(self) -> None:
        names = {name for name in _settings(INSTALLED_APPS=[]) if not name.startswith("_")}
        assert {name for name in names if not name.isupper()} == {"os"}


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
class TestDemo:
    def _make(self, *arguments: str) -> list[str]:
        """Return the lines of commands that make would run, were nothing installed yet."""
        command = ["make", "--dry-run", "--always-make", *arguments]
        environment = {"PATH": os.environ["PATH"]}
        return subprocess.check_output(
            command, cwd=markdown.ROOT, env=environment, text=True
        ).splitlines()

    def test_the_port_is_chosen(self) -> None:
        [named] = re.findall(r"`(make demo PORT=\w+)`", README)
        assert self._make(*named.split()[1:])[-1] == '.venv/bin/python example/demo.py "8010"'
        assert self._make("demo")[-1] == '.venv/bin/python example/demo.py "8000"'

    def test_it_says_what_takes_so_long(self) -> None:
        lines = self._make("demo")
        for slow in ("-m venv .venv", "pip install --quiet --editable"):
            [place] = [number for number, line in enumerate(lines) if slow in line]
            assert lines[place - 1].startswith("echo ")

    def test_a_port_that_is_taken_names_the_way_out(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            done = subprocess.run(
                [sys.executable, "example/demo.py", str(port)],
                cwd=markdown.ROOT,
                capture_output=True,
                text=True,
            )
        assert done.returncode == 1
        assert f"Cannot listen at 127.0.0.1:{port}" in done.stderr
        other = port + 1 if port < 65535 else 8000
        assert f"Give another port: make demo PORT={other}" in done.stderr


def test_a_checkout_installs_itself() -> None:
    """By name, ``pip`` would take the 1.1 of another publisher where there is no 2.0."""
    [line] = [line for line in INSTALL.splitlines() if "From a checkout" in line]
    assert "`pip install .`" in line


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
    """Or the first page of the docs does, which all of them have beside them on the site."""
    linked = set(markdown.links(markdown.ROOT / "README.md"))
    linked |= {f"docs/{link}" for link in markdown.links(markdown.ROOT / "docs/index.md")}
    pages = {str(page.relative_to(markdown.ROOT)) for page in markdown.pages()}
    named = {link.partition("#")[0] for link in linked}
    assert pages - {"README.md", "docs/index.md"} <= named
