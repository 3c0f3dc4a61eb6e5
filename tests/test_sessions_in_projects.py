"""The session side in projects of many kinds: their sessions, transactions, middleware, views."""

import json
import time
from urllib.parse import urlencode, urlsplit

import pytest
import time_machine
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib import admin
from django.contrib.auth import (
    alogin,
    authenticate,
    decorators,
    get_user,
    get_user_model,
    login,
    logout,
)
from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.hashers import make_password
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpResponse, HttpResponseRedirect, JsonResponse
from django.template import engines
from django.test import AsyncClient, Client
from django.urls import clear_script_prefix, include, path, reverse, set_script_prefix
from django.views.decorators.csrf import csrf_exempt
from rest_framework.authentication import SessionAuthentication
from rest_framework.decorators import api_view, authentication_classes, permission_classes
from rest_framework.permissions import IsAdminUser, IsAuthenticated
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.tokens import AccessToken

from django_totp import middleware
from django_totp.auth import end_sessions
from django_totp.decorators import second_factor_required
from django_totp.mixins import TwoStepMixin
from django_totp.sessions import HALF
from tests.test_checks import urls
from tests.visitors import MIDDLEWARE, PASSWORD, WHO, Visitor, make_visitor, next_in, page_of

pytestmark = pytest.mark.django_db

REMOTE_USER = "django.contrib.auth.middleware.RemoteUserMiddleware"
REMOTE = "django.contrib.auth.backends.RemoteUserBackend"
MODEL = "django.contrib.auth.backends.ModelBackend"
LOGIN_REQUIRED = "django.contrib.auth.middleware.LoginRequiredMiddleware"
INSIDE = "/inside/?page=2"


def who(request):
    return HttpResponse(request.user.get_username() or "nobody")


async def awho(request):
    user = await request.auser()
    again = await request.auser()
    assert user.is_authenticated == again.is_authenticated
    return HttpResponse(again.get_username() or "nobody")


async def aopen(request):
    return HttpResponse("open")


def enter(request):
    """Log in without any form, as many a view of a project does."""
    user = authenticate(request, username=request.POST["username"], password=PASSWORD)
    login(request, user)
    return HttpResponseRedirect(INSIDE)


def enter_anew(request):
    """Log in with a session of the view's own, as some of django-allauth do."""
    request.session = type(request.session)()
    return enter(request)


async def aenter(request):
    user = await get_user_model().objects.aget(pk=request.GET["pk"])
    await alogin(request, user, backend=MODEL)
    return HttpResponse((await request.auser()).get_username() or "nobody")


def leave(request):
    """Log out whoever is in, and nobody else, as django-allauth does."""
    if request.user.is_authenticated:
        logout(request)
    return HttpResponseRedirect(WHO)


def basket(request):
    if request.method == "POST":
        request.session["basket"] = request.POST["thing"]
    return JsonResponse({"basket": request.session.get("basket")})


@login_required
def inside(request):
    page = "{% load i18n %}{{ user.get_username }} {{ request.GET.page }}"
    return HttpResponse(engines["django"].from_string(page).render({}, request))


@api_view(["GET", "POST"])
@authentication_classes([SessionAuthentication])
@permission_classes([IsAuthenticated])
def me(request):
    return JsonResponse({"name": request.user.get_username()})


@api_view(["GET"])
@authentication_classes([SessionAuthentication, JWTAuthentication])
@permission_classes([IsAdminUser])
def either(request):
    return JsonResponse({"name": request.user.get_username()})


@login_required
@csrf_exempt
def save(request):
    return HttpResponse("saved")


site = admin.AdminSite(name="second")

URLS = urls(
    path("account/", include("django_totp.urls.pages")),
    path("admin/", admin.site.urls),
    path("second/", site.urls),
    path("login/", LoginView.as_view(template_name="django_totp/login.html"), name="login"),
    path("logout/", LogoutView.as_view(next_page=WHO), name="logout"),
    path("bye/", LogoutView.as_view(next_page="/login/")),
    path("who/", who),
    path("awho/", awho),
    path("aopen/", aopen),
    path("enter/", enter),
    path("enter-anew/", enter_anew),
    path("aenter/", aenter),
    path("basket/", basket),
    path("leave/", leave, name="members_logout"),
    path("inside/", inside),
    path("save/", save),
    path("me/", me),
    path("either/", either),
    path("money/", second_factor_required(who, max_age=60)),
    path("factor/", second_factor_required(who)),
    path("api/", include("django_totp.urls")),
    path("api/", include("django_totp.urls.jwt")),
)
DOORS = ["/account/login/", "/login/", "/admin/login/"]


@pytest.fixture(autouse=True)
def _project(settings):
    others = [one for one in settings.MIDDLEWARE if one != MIDDLEWARE]
    settings.MIDDLEWARE = [*others, MIDDLEWARE]
    settings.ROOT_URLCONF = URLS
    settings.LOGIN_URL = "/login/"
    settings.LOGIN_REDIRECT_URL = WHO
    settings.TOTP_THROTTLE_RATE = None


@pytest.fixture
def ada():
    return make_visitor("ada", is_staff=True, is_superuser=True).enroll()


@pytest.fixture
def bob():
    """Return somebody without a second factor, in a browser of his own."""
    return make_visitor("bob")


def insert(settings, *more, before=MIDDLEWARE):
    place = settings.MIDDLEWARE.index(before)
    settings.MIDDLEWARE = [*settings.MIDDLEWARE[:place], *more, *settings.MIDDLEWARE[place:]]


def assert_half(visitor):
    assert not visitor.is_in
    session = visitor.client.session
    assert HALF in session
    assert not [key for key in dict(session.items()) if key.startswith("_auth_user")]


# --- Every session backend of Django ---

BACKENDS = ["db", "cache", "cached_db", "file", "signed_cookies"]


@pytest.fixture(params=BACKENDS)
def engine(request, settings, tmp_path):
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{request.param}"
    settings.SESSION_FILE_PATH = str(tmp_path)
    return request.param


@pytest.mark.parametrize("save_always", [False, True])
@pytest.mark.parametrize("door", DOORS)
def test_every_session_backend(engine, settings, ada, door, save_always, logins):
    settings.SESSION_SAVE_EVERY_REQUEST = save_always
    ada.client.get(WHO)
    answer = ada.give_password(door, next=INSIDE)
    assert page_of(answer) == reverse("two-factor-verify")
    assert_half(ada)
    keys = {ada.client.cookies["sessionid"].value}
    answer = ada.give_code(answer)
    assert answer["Location"] == INSIDE
    assert ada.is_in
    keys.add(ada.client.cookies["sessionid"].value)
    assert len(keys) == 2
    assert ada.client.post("/logout/").status_code == 302
    assert not ada.is_in
    assert set(logins) == {ada.name}


@pytest.mark.parametrize("door", DOORS)
def test_the_old_key_opens_nothing(engine, ada, door):
    """Whoever knew the key of the half-login knows nothing of the login."""
    answer = ada.give_password(door)
    thief = Visitor(ada.user)
    thief.client.cookies["sessionid"] = ada.client.cookies["sessionid"].value
    ada.give_code(answer)
    assert ada.is_in
    assert not thief.is_in


def test_an_ended_session_is_nobodys(engine, ada):
    ada.log_in("/account/login/")
    assert ada.is_in
    end_sessions(ada.user)
    assert not ada.is_in
    assert ada.client.get(INSIDE)["Location"].startswith("/login/")


@pytest.mark.parametrize("save_always", [False, True])
def test_a_session_from_before_comes_back_to_its_page(engine, settings, bob, save_always):
    settings.SESSION_SAVE_EVERY_REQUEST = save_always
    bob.give_password("/account/login/")
    assert bob.is_in
    bob.enroll()
    answer = bob.client.get(INSIDE)
    assert page_of(answer) == reverse("two-factor-verify")
    assert next_in(answer) == INSIDE
    assert_half(bob)
    assert bob.give_code(answer)["Location"] == INSIDE
    assert bob.is_in


def test_a_view_that_changes_the_session(engine, ada):
    answer = ada.give_password("/enter-anew/")
    assert page_of(answer) == reverse("two-factor-verify")
    assert_half(ada)
    assert ada.give_code(answer)["Location"] == INSIDE
    assert ada.is_in


# --- Transactions around each request, and a new hash at the first step ---

OLD, NEW = (f"django.contrib.auth.hashers.{name}PasswordHasher" for name in ("MD5", "PBKDF2SHA1"))


@pytest.fixture
def atomic(settings, transactional_db):
    from django.db import connection

    settings.PASSWORD_HASHERS = [NEW, OLD]
    connection.settings_dict["ATOMIC_REQUESTS"] = True
    yield
    connection.settings_dict["ATOMIC_REQUESTS"] = False


@pytest.mark.parametrize("door", DOORS)
def test_a_rehash_in_a_transaction(atomic, ada, door, logins):
    ada.user.password = make_password(PASSWORD, hasher="md5")
    ada.user.save()
    answer = ada.give_password(door, next=INSIDE)
    assert ada.give_code(answer)["Location"] == INSIDE
    assert ada.is_in
    assert ada.client.get(INSIDE).status_code == 200


@pytest.mark.parametrize("door", DOORS[:2])
def test_the_new_hash_is_kept(atomic, ada, door):
    ada.user.password = make_password(PASSWORD, hasher="md5")
    ada.user.save()
    ada.log_in(door)
    ada.user.refresh_from_db()
    assert ada.user.password.startswith("pbkdf2_sha1$")


def test_wrong_codes_are_counted_in_a_transaction(atomic, ada, settings):
    settings.TOTP_FAILURE_LIMIT = 1
    answer = ada.give_password("/login/")
    for _ in range(2):
        ada.client.post(answer["Location"], {"otp_code": "x"})
    waits = ada.give_code(answer)
    assert waits.status_code == 429
    assert not ada.is_in


# --- LoginRequiredMiddleware ---


@pytest.fixture(params=["before", "after"])
def login_required_middleware(request, settings):
    if not hasattr(decorators, "login_not_required"):
        pytest.skip("Django 5.1 brings it")
    if request.param == "before":
        insert(settings, LOGIN_REQUIRED)
    else:
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, LOGIN_REQUIRED]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("login_url", ["/login/", "two-factor-login"])
def test_login_required_middleware(login_required_middleware, settings, ada, door, login_url):
    settings.LOGIN_URL = login_url
    assert ada.client.get(door).status_code == 200
    answer = ada.give_password(door, next=INSIDE)
    seen = ada.client.get(answer["Location"])
    assert seen.status_code == 200
    led = ada.client.get(INSIDE)
    assert page_of(led) == reverse("two-factor-verify")
    assert next_in(led) == INSIDE
    assert ada.give_code(answer)["Location"] == INSIDE
    assert ada.client.get(WHO).content.decode() == ada.name
    for name in ("two-factor", "two-factor-backup-codes", "two-factor-disable"):
        assert ada.client.get(reverse(name)).status_code == 200


def test_login_required_middleware_keeps_others_out(login_required_middleware):
    client = Client()
    for name in ("two-factor", "two-factor-backup-codes", "two-factor-disable"):
        assert page_of(client.get(reverse(name))) == "/login/"
    for name in ("two-factor-verify", "two-factor-setup"):
        assert page_of(client.get(reverse(name))) == "/login/"


def test_login_required_middleware_and_an_owed_enrollment(login_required_middleware, settings, bob):
    settings.TOTP_REQUIRED_FOR = ["everyone"]
    answer = bob.give_password("/login/", next=INSIDE)
    shown = bob.set_up(answer)
    assert shown.context["go_on"] == INSIDE
    assert bob.client.get(INSIDE).status_code == 200


# --- Users whom a server or a middleware names ---


@pytest.fixture(params=["before", "after"])
def remote(request, settings):
    """Return a function that gives a visitor whom the server in front names in each request."""
    settings.AUTHENTICATION_BACKENDS = [REMOTE, MODEL]
    if request.param == "before":
        insert(settings, REMOTE_USER)
    else:
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, REMOTE_USER]

    def remote(visitor):
        visitor.client = Client(REMOTE_USER=visitor.name)
        return visitor

    return remote


class Curious:
    """A middleware that looks who is there, as one for time zones or for logs does."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        request.who = request.user.get_username()
        return self.get_response(request)


CURIOUS = f"{__name__}.Curious"


@pytest.fixture(params=[False, True])
def curious(request, settings):
    if request.param:
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, CURIOUS]


def test_a_remote_user_is_asked_once_a_session(remote, curious, ada):
    remote(ada)
    for _ in range(2):
        answer = ada.client.get(INSIDE)
        assert page_of(answer) == reverse("two-factor-verify")
        assert next_in(answer) == INSIDE
        assert ada.client.get(answer["Location"]).status_code == 200
        assert ada.give_code(answer)["Location"] == INSIDE
        for _ in range(2):
            assert ada.client.get(INSIDE).status_code == 200
        assert ada.client.post("/save/").content == b"saved"
        ada.client = Client(REMOTE_USER=ada.name)


def test_a_remote_user_who_begins_with_a_form(remote, curious, ada):
    remote(ada)
    answer = ada.client.post("/save/", headers={"Referer": f"http://testserver{INSIDE}"})
    assert page_of(answer) == reverse("two-factor-verify")
    assert next_in(answer) == INSIDE
    ada.give_code(answer)
    assert ada.client.post("/save/").content == b"saved"


def test_a_remote_user_with_csrf_checks(remote, ada):
    remote(ada)
    ada.client = Client(enforce_csrf_checks=True, REMOTE_USER=ada.name)
    answer = ada.client.get(INSIDE)
    page = ada.client.get(answer["Location"])
    answer = ada.give_code(answer, csrfmiddlewaretoken=str(page.context["csrf_token"]))
    assert answer["Location"] == INSIDE
    assert ada.is_in


def test_a_remote_user_without_a_factor_just_works(remote, curious, bob):
    remote(bob)
    assert bob.client.get(INSIDE).status_code == 200
    assert bob.client.post("/save/").content == b"saved"


def test_a_remote_user_whose_logins_were_ended_comes_in_again(remote, curious, bob):
    """The server in front says who it is: a new session is a new login."""
    remote(bob)
    assert bob.is_in
    end_sessions(bob.user)
    bob.client.get(WHO)  # the old session is nobody's
    assert bob.is_in
    assert bob.client.get(INSIDE).status_code == 200


def test_an_exempt_backend_is_asked_nothing(remote, curious, settings, ada):
    settings.TOTP_EXEMPT_BACKENDS = [REMOTE]
    settings.TOTP_REQUIRED_FOR = ["everyone"]
    remote(ada)
    assert ada.client.get(INSIDE).status_code == 200
    assert ada.client.post("/save/").content == b"saved"
    key = ada.client.cookies["sessionid"].value
    end_sessions(ada.user)
    ada.client.get(WHO)
    assert ada.is_in
    assert ada.client.cookies["sessionid"].value != key
    other = make_visitor("eve").enroll()  # by her password
    assert page_of(other.give_password("/login/")) == reverse("two-factor-verify")


class Directory(BaseBackend):
    """A backend of the project's own, as those of a directory are."""

    def authenticate(self, request, username=None, password=None):
        model = get_user_model()
        if password != "directory":
            return None
        return model.objects.filter(**{model.USERNAME_FIELD: username}).first()

    def get_user(self, user_id):
        return get_user_model().objects.filter(pk=user_id).first()


DIRECTORY = f"{__name__}.Directory"


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("is_exempt", [False, True])
def test_a_backend_of_the_projects_own(settings, ada, door, is_exempt):
    settings.AUTHENTICATION_BACKENDS = [DIRECTORY, MODEL]
    settings.TOTP_EXEMPT_BACKENDS = [DIRECTORY] * is_exempt
    answer = ada.give_password(door, "directory", next=INSIDE)
    if not is_exempt:
        answer = ada.give_code(answer)
    assert answer["Location"] == INSIDE
    assert ada.is_in
    assert ada.client.session["_auth_user_backend"] == DIRECTORY
    end_sessions(ada.user)
    assert not ada.is_in
    answer = ada.give_password(door)  # its own password is no exempt backend's
    assert page_of(answer) == reverse("two-factor-verify")


class Linked:
    """A middleware that logs in by a link, as django-sesame's does."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if "pk" in request.GET and not request.user.is_authenticated:
            login(request, get_user_model().objects.get(pk=request.GET["pk"]), backend=MODEL)
        return self.get_response(request)


LINKED = f"{__name__}.Linked"


@pytest.mark.parametrize("is_first", [False, True])
def test_a_link_that_logs_in(settings, curious, ada, bob, is_first):
    if is_first:
        insert(settings, LINKED)
    else:
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, LINKED]
    end_sessions(bob.user)  # some time ago, and that is no reason to keep him out
    url = f"/who/?pk={bob.user.pk}"
    assert bob.client.get(url).content.decode() == bob.name
    assert bob.is_in
    url = f"/who/?pk={ada.user.pk}"
    answer = ada.client.get(url)
    assert page_of(answer) == reverse("two-factor-verify")
    assert next_in(answer) == url
    assert_half(ada)
    ada.give_code(answer)
    assert ada.is_in


class BareForm(AuthenticationForm):
    """A form of a project that knows one backend and does not name it, as Django allows."""

    def get_user(self):
        user = super().get_user()
        return user and get_user_model().objects.get(pk=user.pk)


class BareLogin(TwoStepMixin, LoginView):
    authentication_form = BareForm
    template_name = "django_totp/login.html"


def test_a_user_without_a_backend(settings, ada):
    settings.ROOT_URLCONF = urls(path("own/", BareLogin.as_view()), *URLS.urlpatterns)
    answer = ada.give_password("/own/", next=INSIDE)
    assert ada.give_code(answer)["Location"] == INSIDE
    assert ada.is_in


# --- A project that is not at the root of its host ---


@pytest.fixture
def prefix(ada):
    ada.client = Client(SCRIPT_NAME="/site")
    set_script_prefix("/site/")
    yield "/site"
    clear_script_prefix()


def test_the_login_page_of_the_project_is_found_below_a_prefix(settings, prefix, ada):
    settings.LOGIN_URL = "login"
    for page in ("/money/", "/account/two-factor/"):
        answer = ada.client.get(page)
        assert page_of(answer) == "/site/login/"
        assert next_in(answer) == prefix + page
    assert page_of(ada.client.get("/account/two-factor/verify/")) == "/site/login/"


def test_a_login_page_is_no_page_to_come_back_to_below_a_prefix(settings, prefix, ada):
    ada.client.force_login(ada.user)  # of before
    assert ada.client.get("/admin/login/").status_code == 200
    answer = ada.client.get("/inside/")
    assert page_of(answer) == "/site/account/two-factor/verify/"
    assert next_in(answer) == "/site/inside/"


# --- Several tabs, several people, a logout in between, languages ---


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("is_complete", [False, True])
def test_another_person_in_the_same_browser(ada, door, is_complete):
    eve = make_visitor("eve", is_staff=True).enroll()
    if is_complete:
        ada.log_in("/enter/")
    else:
        ada.give_password("/enter/")  # the session has been hers
    ada.client.post("/basket/", {"thing": "of ada"})
    eve.client = ada.client
    answer = eve.give_password(door)
    assert eve.client.get("/basket/").json() == {"basket": None}
    assert ada.client.post(answer["Location"], {"otp_code": ada.code()}).status_code == 200
    assert not eve.is_in
    eve.give_code(answer)
    assert eve.is_in
    assert eve.client.get("/basket/").json() == {"basket": None}


@pytest.mark.parametrize("door", DOORS)
def test_what_nobody_put_in_stays(ada, door):
    """As with Django's own login: the basket of the anonymous visitor is the user's."""
    ada.client.post("/basket/", {"thing": "book"})
    ada.log_in(door)
    assert ada.client.get("/basket/").json() == {"basket": "book"}


@pytest.mark.parametrize("door", DOORS)
def test_another_person_without_a_factor(ada, door):
    bob = make_visitor("bob", is_staff=True)
    ada.give_password("/enter/")
    ada.client.post("/basket/", {"thing": "of ada"})
    bob.client = ada.client
    assert bob.give_password(door)["Location"] in {WHO, "/admin/login/", "/accounts/profile/"}
    assert bob.is_in
    assert bob.client.get("/basket/").json() == {"basket": None}
    assert HALF not in bob.client.session


@pytest.mark.parametrize("logout", ["/logout/", "/admin/logout/", "/leave/", "/bye/"])
@pytest.mark.parametrize("door", DOORS)
def test_a_logout_in_between(ada, door, logout):
    answer = ada.give_password(door)
    assert page_of(ada.client.post(logout)) in {WHO, "/admin/", "/login/"}
    assert HALF not in ada.client.session
    late = ada.give_code(answer)
    assert page_of(late) == "/login/"
    assert not ada.is_in


@pytest.mark.parametrize("logout", ["/logout/", "/admin/logout/", "/leave/", "/bye/"])
def test_a_logout_of_a_session_that_lacks_the_factor(bob, logout):
    bob.give_password("/login/")
    bob.enroll()
    bob.client.post(logout)
    assert page_of(bob.client.get(INSIDE)) == "/login/"


@pytest.mark.parametrize("door", DOORS)
def test_two_tabs(ada, door):
    """The second tab shows the step that the first has taken: it steps up, and goes on."""
    first, second = (ada.give_password(door, next=url) for url in (INSIDE, WHO))
    assert ada.give_code(first)["Location"] == INSIDE
    assert ada.client.get(second["Location"]).status_code == 200
    assert ada.give_code(second)["Location"] == WHO
    assert ada.is_in


def test_tabs_that_ask_for_a_login_meanwhile(ada):
    ada.give_password("/login/")
    for page in (INSIDE, "/admin/", "/admin/auth/group/", "/money/"):
        answer = ada.client.get(page)
        assert page_of(answer) == reverse("two-factor-verify")
        assert next_in(answer) == page


@pytest.mark.parametrize("name", ["two-factor-verify", "two-factor-setup"])
def test_the_language_of_the_visitor(settings, ada, bob, name):
    insert(settings, "django.middleware.locale.LocaleMiddleware")
    settings.LANGUAGES = [("en", "English"), ("de", "German")]
    visitor = ada
    if name == "two-factor-setup":
        settings.TOTP_REQUIRED_FOR, visitor = ["everyone"], bob
    answer = visitor.give_password("/login/")
    page = visitor.client.get(answer["Location"], headers={"Accept-Language": "de"})
    assert b'lang="de"' in page.content
    assert page["Content-Language"] == "de"


# --- Requests of programs ---

FETCHES = [
    {"Accept": "application/json"},
    {"Accept": "*/*", "Sec-Fetch-Mode": "cors"},
    {"Accept": "*/*", "Sec-Fetch-Mode": "same-origin", "HX-Request": "true"},
]


def assert_json(answer, status, code, **more):
    body = answer.json()
    assert (answer.status_code, body.pop("code")) == (status, code)
    assert body.pop("detail")
    assert body == more
    assert answer["Cache-Control"] == "no-store"
    assert "Location" not in answer


@pytest.mark.parametrize("headers", FETCHES)
def test_what_programs_are_told(settings, ada, bob, headers):
    for page in (INSIDE, "/admin/", "/money/", "/factor/"):
        assert ada.client.get(page, headers=headers).status_code in {302, 401}
    ada.give_password("/login/")
    for page in (INSIDE, "/admin/", "/money/", "/factor/", "/me/"):
        assert_json(ada.client.get(page, headers=headers), 401, "second_factor_required")
    assert_json(ada.client.post("/save/", headers=headers), 401, "second_factor_required")
    ada.give_code()
    assert ada.client.get("/money/", headers=headers).status_code == 200
    with time_machine.travel(time.time() + 61):
        answer = ada.client.get("/money/", headers=headers)
        assert_json(answer, 403, "insufficient_user_authentication", max_age=60)
    bob.give_password("/login/")
    for page in ("/money/", "/factor/"):
        assert_json(bob.client.get(page, headers=headers), 403, "enrollment_required")
    settings.TOTP_REQUIRED_FOR = ["everyone"]
    assert_json(bob.client.get(INSIDE, headers=headers), 401, "enrollment_required")


@pytest.mark.parametrize("headers", FETCHES)
@pytest.mark.parametrize("door", DOORS[1:])
def test_a_login_by_a_program(ada, headers, door):
    body = {"username": ada.name, "password": PASSWORD}
    assert_json(ada.client.post(door, body, headers=headers), 401, "second_factor_required")
    assert_half(ada)
    ada.give_code()
    assert ada.is_in


class LeadHtmx:
    """The recipe for HTMX: let a refusal of ours lead the whole page. It stands before ours."""

    PAGES = {
        "second_factor_required": "two-factor-verify",
        "insufficient_user_authentication": "two-factor-verify",
        "enrollment_required": "two-factor-setup",
    }

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        response = self.get_response(request)
        is_json = response.get("Content-Type") == "application/json"
        if request.headers.get("HX-Request") and response.status_code in (401, 403) and is_json:
            page = self.PAGES.get(json.loads(response.content).get("code"))
            if page is not None:
                here = urlsplit(request.headers.get("HX-Current-URL", ""))
                back = urlencode({"next": here._replace(scheme="", netloc="").geturl()})
                response["HX-Redirect"] = f"{reverse(page)}?{back}"
        return response


def test_the_recipe_for_htmx(settings, ada, bob):
    insert(settings, f"{__name__}.LeadHtmx")
    headers = FETCHES[2] | {"HX-Current-URL": f"http://testserver{INSIDE}"}
    back = urlencode({"next": INSIDE})
    ada.give_password("/login/")
    led = ada.client.post("/save/", headers=headers)["HX-Redirect"]
    assert led == f"{reverse('two-factor-verify')}?{back}"
    assert ada.client.post(led, {"otp_code": ada.code()})["Location"] == INSIDE
    assert "HX-Redirect" not in ada.client.get("/money/", headers=headers)
    bob.give_password("/login/")
    led = bob.client.get("/money/", headers=headers)["HX-Redirect"]
    assert led == f"{reverse('two-factor-setup')}?{back}"
    assert "HX-Redirect" not in Client().get("/me/", headers=headers)


def test_session_authentication(ada, bob):
    """REST framework's own answers, to those who are in and to those who are not."""
    asks = {"Accept": "application/json"}
    assert Client().get("/me/", headers=asks).status_code in {401, 403}
    ada.give_password("/login/")
    assert_json(ada.client.get("/me/", headers=asks), 401, "second_factor_required")
    assert_json(ada.client.post("/me/", headers=asks), 401, "second_factor_required")
    ada.give_code()
    assert ada.client.get("/me/", headers=asks).json() == {"name": ada.name}
    bob.give_password("/login/")
    assert bob.client.get("/me/", headers=asks).json() == {"name": bob.name}
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = bob.client.cookies
    refused = strict.post("/me/", headers=asks)
    assert refused.status_code == 403
    assert "CSRF" in refused.json()["detail"]


def test_who_comes_with_a_token_is_not_told_of_a_half_login(ada, bob):
    """A browser may hold a half-login beside the token of an app: that is refused as itself."""
    ada.give_password("/login/")
    token = {"Authorization": f"Bearer {AccessToken.for_user(bob.user)}"}
    for headers, status, said in (
        (token, 403, "You do not have permission to perform this action."),
        ({"Authorization": "Bearer none"}, 403, "Given token not valid for any token type"),
    ):
        refused = ada.client.get("/either/", headers=headers | {"Accept": "application/json"})
        assert (refused.status_code, refused.json()["detail"]) == (status, said)
    basic = {"Authorization": "Basic YTpi"}  # a browser sends it unasked, to a gate in front
    refused = ada.client.get("/either/", headers=basic | {"Accept": "application/json"})
    assert_json(refused, 401, "second_factor_required")


# --- ASGI ---


class Hops:
    """Counts how often our middleware leaves for a thread."""

    def __init__(self, monkeypatch):
        self.count = 0
        monkeypatch.setattr(middleware, "sync_to_async", self)

    def __call__(self, function):
        self.count += 1
        return sync_to_async(function)


@pytest.fixture
def hops(monkeypatch):
    return Hops(monkeypatch)


def asynchronous(visitor):
    """Return an asynchronous client with the cookies of a visitor."""
    client = AsyncClient()
    client.cookies = visitor.client.cookies
    return client


@pytest.mark.django_db(transaction=True)
async def atest_nobody(hops):
    for url in ("/aopen/", "/awho/"):
        answer = await AsyncClient().get(url)
        assert answer.status_code == 200
        assert answer.has_header("Vary") is (url == "/awho/")
    assert hops.count == 0
    assert (await AsyncClient().get("/aopen/", headers={"Cookie": "sessionid=none"})).content
    assert hops.count == 0


def test_anonymous_requests_never_leave_for_a_thread(hops):
    async_to_sync(atest_nobody)(hops)


@pytest.mark.parametrize("page", ["/who/", "/awho/"])
def test_views_under_asgi(ada, hops, page):
    get = async_to_sync(asynchronous(ada).get)
    assert get(page).content == b"nobody"
    answer = ada.give_password("/login/", next=INSIDE)
    get = async_to_sync(asynchronous(ada).get)
    assert get(page).content == b"nobody"
    assert next_in(get(INSIDE)) == INSIDE
    ada.give_code(answer)
    get = async_to_sync(asynchronous(ada).get)
    assert get(page).content.decode() == ada.name
    end_sessions(ada.user)
    assert get(page).content == b"nobody"


def test_a_session_from_before_under_asgi(bob):
    bob.give_password("/login/")
    bob.enroll()
    answer = async_to_sync(asynchronous(bob).get)("/awho/")
    assert page_of(answer) == reverse("two-factor-verify")
    assert next_in(answer) == "/awho/"
    assert_half(bob)


@pytest.mark.parametrize("door", DOORS)
def test_both_steps_under_asgi(ada, door):
    client = AsyncClient()
    post = async_to_sync(client.post)
    answer = post(f"{door}?next={INSIDE}", {"username": ada.name, "password": PASSWORD})
    assert page_of(answer) == reverse("two-factor-verify")
    assert next_in(answer) == INSIDE
    answer = post(answer["Location"], {"otp_code": ada.code()})
    assert answer["Location"] == INSIDE
    assert async_to_sync(client.get)("/awho/").content.decode() == ada.name


def test_a_login_by_an_async_view(ada, bob):
    end_sessions(bob.user)
    client = AsyncClient()
    answer = async_to_sync(client.get)("/aenter/", {"pk": bob.user.pk})
    assert answer.content.decode() == bob.name
    assert async_to_sync(client.get)("/awho/").content.decode() == bob.name
    client = AsyncClient()
    answer = async_to_sync(client.get)("/aenter/", {"pk": ada.user.pk})
    assert page_of(answer) == reverse("two-factor-verify")
    assert async_to_sync(client.get)("/awho/").content == b"nobody"


class Eager:
    """A middleware in front of ours that has found the user already."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        request.user = get_user(request)
        return self.get_response(request)


def test_who_was_refused_is_looked_for_nowhere_else(settings, bob):
    insert(settings, f"{__name__}.Eager")
    bob.give_password("/login/")
    assert async_to_sync(asynchronous(bob).get)("/awho/").content.decode() == bob.name
    bob.enroll()
    answer = async_to_sync(asynchronous(bob).get)("/awho/")
    assert page_of(answer) == reverse("two-factor-verify")
