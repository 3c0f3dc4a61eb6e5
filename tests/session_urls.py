"""The URLs of a project whose people log in by session, in many ways."""

from contextlib import suppress
from typing import Any

from django.conf import settings
from django.contrib import auth
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView, LogoutView, PasswordResetConfirmView
from django.core.exceptions import PermissionDenied
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
    JsonResponse,
    StreamingHttpResponse,
)
from django.template import engines
from django.urls import include, path
from django.views.generic import View
from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from django_totp.decorators import second_factor_required
from django_totp.mixins import SecondFactorRequiredMixin, TwoStepMixin
from django_totp.sessions import KEYS
from tests import urls


def blank(request: HttpRequest) -> HttpResponse:
    return HttpResponse("blank")


def open_page(request: HttpRequest) -> HttpResponse:
    template = engines["django"].from_string("{{ user.is_authenticated }} {{ user }}")
    return HttpResponse(template.render({}, request))


@login_required
def private(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"private of {request.user.get_username()}")


def forbidden(request: Any) -> HttpResponse:
    if not request.user.is_authenticated:
        raise PermissionDenied
    return HttpResponse("allowed")


def foreign(request: Any, where: str = "/private/") -> HttpResponse:
    """Log in as a social login does: whoever is named, with no form."""
    model = auth.get_user_model()
    user = model._default_manager.get(pk=request.GET["pk"])
    backend = request.GET.get("backend", settings.AUTHENTICATION_BACKENDS[0])
    auth.login(request, user, backend=backend)
    request.session["of"] = str(user.pk)
    return HttpResponseRedirect(request.GET.get("to", where))


def foreign_api(request: Any) -> HttpResponse:
    foreign(request)
    return JsonResponse({"token": "secret"})


async def async_private(request: Any) -> HttpResponse:
    user = await request.auser()
    return HttpResponse(f"{user.is_authenticated} {user}")


def forged(request: Any) -> HttpResponse:
    """Write into the session what Django would, by hand."""
    str(request.user)
    values = (request.GET["pk"], settings.AUTHENTICATION_BACKENDS[0], "wrong")
    for name, value in zip(KEYS, values, strict=True):
        request.session[name] = value
    return HttpResponse("forged")


def failing(request: Any) -> HttpResponse:
    foreign(request)
    raise RuntimeError


def streaming(request: Any) -> StreamingHttpResponse:
    foreign(request)
    return StreamingHttpResponse(iter([b"a secret"]))


def forgiving(request: Any) -> HttpResponse:
    with suppress(RuntimeError):
        foreign(request)
    return HttpResponse("forgiven")


async def async_foreign(request: Any) -> HttpResponse:
    user = await auth.get_user_model()._default_manager.aget(pk=request.GET["pk"])
    await auth.alogin(request, user, backend=settings.AUTHENTICATION_BACKENDS[0])
    return HttpResponse("in")


class SecretView(APIView):
    authentication_classes = (SessionAuthentication,)
    permission_classes = (IsAuthenticated,)

    def get(self, request: Any) -> Response:
        return Response({"user": request.user.get_username()})

    post = get


class OwnLoginView(TwoStepMixin, LoginView):
    template_name = "django_totp/login.html"
    form_class = AuthenticationForm


class GuardedView(SecondFactorRequiredMixin, View):
    second_factor_max_age = 60

    def get(self, request: Any) -> HttpResponse:
        return HttpResponse("guarded view")


@second_factor_required
def guarded(request: HttpRequest) -> HttpResponse:
    return HttpResponse("guarded")


@second_factor_required(max_age=60)
def strict(request: HttpRequest) -> HttpResponse:
    return HttpResponse("strict")


@second_factor_required(max_age=60)
async def async_strict(request: HttpRequest) -> HttpResponse:
    return HttpResponse("async strict")


urlpatterns = [
    *urls.urlpatterns,
    path("blank/", blank),
    path("open/", open_page),
    path("private/", private),
    path("forbidden/", forbidden),
    path("foreign/", foreign),
    path("foreign/api/", foreign_api),
    path("foreign/failing/", failing),
    path("foreign/forged/", forged),
    path("foreign/streaming/", streaming),
    path("foreign/forgiving/", forgiving),
    path("foreign/async/", async_foreign),
    path(
        "new/<uidb64>/<token>/",
        PasswordResetConfirmView.as_view(post_reset_login=True, success_url="/open/"),
        name="new-password",
    ),
    path("async/", async_private),
    path("secret/", SecretView.as_view()),
    path("guarded/", guarded),
    path("guarded/view/", GuardedView.as_view()),
    path("strict/", strict),
    path("strict/async/", async_strict),
    path("own/login/", OwnLoginView.as_view(), name="own-login"),
    path("welcome/login/", OwnLoginView.as_view(next_page="/open/")),
    path("accounts/login/", LoginView.as_view(template_name="django_totp/login.html")),
    path("accounts/logout/", LogoutView.as_view(next_page="/private/")),
    path("accounts/", include("django.contrib.auth.urls")),
]
