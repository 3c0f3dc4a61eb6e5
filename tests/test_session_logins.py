"""Views of projects that log in by session, each in its own way: none lets in halfway."""

import contextlib
import copy
import datetime
import re

import pytest
import time_machine
from asgiref.sync import async_to_sync, iscoroutinefunction, markcoroutinefunction
from cryptography.fernet import Fernet
from django import forms
from django.contrib import admin, auth, messages
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth import (
    SESSION_KEY,
    backends,  # noqa: F401
    get_user_model,
    user_logged_in,
)
from django.contrib.auth.views import LoginView
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse, HttpResponseRedirect, JsonResponse
from django.test import AsyncClient, Client
from django.urls import path, reverse
from django.utils.functional import SimpleLazyObject

from django_totp.auth import end_sessions
from django_totp.decorators import second_factor_required
from django_totp.mixins import TwoStepMixin
from django_totp.sessions import HALF
from django_totp.views.pages import setup as setup_page
from django_totp.views.pages import steps
from tests import session_urls
from tests.browsing import SETUP, VERIFY, Browser, assert_led

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.test_session_logins")]

MODEL = "django.contrib.auth.backends.ModelBackend"
AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
OURS = "django_totp.middleware.SecondFactorMiddleware"
HERE = "tests.test_session_logins"


def _user(request):
    user = get_user_model()._default_manager.get(pk=request.GET["pk"])
    user.backend = MODEL
    return user


def plain(request):
    auth.login(request, _user(request))
    return HttpResponse(f"token of {request.user.get_username()}")


def new_session(request):
    """Log in to a session of its own, as one does who is afraid of fixation."""
    request.session = SessionStore()
    return plain(request)


def tolerant(request):
    """Log in, whatever receivers say."""
    with contextlib.suppress(RuntimeError):
        auth.login(request, _user(request))
    return HttpResponse(f"token of {request.user.get_username()}")


def copied(request):
    """Log in by a copy of the request, as adapters of other frameworks make one."""
    auth.login(copy.copy(request), _user(request))
    return HttpResponse("token")


def twice_told(request):
    """Log in, and tell of another login, as one by a token, in the same request."""
    auth.login(request, _user(request))
    other = get_user_model()._default_manager.exclude(pk=request.user.pk).get()
    user_logged_in.send(type(other), request=request, user=other)
    return HttpResponse(f"token of {request.user.get_username()}")


def keep(request):
    auth.login(request, _user(request))
    request.session["basket"] = "a book for ada"
    messages.success(request, f"Welcome back, {request.user.get_username()}!")
    return HttpResponseRedirect("/blank/")


def basket(request):
    return HttpResponse(request.session.get("basket", "empty"))


def token_api(request):
    """Tell of a login that leaves the session alone, as knox and authtoken do."""
    user = _user(request)
    _ = request.user.is_authenticated
    user_logged_in.send(type(user), request=request, user=user)
    return JsonResponse({"token": "t"})


async def aenter(request):
    user = await get_user_model()._default_manager.aget(pk=request.GET["pk"])
    await auth.alogin(request, user, backend=MODEL)
    return HttpResponse("in")


class Dashboard(TwoStepMixin, LoginView):
    template_name = "django_totp/login.html"
    next_page = "/open/"


class Home(TwoStepMixin, LoginView):
    template_name = "django_totp/login.html"

    def get_default_redirect_url(self):
        return "/open/"


class Home2(TwoStepMixin, LoginView):
    template_name = "django_totp/login.html"

    def get_success_url(self):
        return "/open/"


@second_factor_required
def guarded(request):
    return HttpResponse("guarded")


class Shy(AdminAuthenticationForm):
    """The admin's form of a project: it lets nobody in from here."""

    def clean(self):
        data = super().clean()
        if self.get_user() is not None:
            raise forms.ValidationError("Not from this network.")
        return data


urlpatterns = [
    path("new-session/", new_session),
    path("tolerant/", tolerant),
    path("plain/", plain),
    path("copied/", copied),
    path("twice/", twice_told),
    path("keep/", keep),
    path("basket/", basket),
    path("token-api/", token_api),
    path("aenter/", aenter),
    path("dashboard/login/", Dashboard.as_view()),
    path("home/login/", Home.as_view()),
    path("home2/login/", Home2.as_view()),
    path("any/guarded/", guarded),
    *session_urls.urlpatterns,
]


class Tell:
    """Says who was here, on the way out, as middleware that writes an access log does."""

    sync_capable = async_capable = True

    def __new__(cls, get_response):
        if iscoroutinefunction(get_response):

            async def amiddleware(request):
                response = await get_response(request)
                response["X-User"] = (await request.auser()).get_username()
                return response

            markcoroutinefunction(amiddleware)
            return amiddleware

        def middleware(request):
            response = get_response(request)
            response["X-User"] = request.user.get_username()
            return response

        return middleware


class LazyToken:
    """Knows users by a header, lazily, as many a middleware for GraphQL or JWT does."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if "X-Token" in request.headers:
            model = get_user_model()
            request.user = SimpleLazyObject(
                lambda: model._default_manager.get(pk=request.headers["X-Token"])
            )
        return self.get_response(request)


class Handler:
    """The error handler of a project, at the end of MIDDLEWARE."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        return self.get_response(request)

    def process_exception(self, request, exception):
        return HttpResponse("An error, and we are sorry.", status=500)


@pytest.fixture
def raising(request):
    """Let a receiver that was connected before ours raise: in an AppConfig.ready(), say."""

    def connect(error):
        def receiver(sender, **kwargs):
            raise error

        user_logged_in.connect(receiver, weak=False)
        with user_logged_in.lock:
            user_logged_in.receivers.insert(0, user_logged_in.receivers.pop())
            user_logged_in.sender_receivers_cache.clear()
        request.addfinalizer(lambda: user_logged_in.disconnect(receiver))

    return connect


def stored():
    """Return the keys of the users whom the stored sessions name."""
    named = [row.get_decoded().get(SESSION_KEY) for row in Session.objects.all()]
    return [name for name in named if name is not None]


def where(enrolled, url):
    return f"{url}?pk={enrolled.user.pk}"


def secret_on(page):
    [secret] = re.findall(r'name="secret" value="([A-Z2-7]+)"', page.content.decode())
    return secret


class TestForeignLogins:
    """Any view that calls login(): no session that names the user is ever stored."""

    def test_control(self, enrolled):
        assert_led(enrolled.client.get(where(enrolled, "/plain/")), VERIFY)
        assert stored() == []

    def test_to_a_session_of_its_own(self, enrolled):
        answer = enrolled.client.get(where(enrolled, "/new-session/"))
        assert b"token" not in answer.content
        assert stored() == []

    def test_by_a_copy_of_the_request(self, enrolled):
        answer = enrolled.client.get(where(enrolled, "/copied/"))
        assert b"token" not in answer.content
        assert stored() == []

    def test_beside_a_login_of_another(self, enrolled, make_user):
        make_user("bob")
        answer = enrolled.client.get(where(enrolled, "/twice/"))
        assert b"token" not in answer.content
        assert stored() == []

    def test_with_a_receiver_that_raises(self, enrolled, raising):
        raising(RuntimeError)
        answer = enrolled.client.get(where(enrolled, "/tolerant/"))
        assert b"token" not in answer.content
        assert stored() == []

    def test_with_a_receiver_that_forbids(self, enrolled, raising):
        raising(PermissionDenied)
        enrolled.client.get(where(enrolled, "/plain/"))
        assert stored() == []

    def test_a_receiver_that_forbids_our_own_login(self, enrolled, raising, code):
        enrolled.password()
        raising(PermissionDenied)
        enrolled.code(code())
        assert stored() == []

    def test_a_token_api_beside_a_half_login_is_left_alone(self, enrolled, make_user):
        enrolled.password()
        answer = enrolled.client.get(f"/token-api/?pk={make_user('bob').pk}")
        assert answer.json() == {"token": "t"}


class TestOtherReaders:
    def test_auser_on_the_way_out(self, enrolled, settings):
        settings.MIDDLEWARE = list(settings.MIDDLEWARE)
        settings.MIDDLEWARE.insert(settings.MIDDLEWARE.index(AUTHENTICATION) + 1, f"{HERE}.Tell")
        answer = async_to_sync(AsyncClient().get)(where(enrolled, "/aenter/"))
        assert_led(answer, VERIFY)
        assert answer["X-User"] == ""

    def test_user_on_the_way_out(self, enrolled, settings):
        settings.MIDDLEWARE = list(settings.MIDDLEWARE)
        settings.MIDDLEWARE.insert(settings.MIDDLEWARE.index(AUTHENTICATION) + 1, f"{HERE}.Tell")
        answer = enrolled.client.get(where(enrolled, "/plain/"))
        assert answer["X-User"] == ""


class TestProjects:
    def test_lazy_users_of_others_in_front(self, user, settings):
        settings.MIDDLEWARE = list(settings.MIDDLEWARE)
        settings.MIDDLEWARE.insert(settings.MIDDLEWARE.index(OURS), f"{HERE}.LazyToken")
        answer = Client().get("/open/", HTTP_X_TOKEN=str(user.pk))
        assert answer.content.startswith(b"True")

    def test_the_form_of_an_admin_that_refuses(self, enrolled, monkeypatch):
        enrolled.user.is_staff = True
        enrolled.user.save()
        monkeypatch.setattr(admin.site, "login_form", Shy)
        answer = enrolled.password("/admin/login/", "/admin/")
        assert answer.status_code == 200
        assert b"Not from this network" in answer.content
        assert HALF not in enrolled.session

    @pytest.mark.parametrize("at", ["/dashboard/login/", "/home/login/", "/home2/login/"])
    def test_where_a_login_view_leads(self, enrolled, code, at):
        answer = enrolled.follow(enrolled.password(at), {"otp_code": code()})
        assert answer["Location"] == "/open/"

    def test_the_key_of_encryption_changes_in_setup(self, user, settings):
        browser = Browser(user)
        browser.password()
        secret = secret_on(browser.client.get(reverse(SETUP)))
        settings.TOTP_ENCRYPTION_KEY = Fernet.generate_key()
        answer = browser.client.post(reverse(SETUP), {"otp_code": "123456", "secret": secret})
        assert answer.status_code == 200

    def test_a_middleware_twice(self, enrolled, settings, code):
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, OURS]
        assert_led(enrolled.client.get(where(enrolled, "/plain/")), VERIFY)
        assert stored() == []
        enrolled.code(code())
        assert enrolled.is_signed_in

    @pytest.mark.parametrize("referrer", ["http://testserver//evil.example/", "http://[", "//x"])
    def test_odd_referrers(self, enrolled, code, referrer):
        enrolled.password()
        answer = enrolled.client.post("/private/", HTTP_REFERER=referrer)
        assert answer.status_code == 302
        answer = enrolled.follow(answer, {"otp_code": code()})
        assert answer["Location"].startswith("/")
        assert not answer["Location"].startswith("//")


class Look:
    """Looks at the user of each request, as loggers and pickers of a language do."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        _ = request.user.is_authenticated
        return self.get_response(request)


class TestTheNext:
    """What a session has held of one user is not shown to the next in the same browser."""

    @pytest.mark.parametrize("between", ["nothing", "another", "time"])
    @pytest.mark.parametrize("at", ["two-factor-login", "/own/login/", "/admin/login/"])
    def test_after_the_password_was_given_again(self, enrolled, make_user, at, between):
        enrolled.user.is_staff = True
        enrolled.user.save()
        enrolled.client.get(where(enrolled, "/keep/"))  # or: a session from before the enrollment
        enrolled.password(at)
        if between == "another":
            enrolled.client.post(reverse(VERIFY), {"another": "1"})
        bob = Browser(make_user("bob"), enrolled.client)
        if between == "time":
            later = datetime.datetime.now() + datetime.timedelta(minutes=5)
            with time_machine.travel(later):
                bob.password()
        else:
            bob.password()
        assert bob.is_signed_in
        assert bob.client.get("/basket/").content == b"empty"


class TestRaces:
    def test_end_sessions_while_a_setup_is_confirmed(self, user, otp, monkeypatch):
        """As at the second step: whoever ends all logins meanwhile ends this one."""
        begin = datetime.datetime(2031, 5, 4, 12, 0, 5, tzinfo=datetime.UTC)
        with time_machine.travel(begin, tick=False) as clock:
            browser = Browser(user)
            browser.password()
            page = browser.client.get(reverse(SETUP))
            secret = secret_on(page)
            confirm = setup_page.confirm_totp_setup

            def slowly(*args, **kwargs):
                clock.shift(1)
                end_sessions(user)
                clock.shift(2)
                return confirm(*args, **kwargs)

            monkeypatch.setattr(setup_page, "confirm_totp_setup", slowly)
            browser.client.post(reverse(SETUP), {"otp_code": otp(secret), "secret": secret})
            clock.shift(5)
            assert browser.client.get("/open/").content == b"False AnonymousUser"

    def test_a_code_while_end_sessions(self, enrolled, code, monkeypatch):
        """A control: the second step holds."""
        begin = datetime.datetime.now(datetime.UTC).replace(second=5)
        with time_machine.travel(begin, tick=False) as clock:
            enrolled.password()
            finish = steps.finish_login

            def slowly(*args, **kwargs):
                user = finish(*args, **kwargs)
                clock.shift(1)
                end_sessions(enrolled.user)
                clock.shift(2)
                return user

            monkeypatch.setattr(steps, "finish_login", slowly)
            enrolled.code(code())
            assert enrolled.client.get("/open/").content == b"False AnonymousUser"


class TestAnswers:
    def test_the_query_of_a_login_url(self, client, settings):
        settings.LOGIN_URL = "/accounts/login/?theme=dark"
        answer = client.get("/any/guarded/")
        assert_led(answer, "/accounts/login/", "/any/guarded/")

    def test_a_login_page_of_another_host(self, client, settings):
        settings.LOGIN_URL = "https://sso.example.com/login/"
        answer = client.get("/any/guarded/")
        assert "next=http%3A%2F%2Ftestserver" in answer["Location"]

    @pytest.mark.parametrize("wants", [{"HTTP_ACCEPT": "application/json"}, {}])
    def test_a_wrong_password_at_the_api_beside_a_half_login(self, enrolled, settings, wants):
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{HERE}.Look"]
        name = get_user_model().USERNAME_FIELD
        wrong = {name: enrolled.user.get_username(), "password": "wrong"}
        enrolled.password()
        answer = enrolled.client.post("/api/jwt/create/", wrong, "application/json", **wants)
        assert answer.json()["detail"] == "Invalid credentials."

    def test_no_password_is_claimed_that_was_not_given(self, user, otp, settings):
        settings.TOTP_REQUIRED_FOR = ["everyone"]
        browser = Browser(user)
        browser.client.get(f"/foreign/?pk={user.pk}")
        page = browser.client.get(reverse(SETUP))
        secret = secret_on(page)
        browser.client.post(reverse(SETUP), {"otp_code": otp(secret), "secret": secret})
        assert browser.is_signed_in
        assert "pwd" not in browser.session["_django_totp"]["amr"]

    def test_grace_without_time_zones(self, user, settings):
        settings.USE_TZ = False
        settings.TOTP_REQUIRED_FOR = ["everyone"]
        settings.TOTP_GRACE_PERIOD = 86400
        assert Browser(user).password().status_code == 302

    def test_a_lock_screen_that_takes_only_the_name(self, enrolled, code):
        """A project takes the name out of the session, and asks for the password again."""
        enrolled.password()
        enrolled.code(code())
        session = enrolled.session
        del session[SESSION_KEY]
        session.save()
        assert_led(enrolled.client.get(where(enrolled, "/plain/")), VERIFY)

    def test_two_tabs_and_a_double_click(self, enrolled, code):
        enrolled.password()
        twin = Client()
        twin.cookies.update(enrolled.client.cookies)
        right = code()
        assert enrolled.code(right).status_code == 302
        other = Browser(enrolled.user, twin)
        answer = other.code(right)
        assert not other.is_signed_in
        assert answer.status_code in (302, 400)

    def test_a_backend_that_is_gone(self, enrolled, code):
        enrolled.password()
        session = enrolled.session
        session[HALF] = {**session[HALF], "backend": "gone.Backend"}
        session.save()
        assert enrolled.code(code()).status_code < 500

    def test_a_view_that_logs_out_the_half(self, enrolled):
        assert enrolled.client.get("/open/").status_code == 200


class TestCaches:
    UPDATE = "django.middleware.cache.UpdateCacheMiddleware"
    FETCH = "django.middleware.cache.FetchFromCacheMiddleware"

    @pytest.mark.parametrize("is_async", [False, True])
    def test_the_whole_site_is_cached(self, enrolled, settings, code, is_async):
        settings.MIDDLEWARE = [self.UPDATE, *settings.MIDDLEWARE, self.FETCH]
        url = "/async/" if is_async else "/open/"
        for client in (Client(), enrolled.client):
            assert client.get(url).content == b"False AnonymousUser"
        enrolled.password()
        assert b"False" in enrolled.client.get(url).content
        enrolled.code(code())
        assert b"True" in enrolled.client.get(url).content
        assert b"False" in Client().get(url).content

    def test_a_login_beside_a_public_page(self, enrolled, settings):
        settings.MIDDLEWARE = [self.UPDATE, *settings.MIDDLEWARE, self.FETCH]
        assert_led(enrolled.client.get(where(enrolled, "/plain/")), VERIFY)
        assert b"token" not in Client().get(where(enrolled, "/plain/")).content


class TestControls:
    """What holds today: the first is what TestTheNext is compared with, the rest had no test."""

    def test_without_the_second_password_the_next_gets_nothing(self, enrolled, make_user):
        enrolled.client.get(where(enrolled, "/keep/"))
        bob = Browser(make_user("bob"), enrolled.client)
        bob.password()
        assert bob.is_signed_in
        assert bob.client.get("/basket/").content == b"empty"

    @pytest.mark.parametrize("is_foreign", [False, True])
    def test_the_backend_is_kept(self, enrolled, code, settings, is_foreign):
        settings.AUTHENTICATION_BACKENDS = [MODEL, f"{HERE}.Second"]
        if is_foreign:
            enrolled.client.get(f"/foreign/?pk={enrolled.user.pk}&backend={HERE}.Second")
        else:
            settings.AUTHENTICATION_BACKENDS = [f"{HERE}.Never", f"{HERE}.Second"]
            enrolled.password()
        enrolled.code(code())
        assert enrolled.session[auth.BACKEND_SESSION_KEY] == f"{HERE}.Second"


class Second(auth.backends.ModelBackend):
    pass


class Never(auth.backends.ModelBackend):
    def authenticate(self, request, **credentials):
        return None


class TestTheNextAfterAnOldSession:
    def test_from_before_the_enrollment(self, user, make_user, enroll_later):
        browser = Browser(user)
        browser.client.get(where(browser, "/keep/"))
        assert browser.is_signed_in
        enroll_later()
        browser.client.get("/open/")
        assert HALF in browser.session
        browser.password()  # instead of the code, at the login page
        browser.client.post(reverse(VERIFY), {"another": "1"})
        assert browser.client.get("/basket/").content == b"empty"

    @pytest.fixture
    def enroll_later(self, user, secret):
        from django.utils import timezone

        from django_totp.encryption import encrypt
        from django_totp.models import Totp

        def enroll():
            at = timezone.now() + datetime.timedelta(seconds=2)
            Totp.objects.create(user=user, secret_key=encrypt(secret), confirmed_at=at)

        return enroll
