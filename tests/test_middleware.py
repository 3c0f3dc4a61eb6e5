"""No session is let in before its second factor, whichever view has opened it."""

import time
from datetime import UTC, datetime

import pytest
import time_machine
from asgiref.sync import async_to_sync
from django.contrib import admin, auth
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth import SESSION_KEY, get_user, user_logged_in
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.middleware import RemoteUserMiddleware
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.tokens import default_token_generator
from django.contrib.sessions.backends.db import SessionStore
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.test import AsyncClient, Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from django_totp import middleware, sessions, visits
from django_totp.assurance import SESSION_KEY as ASSURANCE
from django_totp.assurance import assurance_of, record
from django_totp.auth import end_sessions, reset_totp
from django_totp.models import Account, Totp
from django_totp.sessions import HALF
from django_totp.totp import disable_totp
from tests.browsing import (
    FETCH,
    JSON,
    LOGIN,
    SETUP,
    VERIFY,
    Browser,
    age_enrollment,
    assert_led,
)

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.session_urls")]

FOREIGN = "django.contrib.auth.backends.RemoteUserBackend"
MODEL = "django.contrib.auth.backends.ModelBackend"
OURS = "django_totp.middleware.SecondFactorMiddleware"


@pytest.fixture(autouse=True)
def clock():
    """Stop the clock in the middle of a time step."""
    with time_machine.travel(datetime(2031, 5, 4, 12, 0, 15, tzinfo=UTC), tick=False) as clock:
        yield clock


@pytest.fixture
def staff(enrolled_user):
    """Return a browser of an enrolled superuser."""
    enrolled_user.is_staff = enrolled_user.is_superuser = True
    enrolled_user.save()
    age_enrollment(enrolled_user)
    return Browser(enrolled_user)


def sign_in(browser, code):
    """Log in with both factors."""
    browser.password()
    assert browser.code(code()).status_code == 302
    assert browser.is_signed_in


class TestHalfLogin:
    """Between the steps nobody is logged in."""

    @pytest.fixture
    def half(self, enrolled):
        enrolled.password()
        assert enrolled.is_half
        return enrolled

    def test_a_template_sees_nobody(self, half):
        assert half.client.get("/open/").content == b"False AnonymousUser"

    def test_an_async_view_sees_nobody(self, half):
        assert half.client.get("/async/").content == b"False AnonymousUser"

    def test_a_page_that_needs_a_login_leads_to_the_code(self, half):
        assert_led(half.client.get("/private/?a=1"), VERIFY, "/private/?a=1")

    def test_a_page_that_forbids_leads_to_the_code(self, half):
        assert_led(half.client.get("/forbidden/"), VERIFY, "/forbidden/")
        assert half.client.post("/forbidden/").status_code == 403

    def test_the_admin_leads_to_the_code(self, half):
        assert_led(half.client.get("/admin/"), VERIFY, "/admin/")

    def test_a_form_comes_back_to_the_page_that_sent_it(self, half):
        referrer = {"HTTP_REFERER": "http://testserver/page/?b=2"}
        assert_led(half.client.post("/private/", **referrer), VERIFY, "/private/")

    def test_a_login_page_shows_itself(self, half):
        for url in (reverse(LOGIN), "/accounts/login/", "/admin/login/", "/own/login/"):
            assert half.client.get(url).status_code == 200

    @pytest.mark.parametrize("wants", [JSON, FETCH])
    @pytest.mark.parametrize("url", ["/private/", "/forbidden/", "/secret/", "/admin/"])
    def test_who_wants_no_page_gets_json(self, half, url, wants):
        for method in (half.client.get, half.client.post):
            answer = method(url, **wants)
            assert answer.status_code == 401
            assert answer.json()["code"] == "second_factor_required"
            assert "no-store" in answer["Cache-Control"]

    def test_json_is_answered_with_json(self, half):
        answer = half.client.post("/secret/")
        assert answer.status_code == 401
        assert answer.json()["code"] == "second_factor_required"

    def test_a_navigation_is_led_whatever_else_it_accepts(self, half):
        accept = {"HTTP_ACCEPT": "text/html,*/*;q=0.8", "HTTP_SEC_FETCH_MODE": "navigate"}
        assert_led(half.client.get("/private/", **accept), VERIFY)

    def test_a_request_that_looks_at_nobody_is_left_alone(self, half):
        assert half.client.get("/blank/").content == b"blank"
        assert half.client.post("/api/jwt/create/", {"x": 1}, **JSON).status_code == 400

    def test_logout_ends_it(self, half):
        half.client.post("/accounts/logout/")
        assert not half.session.keys()
        assert_led(half.client.get("/private/"), "/accounts/login/", "/private/")

    def test_its_time_is_over_after_two_minutes(self, half, clock):
        clock.shift(119)
        assert_led(half.client.get("/private/"), VERIFY)
        clock.shift(2)
        assert_led(half.client.get("/private/"), "/accounts/login/", "/private/")
        assert HALF not in half.session

    def test_nothing_of_the_password_is_stored(self, half):
        held = repr(dict(half.session))
        assert "correct horse" not in held
        assert half.user.password not in held
        assert half.user.get_session_auth_hash() not in held

    def test_what_an_anonymous_session_holds_survives(self, enrolled, code):
        session = enrolled.session
        session["cart"] = [1, 2]
        session.save()
        enrolled.client.cookies["sessionid"] = session.session_key
        sign_in(enrolled, code)
        assert enrolled.session["cart"] == [1, 2]

    def test_the_key_changes_at_each_step(self, enrolled, code):
        session = enrolled.session
        session["cart"] = []
        session.save()
        keys = [session.session_key]
        for step in (enrolled.password, lambda: enrolled.code(code())):
            step()
            keys.append(enrolled.session.session_key)
        assert len({*keys}) == 3
        assert not any(SessionStore().exists(key) for key in keys[:2])

    def test_another_user_takes_over_nothing(self, enrolled, make_user, code):
        sign_in(enrolled, code)
        session = enrolled.session
        session["mine"] = "private"
        session.save()
        other = Browser(make_user("bob"), enrolled.client)
        other.password()
        assert other.is_signed_in
        assert "mine" not in other.session

    @pytest.mark.parametrize("at", [LOGIN, "/accounts/login/", "/admin/login/", "/own/login/"])
    def test_nor_does_one_after_a_session_that_became_a_half_login(self, enrolled, make_user, at):
        enrolled.client.force_login(enrolled.user)
        session = enrolled.session
        session["mine"] = "private"
        session.save()
        assert_led(enrolled.client.get("/private/"), VERIFY)
        assert "mine" in enrolled.session
        other = Browser(make_user("bob", is_staff=True), enrolled.client)
        other.password(at)
        assert other.is_signed_in
        assert {*other.session.keys()} <= {*sessions.KEYS, ASSURANCE}

    @pytest.mark.parametrize("end", ["nothing", "another", "time"])
    def test_nor_once_the_password_was_given_again(self, enrolled, make_user, clock, end):
        enrolled.client.force_login(enrolled.user)
        session = enrolled.session
        session["mine"] = "private"
        session.save()
        enrolled.client.get("/open/")
        enrolled.password()
        assert "mine" in enrolled.session
        if end == "another":
            enrolled.client.post(reverse(VERIFY), {"another": "1"})
        clock.shift(121 if end == "time" else 0)
        other = Browser(make_user("bob"), enrolled.client)
        other.password()
        assert "mine" not in other.session

    def test_an_api_without_sessions_answers_for_itself(self, enrolled, settings):
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.look"]
        enrolled.password()
        name = enrolled.user.USERNAME_FIELD
        wrong = {name: enrolled.user.get_username(), "password": "wrong"}
        for path, body, code in (
            ("create", wrong, "invalid_credentials"),
            ("refresh", {"refresh": "x"}, "token_not_valid"),
            ("step_up", {"refresh": "x", "otp_code": "1"}, "token_not_valid"),
            ("verify", {"token": "x"}, "token_not_valid"),
        ):
            answer = enrolled.client.post(f"/api/jwt/{path}/", body, **JSON)
            assert answer.json()["code"] == code

    def test_a_backend_that_is_gone_ends_it(self, enrolled, code, settings):
        enrolled.password()
        settings.AUTHENTICATION_BACKENDS = [FOREIGN]
        assert enrolled.code(code()).status_code == 400
        assert not enrolled.is_signed_in

    def test_what_it_held_goes_with_it(self, enrolled, clock):
        enrolled.client.force_login(enrolled.user)
        session = enrolled.session
        session["mine"] = "private"
        session.save()
        enrolled.client.get("/open/")
        clock.shift(121)
        enrolled.client.get("/open/")
        assert "mine" not in enrolled.session

    @pytest.mark.parametrize("held", [1, [], "x", {}, {"challenge": "x"}, {"nonsense": 1}])
    def test_what_is_no_half_login_is_none(self, client, held):
        session = client.session
        session[HALF] = held
        session.save()
        client.cookies["sessionid"] = session.session_key
        assert_led(client.get("/private/"), "/accounts/login/", "/private/")


class TestLogins:
    """Each login asks, whatever view it is of."""

    @pytest.mark.parametrize("at", [LOGIN, "/accounts/login/", "/own/login/"])
    def test_a_password_is_half_a_login(self, enrolled, code, at, logins):
        response = enrolled.password(at, "/private/")
        assert_led(response, VERIFY, "/private/")
        assert enrolled.is_half
        assert_led(enrolled.follow(response, {"otp_code": code()}), "/private/")
        assert enrolled.client.get("/private/").status_code == 200
        assert logins == [enrolled.user.get_username()]
        assert enrolled.session["_auth_user_backend"] == MODEL

    @pytest.mark.parametrize("at", [LOGIN, "/accounts/login/", "/own/login/"])
    def test_who_has_no_factor_is_in(self, browser, at, logins):
        assert_led(browser.password(at, "/private/"), "/private/")
        assert browser.is_signed_in
        assert browser.client.get("/private/").status_code == 200
        assert logins == [browser.user.get_username()]

    def test_a_login_page_may_lead_to_a_page_of_its_own(self, enrolled, code):
        response = enrolled.password("/welcome/login/")
        assert_led(response, VERIFY, "/open/")
        assert_led(enrolled.password("/welcome/login/", "/private/"), VERIFY, "/private/")

    def test_the_claims_of_a_whole_login(self, enrolled, code):
        sign_in(enrolled, code)
        claims = enrolled.session[ASSURANCE]
        assert claims["amr"] == ["pwd", "otp", "mfa"]
        assert claims["auth_time"] == int(time.time())
        assert claims["acr"] == "aal2"

    def test_last_login_is_set_at_the_end(self, enrolled, code):
        enrolled.password()
        enrolled.user.refresh_from_db()
        assert enrolled.user.last_login is None
        enrolled.code(code())
        enrolled.user.refresh_from_db()
        assert enrolled.user.last_login is not None

    def test_of_another_view_goes_on_where_that_leads(self, enrolled, code, logins):
        response = enrolled.client.get(f"/foreign/?pk={enrolled.user.pk}&to=/open/%3Fa=1")
        assert_led(response, VERIFY, "/open/?a=1")
        assert enrolled.is_half
        assert logins == [enrolled.user.get_username()]
        assert_led(enrolled.follow(response, {"otp_code": code()}), "/open/")
        assert logins == [enrolled.user.get_username()]
        assert enrolled.is_signed_in
        assert enrolled.session["of"] == str(enrolled.user.pk)
        assert enrolled.session[ASSURANCE]["amr"] == ["otp", "mfa"]

    @pytest.mark.parametrize("to", ["https://evil.example/", "//evil.example", "/accounts/login/"])
    def test_of_another_view_that_leads_elsewhere(self, enrolled, to):
        response = enrolled.client.get(f"/foreign/?pk={enrolled.user.pk}&to={to}")
        assert_led(response, VERIFY, "")

    def test_of_another_view_that_answers_with_a_token(self, enrolled):
        answer = enrolled.client.post(f"/foreign/api/?pk={enrolled.user.pk}")
        assert answer.status_code == 401
        assert answer.json()["code"] == "second_factor_required"
        assert enrolled.is_half

    def test_of_another_view_without_a_factor_gets_its_time(self, browser):
        browser.client.get(f"/foreign/?pk={browser.user.pk}")
        assert browser.session[ASSURANCE] == {
            "auth_time": int(time.time()),
            "user": str(browser.user.pk),
        }

    def test_that_states_its_factors(self, enrolled, monkeypatch):
        def passkey(sender, request, **kwargs):
            record(request, "hwk", "pin")

        user_logged_in.connect(passkey)
        enrolled.client.get(f"/foreign/?pk={enrolled.user.pk}")
        user_logged_in.disconnect(passkey)
        assert enrolled.is_signed_in
        assert enrolled.client.get("/guarded/").content == b"guarded"

    def test_of_who_was_in_before_with_both_factors_asks_again(self, enrolled, code):
        """What a session states is of the login before this one."""
        sign_in(enrolled, code)
        assert_led(enrolled.client.get(f"/foreign/?pk={enrolled.user.pk}"), VERIFY, "/private/")
        assert enrolled.is_half

    def test_of_a_locked_screen_asks_again(self, enrolled, code):
        """A project may take only the name out of a session."""
        sign_in(enrolled, code)
        session = enrolled.session
        del session[SESSION_KEY]
        session.save()
        assert_led(enrolled.client.get(f"/foreign/?pk={enrolled.user.pk}"), VERIFY)

    def test_of_another_view_that_owes_a_factor_says_no_password(self, browser, otp, settings):
        settings.TOTP_REQUIRED_FOR = ["everyone"]
        browser.client.get(f"/foreign/?pk={browser.user.pk}")
        secret = browser.client.get(reverse(SETUP)).context["setup"].secret
        browser.client.post(reverse(SETUP), {"otp_code": otp(secret), "secret": secret})
        assert browser.session[ASSURANCE]["amr"] == ["otp", "mfa"]

    def test_after_all_logins_were_ended(self, browser):
        browser.password()
        end_sessions(browser.user)
        assert_led(browser.client.get(f"/foreign/?pk={browser.user.pk}"), "/private/")
        assert browser.client.get("/private/").status_code == 200

    def test_that_logs_out_again(self, enrolled, settings):
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.log_out_after"]
        assert_led(enrolled.client.get(f"/foreign/?pk={enrolled.user.pk}"), "/private/")
        assert not enrolled.session.keys()


class TestOddLogins:
    """Whatever else happens in the request that has logged in."""

    @pytest.mark.parametrize("kind", ["streaming", "forgiving", "async"])
    def test_the_answer_is_not_sent(self, enrolled, kind):
        url = f"/foreign/{kind}/?pk={enrolled.user.pk}"
        assert_led(enrolled.client.get(url), VERIFY, url)
        assert enrolled.is_half

    def test_a_session_that_was_written_by_hand_is_nobodys(self, enrolled):
        response = enrolled.client.get(f"/foreign/forged/?pk={enrolled.user.pk}")
        assert response.content == b"forged"
        assert not enrolled.session.keys()

    def test_a_receiver_that_states_a_password_alone(self, enrolled):
        def state(request, **kwargs):
            record(request, "pwd")

        user_logged_in.connect(state)
        response = enrolled.client.get(f"/foreign/?pk={enrolled.user.pk}")
        user_logged_in.disconnect(state)
        assert_led(response, VERIFY, "/private/")
        assert enrolled.is_half

    def test_a_view_that_fails_logs_nobody_in(self, enrolled):
        enrolled.client.raise_request_exception = False
        assert enrolled.client.get(f"/foreign/failing/?pk={enrolled.user.pk}").status_code == 500
        assert not enrolled.session.keys()

    def test_a_receiver_that_fails_opens_nothing(self, enrolled):
        def fail(**kwargs):
            raise RuntimeError

        user_logged_in.connect(fail)
        enrolled.client.get(f"/foreign/forgiving/?pk={enrolled.user.pk}")
        user_logged_in.disconnect(fail)
        assert enrolled.client.get("/open/").content != f"True {enrolled.user}".encode()
        assert not enrolled.is_signed_in

    def test_a_new_password_that_logs_in(self, enrolled):
        key = urlsafe_base64_encode(force_bytes(enrolled.user.pk))
        token = default_token_generator.make_token(enrolled.user)
        form = enrolled.client.get(reverse("new-password", args=[key, token]))["Location"]
        new = dict.fromkeys(("new_password1", "new_password2"), "Tr0ub4dor-and-3-more")
        assert_led(enrolled.client.post(form, new), VERIFY, "/open/")
        assert enrolled.is_half

    def test_the_middleware_twice(self, enrolled, code, settings):
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, OURS]
        assert_led(enrolled.client.get(f"/foreign/?pk={enrolled.user.pk}"), VERIFY)
        sign_in(enrolled, code)
        assert enrolled.client.get("/private/").status_code == 200

    def test_without_the_factor_another_is_no_better(self, enrolled, make_user, code):
        sign_in(enrolled, code)
        enrolled.client.get(f"/foreign/?pk={make_user('bob').pk}")
        assert_led(enrolled.client.get("/guarded/"), SETUP, "/guarded/")


def look(get_response):
    def middleware(request):
        str(request.user)
        return get_response(request)

    return middleware


def log_out_after(get_response):
    def middleware(request):
        response = get_response(request)
        auth.logout(request)
        return response

    return middleware


class TestAdmin:
    """The page of the admin stays, and asks."""

    def test_its_login_takes_the_second_step(self, staff, code, logins):
        response = staff.password("/admin/login/", "/admin/auth/")
        assert_led(response, VERIFY, "/admin/auth/")
        assert staff.is_half
        assert logins == []
        response = staff.follow(response, {"otp_code": code()})
        assert_led(response, "/admin/auth/")
        assert staff.client.get("/admin/").status_code == 200
        assert logins == [staff.user.get_username()]
        assert staff.session[ASSURANCE]["amr"] == ["pwd", "otp", "mfa"]

    def test_next_comes_from_the_form(self, staff):
        form = {"username": staff.user.get_username(), "password": "correct horse battery staple"}
        response = staff.client.post("/admin/login/", {**form, "next": "/admin/"})
        assert_led(response, VERIFY, "/admin/")

    def test_who_has_no_factor_is_in(self, make_user, logins):
        browser = Browser(make_user("eve", is_staff=True))
        assert_led(browser.password("/admin/login/", "/admin/"), "/admin/")
        assert browser.client.get("/admin/").status_code == 200
        assert logins == [browser.user.get_username()]

    def test_a_wrong_password_is_told_there(self, staff):
        form = {"username": staff.user.get_username(), "password": "wrong"}
        response = staff.client.post("/admin/login/", form)
        assert response.status_code == 200
        assert b"Please enter the correct" in response.content

    def test_who_is_no_staff_does_not_loop(self, enrolled, code):
        response = enrolled.password("/admin/login/", "/admin/")
        assert response.status_code == 200
        assert b"Please enter the correct" in response.content
        sign_in(enrolled, code)
        response = enrolled.follow(enrolled.client.get("/admin/"))
        assert response.status_code == 200
        assert b"not authorized" in response.content

    def test_staff_who_owe_a_factor_are_led_to_setup(self, make_user, settings):
        settings.TOTP_REQUIRED_FOR = ["staff"]
        browser = Browser(make_user("eve", is_staff=True))
        assert_led(browser.password("/admin/login/", "/admin/"), SETUP, "/admin/")
        assert browser.is_half

    def test_a_site_of_the_project_and_its_form(self, staff, monkeypatch, rf):
        class OwnForm(AdminAuthenticationForm):
            pass

        site = admin.AdminSite(name="own")
        site.login_form = OwnForm
        for _ in range(2):
            middleware._let_ask(site)
        assert issubclass(site.login_form, OwnForm)
        assert site.login_form.__mro__.count(middleware.AskingForm) == 1
        assert site.login_form.__name__ == "OwnForm"

    def test_who_lost_the_factor_while_the_form_was_checked(self, staff, monkeypatch):
        take = middleware._take_step

        def late(request, user):
            disable_totp(user)
            return take(request, user)

        monkeypatch.setattr(middleware, "_take_step", late)
        assert_led(staff.password("/admin/login/", "/admin/"), "/admin/")
        assert staff.is_signed_in

    def test_an_exempt_backend_is_asked_nothing(self, staff, settings):
        settings.TOTP_EXEMPT_BACKENDS = [MODEL]
        assert_led(staff.password("/admin/login/", "/admin/"), "/admin/")
        assert staff.client.get("/admin/").status_code == 200


class TestSessions:
    """A session that is there is judged at the first look."""

    def test_from_before_the_enrollment_is_asked_at_its_next_page(self, enrolled, code):
        enrolled.client.force_login(enrolled.user)
        response = enrolled.client.get("/open/?a=1")
        assert_led(response, VERIFY, "/open/?a=1")
        assert enrolled.is_half
        response = enrolled.follow(response, {"otp_code": code()})
        assert_led(response, "/open/")
        assert enrolled.client.get("/open/").content == f"True {enrolled.user}".encode()

    def test_it_keeps_its_methods(self, browser, enroll_now):
        browser.password()
        code = enroll_now(browser.user)
        assert_led(browser.client.get("/private/"), VERIFY)
        browser.code(code)
        assert browser.session[ASSURANCE]["amr"] == ["pwd", "otp", "mfa"]

    @pytest.fixture
    def enroll_now(self, clock, secret, otp):
        from django_totp.backup_code_utils import store_backup_codes
        from django_totp.encryption import encrypt

        def enroll_now(user):
            clock.shift(60)
            Totp.objects.create(user=user, secret_key=encrypt(secret))
            store_backup_codes(user, [])
            return otp(secret)

        return enroll_now

    def test_a_form_is_not_answered_for_nobody(self, enrolled):
        enrolled.client.force_login(enrolled.user)
        response = enrolled.client.post("/private/", HTTP_REFERER="http://testserver/open/")
        assert_led(response, VERIFY, "/private/")

    def test_a_login_page_shows_itself(self, enrolled):
        enrolled.client.force_login(enrolled.user)
        assert enrolled.client.get("/admin/login/").status_code == 200
        assert enrolled.is_half

    def test_the_code_page_shows_itself(self, enrolled):
        enrolled.client.force_login(enrolled.user)
        assert enrolled.client.get(reverse(VERIFY)).status_code == 200

    def test_an_outdated_one_is_nobody(self, browser, clock):
        browser.password()
        clock.shift(10)
        end_sessions(browser.user)
        assert_led(browser.client.get("/private/"), "/accounts/login/", "/private/")
        assert not browser.session.keys()

    def test_one_of_which_nothing_is_known_is_as_old_as_can_be(self, browser):
        end_sessions(browser.user)
        browser.client.force_login(browser.user)
        assert browser.client.get("/open/").content == b"False AnonymousUser"

    def test_a_login_after_a_reset_is_in(self, enrolled, clock):
        reset_totp(enrolled.user)
        enrolled.password()
        assert enrolled.client.get("/private/").status_code == 200

    def test_one_that_owes_a_factor_is_led_to_setup(self, browser, settings):
        browser.password()
        settings.TOTP_REQUIRED_FOR = ["everyone"]
        assert_led(browser.client.get("/open/"), SETUP, "/open/")
        assert browser.is_half
        answer = browser.client.get("/private/", **JSON)
        assert (answer.status_code, answer.json()["code"]) == (401, "enrollment_required")

    def test_in_grace_it_goes_on(self, browser, settings):
        settings.TOTP_REQUIRED_FOR, settings.TOTP_GRACE_PERIOD = ["everyone"], 86400
        browser.password()
        assert browser.client.get("/private/").status_code == 200

    def test_nobody_is_let_in_while_the_policy_cannot_be_told(self, browser, settings, caplog):
        browser.password()
        settings.TOTP_REQUIRED_FOR = [f"{__name__}.broken"]
        assert browser.client.get("/open/").content == b"False AnonymousUser"
        answer = browser.client.get("/private/")
        assert (answer.status_code, answer["Content-Type"][:10]) == (503, "text/plain")
        answer = browser.client.get("/private/", **JSON)
        assert (answer.status_code, answer.json()["code"]) == (503, "policy_unavailable")
        settings.TOTP_REQUIRED_FOR = []
        assert browser.client.get("/private/").status_code == 200

    def test_nor_logs_in(self, browser, settings):
        settings.TOTP_REQUIRED_FOR = [f"{__name__}.broken"]
        assert browser.password().status_code == 200
        assert browser.client.get(f"/foreign/?pk={browser.user.pk}").status_code == 503
        assert not browser.is_signed_in
        browser.user.is_staff = True
        browser.user.save()
        assert browser.password("/admin/login/").status_code == 503
        assert not browser.is_signed_in

    def test_the_middleware_must_come_after_djangos(self, rf, settings):
        settings.MIDDLEWARE = [OURS]
        with pytest.raises(ImproperlyConfigured, match="after"):
            Client().get("/blank/")


def broken(user):
    raise RuntimeError


class TestExemptBackends:
    """How a session came in decides, and not who it is of."""

    @pytest.fixture(autouse=True)
    def _backends(self, settings):
        settings.AUTHENTICATION_BACKENDS = [MODEL, FOREIGN]
        settings.TOTP_EXEMPT_BACKENDS = [FOREIGN]

    def come_in(self, browser, backend=FOREIGN):
        return browser.client.get(f"/foreign/?pk={browser.user.pk}&backend={backend}")

    def test_its_sessions_are_asked_for_nothing(self, enrolled):
        assert_led(self.come_in(enrolled), "/private/")
        assert enrolled.client.get("/private/").status_code == 200

    def test_nor_for_an_enrollment(self, browser, settings):
        settings.TOTP_REQUIRED_FOR = ["everyone"]
        self.come_in(browser)
        assert browser.client.get("/private/").status_code == 200
        assert not Account.objects.exists()

    def test_another_login_of_the_same_user_is(self, enrolled):
        assert_led(self.come_in(enrolled, MODEL), VERIFY, "/private/")

    def test_it_is_ended_like_any_other(self, enrolled, clock):
        self.come_in(enrolled)
        clock.shift(10)
        end_sessions(enrolled.user)
        assert enrolled.client.get("/open/").content == b"False AnonymousUser"

    def test_a_guard_asks_all_the_same(self, enrolled):
        self.come_in(enrolled)
        assert_led(enrolled.client.get("/guarded/"), VERIFY, "/guarded/")

    def test_no_longer_exempt_it_is_asked(self, enrolled, settings):
        self.come_in(enrolled)
        settings.TOTP_EXEMPT_BACKENDS = []
        assert_led(enrolled.client.get("/private/"), VERIFY, "/private/")


class Remote(RemoteUserMiddleware):
    header = "HTTP_X_USER"


class TestLoginsBeforeTheView:
    """A middleware that logs in is asked before the view has done its work."""

    @pytest.fixture(autouse=True, params=["before", "after"])
    def _remote(self, request, settings):
        settings.AUTHENTICATION_BACKENDS = [MODEL, FOREIGN]
        at = settings.MIDDLEWARE.index(OURS) + (request.param == "after")
        chain = [*settings.MIDDLEWARE]
        settings.MIDDLEWARE = [*chain[:at], f"{__name__}.Remote", *chain[at:]]

    def test_the_view_is_not_reached(self, enrolled, monkeypatch):
        name = {"HTTP_X_USER": enrolled.user.get_username()}
        assert_led(enrolled.client.get("/open/", **name), VERIFY, "/open/")
        assert_led(enrolled.client.post("/private/", **name), VERIFY, "")
        assert enrolled.is_half

    def test_the_code_lets_in(self, enrolled, code):
        name = {"HTTP_X_USER": enrolled.user.get_username()}
        enrolled.client.get("/private/", **name)
        assert enrolled.client.get(reverse(VERIFY), **name).status_code == 200
        assert_led(enrolled.code(code(), "/private/", **name), "/private/")
        assert enrolled.client.get("/private/", **name).status_code == 200
        assert enrolled.is_signed_in

    def test_who_has_no_factor_is_in(self, browser):
        name = {"HTTP_X_USER": browser.user.get_username()}
        assert browser.client.get("/private/", **name).status_code == 200
        assert browser.session[ASSURANCE]["auth_time"] == int(time.time())


class Token:
    """A middleware in front that knows a user by another way than a session."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        key = request.headers.get("X-Key")
        if key:
            request.user = auth.get_user_model()._default_manager.get(pk=key)
        return self.get_response(request)


class TestOthersInFront:
    @pytest.fixture(autouse=True)
    def _token(self, settings):
        at = settings.MIDDLEWARE.index(OURS)
        chain = [*settings.MIDDLEWARE]
        settings.MIDDLEWARE = [*chain[:at], f"{__name__}.Token", *chain[at:]]

    def test_a_user_of_no_session_is_left_alone(self, enrolled):
        key = {"HTTP_X_KEY": str(enrolled.user.pk)}
        assert enrolled.client.get("/open/", **key).content.startswith(b"True")
        assert enrolled.client.get("/async/", **key).content.startswith(b"True")

    def test_one_beside_a_session_that_is_not_good_is_nobody(self, enrolled):
        enrolled.client.force_login(enrolled.user)
        key = {"HTTP_X_KEY": str(enrolled.user.pk)}
        assert_led(enrolled.client.get("/open/", **key), VERIFY)

    def test_one_beside_a_good_session_stays(self, enrolled, make_user, code):
        sign_in(enrolled, code)
        other = make_user("bob")
        answer = enrolled.client.get("/open/", HTTP_X_KEY=str(other.pk))
        assert answer.content == f"True {other}".encode()


class OwnBackend(ModelBackend):
    def get_user(self, user_id):
        return super().get_user(user_id)


class Everybody(ModelBackend):
    def user_can_authenticate(self, user):
        return True


class TestLikeDjango:
    """The user that comes with ours is the one that Django would return."""

    BACKENDS = (MODEL, FOREIGN, f"{__name__}.OwnBackend", f"{__name__}.Everybody")

    @pytest.fixture
    def both(self, settings, rf):
        settings.AUTHENTICATION_BACKENDS = [*self.BACKENDS]

        def both(session):
            found = []
            for find in (get_user, visits.signed_in):
                request = rf.get("/")
                request.session = SessionStore()
                request.session.update(session)
                user = find(request)
                user = None if user is None or not user.is_authenticated else user.pk
                found.append((user, sorted(request.session.items())))
            assert found[0] == found[1]
            return found[1][0]

        return both

    def session_of(self, user, backend=MODEL):
        key = user._meta.pk.value_to_string(user)
        session_hash = user.get_session_auth_hash()
        return dict(zip(sessions.KEYS, (key, backend, session_hash), strict=True))

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_a_session(self, both, user, backend):
        assert both(self.session_of(user, backend)) == user.pk

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_one_of_who_is_inactive(self, both, user, backend):
        user.is_active = False
        user.save()
        found = both(self.session_of(user, backend))
        assert found == (user.pk if backend.endswith("Everybody") else None)

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_one_from_before_the_password(self, both, user, backend):
        session = self.session_of(user, backend)
        user.set_password("new")
        user.save()
        assert both(session) is None

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_one_under_an_older_key(self, both, user, backend, settings):
        session = self.session_of(user, backend)
        settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
        settings.SECRET_KEY = "another"
        assert both(session) == user.pk

    def test_odd_ones(self, both, user):
        whole = self.session_of(user)
        for name in whole:
            assert both({**whole, name: "x"}) is None if name != SESSION_KEY else True
            assert both({key: value for key, value in whole.items() if key != name}) is None
        assert both({**whole, "_auth_user_hash": ""}) is None
        assert both({}) is None

    def test_one_of_who_is_deleted(self, both, user):
        session = self.session_of(user)
        user.delete()
        assert both(session) is None

    def test_a_key_that_no_user_can_have_is_nobody(self, rf):
        request = rf.get("/")
        request.session = SessionStore()
        session = {SESSION_KEY: "no key", "_auth_user_backend": MODEL, "_auth_user_hash": "x"}
        request.session.update(session)
        assert visits.signed_in(request) is None


def statements(run):
    """Return how many statements and transaction commands ``run`` costs."""
    with CaptureQueriesContext(connection) as queries:
        run()
    commands = ("SAVEPOINT", "RELEASE", "BEGIN", "COMMIT")
    return sum(not query["sql"].startswith(commands) for query in queries)


class TestStatements:
    """The floor is Django's login with a second step of one SELECT and one UPDATE."""

    def test_a_whole_login(self, enrolled, code):
        client = enrolled.client
        assert statements(lambda: enrolled.password(next_url="/private/")) == 4
        assert statements(lambda: client.get(reverse(VERIFY))) == 1
        assert statements(lambda: enrolled.code(code())) == 9
        assert statements(lambda: client.get("/private/")) == 2
        assert statements(lambda: client.get("/private/")) == 2

    def test_a_backup_code_and_a_wrong_one(self, enrolled, backup_codes):
        enrolled.password()
        assert statements(lambda: enrolled.code("000000")) == 3
        assert statements(lambda: enrolled.code(backup_codes[0], kind="backup_code")) == 10

    def test_pages_of_nobody(self, client):
        assert statements(lambda: client.get("/open/")) == 0
        assert statements(lambda: client.get(reverse(LOGIN))) == 0

    def test_a_page_that_looks_at_nobody(self, enrolled, code):
        sign_in(enrolled, code)
        response = enrolled.client.get("/blank/")
        assert statements(lambda: enrolled.client.get("/blank/")) == 0
        assert "Cookie" not in response.get("Vary", "")

    def test_a_backend_of_its_own_costs_one_more(self, browser, settings):
        backend = f"{__name__}.OwnBackend"
        settings.AUTHENTICATION_BACKENDS = [backend]
        browser.client.get(f"/foreign/?pk={browser.user.pk}")
        assert statements(lambda: browser.client.get("/private/")) == 3

    def test_a_guard_that_is_passed_asks_nothing(self, enrolled, code):
        sign_in(enrolled, code)
        assert statements(lambda: enrolled.client.get("/strict/")) == 2


class TestAsync:
    """The middleware is asynchronous among others that are."""

    @pytest.fixture
    def hops(self, monkeypatch):
        """Return a list of what has been called in a thread by us."""
        found = []
        real = middleware.sync_to_async

        def counted(function, *args, **kwargs):
            found.append(function)
            return real(function, *args, **kwargs)

        monkeypatch.setattr(middleware, "sync_to_async", counted)
        return found

    def get(self, url, session_key="", **headers):
        client = AsyncClient(headers=headers)
        if session_key:
            client.cookies["sessionid"] = session_key
        return async_to_sync(client.get)(url)

    def test_nobody_needs_no_thread(self, hops):
        assert self.get("/async/").content == b"False AnonymousUser"
        assert self.get("/blank/").content == b"blank"
        assert hops == []

    @pytest.mark.django_db(transaction=True)
    def test_who_is_signed_in(self, enrolled, code):
        sign_in(enrolled, code)
        key = enrolled.session.session_key
        assert self.get("/async/", key).content == f"True {enrolled.user}".encode()
        assert self.get("/strict/async/", key).content == b"async strict"
        assert self.get("/private/", key).status_code == 200

    @pytest.mark.django_db(transaction=True)
    def test_a_half_login(self, enrolled):
        enrolled.password()
        key = enrolled.session.session_key
        assert self.get("/async/", key).content == b"False AnonymousUser"
        assert_led(self.get("/private/", key), VERIFY, "/private/")
        assert_led(self.get("/strict/async/", key), VERIFY, "/strict/async/")

    @pytest.mark.django_db(transaction=True)
    def test_logins(self, enrolled, staff):
        assert_led(self.get(f"/foreign/?pk={enrolled.user.pk}"), VERIFY, "/private/")
        form = {"username": staff.user.get_username(), "password": "correct horse battery staple"}
        response = async_to_sync(AsyncClient().post)("/admin/login/?next=/admin/", form)
        assert_led(response, VERIFY, "/admin/")


class TestVisit:
    def test_without_the_middleware(self, rf):
        with pytest.raises(ImproperlyConfigured, match="SecondFactorMiddleware"):
            visits.visit_of(rf.get("/"))

    def test_a_login_outside_of_a_request(self, user):
        user_logged_in.send(type(user), request=None, user=user)

    def test_a_login_by_the_request_of_rest_framework(self, user, rf):
        from rest_framework.request import Request

        request = rf.get("/")
        request.session = SessionStore()
        user_logged_in.send(type(user), request=Request(request), user=user)
        assert vars(request)[sessions.SIGNED_IN] == user

    def test_a_muted_signal_opens_no_door(self, enrolled, monkeypatch):
        monkeypatch.setattr(user_logged_in, "send", lambda *args, **kwargs: [])
        enrolled.client.get(f"/foreign/?pk={enrolled.user.pk}")
        assert_led(enrolled.client.get("/private/"), VERIFY)

    def test_what_is_assured_is_of_the_session(self, enrolled, code):
        sign_in(enrolled, code)
        request = RequestFactory().get("/")
        request.session, request.user = enrolled.session, enrolled.user
        assert assurance_of(request).has_second_factor
        request.user = AnonymousUser()
        assert not assurance_of(request).has_second_factor
