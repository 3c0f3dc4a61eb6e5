"""The audit of side doors: what it names, what it leaves alone, and what it survives.

``tests/sidedoors`` holds it to the real views of other packages.
"""

import functools
import itertools
import re
import subprocess
import sys
import textwrap
from types import SimpleNamespace
from unittest import mock

import django.contrib.auth
import pytest
from django.conf.urls.i18n import i18n_patterns
from django.contrib import admin, auth
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth import alogin, decorators, login
from django.contrib.auth import views as auth_views
from django.contrib.auth.backends import BaseBackend, ModelBackend
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.views import LoginView, LogoutView, PasswordResetConfirmView
from django.core.checks import Tags, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import include, path, re_path, register_converter
from django.utils.decorators import method_decorator
from django.utils.functional import cached_property
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import FormView, RedirectView, View
from rest_framework.authentication import BasicAuthentication, SessionAuthentication
from rest_framework.authtoken.serializers import AuthTokenSerializer
from rest_framework.decorators import api_view, authentication_classes, permission_classes
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet
from rest_framework_simplejwt.serializers import TokenObtainPairSerializer
from rest_framework_simplejwt.tokens import RefreshToken
from rest_framework_simplejwt.views import (
    TokenBlacklistView,
    TokenObtainPairView,
    TokenObtainSlidingView,
    TokenRefreshView,
    TokenVerifyView,
    TokenViewBase,
)

from django_totp import auth as auth_of_ours
from django_totp.auth import challenge_if_enabled
from django_totp.middleware import SecondFactorMiddleware
from django_totp.operations.audit import (
    code,
    doors,
    side_doors,
    stale_allowances,
    view_class,
    views_of,
)
from django_totp.tokens import token_pair
from django_totp.views.api import TotpStatusView
from django_totp.views.jwt import JWTCreateView, JWTTotpVerifyView
from tests import markdown
from tests.test_checks import urls

pytestmark = pytest.mark.usefixtures("unguarded")


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


# --- The word, and who keeps it ---


class AsksFirst(LoginView):
    asks_second_factor = True

    def form_valid(self, form):
        return redirect("code")


class OtherPage(AsksFirst):
    template_name = "other.html"

    def get_context_data(self, **kwargs):
        return {}


class PassesOn(AsksFirst):
    def form_valid(self, form):
        form.seen = True
        return super().form_valid(form)


class PassesOnByName(AsksFirst):
    def form_valid(self, form):
        return AsksFirst.form_valid(self, form)


@method_decorator(never_cache, name="dispatch")
class Decorated(AsksFirst):
    post = method_decorator(csrf_exempt)(LoginView.post)


class NotThere(AsksFirst):
    delete = None


class AsksAgain(AsksFirst):
    asks_second_factor = True

    def form_valid(self, form):
        return redirect("another-code")


class ForgetsTheWord(AsksFirst):
    def form_valid(self, form):
        login(self.request, form.get_user())
        return redirect("in")


class ForgetsItSometimes(AsksFirst):
    def form_valid(self, form):
        if form.get_user().is_staff:
            login(self.request, form.get_user())
        return super().form_valid(form)


class ForgetsByMixin(type("Mixin", (), {"post": ForgetsTheWord.form_valid}), AsksFirst):
    pass


class TakesItBack(AsksFirst):
    asks_second_factor = False


class HasAnOddHandler(AsksFirst):
    post = functools.partial(print)


@pytest.mark.parametrize(
    "view", [AsksFirst, OtherPage, PassesOn, PassesOnByName, Decorated, NotThere, AsksAgain]
)
def test_a_descendant_that_keeps_the_word(mount, view):
    mount(view.as_view())
    assert found() == []


@pytest.mark.parametrize(
    "view", [ForgetsTheWord, ForgetsItSometimes, ForgetsByMixin, TakesItBack, HasAnOddHandler]
)
def test_a_descendant_that_does_not_keep_the_word(mount, view):
    mount(view.as_view())
    assert found() == [("/", own(view))]


class OwnCreate(JWTCreateView):
    def post(self, request):
        return Response(self.token_pair(request.user))


class CreateOrTrust(JWTCreateView):
    def post(self, request):
        if "trusted" in request.data:
            return Response(self.token_pair(request.user))
        return super().post(request)


class OwnSecondStep(JWTTotpVerifyView):
    def dispatch(self, request):
        return Response()


class CreateWithCookie(JWTCreateView):
    def post(self, request):
        response = super().post(request)
        response.set_cookie("seen")
        return response


class CreateThatAsks(JWTCreateView):
    asks_second_factor = True

    def post(self, request):
        return Response(challenge_if_enabled(request.user))


class OwnStatus(TotpStatusView):
    def get(self, request):
        return Response()


class StatusForAll(OwnStatus):
    def get_permissions(self):
        return []


@pytest.mark.parametrize("view", [OwnCreate, CreateOrTrust, OwnSecondStep, StatusForAll])
def test_a_handler_in_place_of_ours(mount, view):
    mount(view.as_view())
    [finding] = side_doors()
    assert finding.view == own(view)
    assert finding.why == "Its handler takes the place of ours, which asks."
    assert "asks_second_factor = True" in finding.hint


@pytest.mark.parametrize("view", [CreateWithCookie, CreateThatAsks, OwnStatus])
def test_a_handler_beside_ours(mount, view):
    mount(view.as_view())
    assert found() == []


class Unprotected(ProtectedSerializer):
    def validate(self, attrs):
        return attrs


class WithClaims(ProtectedSerializer):
    @classmethod
    def get_token(cls, user):
        return super().get_token(user)


class IgnoresItsSerializer(TokenObtainPairView):
    serializer_class = ProtectedSerializer

    def post(self, request):
        return Response()


class UsesItsSerializer(TokenObtainPairView):
    serializer_class = ProtectedSerializer

    def post(self, request):
        return Response(self.respond(request))

    def respond(self, request):
        return self.get_serializer(data=request.data).validated_data


@pytest.mark.parametrize(
    ("view", "is_door"),
    [
        (TokenObtainPairView.as_view(serializer_class=WithClaims), False),
        (TokenObtainPairView.as_view(serializer_class=Unprotected), True),
        (UsesItsSerializer.as_view(), False),
        (IgnoresItsSerializer.as_view(), True),
    ],
)
def test_the_word_of_a_serializer(mount, view, is_door):
    mount(view)
    assert bool(found()) is is_door


def test_a_site_with_a_login_of_its_own(mount):
    asking = type("Asking", (Site,), {"asks_second_factor": True, "__module__": __name__})
    forgetful = type("Forgetful", (asking,), {"login": lambda self, request: HttpResponse()})
    mount(path("a/", asking(name="a").urls), path("b/", forgetful(name="b").urls))
    assert found() == [("/b/login/", f"{__name__}.Forgetful.login")]


def test_the_site_of_the_admin_app(settings):
    settings.ROOT_URLCONF = urls(path("admin/", admin.site.urls))
    assert found() == [("/admin/login/", ADMIN_LOGIN)]
    admin.site.asks_second_factor = True
    try:
        assert found() == []
    finally:
        del admin.site.asks_second_factor


def test_basic_authentication_of_its_own(mount):
    class PasswordAndCode(BasicAuthentication):
        asks_second_factor = True

        def authenticate_credentials(self, userid, password, request=None):
            raise AssertionError

    class PasswordAgain(PasswordAndCode):
        def authenticate_credentials(self, userid, password, request=None):
            raise AssertionError

    mount(
        APIView.as_view(authentication_classes=[PasswordAndCode]),
        path("again/", APIView.as_view(authentication_classes=[PasswordAgain])),
    )
    assert found() == [("/again/", "rest_framework.views.APIView")]


# --- What is decided at run time ---


def test_authenticators_by_a_method(mount):
    class ByMethod(APIView):
        def get_authenticators(self):
            return [BasicAuthentication()]

    class Without(BasicView):
        def get_authenticators(self):
            return [SessionAuthentication()]

    class ForSomeRequests(BasicView):
        def get_authenticators(self):
            return self.request.authenticators

    mount(
        path("a/", ByMethod.as_view()),
        path("b/", Without.as_view()),
        path("c/", ForSomeRequests.as_view()),
    )
    assert found() == [("/a/", own(ByMethod)), ("/c/", own(ForSomeRequests))]


@pytest.mark.parametrize("name", ["get_permissions", "check_permissions"])
def test_permissions_by_a_method(mount, name):
    """knox' own is for who is signed in, but for whom is that of a descendant?"""
    attributes = {name: lambda self, *args: [], "permission_classes": [IsAuthenticated]}
    base = type("LoginView", (APIView,), {"__module__": "knox.views"})
    mount(type("Own", (base,), {"__module__": __name__, **attributes}).as_view())
    assert found() == [("/", f"{__name__}.Own")]


def test_a_serializer_or_form_by_a_method(mount):
    class BySerializer(GenericAPIView):
        def get_serializer_class(self):
            return AuthTokenSerializer if self.request.method == "POST" else None

    class ByForm(FormView):
        def get_form_class(self):
            return AuthenticationForm

    mount(path("a/", BySerializer.as_view()), path("b/", ByForm.as_view()))
    assert found() == [("/a/", own(BySerializer)), ("/b/", own(ByForm))]


# --- Forms and code ---


class OwnForm(AuthenticationForm):
    pass


@pytest.mark.parametrize(
    "view",
    [
        type("OnClass", (FormView,), {"form_class": OwnForm, "__module__": __name__}).as_view(),
        FormView.as_view(form_class=AuthenticationForm),
    ],
)
def test_a_view_with_a_login_form(mount, view):
    mount(view)
    assert [finding.why for finding in side_doors()] == ["It reads a password as a login does."]
    view_class(view).asks_second_factor = True
    try:
        assert found() == []
    finally:
        del view_class(view).asks_second_factor


def by_login(request):
    login(request, request.user)


async def by_alogin(request):
    await alogin(request, request.user)


def by_module(request):
    auth.login(request, request.user)


def by_whole_path(request):
    django.contrib.auth.login(request, request.user)


def by_import(request):
    from django.contrib.auth import login as sign_in

    sign_in(request, request.user)


def by_relative_import(request):
    from .test_audit import log_in_later

    log_in_later(request)


log_in = functools.partial(login, backend="django.contrib.auth.backends.ModelBackend")


def by_partial(request):
    log_in(request, request.user)


def by_helper(request):
    return log_in_later(request)


def log_in_later(request):
    def later():
        login(request, request.user)

    return later


@functools.lru_cache
def by_cached_function(request):
    login(request, request.user)


def by_closure(sign_in):
    def by_closure(request):
        sign_in(request, request.user)

    return by_closure


@api_view(["POST"])
def by_api_view(request):
    login(request, request.user)


def by_refresh_token(request):
    return RefreshToken.for_user(request.user)


def by_serializer(request):
    return TokenObtainPairSerializer.get_token(request.user)


class ByGet(View):
    def get(self, request):
        login(request, request.user)


class ByFormValid(FormView):
    def form_valid(self, form):
        return self.enter(form.user)

    def enter(self, user):
        login(self.request, user)


class BySuper(ByFormValid):
    def enter(self, user):
        return super().enter(user)


class ByProperty(View):
    def get(self, request):
        return HttpResponse(self.outcome)

    @cached_property
    def outcome(self):
        return self.again

    @property
    def again(self):
        login(self.request, self.request.user)


class Instance:
    def __call__(self, request):
        self.enter(request)

    @staticmethod
    def enter(request):
        login(request, request.user)

    @classmethod
    def by_class(cls, request):
        cls.enter(request)

    def harmless(self, request):
        return HttpResponse()


class Actions(ViewSet):
    def create(self, request):
        login(request, request.user)

    def list(self, request):
        return Response()


@pytest.mark.parametrize(
    "view",
    [
        by_login,
        by_alogin,
        by_module,
        by_whole_path,
        by_import,
        by_relative_import,
        by_partial,
        by_helper,
        never_cache(by_login),
        functools.partial(by_login),
        by_cached_function,
        by_closure(login),
        by_api_view,
        by_refresh_token,
        by_serializer,
        ByGet.as_view(),
        ByFormValid.as_view(),
        BySuper.as_view(),
        ByProperty.as_view(),
        Instance(),
        functools.partial(Instance()),
        Instance.by_class,
        Actions.as_view({"post": "create"}),
    ],
)
def test_code_that_logs_in(mount, view):
    mount(path("", view))
    [finding] = side_doors()
    assert finding.why == "Its code makes a session or a token."
    assert finding.view.startswith(f"{__name__}.")


class Replaces(BySuper):
    def enter(self, user):
        return HttpResponse()


class SignedIn(LoginRequiredMixin, ByGet):
    pass


@method_decorator(decorators.login_required, name="dispatch")
class SignedInByDecorator(ByGet):
    pass


@method_decorator([never_cache, decorators.permission_required("x.y")], name="dispatch")
class PermittedByDecorators(ByGet):
    pass


def with_code(request):
    challenge = challenge_if_enabled(request.user)
    return challenge or login(request, request.user)


class Finishes(View):
    def post(self, request):
        login(request, auth_of_ours.finish_login(request.POST["challenge"]))


def empty_cell():
    def view(request):
        return later

    if view is None:
        later = None
    return view


@pytest.mark.parametrize(
    "view",
    [
        with_code,
        Finishes.as_view(),
        Replaces.as_view(),
        SignedIn.as_view(),
        SignedInByDecorator.as_view(),
        PermittedByDecorators.as_view(),
        api_view(["POST"])(permission_classes([IsAuthenticated])(by_helper)),
        Instance().harmless,
        Actions.as_view({"get": "list"}),
        empty_cell(),
    ],
)
def test_code_that_logs_nobody_in(mount, view):
    mount(path("", view))
    assert found() == []


def test_code_without_end_is_read_to_a_bound(mount, monkeypatch):
    monkeypatch.setattr(code, "MAX_FUNCTIONS", 1)
    mount(path("a/", by_login), path("b/", by_helper))
    assert [url for url, _ in found()] == ["/a/"]


# --- django-ninja ---


class NinjaPaths:
    """Like what django-ninja makes of operations, which may not be installed."""

    def __init__(self, *operations):
        self.operations = operations

    def get_view(self):
        def view(request):
            return self

        return view


NinjaPaths.__module__, NinjaPaths.__qualname__ = doors.NINJA_VIEW.rsplit(".", 1)
NinjaPaths.__name__ = NinjaPaths.__qualname__


def operation(function, *guards):
    return SimpleNamespace(view_func=function, auth_callbacks=list(guards))


def reads_credentials(request, user_token: AuthTokenSerializer):
    raise AssertionError


def test_each_operation_of_ninja_is_looked_at(mount):
    basic = type("HttpBasicAuth", (), {"__module__": "ninja.security.http"})
    asking = type("Asking", (basic,), {"asks_second_factor": True})
    operations = [
        operation(function),
        operation(by_login),
        operation(by_helper, object()),
        operation(reads_credentials),
        operation(Instance().harmless, basic()),
        operation(with_code, asking()),
    ]
    mount(NinjaPaths(*operations).get_view())
    assert found() == [
        ("/", f"{__name__}.by_login"),
        ("/", f"{__name__}.reads_credentials"),
        ("/", f"{__name__}.Instance.harmless"),
    ]


# --- Middleware ---


class SesameMiddleware:
    def __init__(self, get_response):
        raise AssertionError


SesameMiddleware.__module__ = "sesame.middleware"
SesameMiddleware.__qualname__ = SesameMiddleware.__name__ = "AuthenticationMiddleware"


class OwnMiddleware(SesameMiddleware):
    pass


class AskingMiddleware(SesameMiddleware):
    asks_second_factor = True


def function_middleware(get_response):
    raise AssertionError


def test_middleware_that_logs_in(settings):
    names = [
        "OwnMiddleware",
        "AskingMiddleware",
        "function_middleware",
        "no_middleware",
    ]
    settings.ROOT_URLCONF = urls()
    settings.MIDDLEWARE = [f"{__name__}.{name}" for name in names]
    assert found() == [("*", own(OwnMiddleware))]
    settings.MIDDLEWARE += [AUTHENTICATION, OURS]
    assert found() == []


# --- The middleware that closes the doors to a session ---

AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
OURS = "django_totp.middleware.SecondFactorMiddleware"
MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"
SESSION_DOORS = [
    "allauth.account.views.LoginView",
    "allauth.socialaccount.providers.oauth2.views.OAuth2CallbackView",
    "django.contrib.auth.views.PasswordResetConfirmView",
    "djangosaml2.views.AssertionConsumerServiceView",
    "mozilla_django_oidc.views.OIDCAuthenticationCallbackView",
    "sesame.views.LoginView",
]
TOKEN_DOORS = [
    "djoser.views.TokenCreateView",
    "graphene_django.views.GraphQLView",
    "knox.views.LoginView",
    "oauth2_provider.views.base.TokenView",
    "rest_framework.authtoken.views.ObtainAuthToken",
    "rest_framework_simplejwt.views.TokenObtainPairView",
]


class OwnAuthentication(AuthenticationMiddleware):
    pass


class OwnSecondFactor(SecondFactorMiddleware):
    pass


@pytest.fixture
def guarded(settings):
    settings.MIDDLEWARE = [AUTHENTICATION, OURS]


@pytest.mark.parametrize("name", SESSION_DOORS)
def test_a_door_to_a_session_is_closed(mount, settings, name):
    mount(named(name, post_reset_login=True))
    assert found() == [("/", f"{__name__}.Own")]
    settings.MIDDLEWARE = [AUTHENTICATION, OURS]
    assert found() == []


@pytest.mark.parametrize("name", TOKEN_DOORS)
def test_a_door_to_a_token_stays_open(mount, guarded, name):
    mount(named(name))
    [finding] = side_doors()
    assert finding.view == f"{__name__}.Own"
    assert OURS not in finding.hint


def test_the_login_of_an_admin_site_is_closed(mount, guarded):
    mount(path("admin/", Site().urls), path("default/", admin.site.urls))
    assert found() == []


@pytest.mark.parametrize(("client", "is_door"), [("browser", False), ("app", True)])
def test_a_headless_login_is_closed_where_its_session_is_in_a_cookie(
    mount, guarded, client, is_door
):
    view = view_class(named("allauth.headless.account.views.LoginView", client=None))
    mount(view.as_view(client=client))
    assert bool(found()) is is_door


@pytest.mark.parametrize("name", ["views.LoginView", "registration.views.SocialLoginView"])
@pytest.mark.parametrize(
    ("chosen", "is_door"),
    [
        ({}, True),
        ({"TOKEN_MODEL": "some.Token"}, True),
        ({"TOKEN_MODEL": None, "USE_JWT": True}, True),
        ({"TOKEN_MODEL": None}, False),
    ],
)
def test_dj_rest_auth_is_closed_where_it_has_no_tokens(
    mount, settings, guarded, name, chosen, is_door
):
    settings.REST_AUTH = chosen
    mount(named(f"dj_rest_auth.{name}"))
    assert bool(found()) is is_door
    del settings.REST_AUTH
    assert found()


def test_what_asks_with_no_session_stays_open(mount, settings, guarded):
    mount(path("a/", BasicView.as_view()), path("b/", OwnCreate.as_view()))
    assert found() == [
        ("/a/", own(BasicView)),
        ("/b/", own(OwnCreate)),
    ]


def with_session_and_token(request):
    login(request, request.user)
    return Response(RefreshToken.for_user(request.user))


def with_session_and_pair(request):
    login(request, request.user)
    return Response(token_pair(request.user, "pwd"))


class LoginWithToken(LoginView):
    def form_valid(self, form):
        self.token = RefreshToken.for_user(form.get_user())
        return super().form_valid(form)


class FormWithToken(FormView):
    form_class = AuthenticationForm

    def form_valid(self, form):
        return Response(RefreshToken.for_user(form.get_user()))


class FormAndSerializer(CredentialView):
    form_class = AuthenticationForm


@pytest.mark.parametrize(
    "view",
    [
        by_login,
        by_alogin,
        by_helper,
        by_api_view,
        ByFormValid.as_view(),
        Actions.as_view({"post": "create"}),
        FormView.as_view(form_class=OwnForm),
    ],
)
def test_a_view_of_the_project_that_opens_a_session_is_closed(mount, guarded, view):
    mount(path("", view))
    assert found() == []


@pytest.mark.parametrize(
    "view",
    [
        by_refresh_token,
        by_serializer,
        with_session_and_token,
        with_session_and_pair,
        LoginWithToken.as_view(),
        FormWithToken.as_view(),
        FormAndSerializer.as_view(),
        CredentialView.as_view(),
    ],
)
def test_a_view_of_the_project_that_makes_tokens_stays_open(mount, guarded, view):
    mount(path("", view))
    [finding] = side_doors()
    assert OURS not in finding.hint


def test_a_view_that_makes_its_token_after_the_second_step_is_closed(mount, guarded):
    class TokenAtTheEnd(LoginView):
        def form_valid(self, form):
            challenge = challenge_if_enabled(form.get_user())
            return challenge or Response(RefreshToken.for_user(form.get_user()))

    mount(TokenAtTheEnd.as_view())
    assert found() == []


@pytest.mark.parametrize(
    ("middleware", "is_closed"),
    [
        ([AUTHENTICATION, "no.such.Middleware", OURS], True),
        ([f"{__name__}.OwnAuthentication", f"{__name__}.OwnSecondFactor"], True),
        ([OURS, AUTHENTICATION, OURS], True),
        ([OURS, AUTHENTICATION], False),
        ([OURS], False),
        ([AUTHENTICATION, f"{__name__}.function_middleware"], False),
        ([AUTHENTICATION, "broken_when_imported.Middleware"], False),
    ],
)
def test_the_middleware_closes_in_its_place(settings, monkeypatch, tmp_path, middleware, is_closed):
    (tmp_path / "broken_when_imported.py").write_text("raise RuntimeError")
    monkeypatch.syspath_prepend(tmp_path)
    settings.ROOT_URLCONF = urls(path("login/", LoginView.as_view()))
    settings.MIDDLEWARE = middleware
    assert (found() == []) is is_closed


def test_without_the_middleware_the_hint_begins_with_it(mount):
    mount(LoginView.as_view(), path("reset/", ResetThatLogsIn.as_view()), path("own/", by_login))
    login, reset, by_code = (finding.hint for finding in side_doors())
    add = (
        f"Add '{OURS}' to MIDDLEWARE, after AuthenticationMiddleware, and "
        'include("django_totp.urls.pages") in the URLs. Or '
    )
    assert login == by_code
    assert login.startswith(f"{add}remove it, or ask for the second factor in a subclass (")
    assert login.endswith("that declares asks_second_factor = True.")
    assert reset == f"{add}leave post_reset_login off."


class ResetThatLogsIn(PasswordResetConfirmView):
    post_reset_login = True


def test_a_middleware_in_the_wrong_place_is_told_to_move(mount, settings):
    settings.MIDDLEWARE = [OURS, AUTHENTICATION]
    mount(LoginView.as_view())
    [finding] = side_doors()
    assert finding.hint.startswith(
        f"Move '{OURS}' in MIDDLEWARE, to a place after AuthenticationMiddleware. Or remove it,"
    )


class ByMail(BaseBackend):
    def authenticate(self, request, email=None, secret=None):
        user = self.get_user(email)
        return user if user.check_password(secret) else None


class OutOfSight(ModelBackend):
    def authenticate(self, request, username=None, password=None):
        return self.directory.find(username, password)


class ByHelper(ModelBackend):
    def authenticate(self, request, **credentials):
        return self.directory.find(credentials["username"], credentials["password"])


class OfADirectory(BaseBackend):
    """As django-auth-ldap: it takes passwords, and none of this database."""

    authenticate = OutOfSight.authenticate


class OfAProvider(ModelBackend):
    def authenticate(self, request, **kwargs):
        return self.get_user(kwargs["claims"])


class Passes(OfAProvider):
    def authenticate(self, request, **kwargs):
        return super().authenticate(request, **kwargs)


class PassesToDjango(ModelBackend):
    def authenticate(self, request, **kwargs):
        return super().authenticate(request, **kwargs)


@pytest.mark.parametrize(
    ("backend", "is_closed"),
    [
        (MODEL_BACKEND, False),
        ("django.contrib.auth.backends.AllowAllUsersModelBackend", False),
        (f"{__name__}.ByMail", False),
        (f"{__name__}.OutOfSight", False),
        (f"{__name__}.ByHelper", False),
        (f"{__name__}.PassesToDjango", False),
        ("django.contrib.auth.backends.RemoteUserBackend", True),
        (f"{__name__}.OfADirectory", True),
        (f"{__name__}.OfAProvider", True),
        (f"{__name__}.Passes", True),
        (f"{__name__}.Instance", True),
        ("no.such.Backend", True),
        (f"{__name__}.urls", True),
        (1, True),
    ],
)
def test_an_exempt_backend_that_takes_passwords_opens_the_doors(
    mount, settings, guarded, backend, is_closed
):
    settings.TOTP_EXEMPT_BACKENDS = [backend]
    mount(LoginView.as_view(), path("jwt/", TokenObtainPairView.as_view()))
    *session, token = side_doors()
    assert [finding.view for finding in session] == ([] if is_closed else [DJANGO_LOGIN])
    assert all(
        finding.hint.startswith(
            f"Take {backend} out of TOTP_EXEMPT_BACKENDS. It takes passwords, and the middleware "
            "asks its sessions for nothing. Or remove it,"
        )
        for finding in session
    )
    assert "TOTP_EXEMPT_BACKENDS" not in token.hint


@pytest.mark.parametrize(
    ("exempt", "is_closed"),
    [(None, True), ((), True), (1, True), (MODEL_BACKEND, False), ({MODEL_BACKEND}, False)],
)
def test_a_malformed_list_of_exempt_backends(mount, settings, guarded, exempt, is_closed):
    settings.TOTP_EXEMPT_BACKENDS = exempt
    mount(LoginView.as_view())
    assert (found() == []) is is_closed


def test_an_allowance_of_a_closed_door_is_stale(settings, guarded):
    settings.TOTP_AUDIT_ALLOWED = {ADMIN_LOGIN: "Only from the office."}
    assert side_doors() == []
    assert stale_allowances() == [ADMIN_LOGIN]


# --- The password grant of django-oauth-toolkit ---


@pytest.mark.parametrize(
    ("names", "is_door"),
    [
        ({}, True),  # before 3.4
        ({"COMPLIANT_BCP_RFC9700_PASSWORD_GRANT": False}, True),
        ({"COMPLIANT_BCP_RFC9700_PASSWORD_GRANT": True}, False),
    ],
)
def test_a_password_grant_that_is_refused(mount, monkeypatch, names, is_door):
    package = SimpleNamespace(oauth2_settings=SimpleNamespace(**names))
    monkeypatch.setitem(sys.modules, "oauth2_provider.settings", package)
    mount(named("oauth2_provider.views.base.TokenView"))
    assert bool(found()) is is_door


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


class Endless:
    def __call__(self, request):
        raise AssertionError

    def __getattr__(self, name):
        return Endless()


class Raises:
    def __call__(self, request):
        raise AssertionError

    def __getattr__(self, name):
        raise RuntimeError(name)


def around_itself(request):
    raise AssertionError


def around_each_other(request):
    raise AssertionError


around_itself.__wrapped__ = around_itself
around_each_other.__wrapped__ = functools.partial(around_each_other)


def without_a_class():
    def view(request):
        return cls

    if view is None:
        cls = None
    return view


class Meta(type):
    __mro__ = property(lambda cls: itertools.repeat(cls))

    def __getattribute__(cls, name):
        if name == "__qualname__":
            raise RuntimeError
        return super().__getattribute__(name)


class Nameless(View, metaclass=Meta):
    pass


class EndlessClasses(APIView):
    permission_classes = itertools.repeat(IsAuthenticated)
    authentication_classes = itertools.count()


@pytest.mark.parametrize(
    ("make", "name", "error"),
    [
        (Endless, "Endless", "ValueError"),
        (Raises, "Raises", "RuntimeError"),
        (lambda: functools.partial(Raises()), "functools.partial", "RuntimeError"),
        (lambda: around_itself, "around_itself", "ValueError"),
        (lambda: around_each_other, "around_each_other", "ValueError"),
        (without_a_class, "without_a_class.<locals>.view", "ValueError"),
        (EndlessClasses.as_view, "EndlessClasses", "ValueError"),
        (Nameless.as_view, "Nameless", "RuntimeError"),
    ],
)
def test_a_view_that_cannot_be_looked_at(mount, settings, make, name, error):
    mount(path("odd/", make()), path("login/", LoginView.as_view()))
    odd, login = side_doors()
    assert (odd.url, login.view) == ("/odd/", DJANGO_LOGIN)
    assert odd.view == (name if name == "functools.partial" else f"{__name__}.{name}")
    assert odd.why == f"It could not be looked at ({error})."
    settings.TOTP_AUDIT_ALLOWED = {odd.view: "It only tells the time."}
    assert side_doors() == [login]


def test_what_cannot_be_looked_at_is_none_of_the_views_that_are_sought(mount):
    mount(path("odd/", Endless()), path("login/", LoginView.as_view()))
    assert [view.cls for view in views_of(DJANGO_LOGIN)] == [LoginView]
    assert [view.cls for view in views_of("django.contrib.auth.views")] == [LoginView]


@pytest.mark.parametrize(
    "decorate", [functools.partial, never_cache, lambda view: never_cache(functools.partial(view))]
)
def test_a_login_in_disguise(mount, decorate):
    assert view_class(decorate(LoginView.as_view())) is LoginView
    mount(decorate(LoginView.as_view()))
    assert found() == [("/", DJANGO_LOGIN)]


@pytest.mark.parametrize(
    "first",
    [
        path("admin/login/", RedirectView.as_view(url="/login/")),
        path("admin/<path:rest>", function),
        re_path("^admin/", function),
        path("admin/", include([re_path("^login/$", function)])),
    ],
)
def test_a_door_that_an_earlier_pattern_shuts(mount, first):
    mount(first, path("admin/", admin.site.urls))
    assert found() == []


def test_an_earlier_pattern_is_a_door_itself(mount):
    mount(path("admin/login/", LoginView.as_view()), path("admin/", admin.site.urls))
    assert found() == [("/admin/login/", DJANGO_LOGIN)]


def test_an_earlier_pattern_that_does_not_take_all(mount):
    """Of the paths that lead to a view, the first pattern may take one."""
    mount(
        path("a/1/", function),
        path("a/<int:number>/", LoginView.as_view()),
        path("b/", function),
        re_path("^b/", LoginView.as_view()),
        re_path("^c/?$", LoginView.as_view()),
        path("d/", function),
        path("d/", include([re_path("^e/$", LoginView.as_view())])),
    )
    assert [url for url, _ in found()] == ["/a/<int:number>/", "/b/", "/c/?", "/d/e/"]


def test_a_pattern_that_cannot_be_resolved(mount):
    class Broken:
        regex = "[^/]+"

        def to_python(self, value):
            raise RuntimeError

    register_converter(Broken, "broken")
    mount(path("<broken:value>/", function), path("login/", LoginView.as_view()))
    assert found() == [("/login/", DJANGO_LOGIN)]


def test_urls_that_include_themselves(settings):
    settings.ROOT_URLCONF = itself = urls(path("login/", LoginView.as_view()))
    itself.urlpatterns.append(path("again/", include(itself)))
    assert found() == [("/login/", DJANGO_LOGIN)]


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


# --- The documentation ---

PAGE = "docs/side-doors.md"
# How the modules of a package begin, of those whose ways in the page calls by name.
ROWS = {
    "Django": "django.contrib.",
    "Django REST Framework": "rest_framework.",
    "simplejwt": "rest_framework_simplejwt.",
    "djoser": "djoser.",
    "dj-rest-auth": "dj_rest_auth.",
    "knox": "knox.",
    "social-auth-app-django": "social_django.",
    "django-oauth-toolkit": "oauth2_provider.",
    "django-sesame": "sesame.",
    "djangosaml2": "djangosaml2.",
    "graphene-django, strawberry": "graphene_django.",
}

DOCUMENTED = markdown.rows(markdown.sections(markdown.read(PAGE), 2)["What is known"])


def test_the_documented_line_closes_the_admin(settings):
    line, _ = markdown.blocks(markdown.sections(markdown.read(PAGE), 2)["Two lines"], "python")
    assert found() == [("/admin/login/", ADMIN_LOGIN)]
    settings.MIDDLEWARE = markdown.run(line, MIDDLEWARE=[*settings.MIDDLEWARE])["MIDDLEWARE"]
    assert found() == []


def test_the_documented_pages_can_be_included(settings, guarded):
    pytest.importorskip("django_totp.urls.pages")
    _, line = markdown.blocks(markdown.sections(markdown.read(PAGE), 2)["Two lines"], "python")
    settings.ROOT_URLCONF = urls(*markdown.run(line, urlpatterns=[])["urlpatterns"])
    assert found() == []


def test_the_documented_mixin(mount, guarded):
    mixins = pytest.importorskip("django_totp.mixins")
    [header] = re.findall(r"`(class LoginView\(.+?\))`", markdown.sentences(PAGE))
    names = {"TwoStepMixin": mixins.TwoStepMixin, "auth_views": auth_views}
    mount(markdown.run(f"{header}: pass", **names)["LoginView"].as_view())
    assert found() == []


@pytest.mark.parametrize(("package", "session", "token"), DOCUMENTED)
def test_the_documented_ways_in(package, session, token):
    """What stands in the column of sessions opens nothing else, and the reverse."""
    known = {
        name.rpartition(".")[2] if not name.endswith("AdminSite.login") else "AdminSite.login": door
        for name, door in doors.DOORS.items()
        if door and name.startswith(ROWS.get(package, "no package"))
    }
    for cell, is_session in ((session, True), (token, False)):
        for name in filter(known.get, re.findall(r"`([\w.]+)`", cell)):
            assert known[name].opens_session(SimpleNamespace()) is is_session
            known.pop(name)
    assert not known


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
