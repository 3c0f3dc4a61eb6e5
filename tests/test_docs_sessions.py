"""docs/sessions.md: its lines work, and what its tables say is so."""

import re
from urllib.parse import unquote

import pytest
from django.conf import settings as django_settings
from django.contrib.auth import BACKEND_SESSION_KEY
from django.http import HttpResponse
from django.test import Client
from django.urls import include, path, resolve, reverse

from django_totp.exceptions import PolicyUnavailable
from django_totp.forms import SecondFactorForm, SetupForm
from tests import markdown
from tests.browsing import JSON, SETUP, VERIFY, Browser, age_enrollment, assert_led

ARGUMENTS = {"two-factor-recovery": ["<token>"]}
PAGE = "docs/sessions.md"
OURS = "django_totp.middleware.SecondFactorMiddleware"
pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]
CODE = "\n".join(
    block
    for block in markdown.blocks(markdown.read(PAGE), "python")
    if not {"hijack", "channels"} & {*re.findall(r"from (\w+)", block)}
)
NAMES = markdown.run(
    CODE,
    __name__=__name__,
    MIDDLEWARE=[],
    urlpatterns=[],
    include=include,
    path=path,
)


def passkey(request):
    NAMES["signed_in_by_passkey"](request, Browser.latest)
    return HttpResponse("in")


urlpatterns = [
    *NAMES["urlpatterns"],
    path("reports/", NAMES["reports"]),
    path("payout/", NAMES["payout"]),
    path("export/", NAMES["ExportView"].as_view()),
    path("own/", NAMES["OwnLoginView"].as_view(template_name="django_totp/login.html")),
    path("passkey/", passkey),
]


@pytest.fixture
def browser(enrolled_user):
    age_enrollment(enrolled_user)
    Browser.latest = enrolled_user
    return Browser(enrolled_user)


def test_the_line_of_the_middleware():
    assert NAMES["MIDDLEWARE"] == [OURS]
    assert OURS in django_settings.MIDDLEWARE


def test_the_pages_are_those_of_the_table():
    section = markdown.sections(markdown.read(PAGE), 2)["The pages"]
    told = {markdown.code(row[1])[0]: row for row in markdown.rows(section)}
    assert [f"account/{markdown.code(row[0])[0]}" for row in told.values()] == [
        unquote(reverse(name, args=ARGUMENTS.get(name))).lstrip("/") for name in told
    ]
    included = [one.name for one in urlpatterns[0].url_patterns]
    assert list(told) == included
    assert markdown.code(told[VERIFY][3]) == [*SecondFactorForm.base_fields, "trust_device"]
    assert markdown.code(told[SETUP][3]) == [
        name for name, one in SetupForm.base_fields.items() if not one.widget.is_hidden
    ]


def test_the_guards(browser, otp, secret):
    client = browser.client
    for url in ("/reports/", "/payout/", "/export/"):
        assert_led(client.get(url), "/account/login/", url)
    browser.password()
    browser.code(otp(secret))
    for url in ("/reports/", "/payout/", "/export/"):
        assert client.get(url).content.startswith(b"For those who gave")


def test_a_login_page_of_ones_own(browser):
    assert_led(browser.password("/own/", "/reports/"), VERIFY, "/reports/")


def test_a_passkey(browser):
    assert browser.client.get("/passkey/").content == b"in"
    assert browser.client.get("/reports/").status_code == 200


def test_an_exempt_backend(browser, settings):
    settings.TOTP_EXEMPT_BACKENDS = NAMES["TOTP_EXEMPT_BACKENDS"]
    [name] = NAMES["TOTP_EXEMPT_BACKENDS"]
    settings.AUTHENTICATION_BACKENDS = [*settings.AUTHENTICATION_BACKENDS, name]
    browser.client.force_login(browser.user, backend=name)
    assert browser.session[BACKEND_SESSION_KEY] == name
    assert browser.client.get("/account/two-factor/").status_code == 200
    assert_led(browser.client.get("/reports/"), VERIFY, "/reports/")


def test_a_test_that_logs_in(browser):
    NAMES["log_in_with_both"](browser.client, browser.user)
    assert browser.client.get("/reports/").status_code == 200
    other = Client()
    other.force_login(browser.user)
    assert_led(other.get("/reports/"), VERIFY, "/reports/")


def broken(user):
    raise RuntimeError


def test_what_programs_are_told(browser, make_user, otp, secret, settings):
    section = markdown.sections(markdown.read(PAGE), 3)["What programs are told"]
    told = [(int(row[1]), markdown.code(row[2])[0]) for row in markdown.rows(section)]
    assert told == [
        self_told(browser, browser.password),
        owed(make_user, settings),
        late(browser, otp(secret)),
        without(make_user),
        answer(Client().get("/reports/", **JSON)),
        undecided(make_user, settings),
    ]


def answer(response):
    return response.status_code, response.json()["code"]


def self_told(browser, step):
    step()
    return answer(browser.client.get("/reports/", **JSON))


def owed(make_user, settings):
    settings.TOTP_REQUIRED_FOR = ["everyone"]
    browser = Browser(make_user("bob"))
    browser.password()
    found = answer(browser.client.get("/reports/", **JSON))
    settings.TOTP_REQUIRED_FOR = []
    return found


def late(browser, code):
    browser.code(code)
    session = browser.session
    session["_django_totp"] = {**session["_django_totp"]}
    session["_django_totp"]["auth_time"] -= 61
    session.save()
    return answer(browser.client.get("/export/", **JSON))


def without(make_user):
    browser = Browser(make_user("cyd"))
    browser.password()
    return answer(browser.client.get("/reports/", **JSON))


def undecided(make_user, settings):
    browser = Browser(make_user("dan"))
    browser.password()
    settings.TOTP_REQUIRED_FOR = [f"{__name__}.broken"]
    found = answer(browser.client.get("/reports/", **JSON))
    settings.TOTP_REQUIRED_FOR = []
    assert found[1] == PolicyUnavailable.code
    return found


def test_the_layout_of_the_project(browser, settings, tmp_path):
    [override] = markdown.blocks(markdown.read(PAGE), "html")
    (tmp_path / "django_totp").mkdir()
    (tmp_path / "django_totp/base.html").write_text(override)
    (tmp_path / "base.html").write_text("<nav>ours</nav>{% block content %}{% endblock %}")
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
    page = browser.client.get(reverse("two-factor-login")).content.decode()
    assert page.startswith("<nav>ours</nav>")
    assert 'name="username"' in page


@pytest.mark.parametrize("package", ["hijack", "channels"])
def test_recipes_with_packages_are_those_that_were_tried(package):
    """The field projects run them."""
    [recipe] = [
        block
        for block in markdown.blocks(markdown.read(PAGE), "python")
        if f"from {package}" in block
    ]
    tried = {"hijack": "impersonation.py", "channels": "cases_channels.py"}[package]
    lines = (markdown.ROOT / "tests/field" / tried).read_text().splitlines()
    for line in filter(None, recipe.splitlines()):
        assert line in lines


def test_the_page_that_fetch_leads_to():
    [code] = markdown.blocks(markdown.read(PAGE), "js")
    [url] = re.findall(r"`(/[^?]+)\?next", code)
    assert resolve(url).url_name == VERIFY
