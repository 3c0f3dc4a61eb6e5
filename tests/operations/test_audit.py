"""The audit of side doors: what it names, what it leaves alone, and what it survives.

``tests/sidedoors`` holds it to the real views of other packages.
"""

import functools
import subprocess
import sys
import textwrap
from unittest import mock

import pytest
from django.conf.urls.i18n import i18n_patterns
from django.contrib import admin
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth import decorators
from django.contrib.auth.views import LoginView, LogoutView, PasswordResetConfirmView
from django.core.checks import Tags, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpResponse
from django.urls import include, path, re_path
from django.views.decorators.cache import never_cache
from django.views.generic import View
from rest_framework.authentication import BasicAuthentication, SessionAuthentication
from rest_framework.authtoken.serializers import AuthTokenSerializer
from rest_framework.decorators import api_view, authentication_classes
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.serializers import TokenObtainPairSerializer
from rest_framework_simplejwt.views import (
    TokenBlacklistView,
    TokenObtainPairView,
    TokenObtainSlidingView,
    TokenRefreshView,
    TokenVerifyView,
    TokenViewBase,
)

from django_totp.operations.audit import side_doors, stale_allowances, view_class
from tests import markdown
from tests.test_checks import urls

ADMIN_LOGIN = "django.contrib.admin.sites.AdminSite.login"
DJANGO_LOGIN = "django.contrib.auth.views.LoginView"
JWT_LOGIN = "rest_framework_simplejwt.views.TokenObtainPairView"
DEFAULT = "REST_FRAMEWORK.DEFAULT_AUTHENTICATION_CLASSES"


class BasicView(APIView):
    authentication_classes = [SessionAuthentication, BasicAuthentication]


class CredentialView(GenericAPIView):
    authentication_classes = []
    serializer_class = AuthTokenSerializer
    permission_classes = [AllowAny]


class Site(admin.AdminSite):
    pass


@pytest.fixture
def mount(settings):
    """Return a function that makes views or patterns the whole URLconf."""

    def mount(*views):
        patterns = (path("", view) if callable(view) else view for view in views)
        settings.ROOT_URLCONF = urls(*patterns)

    return mount


def found():
    return [(finding.url, finding.view) for finding in side_doors()]


def own(cls):
    """Return what the audit calls a class of this module, also one inside a function."""
    return f"{__name__}.{cls.__qualname__}"


def named(name, **attributes):
    """Return a view like one of a package that may not be installed."""
    module, _, name = name.rpartition(".")
    cls = type(name, (View,), {"__module__": module, **attributes})
    return type("Own", (cls,), {"__module__": __name__}).as_view()


# --- Our own URLs ---


def test_the_test_project_has_one_door():
    [finding] = side_doors()
    assert finding.as_dict() == {
        "url": "/admin/login/",
        "view": ADMIN_LOGIN,
        "why": "It turns a password into a session.",
        "hint": finding.hint,
    }
    assert "asks_second_factor = True" in finding.hint


def test_our_own_views_are_none(mount):
    mount(path("", include("django_totp.urls")), path("", include("django_totp.urls.jwt")))
    assert found() == []


# --- Logins that are known by name ---


@pytest.mark.parametrize("view", [LoginView, TokenObtainPairView, TokenObtainSlidingView])
def test_a_login_and_what_descends_from_it(mount, view):
    descendant = type("Descendant", (view,), {"__module__": __name__})
    mount(path("a/", view.as_view()), path("b/", descendant.as_view()))
    name = f"{view.__module__}.{view.__name__}"
    assert found() == [("/a/", name), ("/b/", f"{__name__}.Descendant")]


@pytest.mark.parametrize(
    "view", [LogoutView, TokenBlacklistView, TokenRefreshView, TokenVerifyView]
)
def test_what_takes_no_password_is_no_login(mount, view):
    mount(view.as_view())
    assert found() == []


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("allauth.account.views.ConfirmLoginCodeView", "ACCOUNT_LOGIN_BY_CODE_ENABLED"),
        ("allauth.headless.account.views.ResetPasswordView", "ACCOUNT_LOGIN_ON_PASSWORD_RESET"),
    ],
)
def test_a_door_that_a_setting_opens(mount, settings, name, setting):
    mount(named(name))
    assert found() == []
    setattr(settings, setting, True)
    assert found() == [("/", f"{__name__}.Own")]
    setattr(settings, setting, False)
    assert found() == []


def test_a_door_that_a_setting_shuts(mount, settings):
    mount(named("allauth.account.views.LoginView"))
    assert found() == [("/", f"{__name__}.Own")]
    settings.SOCIALACCOUNT_ONLY = True
    assert found() == []


def test_a_descendant_that_is_no_login(mount):
    login = type("LoginView", (View,), {"__module__": "dj_rest_auth.views"})
    module = "dj_rest_auth.registration.views"
    mount(type("SocialConnectView", (login,), {"__module__": module}).as_view())
    assert found() == []


@pytest.mark.parametrize(
    ("permissions", "authentication", "is_door"),
    [
        ([IsAuthenticated], [SessionAuthentication], False),
        ([IsAuthenticated], [SessionAuthentication, BasicAuthentication], True),
        ([AllowAny], [], True),
        ([IsAuthenticated | AllowAny], [], True),
    ],
)
def test_knox_is_a_login_where_it_takes_a_password(mount, permissions, authentication, is_door):
    classes = {"permission_classes": permissions, "authentication_classes": authentication}
    mount(named("knox.views.LoginView", **classes))
    assert (("/", f"{__name__}.Own") in found()) is is_door


def test_a_password_reset_that_logs_in(mount):
    class OwnReset(PasswordResetConfirmView):
        post_reset_login = True

    mount(
        path("off/", PasswordResetConfirmView.as_view()),
        path("argument/", PasswordResetConfirmView.as_view(post_reset_login=True)),
        path("own/", OwnReset.as_view()),
        path("own-off/", OwnReset.as_view(post_reset_login=False)),
    )
    assert found() == [
        ("/argument/", "django.contrib.auth.views.PasswordResetConfirmView"),
        ("/own/", own(OwnReset)),
    ]


def test_a_function_that_is_known_by_name(mount):
    def complete(request, backend):
        raise AssertionError

    complete.__module__, complete.__qualname__ = "social_django.views", "complete"
    mount(path("login/", complete), path("cached/", never_cache(complete)))
    assert found() == [
        ("/login/", "social_django.views.complete"),
        ("/cached/", "social_django.views.complete"),
    ]


def test_a_class_that_makes_its_views_by_a_method_of_its_own(mount):
    class Callback:
        @classmethod
        def adapter_view(cls):
            def view(request):
                return cls()

            return view

    Callback.__module__ = "allauth.socialaccount.providers.oauth2.views"
    Callback.__qualname__ = Callback.__name__ = "OAuth2CallbackView"
    mount(Callback.adapter_view())
    assert found() == [("/", "allauth.socialaccount.providers.oauth2.views.OAuth2CallbackView")]


# --- Admin sites ---


def test_an_admin_site_of_its_own(mount):
    mount(path("admin/", Site().urls))
    assert found() == [("/admin/login/", f"{own(Site)}.login")]


def test_a_decorated_admin_login(mount):
    site = Site()
    site.login = never_cache(site.login)
    mount(path("admin/", site.urls))
    assert found() == [("/admin/login/", f"{own(Site)}.login")]


@pytest.mark.parametrize("on", ["class", "instance"])
def test_an_admin_site_that_asks(mount, on):
    site = type("Protected", (Site,), {"asks_second_factor": True})() if on == "class" else Site()
    site.asks_second_factor = True
    mount(path("admin/", site.urls))
    assert found() == []


@pytest.mark.parametrize(
    "guard",
    [
        decorators.login_required,
        decorators.permission_required("auth.change_user"),
        staff_member_required,
    ],
)
def test_a_login_behind_a_login(mount, guard):
    site = Site()
    site.login = never_cache(guard(site.login))
    mount(path("admin/", site.urls))
    assert found() == []


def test_a_login_behind_that_of_allauth(mount):
    names = {"functools": functools, "__name__": "allauth.account.decorators"}
    exec(  # noqa: S102 - a function is known by the module that it was made in
        textwrap.dedent("""
            def secure_admin_login(view):
                @functools.wraps(view)
                def wrapper(request):
                    return view(request)
                return wrapper
        """),
        names,
    )
    site = Site()
    site.login = names["secure_admin_login"](site.login)
    mount(path("admin/", site.urls))
    assert found() == []


def test_a_login_for_strangers_is_a_login(mount):
    only_strangers = decorators.user_passes_test(lambda user: user.is_anonymous)
    mount(only_strangers(LoginView.as_view()))
    assert found() == [("/", DJANGO_LOGIN)]


# --- Serializers that read credentials ---


def test_views_that_read_credentials(mount):
    class BySetting(TokenViewBase):
        _serializer_class = "rest_framework_simplejwt.serializers.TokenObtainPairSerializer"

    class ByClass(TokenViewBase):
        serializer_class = TokenObtainPairSerializer

    mount(
        path("a/", BySetting.as_view()),
        path("b/", ByClass.as_view()),
        path("c/", CredentialView.as_view()),
    )
    assert found() == [("/a/", own(BySetting)), ("/b/", own(ByClass)), ("/c/", own(CredentialView))]
    assert {finding.why for finding in side_doors()} == {"It reads a password as a login does."}


def test_a_login_is_named_once(mount):
    view = TokenObtainPairView.as_view(serializer_class=TokenObtainPairSerializer)
    mount(view)
    assert found() == [("/", JWT_LOGIN)]


def test_who_is_signed_in_may_be_asked_for_the_password(mount):
    class ConfirmPassword(CredentialView):
        permission_classes = [IsAuthenticated]

    mount(ConfirmPassword.as_view())
    assert found() == []


@pytest.mark.parametrize("name", ["serializer_class", "_serializer_class"])
def test_a_serializer_that_is_given_in_the_urls(mount, name):
    serializer = TokenObtainPairSerializer
    if name.startswith("_"):
        serializer = f"{serializer.__module__}.{serializer.__qualname__}"
    mount(TokenViewBase.as_view(**{name: serializer}))
    assert [view for _, view in found()] == [
        f"{TokenViewBase.__module__}.{TokenViewBase.__qualname__}"
    ]


@pytest.mark.parametrize("name", ["no.such.Serializer", "nowhere", "json.nothing"])
def test_a_serializer_that_cannot_be_imported(mount, name):
    view = type("Broken", (TokenViewBase,), {"_serializer_class": name})
    login = type("BrokenLogin", (TokenObtainPairView,), {"_serializer_class": name})
    mount(view.as_view(), path("login/", login.as_view()))
    assert found() == [("/login/", f"{__name__}.BrokenLogin")]


# --- BasicAuthentication ---


def test_a_view_takes_a_password_with_each_request(mount):
    @api_view()
    @authentication_classes([BasicAuthentication])
    def report(request):
        return Response()

    mount(path("a/", BasicView.as_view()), path("b/", report))
    assert found() == [("/a/", own(BasicView)), ("/b/", f"{__name__}.report")]
    assert found() == found()


def test_the_default_is_told_once(mount, monkeypatch):
    monkeypatch.setattr(APIView, "authentication_classes", [BasicAuthentication])
    plain = type("Plain", (APIView,), {})
    mount(plain.as_view(), path("b/", plain.as_view()), path("c/", BasicView.as_view()))
    assert found() == [("*", DEFAULT), ("/c/", own(BasicView))]
    assert "DEFAULT_AUTHENTICATION_CLASSES" in side_doors()[0].hint


def test_the_default_opens_our_own_endpoints_too(mount, monkeypatch):
    monkeypatch.setattr(APIView, "authentication_classes", [BasicAuthentication])
    mount(path("", include("django_totp.urls")))
    assert found() == [("*", DEFAULT)]


def test_a_choice_that_is_like_the_default_is_a_choice(mount, monkeypatch):
    monkeypatch.setattr(
        APIView, "authentication_classes", [SessionAuthentication, BasicAuthentication]
    )
    mount(BasicView.as_view())
    assert found() == [("/", own(BasicView))]


def test_a_password_and_a_code_with_each_request(mount):
    class PasswordAndCode(BasicAuthentication):
        asks_second_factor = True

    mount(APIView.as_view(authentication_classes=[PasswordAndCode]))
    assert found() == []


# --- Views that ask ---


class ProtectedSerializer(TokenObtainPairSerializer):
    asks_second_factor = True


def ask_in_a_function():
    @functools.wraps(LoginView.as_view())
    def view(request):
        raise AssertionError

    view.asks_second_factor = True
    return view


@pytest.mark.parametrize(
    "view",
    [
        type("OnView", (LoginView,), {"asks_second_factor": True}).as_view(),
        TokenObtainPairView.as_view(serializer_class=ProtectedSerializer),
        type(
            "OnSerializer", (CredentialView,), {"serializer_class": ProtectedSerializer}
        ).as_view(),
        type("OnBasic", (BasicView,), {"asks_second_factor": True}).as_view(),
        never_cache(ask_in_a_function()),
    ],
    ids=["view", "serializer", "credentials", "basic", "function"],
)
def test_a_view_that_asks(mount, view):
    mount(view)
    assert found() == []


@pytest.mark.parametrize("answer", [False, None, "True", 1])
def test_only_true_says_that_a_view_asks(mount, answer):
    mount(type("Unsure", (LoginView,), {"asks_second_factor": answer}).as_view())
    assert len(found()) == 1


# --- URLs ---


def test_a_door_is_named_at_each_of_its_urls(mount):
    login = LoginView.as_view()
    mount(
        path("a/", login),
        re_path("^b/$", login),
        path("c/<int:number>/", include(([path("d/", login)], "inner"), namespace="outer")),
        re_path(r"^e/", include([re_path(r"^(?P<kind>f|g)/$", login)])),
        *i18n_patterns(path("h/", login)),
    )
    assert [url for url, _ in found()] == [
        "/a/",
        "/b/",
        "/c/<int:number>/d/",
        "/e/(?P<kind>f|g)/",
        "/en-us/h/",
    ]


def function(request, kind=""):
    return HttpResponse(kind)


class Callable:
    """A view that has nothing but odd attributes of a view of Django's or REST framework's."""

    view_class = cls = "no class"
    initkwargs = {"serializer_class": "no class"}
    __wrapped__ = None

    def __call__(self, request):
        return HttpResponse()

    def method(self, request):
        return HttpResponse()

    @classmethod
    def login(cls, request):
        return HttpResponse()


class Odd(APIView):
    authentication_classes = None
    permission_classes = property(lambda self: [])
    serializer_class = property(lambda self: AuthTokenSerializer)


@pytest.mark.parametrize(
    "view",
    [
        function,
        functools.partial(function, kind="x"),
        functools.partial(functools.partial(function), kind="x"),
        never_cache(functools.partial(function)),
        lambda request: None,
        Callable,
        Callable(),
        Callable().method,
        Callable.login,
        Odd.as_view(),
        HttpResponse,
        len,
        mock.Mock(),
        mock.MagicMock(),
    ],
)
def test_odd_callables(mount, view):
    mount(path("", view))
    assert found() == []


@pytest.mark.parametrize(
    "decorate", [functools.partial, never_cache, lambda view: never_cache(functools.partial(view))]
)
def test_a_login_in_disguise(mount, decorate):
    assert view_class(decorate(LoginView.as_view())) is LoginView
    mount(decorate(LoginView.as_view()))
    assert found() == [("/", DJANGO_LOGIN)]


def test_what_is_no_pattern_is_passed_over(mount):
    mount("no pattern", LoginView.as_view())
    assert found() == [("/", DJANGO_LOGIN)]


def test_urls_that_cannot_be_loaded(settings):
    settings.ROOT_URLCONF = "tests.no_such_module"
    with pytest.raises(ModuleNotFoundError):
        side_doors()
    settings.ROOT_URLCONF = "tests.run"
    with pytest.raises(ImproperlyConfigured):
        side_doors()


# --- What a project allows ---


def test_an_allowed_view_is_not_named(settings):
    settings.TOTP_AUDIT_ALLOWED = {ADMIN_LOGIN: "Only from the office."}
    assert side_doors() == []
    assert stale_allowances() == []


def test_an_empty_reason_allows_nothing(settings):
    settings.TOTP_AUDIT_ALLOWED = {ADMIN_LOGIN: ""}
    assert found() == [("/admin/login/", ADMIN_LOGIN)]
    assert stale_allowances() == []


def test_an_entry_that_matches_nothing_is_stale(settings):
    settings.TOTP_AUDIT_ALLOWED = {ADMIN_LOGIN: "Only from the office.", "gone.Login": "Gone."}
    assert side_doors() == []
    assert stale_allowances() == ["gone.Login"]


@pytest.mark.parametrize("allowed", [None, [ADMIN_LOGIN], ADMIN_LOGIN, 1])
def test_a_malformed_setting_allows_nothing(settings, allowed):
    settings.TOTP_AUDIT_ALLOWED = allowed
    assert found() == [("/admin/login/", ADMIN_LOGIN)]
    assert stale_allowances() == []


# --- The check ---


def deploy_warnings():
    warnings = run_checks(tags=[Tags.security], include_deployment_checks=True)
    return [warning for warning in warnings if warning.id == "django_totp.W011"]


def test_the_deploy_check_warns_of_each_door(mount):
    mount(path("a/", LoginView.as_view()), path("b/", TokenObtainPairView.as_view()))
    first, second = deploy_warnings()
    assert first.msg == (
        f"/a/ leads to {DJANGO_LOGIN} and never asks for the second factor. "
        "It turns a password into a session."
    )
    assert JWT_LOGIN in second.msg
    assert all("TOTP_AUDIT_ALLOWED" in warning.hint for warning in (first, second))
    assert not any(warning.is_serious() for warning in (first, second))


def test_the_deploy_check_is_silent_about_an_allowed_door(settings):
    settings.TOTP_AUDIT_ALLOWED = {ADMIN_LOGIN: "Only from the office."}
    assert deploy_warnings() == []


def test_only_the_deploy_check_warns():
    assert not any(message.id == "django_totp.W011" for message in run_checks())


# --- The example of the documentation ---


@pytest.fixture
def two_steps(settings):
    """Mount the login of the documentation, and return it."""
    section = markdown.sections(markdown.read("docs/side-doors.md"), 2)["What to do with a finding"]
    [example] = markdown.blocks(section, "python")
    names = markdown.run(example, __name__="example")
    first, second = names["TwoStepLoginView"], names["login_code"]
    templates = {"registration/login.html": "", "login_code.html": "{{ error.code }}"}
    loader = ("django.template.loaders.locmem.Loader", templates)
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "APP_DIRS": False}]
    settings.TEMPLATES[0]["OPTIONS"] = {"loaders": [loader]}
    settings.LOGIN_REDIRECT_URL = "/in/"
    settings.ROOT_URLCONF = urls(
        path("login/", first.as_view()), path("code/", second, name="login-code")
    )
    return first


def test_the_documented_login_asks(two_steps, client, enrolled_user, password, secret, otp):
    assert side_doors() == []
    credentials = {"username": enrolled_user.get_username(), "password": password}
    assert client.post("/login/", credentials).headers["Location"] == "/code/"
    assert "_auth_user_id" not in client.session
    assert client.get("/code/").status_code == 200
    refused = client.post("/code/", {"otp_code": "no code"})
    assert refused.content == b"invalid_totp_code"
    assert "_auth_user_id" not in client.session
    assert client.post("/code/", {"otp_code": otp(secret)}).headers["Location"] == "/in/"
    assert client.session["_auth_user_id"] == str(enrolled_user.pk)


def test_the_documented_login_of_a_user_without_a_second_factor(two_steps, client, user, password):
    credentials = {"username": user.get_username(), "password": password}
    assert client.post("/login/", credentials).headers["Location"] == "/in/"
    assert client.session["_auth_user_id"] == str(user.pk)


# --- What is not imported ---

WITHOUT_REST_FRAMEWORK = f"""
import sys
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django_totp"],
    ROOT_URLCONF="django.contrib.auth.urls",
    TOTP_ENCRYPTION_KEY="k" * 43 + "=",
)
import django
django.setup()
from django.core.management import call_command
from django_totp.operations.audit import side_doors
assert [finding.view for finding in side_doors()] == [{DJANGO_LOGIN!r}]
call_command("check", deploy=True)
packages = ("rest_framework", "rest_framework_simplejwt", "allauth", "djoser", "knox")
print([name for name in sys.modules if name.partition(".")[0] in packages])
"""


@pytest.mark.slow
def test_imports_nothing_that_the_project_does_not_use():
    command = [sys.executable, "-W", "error", "-c", WITHOUT_REST_FRAMEWORK]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
    assert "django_totp.W011" in done.stderr
