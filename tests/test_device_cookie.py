"""Trusted devices in a browser: the cookie, the logins that it completes, and the pages."""

import re
import time
from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import SESSION_KEY
from django.db import connection
from django.http import HttpResponse
from django.test import AsyncClient, Client
from django.test.utils import CaptureQueriesContext
from django.urls import path, reverse
from django.utils import timezone
from django.views.debug import ExceptionReporter

from django_totp import device_cookie, devices
from django_totp.assurance import SESSION_KEY as ASSURANCE
from django_totp.auth import end_sessions
from django_totp.device_cookie import COOKIE, MOST, SEPARATOR
from django_totp.encryption import encrypt
from django_totp.models import Totp, TrustedDevice
from django_totp.signals import totp_login_success
from tests import session_urls
from tests.browsing import FETCH, JSON, LOGIN, PASSWORD, VERIFY, Browser, assert_led

MONTH = 30 * 86400
STATE = "two-factor"
OWN, DJANGOS = "/own/login/", "/accounts/login/"


def boom(request):
    session_urls.foreign(request)
    return HttpResponse(status=500)


urlpatterns = [*session_urls.urlpatterns, path("foreign/boom/", boom)]


@pytest.fixture(autouse=True)
def _on(settings):
    settings.ROOT_URLCONF = "tests.test_device_cookie"
    settings.TOTP_TRUSTED_DEVICE_MAX_AGE = MONTH
    settings.TOTP_THROTTLE_RATE = settings.TOTP_ADDRESS_THROTTLE_RATE = None
    settings.LOGIN_REDIRECT_URL = "/private/"


def trust(browser, code):
    """Log in with a code and the box ticked, and go away."""
    browser.password()
    Totp.objects.filter(user_id=browser.user.pk).update(last_used_step=None)
    response = browser.client.post(reverse(VERIFY), {"otp_code": code(), "trust_device": "on"})
    assert browser.is_signed_in
    leave(browser)
    return response


def leave(browser):
    """Close the browser: its session is over, and other cookies stay."""
    browser.client.cookies.pop("sessionid", None)


@pytest.fixture
def trusted(enrolled, code):
    """Return a browser that is a trusted device of its user."""
    trust(enrolled, code)
    return enrolled


def kept(browser):
    return browser.client.cookies[COOKIE].value


def device():
    return TrustedDevice.objects.get()


def assert_in_by_device(browser, response):
    assert browser.is_signed_in
    assert COOKIE in response.cookies
    told = browser.session[ASSURANCE]
    assert told["device"] == str(device().pk)
    assert told["auth_time"] == int(device().created_at.timestamp())
    assert told["acr"] == "aal2"


@pytest.fixture
def person(make_user, secret):
    """Return a function that gives another person with the same app."""

    def person(name):
        user = make_user(name)
        Totp.objects.create(
            user=user,
            secret_key=encrypt(secret),
            confirmed_at=timezone.now() - timedelta(days=1),
        )
        return user

    return person


# --- The cookie ---


class TestCookie:
    def test_its_attributes(self, settings, enrolled, code):
        morsel = trust(enrolled, code).cookies[COOKIE]
        assert (morsel["httponly"], morsel["samesite"], morsel["path"]) == (True, "Lax", "/")
        assert (morsel["secure"], morsel["domain"]) == ("", "")
        assert MONTH - 5 <= morsel["max-age"] <= MONTH
        settings.SESSION_COOKIE_SECURE = True
        settings.SESSION_COOKIE_PATH, settings.SESSION_COOKIE_DOMAIN = "/open/", "testserver"
        response = device_cookie_of(enrolled, code)
        morsel = response.cookies[COOKIE]
        assert (morsel["secure"], morsel["path"], morsel["domain"]) == (
            True,
            "/open/",
            "testserver",
        )

    def test_its_age_is_what_is_left(self, trusted, time_machine):
        time_machine.move_to(time.time() + 10 * 86400)
        morsel = trusted.password().cookies[COOKIE]
        assert MONTH - 10 * 86400 - 60 <= morsel["max-age"] <= MONTH - 10 * 86400

    def test_its_value_changes_at_each_use(self, trusted):
        seen = set()
        for _ in range(4):
            seen.add(kept(trusted))
            assert_in_by_device(trusted, trusted.password())
            leave(trusted)
        assert len(seen) == 4

    def test_an_old_copy_ends_the_device(self, trusted):
        thief = Browser(trusted.user)
        thief.client.cookies[COOKIE] = kept(trusted)
        trusted.password()
        leave(trusted)
        assert_led(thief.password(), VERIFY)
        assert thief.is_half
        assert_led(trusted.password(), VERIFY)
        assert not TrustedDevice.objects.exists()

    def test_it_needs_the_password(self, trusted):
        wrong = {"username": trusted.user.get_username(), "password": "wrong"}
        response = trusted.client.post(reverse(LOGIN), wrong)
        assert response.status_code == 200
        assert COOKIE not in response.cookies
        trusted.client.get("/private/")
        assert not trusted.is_signed_in
        assert_in_by_device(trusted, trusted.password())

    def test_logout_leaves_it(self, trusted):
        trusted.password()
        response = trusted.client.post("/accounts/logout/")
        assert COOKIE not in response.cookies
        assert not trusted.is_signed_in
        assert_in_by_device(trusted, trusted.password())

    def test_pages_that_do_not_log_in_set_nothing_and_ask_nothing_more(self, trusted):
        trusted.password()
        bare = Client()
        bare.cookies["sessionid"] = trusted.client.cookies["sessionid"].value
        for url in ("/open/", "/blank/", "/private/", "/account/two-factor/", reverse(LOGIN)):
            with CaptureQueriesContext(connection) as with_it:
                response = trusted.client.get(url)
            with CaptureQueriesContext(connection) as without:
                other = bare.get(url)
            assert COOKIE not in response.cookies
            assert len(with_it) == len(without)
            assert response.get("Vary") == other.get("Vary")

    @pytest.mark.parametrize(
        "odd",
        ["", "~", "~~~~~~~~~", "x", "\x00", "ä", "x" * 100_000, "a.1.1.b.c", '"', "~" * 100_000],
    )
    def test_whatever_is_in_it_a_code_is_asked_for(self, enrolled, odd):
        enrolled.client.cookies[COOKIE] = odd
        response = enrolled.password()
        assert_led(response, VERIFY)
        assert COOKIE not in response.cookies
        assert enrolled.is_half


def device_cookie_of(browser, code):
    leave(browser)
    browser.client.cookies.pop(COOKIE, None)
    return trust(browser, code)


class TestSeveralPeople:
    def test_they_do_not_disturb_each_other(self, enrolled, code, person):
        client = enrolled.client
        people = [enrolled, *[Browser(person(f"p{at}"), client) for at in range(MOST - 1)]]
        for one in people:
            trust(one, code)
        assert kept(enrolled).count(SEPARATOR) == MOST - 1
        for one in people * 2:
            assert_led(one.password(), "/private/")
            assert one.is_signed_in
            leave(one)

    def test_a_sixth_takes_the_place_of_the_first(self, enrolled, code, person):
        client = enrolled.client
        people = [enrolled, *[Browser(person(f"p{at}"), client) for at in range(MOST)]]
        for one in people:
            trust(one, code)
        assert_led(people[0].password(), VERIFY)
        leave(people[0])
        assert_led(people[1].password(), "/private/")
        leave(people[1])
        assert_led(people[-1].password(), "/private/")

    def test_one_who_trusts_again_has_one_value(self, trusted, code):
        TrustedDevice.objects.all().delete()
        trust(trusted, code)
        assert SEPARATOR not in kept(trusted)
        assert_in_by_device(trusted, trusted.password())

    def test_a_value_whose_time_is_over_is_left_out(self, trusted, code, person, time_machine):
        other = Browser(person("other"), trusted.client)
        time_machine.move_to(time.time() + MONTH + 1)
        trust(other, code)
        assert SEPARATOR not in kept(other)

    def test_a_value_of_another_opens_nothing(self, trusted, person):
        other = Browser(person("other"), trusted.client)
        tag = devices.tag_of(other.user)
        other.client.cookies[COOKIE] = tag + kept(trusted)[len(tag) :]
        assert_led(other.password(), VERIFY)
        assert TrustedDevice.objects.count() == 1


# --- Where logins begin ---


class TestLogins:
    @pytest.mark.parametrize("at", [LOGIN, OWN, DJANGOS])
    def test_the_password_is_enough_at_each_page(self, logins, trusted, at):
        response = trusted.password(at=at, next_url="/open/")
        assert_led(response, "/open/")
        assert_in_by_device(trusted, response)
        assert logins == [trusted.user.get_username()] * 2

    def test_in_the_admin(self, logins, trusted):
        type(trusted.user)._base_manager.update(is_staff=True, is_superuser=True)
        url = reverse("admin:login") + "?next=/private/"
        response = trusted.password(at=url)
        assert_led(response, "/private/")
        assert_in_by_device(trusted, response)
        assert len(logins) == 2

    def test_at_a_login_of_another_package(self, trusted):
        form = {"password": PASSWORD}
        response = trusted.client.post(f"/foreign/?pk={trusted.user.pk}", form)
        assert_led(response, "/private/")
        assert_in_by_device(trusted, response)
        assert trusted.session[ASSURANCE]["amr"] == ["pwd", "otp", "mfa"]
        assert trusted.client.get("/private/").status_code == 200

    @pytest.mark.parametrize("form", [{}, {"password": "wrong"}])
    def test_not_where_no_password_was_given(self, trusted, form):
        """By a link from a mail, say: then it is a second factor of nothing."""
        before = kept(trusted)
        response = trusted.client.post(f"/foreign/?pk={trusted.user.pk}", form)
        assert_led(response, VERIFY)
        assert kept(trusted) == before
        assert TrustedDevice.objects.exists()

    def test_not_by_a_device_that_is_gone(self, trusted):
        TrustedDevice.objects.all().delete()
        form = {"password": PASSWORD}
        assert_led(trusted.client.post(f"/foreign/?pk={trusted.user.pk}", form), VERIFY)

    def test_not_where_nobody_can_read_the_form(self, trusted):
        """Django raises at each look into a body that is no form, and the view has not looked."""
        url = f"/foreign/?pk={trusted.user.pk}"
        body = {"data": b"password=" + PASSWORD.encode(), "content_type": "multipart/form-data"}
        assert_led(trusted.client.post(url, **body), VERIFY)

    def test_at_one_that_answers_with_json(self, trusted):
        form = {"password": PASSWORD}
        response = trusted.client.post(f"/foreign/api/?pk={trusted.user.pk}", form)
        assert response.json() == {"token": "secret"}
        assert_in_by_device(trusted, response)

    def test_at_one_that_fails_the_next_value_is_sent_all_the_same(self, trusted):
        """The device has been asked by then: without the answer it would be lost."""
        before = kept(trusted)
        response = trusted.client.get(f"/foreign/boom/?pk={trusted.user.pk}")
        assert response.status_code == 500
        assert (COOKIE in response.cookies) is (kept(trusted) != before)
        leave(trusted)
        assert_in_by_device(trusted, trusted.password())

    def test_in_an_async_project(self, trusted, settings):
        client = AsyncClient()
        client.cookies[COOKIE] = kept(trusted)
        url = f"/foreign/async/?pk={trusted.user.pk}"
        response = async_to_sync(client.post)(url, {"password": PASSWORD})
        assert response.content == b"in"
        assert COOKIE in response.cookies
        assert client.session[ASSURANCE]["device"] == str(device().pk)
        again = AsyncClient()
        again.cookies[COOKIE] = response.cookies[COOKIE].value
        form = {"username": trusted.user.get_username(), "password": PASSWORD}
        response = async_to_sync(again.post)(reverse(LOGIN), form)
        assert response.status_code == 302
        assert COOKIE in response.cookies

    @pytest.mark.parametrize("extra", [JSON, FETCH])
    def test_for_a_program(self, trusted, extra):
        response = trusted.password(at=DJANGOS, **extra)
        assert response.status_code == 302
        assert_in_by_device(trusted, response)

    def test_under_atomic_requests(self, trusted, settings):
        settings.DATABASES["default"]["ATOMIC_REQUESTS"] = True
        try:
            for at in (OWN, DJANGOS, LOGIN):
                assert_in_by_device(trusted, trusted.password(at=at))
                leave(trusted)
        finally:
            settings.DATABASES["default"]["ATOMIC_REQUESTS"] = False

    def test_an_upgrade_of_the_hasher(self, trusted, settings):
        hashers = "django.contrib.auth.hashers."
        names = ["PBKDF2PasswordHasher", "MD5PasswordHasher"]
        for at in (LOGIN, DJANGOS, reverse("admin:login")):
            names.reverse()
            settings.PASSWORD_HASHERS = [hashers + name for name in reversed(names)]
            type(trusted.user)._base_manager.update(is_staff=True)
            assert_in_by_device(trusted, trusted.password(at=at))
            leave(trusted)

    def test_the_session_gets_a_new_key(self, trusted):
        session = trusted.client.session
        session["cart"] = 1
        session.save()
        trusted.client.cookies["sessionid"] = before = session.session_key
        trusted.password()
        assert trusted.session["cart"] == 1
        assert trusted.session.session_key != before

    def test_the_signal_and_the_log(self, trusted, caplog):
        caplog.set_level("INFO", "django_totp")
        told = []
        receive = lambda method, **facts: told.append(method)  # noqa: E731
        totp_login_success.connect(receive)
        for at in (LOGIN, DJANGOS):
            trusted.password(at=at)
            leave(trusted)
        assert told == ["trusted_device"] * 2
        logged = [each.method for each in caplog.records if each.event == "login"]
        assert logged == ["trusted_device"] * 2

    def test_a_session_from_before_is_asked(self, trusted):
        """The cookie helps who logs in, not who has been there."""
        client = trusted.client
        trusted.password()
        Totp.objects.update(confirmed_at=timezone.now() + timedelta(seconds=2))
        assert_led(client.get("/private/"), VERIFY)
        assert not trusted.is_signed_in

    def test_a_reset_of_the_password_that_signs_in_is_asked(self, trusted):
        from django.contrib.auth.tokens import default_token_generator
        from django.utils.encoding import force_bytes
        from django.utils.http import urlsafe_base64_encode

        uid = urlsafe_base64_encode(force_bytes(trusted.user.pk))
        trusted.user.refresh_from_db()
        token = default_token_generator.make_token(trusted.user)
        url = trusted.client.get(reverse("new-password", args=[uid, token]))["Location"]
        new = {"new_password1": "a new long password", "new_password2": "a new long password"}
        assert_led(trusted.client.post(url, new), VERIFY)

    def test_a_backend_that_is_exempt_uses_no_device(self, trusted, settings):
        settings.TOTP_EXEMPT_BACKENDS = settings.AUTHENTICATION_BACKENDS
        before = kept(trusted)
        response = trusted.password()
        assert COOKIE not in response.cookies
        assert trusted.is_signed_in
        assert devices.use(devices.account_by("pk", trusted.user.pk), before)

    def test_where_it_is_off(self, trusted, settings):
        settings.TOTP_TRUSTED_DEVICE_MAX_AGE = 0
        response = trusted.password()
        assert_led(response, VERIFY)
        assert COOKIE not in response.cookies

    def test_a_fault_asks_for_a_code(self, trusted, monkeypatch):
        before = kept(trusted)
        with monkeypatch.context() as patch:
            patch.setattr(devices, "_used", lambda *args: 1 / 0)
            assert_led(trusted.password(), VERIFY)
        leave(trusted)
        assert kept(trusted) == before
        assert_in_by_device(trusted, trusted.password())

    def test_end_sessions(self, trusted):
        end_sessions(trusted.user)
        assert_led(trusted.password(), VERIFY)

    def test_statements_of_the_login_page(self, trusted):
        """As many as a password alone, and one."""
        with CaptureQueriesContext(connection) as by_device:
            trusted.password()
        leave(trusted)
        Totp.objects.all().delete()
        TrustedDevice.objects.all().delete()
        with CaptureQueriesContext(connection) as by_password:
            trusted.password()
        assert trusted.is_signed_in
        assert len(by_device) <= len(by_password) + 1 + 2  # savepoint of the test's transaction


# --- What it is worth ---


class TestWorth:
    @pytest.fixture
    def inside(self, trusted):
        trusted.password()
        return trusted

    def test_guards(self, inside):
        assert inside.client.get("/guarded/").content == b"guarded"
        for url in ("/strict/", "/guarded/view/", "/strict/async/"):
            assert_led(inside.client.get(url), VERIFY, url)
        response = inside.client.get("/strict/", **JSON)
        assert (response.status_code, response.json()["max_age"]) == (403, 60)

    def test_a_step_up_takes_a_code_and_no_device(self, inside, code):
        before = kept(inside)
        page = inside.client.get(reverse(VERIFY)).content.decode()
        assert "trust_device" not in page
        Totp.objects.update(last_used_step=None)
        response = inside.client.post(
            reverse(VERIFY) + "?next=/strict/", {"otp_code": code(), "trust_device": "on"}
        )
        assert_led(response, "/strict/")
        assert COOKIE not in response.cookies
        assert kept(inside) == before
        assert TrustedDevice.objects.count() == 1
        assert "device" not in inside.session[ASSURANCE]
        assert inside.client.get("/strict/").content == b"strict"

    @pytest.mark.parametrize("name", ["two-factor-disable", "two-factor-backup-codes"])
    def test_changes_of_the_factor_want_a_code(self, inside, name):
        url = reverse(name)
        assert_led(inside.client.get(url), VERIFY, url)
        assert_led(inside.client.post(url), VERIFY)
        assert Totp.objects.get().is_enabled


# --- The pages ---


BOX = re.compile(r'<input[^>]*name="trust_device"[^>]*>')


class TestSecondStep:
    def test_the_box_is_there_and_not_ticked(self, enrolled):
        page = enrolled.follow(enrolled.password()).content.decode()
        [box] = BOX.findall(page)
        assert "checked" not in box
        assert "Don’t ask for a code on this device for 30 days" in page

    def test_only_beside_the_code_of_the_app(self, enrolled):
        page = enrolled.follow(enrolled.password()).content.decode()
        forms = re.findall(r"<form.*?</form>", page, re.DOTALL)
        assert ["trust_device" in form for form in forms] == ["otp_code" in form for form in forms]

    def test_a_wrong_code_keeps_it_ticked(self, enrolled):
        enrolled.password()
        wrong = {"otp_code": "000000", "trust_device": "on"}
        page = enrolled.client.post(reverse(VERIFY), wrong).content.decode()
        assert "checked" in BOX.findall(page)[0]

    def test_not_where_it_is_off(self, settings, enrolled, code):
        settings.TOTP_TRUSTED_DEVICE_MAX_AGE = 0
        page = enrolled.follow(enrolled.password()).content.decode()
        assert not BOX.search(page)
        response = enrolled.client.post(reverse(VERIFY), {"otp_code": code(), "trust_device": "on"})
        assert enrolled.is_signed_in
        assert COOKIE not in response.cookies

    @pytest.mark.parametrize(
        ("seconds", "words"),
        [
            (86400, "1 day"),
            (7200, "2 hours"),
            (3600, "1 hour"),
            (5400, "90 minutes"),
            (1, "1 minute"),
        ],
    )
    def test_the_time_is_told_in_words(self, settings, enrolled, seconds, words):
        settings.TOTP_TRUSTED_DEVICE_MAX_AGE = seconds
        page = enrolled.follow(enrolled.password()).content.decode()
        assert f"on this device for {words}<" in page

    def test_without_a_tick_there_is_none(self, enrolled, code):
        enrolled.password()
        assert COOKIE not in enrolled.code(code()).cookies
        assert not TrustedDevice.objects.exists()

    def test_never_by_a_backup_code(self, enrolled, backup_codes):
        enrolled.password()
        response = enrolled.client.post(
            reverse(VERIFY), {"backup_code": backup_codes[0], "trust_device": "on"}
        )
        assert enrolled.is_signed_in
        assert COOKIE not in response.cookies
        assert not TrustedDevice.objects.exists()

    def test_a_fault_breaks_no_login(self, enrolled, code, monkeypatch):
        monkeypatch.setattr(devices, "_insert", lambda *args: 1 / 0)
        enrolled.password()
        response = enrolled.client.post(reverse(VERIFY), {"otp_code": code(), "trust_device": "on"})
        assert enrolled.is_signed_in
        assert COOKIE not in response.cookies


class TestState:
    @pytest.fixture
    def page(self, trusted):
        """Return a function that gives the page with the list."""
        trusted.password()
        return lambda: trusted.client.get(reverse(STATE)).content.decode()

    def test_it_lists_them(self, page):
        TrustedDevice.objects.update(name='<script>"laptop"</script>')
        text = page()
        assert "&lt;script&gt;&quot;laptop&quot;&lt;/script&gt;" in text
        assert "<script>&quot;" not in text.replace("&lt;", "")
        assert 'name="all_devices"' not in text

    def test_without_a_name(self, page):
        assert "Device without a name" in page()

    def test_none(self, page):
        TrustedDevice.objects.all().delete()
        assert "Trusted devices" not in page()

    def test_one_is_removed(self, page, trusted):
        url = reverse(STATE)
        response = trusted.client.post(url, {"device": str(device().pk)}, follow=True)
        assert response.redirect_chain == [(url, 302)]
        assert "The device is trusted no more." in response.content.decode()
        leave(trusted)
        assert_led(trusted.password(), VERIFY)

    def test_all_are_removed(self, page, trusted, code):
        user = devices.account_by("pk", trusted.user.pk)
        for _ in range(2):
            devices.trust(user, devices.new_login(user, "pwd", "otp"))
        assert 'name="all_devices"' in page()
        trusted.client.post(reverse(STATE), {"all_devices": ""})
        assert not TrustedDevice.objects.exists()

    def test_only_ones_own(self, page, trusted, person):
        user = devices.account_by("pk", person("other").pk)
        devices.trust(user, devices.new_login(user, "pwd", "otp"), "hers")
        assert "hers" not in page()
        hers = TrustedDevice.objects.get(name="hers")
        for key in (str(hers.pk), "x", "", "9" * 40):
            assert_led(trusted.client.post(reverse(STATE), {"device": key}), STATE)
        trusted.client.post(reverse(STATE), {"all_devices": "1"})
        assert TrustedDevice.objects.get() == hers

    def test_it_wants_a_csrf_token(self, page, trusted):
        client = Client(enforce_csrf_checks=True)
        client.cookies["sessionid"] = trusted.client.cookies["sessionid"].value
        assert client.post(reverse(STATE), {"all_devices": ""}).status_code == 403
        assert TrustedDevice.objects.exists()

    def test_nobody_removes_anything(self, trusted):
        leave(trusted)
        response = trusted.client.post(reverse(STATE), {"all_devices": ""})
        assert response.status_code == 302
        assert TrustedDevice.objects.exists()

    def test_a_half_login_removes_nothing(self, page, trusted):
        leave(trusted)
        trusted.client.cookies.pop(COOKIE)
        trusted.password()
        assert trusted.is_half
        trusted.client.post(reverse(STATE), {"all_devices": ""})
        assert TrustedDevice.objects.exists()


def test_a_browser_that_is_trusted_is_still_nobody(trusted):
    begin = time.time()
    response = trusted.client.get("/open/")
    assert response.content.startswith(b"False")
    assert SESSION_KEY not in trusted.session
    assert device_cookie.COOKIE in trusted.client.cookies
    assert device().last_used_at.timestamp() <= begin


# --- The function that keeps values, by itself ---


def value_of(number, at):
    """Return what a device of the person with that number keeps, since a code at that moment."""
    return devices.Kept(f"person-{number}", at, number, "s" * 22, "t" * 32).text


def coming_with(rf, *values):
    """Return a request with these values, as the middleware leaves it."""
    request = rf.get("/")
    request.COOKIES[COOKIE] = SEPARATOR.join(values)
    device_cookie.hide(request)  # where the middleware takes the cookie away
    return request


@pytest.fixture
def held(rf, time_machine):
    """Return a function that keeps a value beside others, and gives the numbers of all people."""
    time_machine.move_to(1_900_000_000, tick=False)

    def held(value, *others):
        request = coming_with(rf, *others)
        device_cookie._keep(request, value)
        response = HttpResponse()
        device_cookie.send(request, response)
        texts = response.cookies[COOKIE].value.split(SEPARATOR)
        return [devices.parsed(text).key for text in texts]

    return held


def test_what_is_no_value_is_not_kept(rf):
    request = coming_with(rf)
    device_cookie._keep(request, "no value")
    assert not hasattr(request, device_cookie.TO_SEND)


def test_five_people_are_the_most(held):
    now = int(time.time())
    four, five = ([value_of(number, now) for number in range(2, most)] for most in (6, 7))
    assert held(value_of(1, now), *four) == [1, 2, 3, 4, 5]
    assert held(value_of(1, now), *five) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("left", "people"), [(1, [1, 2]), (0, [1]), (-1, [1])])
def test_a_value_whose_time_is_over_is_dropped(held, left, people):
    now = int(time.time())
    assert held(value_of(1, now), value_of(2, now - MONTH + left)) == people


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("recognize", "django_totp.devices.use"),
        ("recognize", "django_totp.device_cookie._keep"),
        ("trust", "django_totp.device_cookie._keep"),
        ("send", "django_totp.devices.left_of"),
        ("_keep", "django_totp.devices.left_of"),
        ("_kept_in", "django_totp.devices.parsed"),
    ],
)
def test_a_report_shows_no_value(rf, monkeypatch, enrolled, name, place):
    now = int(time.time())
    value = devices.Kept(devices.tag_of(enrolled.user), now, 1, "s" * 22, "t" * 32)
    request = coming_with(rf, value.text, value_of(2, now))
    setattr(request, device_cookie.TO_SEND, [value] if name == "send" else None)
    after = {"trust": [enrolled.user, None], "recognize": [enrolled.user]}
    after |= {"send": [HttpResponse()], "_keep": [value.text]}
    trusted = devices.Trusted(value.text, "1", now)
    monkeypatch.setattr(devices, "use", lambda *args, **kwargs: trusted)
    monkeypatch.setattr(devices, "trust", lambda *args, **kwargs: value.text)

    def crash(*args, **kwargs):
        raise RuntimeError

    monkeypatch.setattr(place, crash)
    with pytest.raises(RuntimeError) as raised:
        getattr(device_cookie, name)(request, *after.get(name, []))
    report = ExceptionReporter(rf.get("/"), raised.type, raised.value, raised.tb)
    frames = report.get_traceback_frames()
    ours = [one["vars"] for one in frames if one["filename"].endswith("totp/device_cookie.py")]
    assert ours
    shown = str([[pair for pair in told if pair[0] != "request"] for told in ours])
    assert "t" * 32 not in shown
    assert "s" * 22 not in shown
