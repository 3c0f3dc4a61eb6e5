"""The pages: a login in two steps, the own second factor, and the guards that lead to them."""

import re
import time
from urllib.parse import unquote

import pyotp
import pytest
from django.contrib.messages import get_messages
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.test import Client
from django.urls import resolve, reverse
from django.utils import timezone
from django.utils.html import escape

from django_totp import navigation
from django_totp.assurance import SESSION_KEY as ASSURANCE
from django_totp.attempts import read_secret
from django_totp.auth import end_sessions, is_totp_enabled, reset_totp
from django_totp.backup_code_utils import store_backup_codes
from django_totp.decorators import second_factor_required
from django_totp.encryption import decrypt, encrypt
from django_totp.mixins import SecondFactorRequiredMixin
from django_totp.models import BackupCode, Totp
from django_totp.sessions import HALF
from django_totp.totp import disable_totp, generate_totp_secret
from django_totp.views.pages import setup
from tests.browsing import (
    FETCH,
    JSON,
    LOGIN,
    PASSWORD,
    SETUP,
    VERIFY,
    Browser,
    assert_led,
)
from tests.endpoints import wrong_code
from tests.receivers import connected

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.session_urls")]

STATE, CODES, DISABLE = "two-factor", "two-factor-backup-codes", "two-factor-disable"
PAGES = [LOGIN, VERIFY, SETUP, STATE, CODES, DISABLE]
MODEL = "django.contrib.auth.backends.ModelBackend"


@pytest.fixture
def half(enrolled):
    enrolled.password()
    return enrolled


@pytest.fixture
def inside(half, code):
    """Return a browser of who has logged in with both factors, with codes that are unused."""
    half.code(code())
    assert half.is_signed_in
    Totp.objects.update(last_used_step=None)
    return half


@pytest.fixture
def owing(browser, settings):
    """Return a browser of who has given the password and owes an enrollment."""
    settings.TOTP_REQUIRED_FOR = ["everyone"]
    browser.password()
    return browser


@pytest.fixture
def told():
    """Return a list of the signals that are sent, with their method."""
    found = []
    with connected(lambda name, arguments: found.append((name, arguments.get("method")))):
        yield found


def text(response):
    """Return what a page says, without its tags."""
    return " ".join(re.sub(r"<[^>]+>", " ", response.content.decode()).split())


def secret_on(response):
    """Return the secret that a page of setup sends along."""
    [secret] = re.findall(r'name="secret" value="([A-Z2-7]+)"', response.content.decode())
    return secret


def codes_on(response):
    return re.findall(r'<code dir="ltr">([a-z0-9-]{19})</code>', response.content.decode())


class TestLogin:
    def test_the_page(self, client):
        response = client.get(reverse(LOGIN) + "?next=/private/")
        page = response.content.decode()
        assert 'name="username"' in page
        assert 'name="password"' in page
        assert '<input type="hidden" name="next" value="/private/">' in page

    def test_a_wrong_password(self, enrolled, caplog):
        form = {"username": enrolled.user.get_username(), "password": "wrong"}
        response = enrolled.client.post(reverse(LOGIN), form)
        assert response.status_code == 200
        assert "Please enter a correct" in text(response)
        assert not enrolled.session.keys()
        assert any(getattr(one, "event", "") == "login_failed" for one in caplog.records)

    def test_it_is_told(self, browser, told):
        browser.password()
        assert told == [("non_totp_login_success", None)]

    def test_a_password_of_spaces_is_taken_as_it_is(self, browser):
        form = {"username": browser.user.get_username(), "password": f" {PASSWORD} "}
        assert browser.client.post(reverse(LOGIN), form).status_code == 200
        assert not browser.session.keys()

    def test_where_it_leads_without_next(self, browser, settings):
        settings.LOGIN_REDIRECT_URL = "/open/"
        assert_led(browser.password(), "/open/")

    def test_in_grace_the_day_is_told(self, browser, settings):
        settings.TOTP_REQUIRED_FOR, settings.TOTP_GRACE_PERIOD = ["everyone"], 86400
        response = browser.password(next_url="/open/")
        assert_led(response, "/open/")
        [message] = get_messages(response.wsgi_request)
        assert "two-factor authentication" in str(message)

    def test_in_grace_without_a_time_zone(self, browser, settings):
        settings.USE_TZ, settings.TIME_ZONE = False, None
        settings.TOTP_REQUIRED_FOR, settings.TOTP_GRACE_PERIOD = ["everyone"], 86400
        assert_led(browser.password(next_url="/open/"), "/open/")

    def test_in_grace_without_messages(self, browser, settings, monkeypatch):
        settings.TOTP_REQUIRED_FOR, settings.TOTP_GRACE_PERIOD = ["everyone"], 86400
        monkeypatch.setattr(navigation.apps, "is_installed", lambda name: False)
        assert_led(browser.password(next_url="/open/"), "/open/")


class TestVerify:
    def test_the_page(self, half):
        page = half.client.get(reverse(VERIFY) + "?next=/private/").content.decode()
        assert 'autocomplete="one-time-code"' in page
        assert 'name="backup_code"' in page
        assert 'name="another"' in page

    @pytest.mark.parametrize("kind", ["otp_code", "backup_code"])
    def test_a_right_code(self, half, code, backup_codes, kind, told):
        right = code() if kind == "otp_code" else backup_codes[0].upper()
        assert_led(half.code(right, "/private/", kind), "/private/")
        assert half.is_signed_in
        assert told == [("totp_login_success", {"otp_code": "totp"}.get(kind, kind))]

    def test_a_used_code_is_refused(self, half, code):
        used = code()
        half.code(used)
        other = Browser(half.user)
        other.password()
        assert other.code(used).status_code == 200
        assert other.is_half

    @pytest.mark.parametrize(
        ("data", "sentence"),
        [
            ({}, "Type the code that your authenticator app shows."),
            ({"otp_code": "", "backup_code": ""}, "Type the code that your authenticator app"),
            ({"otp_code": "000000"}, "This code is not right, or it has been used."),
            ({"otp_code": "abc"}, "This code is not right, or it has been used."),
            ({"backup_code": "abc"}, "This backup code is not right, or it has been used."),
            ({"otp_code": "1", "backup_code": "2"}, "Type only one of the two codes."),
            ({"otp_code": "\0"}, "Null characters are not allowed."),
            ({"otp_code": "1" * 256}, "at most 255 characters"),
        ],
    )
    def test_what_is_wrong_is_told_beside_the_field(self, half, data, sentence):
        response = half.client.post(reverse(VERIFY) + "?next=/private/", data)
        assert response.status_code == 200
        assert sentence in text(response)
        assert 'aria-invalid="true"' in response.content.decode()
        assert half.is_half
        assert 'value="/private/"' in response.content.decode()

    def test_a_wait_is_told_and_a_backup_code_ends_it(self, half, backup_codes, settings):
        settings.TOTP_THROTTLE_RATE = None
        for _ in range(6):
            half.code("000000")
        response = half.code("000000")
        assert response.status_code == 429
        assert 0 < int(response["Retry-After"]) <= 30
        assert "Too many wrong codes. Try again in" in text(response)
        assert_led(half.code(backup_codes[0], "/private/", "backup_code"), "/private/")

    def test_another_account(self, half):
        response = half.client.post(reverse(VERIFY) + "?next=/private/", {"another": "1"})
        assert_led(response, LOGIN, "/private/")
        assert HALF not in half.session

    def test_another_account_goes_back_to_the_page_it_came_from(self, enrolled):
        enrolled.password("/own/login/")
        response = enrolled.client.post(reverse(VERIFY), {"another": "1"})
        assert_led(response, "/own/login/", "")

    def test_another_account_is_not_what_is_signed_in(self, inside):
        assert inside.client.post(reverse(VERIFY), {"another": "1"}).status_code == 200
        assert inside.is_signed_in

    def test_nobody_is_led_to_the_login(self, client):
        assert_led(client.get(reverse(VERIFY) + "?next=/open/"), "/accounts/login/", "/open/")
        assert_led(client.post(reverse(VERIFY), {"otp_code": "123456"}), "/accounts/login/", "")

    def test_one_that_took_too_long_is_told(self, half, code, clock):
        clock.shift(121)
        response = half.code(code(), "/private/")
        assert response.status_code == 400
        assert "Log in again" in text(response)
        assert f'href="{reverse(LOGIN)}?next=%2Fprivate%2F"' in response.content.decode()
        assert not half.is_signed_in

    @pytest.mark.parametrize("change", ["password", "reset", "ended", "disabled", "inactive"])
    def test_one_whose_account_has_changed_is_told(self, half, code, change):
        right = code()
        self.change(half.user, change)
        response = half.code(right)
        assert response.status_code == 400
        assert "Log in again" in text(response)
        assert not half.is_signed_in

    def change(self, user, change):
        if change == "password":
            user.set_password("new")
        elif change == "inactive":
            user.is_active = False
        user.save()
        changes = {"reset": reset_totp, "ended": end_sessions, "disabled": disable_totp}
        changes.get(change, lambda user: None)(user)

    def test_one_challenge_is_one_login(self, half, code, backup_codes):
        held = dict(half.session)
        half.code(code())
        session = half.session
        session.flush()
        replay = Browser(half.user)
        session = replay.session
        session.update(held)
        session.save()
        replay.client.cookies["sessionid"] = session.session_key
        assert replay.code(backup_codes[0], kind="backup_code").status_code == 400
        assert not replay.is_signed_in

    def test_the_code_of_another_never_completes(self, half, make_user, otp):
        secret = generate_totp_secret()
        other = make_user("bob")
        Totp.objects.create(user=other, secret_key=encrypt(secret), confirmed_at=timezone.now())
        [spare] = store_backup_codes(other, ["abcd-efgh"])
        for kind, foreign in (("otp_code", otp(secret)), ("backup_code", spare)):
            assert half.code(foreign, kind=kind).status_code == 200
        assert half.is_half
        assert BackupCode.objects.filter(totp__user=other, is_used=False).exists()

    def test_who_lacks_a_factor_is_led_to_setup(self, browser, owing):
        assert_led(browser.client.get(reverse(VERIFY) + "?next=/open/"), SETUP, "/open/")

    def test_who_is_in_without_one_as_well(self, browser):
        browser.password()
        assert_led(browser.client.get(reverse(VERIFY) + "?next=/open/"), SETUP, "/open/")


class TestStepUp:
    def test_a_code_makes_it_recent(self, inside, code, clock):
        clock.shift(90)
        assert_led(inside.client.get("/strict/"), VERIFY, "/strict/")
        before = inside.session
        sid = before[ASSURANCE]["sid"]
        assert_led(inside.code(code(), "/strict/"), "/strict/")
        assert inside.client.get("/strict/").content == b"strict"
        assert inside.session.session_key != before.session_key
        assert not before.exists(before.session_key)
        assert inside.session[ASSURANCE]["sid"] == sid
        assert inside.session[ASSURANCE]["auth_time"] == int(time.time())

    def test_a_wrong_one_does_not(self, inside, clock):
        clock.shift(90)
        assert inside.code("000000", "/strict/").status_code == 200
        assert_led(inside.client.get("/strict/"), VERIFY)

    def test_without_next_it_leads_to_the_state(self, inside, code):
        assert_led(inside.code(code()), STATE)

    def test_who_is_deleted_meanwhile(self, inside, code, monkeypatch):
        from django_totp.views.pages import steps

        monkeypatch.setattr(steps, "account_by", lambda *args: None)
        assert inside.code(code()).status_code == 400

    def test_who_lost_the_factor_meanwhile(self, inside, code, monkeypatch):
        from django_totp.views.pages import steps

        find = steps.account_by

        def late(name, key):
            disable_totp(inside.user)
            return find(name, key)

        monkeypatch.setattr(steps, "account_by", late)
        assert inside.code(code()).status_code == 400


class TestSetup:
    def test_from_the_secret_to_the_codes(self, browser, otp, told):
        browser.password()
        key = browser.session.session_key
        response = browser.client.get(reverse(SETUP) + "?next=/private/")
        page, secret = response.content.decode(), secret_on(response)
        assert "<svg" in page
        assert " ".join(re.findall("....", secret)) in page
        assert 'href="otpauth://totp/' in page
        form = {"otp_code": otp(secret), "secret": secret, "next": "/private/"}
        response = browser.client.post(reverse(SETUP), form)
        assert response.status_code == 200
        assert len(codes_on(response)) == 10
        assert 'href="/private/"' in response.content.decode()
        assert browser.session.session_key != key
        assert browser.client.get("/guarded/").content == b"guarded"
        assert ("totp_created", None) in told

    @pytest.mark.parametrize("kind", ["own", "foreign"])
    def test_one_whose_logins_are_ended_meanwhile(self, browser, otp, clock, monkeypatch, kind):
        if kind == "own":
            browser.password()
        else:
            browser.client.get(f"/foreign/?pk={browser.user.pk}")
        confirm = setup.confirm_totp_setup

        def slowly(*args, **kwargs):
            clock.shift(1)
            end_sessions(browser.user)
            clock.shift(2)
            return confirm(*args, **kwargs)

        secret = secret_on(browser.client.get(reverse(SETUP)))
        monkeypatch.setattr(setup, "confirm_totp_setup", slowly)
        browser.client.post(reverse(SETUP), {"otp_code": otp(secret), "secret": secret})
        clock.shift(5)
        assert browser.client.get("/open/").content == b"False AnonymousUser"

    def test_the_file_of_the_codes(self, browser, otp):
        browser.password()
        secret = secret_on(browser.client.get(reverse(SETUP)))
        form = {"otp_code": otp(secret), "secret": secret}
        response = browser.client.post(reverse(SETUP), form)
        [url] = re.findall(r'href="(data:text/plain[^"]+)"', response.content.decode())
        kind, _, content = unquote(url).partition(",")
        assert kind == "data:text/plain;charset=utf-8"
        lines = content.split("\r\n")
        assert lines[0] == "Backup codes for testserver, 2031-05-04"
        assert lines[2:-1] == codes_on(response)

    def test_one_that_is_owed(self, owing, otp, told):
        assert_led(owing.client.get("/private/"), SETUP, "/private/")
        secret = secret_on(owing.client.get(reverse(SETUP) + "?next=/private/"))
        form = {"otp_code": otp(secret), "secret": secret, "next": "/private/"}
        response = owing.client.post(reverse(SETUP), form)
        assert len(codes_on(response)) == 10
        assert owing.is_signed_in
        assert owing.client.get("/guarded/").content == b"guarded"
        assert told == [("totp_created", None), ("totp_login_success", "totp")]

    def test_its_page_offers_another_account(self, owing):
        assert 'name="another"' in owing.client.get(reverse(SETUP)).content.decode()
        assert_led(owing.client.post(reverse(SETUP), {"another": "1"}), LOGIN)
        assert HALF not in owing.session

    def test_it_lives_as_long_as_an_enrollment(self, owing, clock):
        clock.shift(3500)
        assert owing.client.get(reverse(SETUP)).status_code == 200
        clock.shift(200)
        response = owing.client.get(reverse(SETUP))
        assert response.status_code == 400
        assert "Log in again" in text(response)

    @pytest.mark.parametrize("state", ["owing", "inside"])
    def test_a_typing_error_shows_the_same_secret(self, request, browser, owing, state, settings):
        if state == "inside":
            settings.TOTP_REQUIRED_FOR = []
            browser.password()
        secret = secret_on(browser.client.get(reverse(SETUP)))
        response = browser.client.post(reverse(SETUP), {"otp_code": "000000", "secret": secret})
        assert response.status_code == 200
        assert "This code is not right" in text(response)
        assert secret_on(response) == secret
        assert read_secret(Totp.objects.get()) == secret

    def test_a_typing_error_without_the_secret(self, browser):
        browser.password()
        browser.client.get(reverse(SETUP))
        response = browser.client.post(reverse(SETUP), {"otp_code": "000000"})
        assert "This code is not right" in text(response)
        assert "<svg" not in response.content.decode()
        assert reverse(SETUP) in response.content.decode()

    def test_no_code(self, browser):
        browser.password()
        secret = secret_on(browser.client.get(reverse(SETUP)))
        response = browser.client.post(reverse(SETUP), {"secret": secret})
        assert "This field is required." in text(response)
        assert secret_on(response) == secret

    def test_a_code_alone_confirms(self, browser, otp):
        browser.password()
        secret = secret_on(browser.client.get(reverse(SETUP)))
        response = browser.client.post(reverse(SETUP), {"otp_code": otp(secret)})
        assert len(codes_on(response)) == 10

    def test_a_stale_tab_is_told(self, browser, otp):
        browser.password()
        old, new = (secret_on(browser.client.get(reverse(SETUP))) for _ in range(2))
        assert old != new
        response = browser.client.post(reverse(SETUP), {"otp_code": otp(old), "secret": old})
        assert "The QR code that you saw is not valid any more." in text(response)
        assert secret_on(response) not in (old, new)
        assert Totp.objects.get().failures == 0

    @pytest.mark.parametrize("posted", ["JBSWY3DPEHPK3PXP", "<script>", "é", "x" * 256])
    def test_a_secret_of_somebody_else_is_not_shown(self, browser, posted):
        browser.password()
        browser.client.get(reverse(SETUP))
        response = browser.client.post(reverse(SETUP), {"otp_code": "000000", "secret": posted})
        assert posted not in response.content.decode()

    def test_one_that_is_too_old(self, browser, otp, clock, settings):
        browser.password()
        secret = secret_on(browser.client.get(reverse(SETUP)))
        clock.shift(3601)
        response = browser.client.post(reverse(SETUP), {"otp_code": otp(secret)})
        assert "The QR code that you saw is not valid any more." in text(response)
        assert secret_on(response) != secret

    def test_a_look_at_the_headers_begins_nothing(self, browser):
        browser.password()
        assert browser.client.head(reverse(SETUP)).status_code == 200
        assert not Totp.objects.exists()

    def test_who_has_one_sets_up_another(self, inside, code):
        page = inside.client.get(reverse(SETUP))
        assert "Set up a new authenticator app" in text(page)
        new = page.context["setup"].secret
        form = {"otp_code": wrong_code(new), "secret": new}
        assert page.context["setup"].groups in text(inside.client.post(reverse(SETUP), form))
        form["otp_code"] = pyotp.TOTP(new).now()
        done = text(inside.client.post(reverse(SETUP), form))
        assert "Your new authenticator app is set up." in done
        assert len(re.findall(r"\b\w{4}-\w{4}-\w{4}-\w{4}\b", done)) == 10
        assert inside.client.get("/strict/").status_code == 200
        assert decrypt(Totp.objects.get().secret_key) == new

    def test_who_has_one_confirms_it_before_another_is_set_up(self, inside, clock):
        clock.shift(600)
        assert_led(inside.client.get(reverse(SETUP)), VERIFY, reverse(SETUP))
        assert_led(inside.client.post(reverse(SETUP), {"otp_code": "1", "secret": "A"}), VERIFY)
        assert Totp.objects.get().replacement == ""

    def test_to_install_an_app_may_take_longer_than_a_code_is_recent(self, inside, clock):
        new = inside.client.get(reverse(SETUP)).context["setup"].secret
        clock.shift(1200)
        form = {"otp_code": pyotp.TOTP(new).now(), "secret": new}
        assert "Your new authenticator app is set up." in text(
            inside.client.post(reverse(SETUP), form)
        )

    def test_other_browsers_are_asked_for_a_code_of_the_new_one(self, inside, enrolled, code):
        other = Browser(enrolled.user)
        other.password()
        other.code(code(offset=1))
        new = inside.client.get(reverse(SETUP)).context["setup"].secret
        form = {"otp_code": pyotp.TOTP(new).now(), "secret": new}
        inside.client.post(reverse(SETUP), form)
        assert_led(other.client.get("/private/"), VERIFY, "/private/")
        assert inside.client.get("/private/").status_code == 200

    def test_who_owes_a_code_is_led_there(self, half):
        assert_led(half.client.get(reverse(SETUP) + "?next=/open/"), VERIFY, "/open/")

    def test_nobody_is_led_to_the_login(self, client):
        assert_led(client.get(reverse(SETUP)), "/accounts/login/", "")

    @pytest.mark.parametrize("method", ["get", "post"])
    def test_one_that_is_not_owed_any_more(self, owing, settings, method):
        settings.TOTP_REQUIRED_FOR = []
        response = getattr(owing.client, method)(reverse(SETUP), {"otp_code": "123456"})
        assert response.status_code == 400
        assert not owing.is_signed_in

    def test_one_whose_password_has_changed(self, owing, otp):
        secret = secret_on(owing.client.get(reverse(SETUP)))
        owing.user.set_password("new")
        owing.user.save()
        response = owing.client.post(reverse(SETUP), {"otp_code": otp(secret), "secret": secret})
        assert response.status_code == 400
        assert not is_totp_enabled(owing.user)

    def test_no_codes_where_none_are_made(self, browser, otp, settings):
        settings.TOTP_MAX_BACKUP_CODES = 0
        browser.password()
        secret = secret_on(browser.client.get(reverse(SETUP)))
        response = browser.client.post(reverse(SETUP), {"otp_code": otp(secret)})
        assert response.status_code == 200
        assert is_totp_enabled(browser.user)


class TestPasswordAgain:
    @pytest.fixture(autouse=True)
    def _strict(self, settings, browser, clock):
        settings.TOTP_REAUTHENTICATE = True
        browser.password()
        clock.shift(301)

    def test_setup_asks_for_it(self, browser):
        response = browser.client.get(reverse(SETUP) + "?next=/open/")
        assert 'name="password"' in response.content.decode()
        assert not Totp.objects.exists()
        url = reverse(SETUP) + "?next=/open/"
        assert_led(browser.client.post(url, {"password": PASSWORD}), SETUP, "/open/")
        assert secret_on(browser.client.get(url))

    @pytest.mark.parametrize("typed", ["", "wrong", f"{PASSWORD} "])
    def test_a_wrong_one(self, browser, typed):
        response = browser.client.post(reverse(SETUP), {"password": typed})
        assert response.status_code == 200
        assert 'aria-invalid="true"' in response.content.decode()
        assert not Totp.objects.exists()

    def test_a_code_confirms_nothing_without_it(self, browser, otp):
        browser.client.post(reverse(SETUP), {"password": PASSWORD})
        secret = secret_on(browser.client.get(reverse(SETUP)))
        session = browser.session
        session[ASSURANCE]["auth_time"] -= 400
        session.save()
        response = browser.client.post(reverse(SETUP), {"otp_code": otp(secret)})
        assert 'name="password"' in response.content.decode()
        assert not is_totp_enabled(browser.user)


class TestState:
    def test_off(self, browser):
        browser.password()
        response = browser.client.get(reverse(STATE))
        assert f'href="{reverse(SETUP)}"' in response.content.decode()

    def test_on(self, inside):
        page = inside.client.get(reverse(STATE)).content.decode()
        assert "10 backup codes" in text(inside.client.get(reverse(STATE)))
        assert f'href="{reverse(CODES)}"' in page
        assert f'href="{reverse(DISABLE)}"' in page

    def test_on_and_required(self, inside, settings):
        settings.TOTP_REQUIRED_FOR = ["everyone"]
        page = inside.client.get(reverse(STATE)).content.decode()
        assert f'href="{reverse(DISABLE)}"' not in page

    @pytest.mark.parametrize("name", [STATE, CODES, DISABLE])
    def test_nobody_is_led_to_the_login(self, client, name):
        assert_led(client.get(reverse(name)), "/accounts/login/", reverse(name))
        assert client.get(reverse(name), **JSON).json()["code"] == "not_authenticated"

    @pytest.mark.parametrize("name", [STATE, CODES, DISABLE])
    def test_a_half_login_is_led_to_the_code(self, half, name):
        assert_led(half.client.get(reverse(name)), VERIFY, reverse(name))


class TestChanges:
    def test_new_codes(self, inside):
        old = {*BackupCode.objects.values_list("pk", flat=True)}
        assert inside.client.get(reverse(CODES)).status_code == 200
        assert old == {*BackupCode.objects.values_list("pk", flat=True)}
        response = inside.client.post(reverse(CODES))
        assert len(codes_on(response)) == 10
        assert not old & {*BackupCode.objects.values_list("pk", flat=True)}
        assert "no-store" in response["Cache-Control"]

    def test_the_end(self, inside):
        assert inside.client.get(reverse(DISABLE)).status_code == 200
        response = inside.client.post(reverse(DISABLE))
        assert_led(response, STATE)
        assert not is_totp_enabled(inside.user)
        assert "Two-factor authentication is off." in text(inside.follow(response))

    @pytest.mark.parametrize("name", [CODES, DISABLE])
    @pytest.mark.parametrize("method", ["get", "post"])
    def test_a_recent_factor_is_wanted(self, inside, clock, name, method):
        clock.shift(301)
        response = getattr(inside.client, method)(reverse(name))
        assert_led(response, VERIFY, reverse(name) if method == "get" else "")
        assert is_totp_enabled(inside.user)
        answer = getattr(inside.client, method)(reverse(name), **FETCH)
        assert answer.status_code == 403
        assert answer.json() == {
            "detail": "This needs a recent second factor: confirm it once more with a code.",
            "code": "insufficient_user_authentication",
            "max_age": 300,
        }

    @pytest.mark.parametrize("name", [CODES, DISABLE])
    def test_who_has_none_is_led_to_setup(self, browser, name):
        browser.password()
        assert_led(browser.client.get(reverse(name)), SETUP, reverse(name))

    def test_one_that_is_required_stays(self, inside, settings):
        settings.TOTP_REQUIRED_FOR = ["everyone"]
        assert "<button" not in inside.client.get(reverse(DISABLE)).content.decode().split("<h1")[1]
        response = inside.client.post(reverse(DISABLE))
        assert response.status_code == 403
        assert "must have two-factor authentication" in text(response)
        assert is_totp_enabled(inside.user)

    @pytest.mark.parametrize("name", [CODES, DISABLE])
    def test_one_that_is_gone_meanwhile(self, inside, name, monkeypatch):
        from django_totp.views.pages import factor

        def late(*args, **kwargs):
            Totp.objects.all().delete()
            return real(*args, **kwargs)

        real = factor.FreshProof
        monkeypatch.setattr(factor, "FreshProof", late)
        assert_led(inside.client.post(reverse(name)), STATE)


class TestGuards:
    GUARDED = ["/guarded/", "/guarded/view/", "/strict/", "/strict/async/"]

    @pytest.mark.parametrize("url", GUARDED)
    def test_who_gave_it_is_in(self, inside, url):
        assert inside.client.get(url).status_code == 200

    @pytest.mark.parametrize("url", GUARDED)
    def test_nobody(self, client, url):
        assert_led(client.get(url), "/accounts/login/", url)
        answer = client.get(url, **JSON)
        assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")

    @pytest.mark.parametrize("url", GUARDED)
    def test_a_half_login(self, half, url):
        assert_led(half.client.get(url), VERIFY, url)
        answer = half.client.get(url, **JSON)
        assert (answer.status_code, answer.json()["code"]) == (401, "second_factor_required")

    @pytest.mark.parametrize("url", GUARDED)
    def test_who_has_none(self, browser, url):
        browser.password()
        assert_led(browser.client.get(url), SETUP, url)
        answer = browser.client.get(url, **JSON)
        assert (answer.status_code, answer.json()["code"]) == (403, "enrollment_required")

    @pytest.mark.parametrize("url", GUARDED)
    def test_a_minute_later(self, inside, url, clock):
        clock.shift(60)
        if url == "/guarded/":
            assert inside.client.get(url).status_code == 200
            return
        assert_led(inside.client.get(url), VERIFY, url)
        answer = inside.client.get(url, **JSON)
        assert answer.status_code == 403
        assert answer.json()["code"] == "insufficient_user_authentication"
        assert answer.json()["max_age"] == 60

    def test_a_login_of_one_factor(self, inside):
        session = inside.session
        session[ASSURANCE] = {**session[ASSURANCE], "amr": ["pwd"], "acr": "aal1"}
        session.save()
        answer = inside.client.get("/guarded/", **JSON)
        assert answer.status_code == 401

    def test_an_exempt_login(self, enrolled, settings):
        settings.TOTP_EXEMPT_BACKENDS = [MODEL]
        enrolled.client.get(f"/foreign/?pk={enrolled.user.pk}")
        answer = enrolled.client.get("/guarded/", **JSON)
        assert answer.status_code == 403
        assert answer.json() == {
            "detail": "This needs your second factor: confirm it with a code.",
            "code": "insufficient_user_authentication",
        }

    def test_without_the_middleware(self, client, settings):
        settings.MIDDLEWARE = [one for one in settings.MIDDLEWARE if "django_totp" not in one]
        for url in (*self.GUARDED, *map(reverse, PAGES)):
            with pytest.raises(ImproperlyConfigured, match="SecondFactorMiddleware"):
                client.get(url)
        form = {"username": "x", "password": "y"}
        with pytest.raises(ImproperlyConfigured, match="SecondFactorMiddleware"):
            client.post(reverse(LOGIN), form)

    def test_the_view_keeps_its_name(self):
        def view(request):
            """Show it."""

        assert second_factor_required(view).__doc__ == "Show it."
        assert second_factor_required(max_age=1)(view).__name__ == "view"

    def test_the_age_of_one_use(self, inside, clock):
        from tests.session_urls import GuardedView

        view = GuardedView.as_view(second_factor_max_age=1)
        assert view.second_factor_required
        assert issubclass(GuardedView, SecondFactorRequiredMixin)


class TestAllPages:
    @pytest.fixture
    def at(self, inside, browser):
        """Return a function that shows a page as somebody sees it."""

        def at(name):
            client = Client() if name == LOGIN else inside.client
            if name == SETUP:
                disable_totp(inside.user)
            return client.get(reverse(name))

        return at

    @pytest.mark.parametrize("name", PAGES)
    def test_what_must_not_be_kept_or_sent_on(self, at, name):
        response = at(name)
        assert response.status_code == 200
        assert "no-store" in response["Cache-Control"]
        assert response["Referrer-Policy"] == "same-origin"

    @pytest.mark.parametrize("name", [LOGIN, VERIFY, SETUP, CODES, DISABLE])
    def test_forms_come_from_here(self, inside, name):
        if name == SETUP:
            disable_totp(inside.user)
        client = Client(enforce_csrf_checks=True)
        client.cookies = inside.client.cookies
        assert client.post(reverse(name), {"otp_code": "1"}).status_code == 403

    @pytest.mark.parametrize("name", PAGES)
    def test_no_transaction_is_around_them(self, name):
        view = resolve(reverse(name)).func
        assert {*view._non_atomic_requests} == {*connections}

    @pytest.mark.parametrize(
        "hostile",
        [
            "https://evil.example/",
            "//evil.example/",
            "///evil.example",
            "/\\evil.example",
            "javascript:alert(1)",
            "http:///evil.example",
            "\thttps://evil.example",
            "data:text/html,x",
        ],
    )
    def test_next_stays_here(self, enrolled, code, hostile, settings):
        settings.LOGIN_REDIRECT_URL = "/open/"
        form = {"username": enrolled.user.get_username(), "password": PASSWORD, "next": hostile}
        response = enrolled.client.post(reverse(LOGIN), form)
        assert_led(response, VERIFY, "")
        page = enrolled.client.get(reverse(VERIFY), {"next": hostile}).content.decode()
        assert escape(hostile) not in page
        response = enrolled.client.post(reverse(VERIFY), {"otp_code": code(), "next": hostile})
        assert_led(response, "/open/")

    @pytest.mark.parametrize("name", PAGES)
    def test_djangos_login_required_middleware(self, at, name, settings, client):
        pytest.importorskip("django.contrib.auth.middleware")
        import django

        if django.VERSION < (5, 1):
            assert name  # there is none
            return
        settings.MIDDLEWARE = [
            *settings.MIDDLEWARE,
            "django.contrib.auth.middleware.LoginRequiredMiddleware",
        ]
        assert at(name).status_code == 200


class TestThrottle:
    @pytest.fixture(autouse=True)
    def _slow(self, settings):
        settings.TOTP_THROTTLE_RATE = "2/minute"
        settings.TOTP_ADDRESS_THROTTLE_RATE = "5/minute"

    def test_passwords_for_a_name(self, enrolled):
        assert [enrolled.password().status_code for _ in range(3)] == [302, 302, 429]

    def test_the_page_says_so(self, enrolled):
        for _ in range(2):
            enrolled.password()
        response = enrolled.password(next_url="/open/")
        assert "Too many requests. Try again in 60 seconds." in text(response)
        assert response["Retry-After"] == "60"
        page = response.content.decode()
        assert escape(enrolled.user.get_username()) in page
        assert PASSWORD not in page
        assert 'value="/open/"' in page

    def test_passwords_from_an_address(self, client):
        form = {"password": "x"}
        answers = [
            client.post(reverse(LOGIN), {**form, "username": f"u{number}"}).status_code
            for number in range(6)
        ]
        assert answers == [200] * 5 + [429]

    def test_the_address_is_not_what_a_client_says(self, client, settings):
        settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "NUM_PROXIES": 0}
        form = {"username": "x", "password": "x"}
        answers = [
            client.post(reverse(LOGIN), form, HTTP_X_FORWARDED_FOR=f"10.0.0.{number}").status_code
            for number in range(3)
        ]
        assert answers == [200, 200, 429]

    def test_codes_of_a_half_login(self, half):
        assert [half.code("000000").status_code for _ in range(3)] == [200, 200, 429]

    def test_codes_of_who_is_in_count_for_the_user(self, inside):
        for address in ("10.0.0.1", "10.0.0.2"):
            assert inside.code("000000", REMOTE_ADDR=address).status_code == 200
        assert inside.code("000000", REMOTE_ADDR="10.0.0.3").status_code == 429

    def test_setups(self, browser):
        browser.password()
        answers = [browser.client.get(reverse(SETUP)).status_code for _ in range(3)]
        assert answers == [200, 200, 429]

    def test_codes_of_a_setup(self, browser):
        browser.password()
        secret = secret_on(browser.client.get(reverse(SETUP)))
        form = {"otp_code": "000000", "secret": secret}
        answers = [browser.client.post(reverse(SETUP), form) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 429]
        assert secret_on(answers[-1]) == secret

    def test_changes(self, inside):
        answers = [inside.client.post(reverse(CODES)).status_code for _ in range(3)]
        assert answers == [200, 200, 429]

    def test_looking_costs_nothing(self, half, client):
        assert {half.client.get(reverse(VERIFY)).status_code for _ in range(9)} == {200}
        assert {client.get(reverse(LOGIN)).status_code for _ in range(9)} == {200}

    def test_no_rate(self, enrolled, settings):
        settings.TOTP_THROTTLE_RATE = settings.TOTP_ADDRESS_THROTTLE_RATE = None
        assert {enrolled.password().status_code for _ in range(9)} == {302}

    def test_behind_a_socket_all_the_world_is_not_one(self, make_user):
        for number in range(6):
            browser = Browser(make_user(f"u{number}"))
            assert browser.password(REMOTE_ADDR="").status_code == 302
