"""docs/index.md, existing-project.md and custom-user.md: followed in projects of their own."""

import re
from pathlib import Path

import pytest

from tests import markdown, scratch

pytestmark = pytest.mark.slow
INDEX = markdown.sections(markdown.read("docs/index.md"), 2)["The first five minutes"]
EXISTING = markdown.sections(markdown.read("docs/existing-project.md"), 2)
CUSTOM = markdown.read("docs/custom-user.md")
IN_ADMIN = "django.contrib.admin.sites.AdminSite.login"
KEY = markdown.blocks(INDEX, "sh")[0]

# What each script begins with: the project, and a browser of somebody in it.
BEGIN = """
import re
import django
django.setup()
import pyotp
from django.contrib.auth import get_user_model
from django.test import Client
from django.test.utils import setup_test_environment
from django_totp.models import Totp
setup_test_environment()
def enroll(browser):
    page = browser.get("/account/two-factor/setup/").content.decode()
    [secret] = re.findall('name="secret" value="([A-Z2-7]+)"', page)
    code = {"otp_code": pyotp.TOTP(secret).now(), "secret": secret}
    page = browser.post("/account/two-factor/setup/", code).content.decode()
    Totp.objects.update(last_used_step=None)
    return len(re.findall("<li><code[ >]", page)), code
"""

FIRST_MINUTES = """
get_user_model().objects.create_superuser("ada", password="pw")
form = {"username": "ada", "password": "pw", "next": "/admin/"}
browser = Client()
print(browser.post("/admin/login/", form)["Location"])
codes, code = enroll(browser)
print(codes, "codes", browser.get("/admin/").status_code)
browser.post("/admin/logout/")
step = browser.post("/admin/login/", form)["Location"]
print(step, browser.get("/admin/").status_code)
print(browser.post(step, code)["Location"], browser.get("/admin/").status_code)
"""

EXISTING_VIEWS = """
from django.contrib.auth import authenticate, login
from django.http import HttpResponse
from django.urls import include, path
from rest_framework_simplejwt.views import TokenObtainPairView

def enter(request):
    names = {name: request.GET[name] for name in ("username", "password")}
    login(request, authenticate(request, **names))
    return HttpResponse("in")

def mine(request):
    return HttpResponse(request.user.get_username() or "nobody")

urlpatterns += [
    path("enter/", enter),
    path("mine/", mine),
    path("old/token/", TokenObtainPairView.as_view()),
]
"""
OLD_SESSION = """
users = get_user_model().objects
old, _ = users.get_or_create(username="old", defaults={"is_staff": True})
old.set_password("pw")
old.save()
browser = Client()
browser.get("/enter/?username=old&password=pw")
print("session", browser.cookies["sessionid"].value)
"""
NEW_PROJECT = """
import sys
browser = Client()
browser.cookies["sessionid"] = sys.argv[1]
print("the old session is", browser.get("/mine/").content.decode())
tokens = Client().post("/api/jwt/create/", {"username": "old", "password": "pw"}).json()
print(sorted(tokens))
bearer = {"Authorization": f"Bearer {tokens['access']}"}
print(Client().get("/api/totp/", headers=bearer).status_code)
_, code = enroll(browser)
print(Client().get("/api/totp/", headers=bearer).json()["code"])
other = Client()
print(other.get("/enter/?username=old&password=pw")["Location"].partition("?")[0])
print(other.get("/mine/").content.decode())
"""
REQUIRED = """
users = get_user_model().objects
new = users.create_user("new", password="pw", is_staff=True)
customer = users.create_user("customer", password="pw")
for name in ("new", "customer"):
    answer = Client().post("/api/jwt/create/", {"username": name, "password": "pw"}).json()
    print(name, sorted(answer))
from datetime import timedelta
from django.conf import settings
from django_totp.models import Account
account = Account.objects.get(user=new)
account.required_since -= timedelta(seconds=settings.TOTP_GRACE_PERIOD)
account.save()
answer = Client().post("/api/jwt/create/", {"username": "new", "password": "pw"}).json()
print("later", sorted(answer))
"""

PEOPLE = """
import os
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "rest_framework",
    "people",
    "django_totp",
]
MIDDLEWARE = []
AUTH_USER_MODEL = "people.Person"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["django_totp.authentication.JWTAuthentication"],
}
TOTP_ENCRYPTION_KEY = os.environ["TOTP_ENCRYPTION_KEY"]
"""
TOKENS = """
from django.urls import include, path
urlpatterns = [
    path("api/", include("django_totp.urls")),
    path("api/", include("django_totp.urls.jwt")),
]
"""
CUSTOM_LOGIN = """
from urllib.parse import unquote
from django_totp.backup_code_utils import store_backup_codes
from django_totp.totp import start_totp_setup
from tests import markdown, replay
PAGE = markdown.read("docs/custom-user.md")
people = get_user_model().objects
ada = people.create_user("ada@example.com", "correct horse battery staple")
uri = start_totp_setup(ada).otpauth_uri
store_backup_codes(ada, [])
sent = replay.Replay({})
sent.subject = ada
requests = sent.play(PAGE)
bob = people.create_user("bob@example.com", "pw", handles_money=True)
answer = Client().post("/api/jwt/create/", {"email": "bob@example.com", "password": "pw"})
print(bob.pk)
print(f"{requests} requests were answered as the page says.")
print(unquote(uri.partition("totp/")[2].partition("?")[0]))
print("bob", sorted(answer.json()))
assert ada.totp.is_enabled
ada.delete()
print(Totp.objects.count(), "rows")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return scratch.start(tmp_path)


def run(project: Path, script: str, *before: str, arguments: str = "") -> list[str]:
    """Return what ``script`` prints, run in the project after the commands of ``before``."""
    (project / "script.py").write_text(BEGIN + script)
    last = f"DJANGO_SETTINGS_MODULE=mysite.settings python script.py {arguments}"
    return scratch.run(project, "\n".join([*before, last])).splitlines()


def test_the_first_five_minutes(project: Path) -> None:
    settings, urls = markdown.blocks(INDEX, "python")
    scratch.append(project, "settings", settings)
    scratch.append(project, "urls", urls)
    commands = markdown.blocks(INDEX, "sh")[1].splitlines()
    assert commands[1:] == ["python manage.py createsuperuser", "python manage.py runserver"]
    check = "python manage.py check --fail-level WARNING"
    printed = run(project, FIRST_MINUTES, KEY, check, commands[0])
    assert printed[-4:] == [
        "/admin/",
        "10 codes 200",
        "/account/two-factor/verify/?next=%2Fadmin%2F 302",
        "/admin/ 200",
    ]
    named = markdown.code(markdown.prose(INDEX))
    [path] = [part for part in named if part.startswith("/account/")]
    assert f'"{path}"' in BEGIN


def test_the_steps_of_an_existing_project(project: Path) -> None:
    package, sessions, tokens, required = list(EXISTING.values())[:4]
    scratch.append(project, "settings", 'INSTALLED_APPS += ["rest_framework"]')
    scratch.append(project, "urls", EXISTING_VIEWS)

    scratch.append(project, "settings", markdown.blocks(package, "python")[0])
    [audit] = markdown.blocks(package, "sh")
    keep = "echo $TOTP_ENCRYPTION_KEY > key"
    finds = f"! {audit.strip()}"
    printed = run(project, OLD_SESSION, KEY, keep, "python manage.py migrate -v 0", finds)
    for view in (IN_ADMIN, "mysite.urls.enter", "TokenObtainPairView"):
        assert any(view in line for line in printed), view
    session = printed[-1].removeprefix("session ")

    key = "export TOTP_ENCRYPTION_KEY=$(cat key)"
    for step in (sessions, tokens):
        settings, urls = markdown.blocks(step, "python")
        scratch.append(project, "settings", settings)
        scratch.append(project, "urls", urls)
    scratch.append(project, "urls", "del urlpatterns[3]  # ours are in the place of simplejwt's\n")
    printed = run(project, NEW_PROJECT, key, audit, arguments=session)
    assert printed[-6:] == [
        "the old session is old",
        "['access', 'is_totp_enabled', 'refresh']",
        "200",
        "second_factor_required",
        "/account/two-factor/verify/",
        "nobody",
    ]

    scratch.append(project, "settings", markdown.blocks(required, "python")[0])
    [report] = markdown.code(markdown.prose(required))[:1]
    printed = run(project, REQUIRED, key)
    assert printed == [
        "new ['access', 'is_totp_enabled', 'refresh', 'totp_required_from']",
        "customer ['access', 'is_totp_enabled', 'refresh']",
        "later ['is_totp_enabled', 'is_totp_required', 'totp_challenge_token']",
    ]
    assert "in grace" in scratch.run(project, f"{key}\n{report}")

    [remove] = markdown.code(EXISTING["And back"].partition("for good, run")[2])[:1]
    printed = scratch.run(project, f"{key}\n{remove}\npython manage.py showmigrations django_totp")
    assert "[ ] 0001_initial" in printed
    assert "[X]" not in printed


def test_a_model_of_ones_own(project: Path) -> None:
    model, simplejwt, policy, required = markdown.blocks(CUSTOM, "python")
    people = project / "people"
    people.mkdir()
    for name, code in (("__init__", ""), ("models", model), ("policy", policy)):
        (people / f"{name}.py").write_text(code)
    scratch.append(project, "settings", PEOPLE + simplejwt + required)
    (project / "mysite/urls.py").write_text(TOKENS)
    commands = [
        KEY,
        "python manage.py makemigrations people -v 0",
        "python manage.py check --fail-level WARNING",
        "python manage.py migrate -v 0",
    ]
    by_name, by_key = markdown.blocks(CUSTOM, "sh")[0].splitlines()
    printed = run(project, CUSTOM_LOGIN, *commands, f"! {by_name}")
    assert printed[-4:] == [
        "2 requests were answered as the page says.",
        "MyApp:ada@example.com",
        "bob ['is_totp_enabled', 'is_totp_required', 'totp_challenge_token']",
        "0 rows",
    ]
    [key] = re.findall("--pk (\\S+)", by_key)
    status = scratch.run(project, f"{KEY}\n! {by_key.replace(key, printed[-5])}")
    assert "bob@example.com" in status


def test_words_that_name_a_field_which_is_not_there(project: Path) -> None:
    model, *_ = markdown.blocks(CUSTOM, "python")
    (project / "people").mkdir()
    (project / "people/__init__.py").touch()
    (project / "people/models.py").write_text(model)
    scratch.append(project, "settings", f'{PEOPLE}\nTOTP_REQUIRED_FOR = ["staff"]')
    (project / "mysite/urls.py").write_text(TOKENS)
    printed = scratch.run(project, f"{KEY}\npython manage.py check", fails=True)
    ids = set(re.findall(r"django_totp\.(E\d+)", printed))
    assert ids == set(re.findall(r"\[(E\d+)\]", CUSTOM)) == {"E022", "E026"}
