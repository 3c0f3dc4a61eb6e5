"""The URLs of the proof, and those of people who log in by session."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth import get_user_model, login
from django.contrib.auth.decorators import login_required
from django.contrib.auth.signals import user_logged_in
from django.contrib.auth.views import LogoutView
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import include, path

from proof import urls


@login_required
def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"in as {request.user.pk}")


def visit(request: HttpRequest) -> HttpResponse:
    """Give anybody a session, as a shop does that keeps a basket."""
    request.session["basket"] = "full"
    return HttpResponse()


def foreign(request: HttpRequest) -> HttpResponse:
    """Log in as another package does, without asking for anything."""
    user = get_user_model()._default_manager.get(pk=request.GET["pk"])
    login(request, user, backend=settings.AUTHENTICATION_BACKENDS[0])
    return HttpResponseRedirect("/page/")


@receiver(user_logged_in)
def count(sender: Any, user: Any, **kwargs: Any) -> None:
    """Count the logins that the project is told of, over all processes."""
    LogEntry.objects.create(user=user, action_flag=CHANGE, object_repr="logged in")


urlpatterns = [
    *urls.urlpatterns,
    path("account/", include("django_totp.urls.pages")),
    path("admin/", admin.site.urls),
    path("page/", page),
    path("visit/", visit),
    path("logout/", LogoutView.as_view(next_page="/visit/"), name="logout"),
    path("foreign/", foreign),
]
