"""What the pages are made of: no script or style inside, every field labelled, all translatable."""

import re
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyotp
import pytest
from django.apps import apps
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format

import django_totp
from django_totp import challenges, devices
from django_totp.accounts import account_by
from django_totp.assurance import SESSION_KEY as ASSURANCE
from django_totp.assurance import new_login
from django_totp.challenges import CANCEL, RECOVER
from django_totp.models import BackupCode, Totp
from django_totp.moments import whole_minute
from django_totp.totp import disable_totp
from django_totp.users import email_field
from tests.browsing import LOGIN, PASSWORD, SETUP, VERIFY, Browser, age_enrollment
from tests.capitals import speak_in_capitals

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.session_urls")]

STATE, CODES, DISABLE = "two-factor", "two-factor-backup-codes", "two-factor-disable"
PACKAGE = Path(django_totp.__file__).parent
STATIC = PACKAGE / "static" / "django_totp"
VOID = {"br", "input", "link", "meta", "path"}
NAMED = {"aria-label", "alt", "placeholder", "title", "data-counting", "data-over", "data-copied"}


class Reader(HTMLParser):
    """Reads a page: its elements, and its texts with the names of the elements around them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, Any]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert len(dict(attributes)) == len(attributes), (tag, attributes)
        self.elements.append((tag, dict(attributes)))
        self.texts += [value or "" for name, value in attributes if name in NAMED]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "code" not in self.open:  # keys and codes
            self.texts.append(data)

    def all(self, *tags: str) -> list[dict[str, Any]]:
        return [attributes for tag, attributes in self.elements if tag in tags]


SCREENS: dict[str, Any] = {}


def screen(view: Any) -> Any:
    SCREENS[view.__name__] = view
    return view


@pytest.fixture
def person(enrolled_user: Any) -> Browser:
    age_enrollment(enrolled_user)
    return Browser(enrolled_user)


@pytest.fixture
def shown(person: Browser, otp: Any, secret: str, settings: Any) -> Any:
    """Return a function that shows a screen."""
    settings.TOTP_THROTTLE_RATE = None
    return lambda name: SCREENS[name](person, lambda: otp(secret), settings)


def inside(person: Browser, code: Any) -> Client:
    person.password()
    person.code(code())
    assert person.is_signed_in
    Totp.objects.update(last_used_step=None)
    return person.client


def without(person: Browser) -> Client:
    disable_totp(person.user)
    person.password()
    assert person.is_signed_in
    return person.client


def secret_on(response: HttpResponse) -> str:
    [secret] = re.findall(r'name="secret" value="([A-Z2-7]+)"', response.content.decode())
    return str(secret)


@screen
def login(person, code, settings):
    return person.client.get(reverse(LOGIN), {"next": "/open/"})


@screen
def login_wrong(person, code, settings):
    return person.client.post(reverse(LOGIN), {"username": "x", "password": "y"})


@screen
def login_empty(person, code, settings):
    return person.client.post(reverse(LOGIN), {})


@screen
def login_wrong_at_a_view_of_the_project(person, code, settings):
    return person.client.post("/own/login/", {"username": "x", "password": "y"})


@screen
def login_hurried(person, code, settings):
    settings.TOTP_THROTTLE_RATE = "1/minute"
    return [person.password() for _ in range(2)][-1]


@screen
def verify(person, code, settings):
    return person.follow(person.password())


@screen
def verify_wrong(person, code, settings):
    person.password()
    return person.code("000000")


@screen
def verify_wrong_backup_code(person, code, settings):
    person.password()
    return person.code("abcd", kind="backup_code")


@screen
def verify_wait(person, code, settings):
    person.password()
    return [person.code("000000") for _ in range(7)][-1]


@screen
def verify_hurried(person, code, settings):
    person.password()
    settings.TOTP_THROTTLE_RATE = "1/minute"
    return [person.code("000000") for _ in range(2)][-1]


@screen
def verify_over(person, code, settings):
    person.password()
    disable_totp(person.user)
    return person.code(code())


@screen
def step_up(person, code, settings):
    return inside(person, code).get(reverse(VERIFY))


@screen
def setup(person, code, settings):
    return without(person).get(reverse(SETUP))


@screen
def setup_wrong(person, code, settings):
    client = without(person)
    secret = secret_on(client.get(reverse(SETUP)))
    return client.post(reverse(SETUP), {"otp_code": "000000", "secret": secret})


@screen
def setup_stale(person, code, settings):
    client = without(person)
    secret = secret_on(client.get(reverse(SETUP)))
    client.get(reverse(SETUP))
    return client.post(reverse(SETUP), {"otp_code": "000000", "secret": secret})


@screen
def setup_wrong_without_secret(person, code, settings):
    client = without(person)
    client.get(reverse(SETUP))
    return client.post(reverse(SETUP) + "?next=/open/", {"otp_code": "000000"})


@screen
def setup_too_long(person, code, settings):
    return without(person).post(reverse(SETUP), {"otp_code": "0", "secret": "x" * 256})


@screen
def setup_hurried(person, code, settings):
    client = without(person)
    settings.TOTP_THROTTLE_RATE = "1/minute"
    return [client.get(reverse(SETUP)) for _ in range(2)][-1]


@screen
def setup_owed(person, code, settings):
    disable_totp(person.user)
    settings.TOTP_REQUIRED_FOR = ["everyone"]
    return person.follow(person.password(next_url="/open/"))


@screen
def setup_codes(person, code, settings):
    client = without(person)
    secret = secret_on(client.get(reverse(SETUP)))
    return client.post(reverse(SETUP), {"otp_code": pyotp.TOTP(secret).now()})


@screen
def setup_without_codes(person, code, settings):
    settings.TOTP_MAX_BACKUP_CODES = 0
    return setup_codes(person, code, settings)


@screen
def password(person, code, settings):
    client, session = without(person), person.session
    session[ASSURANCE]["auth_time"] -= 400
    session.save()
    settings.TOTP_REAUTHENTICATE = True
    return client.get(reverse(SETUP))


@screen
def password_wrong(person, code, settings):
    password(person, code, settings)
    return person.client.post(reverse(SETUP), {"password": "wrong"})


@screen
def password_hurried(person, code, settings):
    password(person, code, settings)
    settings.TOTP_THROTTLE_RATE = "1/minute"
    wrong = {"password": "wrong"}
    return [person.client.post(reverse(SETUP), wrong) for _ in range(2)][-1]


@screen
def state(person, code, settings):
    return inside(person, code).get(reverse(STATE))


@screen
def state_few_codes(person, code, settings):
    client = inside(person, code)
    [BackupCode.objects.first().delete() for _ in range(9)]
    return client.get(reverse(STATE))


@screen
def state_stays(person, code, settings):
    client = inside(person, code)
    settings.TOTP_REQUIRED_FOR = ["everyone"]
    return client.get(reverse(STATE))


@screen
def state_off(person, code, settings):
    return without(person).get(reverse(STATE))


@screen
def state_pending(person, code, settings):
    client = without(person)
    client.get(reverse(SETUP))
    return client.get(reverse(STATE))


@screen
def state_told(person, code, settings):
    client = inside(person, code)
    return person.follow(client.post(reverse(DISABLE)))


@screen
def new_codes(person, code, settings):
    return inside(person, code).get(reverse(CODES))


@screen
def new_codes_made(person, code, settings):
    return inside(person, code).post(reverse(CODES))


@screen
def disable(person, code, settings):
    return inside(person, code).get(reverse(DISABLE))


@screen
def disable_stays(person, code, settings):
    client = inside(person, code)
    settings.TOTP_REQUIRED_FOR = ["everyone"]
    return client.post(reverse(DISABLE))


@screen
def disable_hurried(person, code, settings):
    client = inside(person, code)
    settings.TOTP_THROTTLE_RATE = "1/minute"
    client.post(reverse(CODES))
    settings.TOTP_THROTTLE_RATE = "0/minute"
    return client.post(reverse(DISABLE))


@screen
def verify_trust(person, code, settings):
    settings.TOTP_TRUSTED_DEVICE_MAX_AGE = 30 * 86400
    return person.follow(person.password())


@screen
def state_devices(person, code, settings):
    verify_trust(person, code, settings)
    person.client.post(reverse(VERIFY), {"otp_code": code(), "trust_device": "on"})
    user = account_by("pk", person.user.pk)
    devices.trust(user, new_login(user, "pwd", "otp"))  # without a name
    return person.client.get(reverse(STATE))


@screen
def setup_replacing(person, code, settings):
    return inside(person, code).get(reverse(SETUP))


@screen
def setup_replacing_wrong(person, code, settings):
    secret = secret_on(setup_replacing(person, code, settings))
    return person.client.post(reverse(SETUP), {"otp_code": "000000", "secret": secret})


@screen
def state_replacing(person, code, settings):
    setup_replacing(person, code, settings)
    return person.client.get(reverse(STATE))


@screen
def setup_replaced(person, code, settings):
    secret = secret_on(setup_replacing(person, code, settings))
    return person.client.post(reverse(SETUP), {"otp_code": pyotp.TOTP(secret).now()})


@screen
def setup_replaced_without_codes(person, code, settings):
    settings.TOTP_MAX_BACKUP_CODES = 0
    return setup_replaced(person, code, settings)


@screen
def verify_mailed(person, code, settings):
    settings.TOTP_RECOVERY_DELAY = 86400
    setattr(person.user, email_field(person.user), "ada@example.com")
    person.user.save()
    person.password()
    return person.client.post(reverse(VERIFY), {"recovery": "1"})


@screen
def recovery_begin(person, code, settings):
    verify_mailed(person, code, settings)
    return person.client.get(link_for(person, RECOVER))


@screen
def recovery_begun(person, code, settings):
    recovery_begin(person, code, settings)
    return person.client.post(link_for(person, RECOVER))


@screen
def recovery_begin_hurried(person, code, settings):
    verify_mailed(person, code, settings)
    settings.TOTP_THROTTLE_RATE = "0/minute"
    return person.client.get(link_for(person, RECOVER))


@screen
def recovery_begin_stale(person, code, settings):
    recovery_begun(person, code, settings)
    link = link_for(person, RECOVER)
    person.client.post(link_for(person, CANCEL))
    return person.client.get(link)


@screen
def recovery_stop(person, code, settings):
    recovery_begun(person, code, settings)
    return person.client.get(link_for(person, CANCEL))


@screen
def recovery_stopped(person, code, settings):
    recovery_begun(person, code, settings)
    return person.client.post(link_for(person, CANCEL))


@screen
def recovery_stop_hurried(person, code, settings):
    recovery_begun(person, code, settings)
    settings.TOTP_THROTTLE_RATE = "0/minute"
    return person.client.get(link_for(person, CANCEL))


@screen
def recovery_stop_stale(person, code, settings):
    recovery_begun(person, code, settings)
    link = link_for(person, CANCEL)
    person.client.post(link)
    return person.client.get(link)


@screen
def verify_not_ready(person, code, settings):
    recovery_begun(person, code, settings)
    return person.follow(person.password())


@screen
def verify_ready(person, code, settings):
    recovery_begun(person, code, settings)
    Totp.objects.update(recovery_ready_at=timezone.now() - timedelta(seconds=1))
    return person.follow(person.password())


@screen
def setup_recovering(person, code, settings):
    verify_ready(person, code, settings)
    return person.follow(person.client.post(reverse(VERIFY), {"recovery": "1"}))


@screen
def state_recovering(person, code, settings):
    recovery_begun(person, code, settings)
    ready_at = Totp.objects.get().recovery_ready_at
    client = inside(person, code)
    Totp.objects.update(recovery_ready_at=ready_at)
    return client.get(reverse(STATE))


def link_for(person: Browser, purpose: str) -> str:
    """Return the page that a mail leads to."""
    token = challenges.make(account_by("pk", person.user.pk), purpose)
    return reverse("two-factor-recovery", args=[token])


PROBLEMS = [name for name in SCREENS if re.search("wrong|empty|_wait|hurried|stale|too_long", name)]


def html(response: Any) -> str:
    assert response["Content-Type"] == "text/html; charset=utf-8"
    return str(response.content.decode())


@pytest.mark.parametrize("name", SCREENS)
class TestEveryScreen:
    def test_what_it_is_made_of(self, shown, name):
        page = Reader(html(shown(name)))
        for tag, attributes in page.elements:
            assert tag not in {"style", "font", "center"}
            assert not {"style", "align", "bgcolor"} & {*attributes}, (tag, attributes)
            assert not [one for one in attributes if one.startswith("on")], (tag, attributes)
            assert not str(attributes.get("href")).startswith("javascript:")
        [script] = page.all("script")
        assert script["src"] == "/static/django_totp/two-factor.js"
        assert "defer" in script
        assert [one["href"] for one in page.all("link")] == ["/static/django_totp/two-factor.css"]
        ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
        assert len({*ids}) == len(ids)
        for _, attributes in page.elements:
            assert attributes.get("for", attributes.get("aria-describedby")) in {None, *ids}
        levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1
        assert 1 not in levels[1:]

    def test_every_field_has_a_label(self, shown, name):
        page = Reader(html(shown(name)))
        labels = {label["for"] for label in page.all("label")}
        fields = [
            one for one in page.all("input") if one["type"] != "hidden" and "hidden" not in one
        ]
        assert labels == {one["id"] for one in fields}
        typed = [one for one in fields if one["type"] != "checkbox"]
        assert all(one["autocomplete"] for one in typed)
        assert all("required" in one for one in typed)
        forms = len(page.all("form"))
        tokens = [one for one in page.all("input") if one.get("name") == "csrfmiddlewaretoken"]
        assert len(tokens) == forms

    def test_a_problem_is_told_in_the_title_and_aloud(self, shown, name):
        text = html(shown(name))
        page = Reader(text)
        title = re.search(r"<title>(.*?)</title>", text)[1]
        alerts = [
            attributes for _, attributes in page.elements if attributes.get("role") == "alert"
        ]
        is_problem = name in PROBLEMS or name == "disable_stays"
        assert title.startswith("Error: ") == is_problem
        assert f"<h1>{title.removeprefix('Error: ')}</h1>" in text
        assert len(alerts) == is_problem
        first = [one for one in page.all("input") if "autofocus" in one][:1]
        wrong = [one for one in page.all("input") if "aria-invalid" in one]
        if wrong:
            assert first == wrong[:1]

    def test_a_wait_is_told_in_words_and_to_the_script(self, shown, name):
        response = shown(name)
        page = Reader(html(response))
        waits = {attributes.get("data-retry-after") for _, attributes in page.elements} - {None}
        assert waits == ({response["Retry-After"]} if "Retry-After" in response else set())
        for wait in waits:
            assert re.search(rf"Try again in {wait} seconds?\.", " ".join(page.texts))

    def test_all_is_translated(self, shown, name, person, monkeypatch):
        speak_in_capitals(monkeypatch)
        page = Reader(html(shown(name)))
        # what the project or the person has named
        field = person.user._meta.get_field(person.user.USERNAME_FIELD).verbose_name
        zone = timezone.get_default_timezone_name()
        known = [person.user.get_username(), "{time}", "testserver", str(field), zone]
        for text in page.texts:
            for word in known:
                text = re.sub(re.escape(word), "", text, flags=re.IGNORECASE)
            assert text == text.upper(), text

    def test_next_goes_along(self, shown, name, person):
        page = Reader(html(shown(name)))
        nexts = [one for one in page.all("input") if one.get("name") == "next"]
        changes = "new_codes", "disable", "state", "recovery"
        assert len(nexts) == (0 if name.startswith(changes) else len(page.all("form")))


class TestDetails:
    @pytest.mark.parametrize("name", ["setup_recovering", "setup_replacing"])
    def test_a_setup_anew_is_not_one_that_is_owed(self, shown, name):
        page = html(shown(name))
        assert "Your old app goes on working until" in page
        assert "Your account must have a second step." not in page

    def test_no_new_codes_are_promised_where_there_are_none(self, shown, settings):
        assert "You get new ones." in html(shown("setup_replacing"))
        settings.TOTP_MAX_BACKUP_CODES = 0
        assert "You get new ones." not in html(shown("setup_replacing"))

    def test_a_recovery_is_told_before_all_else(self, shown):
        page = html(shown("state_recovering"))
        assert page.index("Somebody has asked") < page.index("It has been on since")

    @pytest.mark.parametrize("name", ["recovery_begun", "verify_not_ready", "state_recovering"])
    def test_a_wait_is_told_with_the_time_zone(self, shown, settings, name):
        settings.TIME_ZONE = "Asia/Kolkata"
        page = html(shown(name))
        ready_at = Totp.objects.get().recovery_ready_at.astimezone(ZoneInfo("Asia/Kolkata"))
        shown = date_format(whole_minute(ready_at), "DATETIME_FORMAT")
        assert f"{shown} (Asia/Kolkata)" in page

    def test_a_link_that_stops_nothing_promises_no_mail(self, shown):
        page = html(shown("recovery_stop_stale"))
        assert "There is nothing to stop any more" in page
        assert "to get a new mail" not in page

    def test_a_link_that_begins_nothing_leads_to_a_new_one(self, shown):
        page = html(shown("recovery_begin_stale"))
        assert "Log in again to get a new mail." in page
        assert "nothing to stop" not in page

    @pytest.mark.parametrize("name", ["recovery_begin_hurried", "recovery_stop_hurried"])
    def test_a_link_that_has_to_wait_keeps_its_button(self, shown, name):
        page = html(shown(name))
        assert "<button" in page
        assert "to get a new mail" not in page
        assert "nothing to stop" not in page

    def test_only_what_waits_or_was_wrong_opens_the_backup_codes(self, shown):
        assert "<details>" in html(shown("verify"))

    @pytest.mark.parametrize("name", ["verify_wrong_backup_code", "verify_wait"])
    def test_what_opens_them(self, shown, name):
        assert "<details open>" in html(shown(name))

    @pytest.mark.parametrize("name", ["verify_wrong", "verify_wrong_backup_code"])
    def test_an_error_describes_its_own_field_only(self, shown, name):
        page = Reader(html(shown(name)))
        described = [one["name"] for one in page.all("input") if "aria-describedby" in one]
        assert described == ["backup_code" if "backup" in name else "otp_code"]

    def test_a_wait_of_codes_offers_a_backup_code(self, shown):
        assert "A backup code works without waiting." in html(shown("verify_wait"))

    def test_a_wait_of_all_does_not(self, shown):
        page = html(shown("verify_hurried"))
        assert "<details>" in page
        assert "without waiting" not in page

    def test_a_half_login_is_told_nothing_of_the_account(self, shown, person):
        assert person.user.get_username() not in html(shown("verify"))

    def test_who_is_signed_in_is_told_by_name(self, shown, person):
        assert f"You are logged in as {person.user.get_username()}." in html(shown("step_up"))

    def test_a_link_that_keeps_next(self, shown):
        page = html(shown("setup_wrong_without_secret"))
        assert f'href="{reverse(SETUP)}?next=%2Fopen%2F"' in page

    def test_no_step_two_without_codes(self, shown, person, settings):
        page = html(shown("setup_without_codes"))
        assert "<h1>Two-factor authentication is on</h1>" in page
        assert "Step" not in page
        assert "Step" not in html(setup_again(person))

    def test_a_page_that_waits_for_the_password_shows_no_qr_code(self, shown):
        response = shown("password_hurried")
        assert response.status_code == 429
        assert "<svg" not in html(response)
        assert 'name="password"' in html(response)

    def test_the_password_manager_is_told_whose_password(self, shown, person):
        page = html(shown("password"))
        name = person.user.get_username()
        assert f'<input type="text" autocomplete="username" value="{name}" readonly hidden>' in page

    @pytest.mark.parametrize("name", ["login_hurried", "password_hurried"])
    def test_the_password_is_never_shown(self, shown, name):
        assert PASSWORD not in html(shown(name))

    def test_a_link_for_forgotten_passwords(self, shown):
        assert f'href="{reverse("password_reset")}"' in html(shown("login"))

    @pytest.mark.urls("tests.pages_urls")
    def test_no_link_to_where_nothing_is(self, shown):
        assert "Forgot" not in html(shown("login"))


def setup_again(person: Browser) -> Any:
    disable_totp(person.user)
    return person.client.get(reverse(SETUP))


class TestFiles:
    @pytest.mark.parametrize(("name", "most"), [("two-factor.css", 7000), ("two-factor.js", 2000)])
    def test_they_are_small(self, name, most):
        assert len((STATIC / name).read_bytes()) < most

    def test_there_are_no_more(self):
        assert {path.name for path in STATIC.iterdir()} == {"two-factor.css", "two-factor.js"}

    def test_the_style_asks_for_nothing_else(self):
        style = (STATIC / "two-factor.css").read_text()
        assert not re.search(r"url\(|@import|https?:", style)

    def test_the_style_has_no_left_and_right(self):
        style = (STATIC / "two-factor.css").read_text()
        assert not re.search(r"(^|[\s-])(left|right)\b", style, re.MULTILINE)

    def test_the_style_leaves_other_layouts_alone(self):
        """All is about classes of ours, but for the body of a page of ours."""
        style = re.sub(r"/\*.*?\*/", "", (STATIC / "two-factor.css").read_text(), flags=re.DOTALL)
        for selectors in re.findall(r"([^{}]+)\{", style):
            for selector in selectors.strip().split(",\n"):
                assert re.match(r"\s*(\.totp|body|:root|@media)", selector), selector

    def test_one_block_is_all_that_a_layout_needs(self):
        for path in (PACKAGE / "templates" / "django_totp").glob("[!_]*.html"):
            blocks = set(re.findall(r"{% block (\w+)", path.read_text()))
            allowed = {"title", "two_factor"} | (
                {"messages"} if path.name == "base.html" else set()
            )
            assert blocks <= allowed, path.name


def test_messages_are_not_needed(shown, settings, monkeypatch):
    """Nor is ``request`` in the context of the templates."""
    installed = apps.is_installed
    without = lambda name: "messages" not in name and installed(name)  # noqa: E731
    monkeypatch.setattr(apps, "is_installed", without)
    settings.MIDDLEWARE = [one for one in settings.MIDDLEWARE if "messages" not in one.lower()]
    [templates] = settings.TEMPLATES
    processors = [one for one in templates["OPTIONS"]["context_processors"] if "auth" in one]
    settings.TEMPLATES = [templates | {"OPTIONS": {"context_processors": processors}}]
    for name in ("login", "step_up", "state_told"):
        assert "<h1>" in html(shown(name))
