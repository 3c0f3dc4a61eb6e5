"""The URLs of the proof, and those of people who log in by session."""

from django.conf import settings
from django.contrib import admin
from django.contrib.auth import get_user_model, login
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import include, path

from proof import urls


@login_required
def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"in as {request.user.pk}")


def foreign(request: HttpRequest) -> HttpResponse:
    """Log in as another package does, without asking for anything."""
    user = get_user_model()._default_manager.get(pk=request.GET["pk"])
    login(request, user, backend=settings.AUTHENTICATION_BACKENDS[0])
    return HttpResponseRedirect("/page/")


urlpatterns = [
    *urls.urlpatterns,
    path("account/", include("django_totp.urls.pages")),
    path("admin/", admin.site.urls),
    path("page/", page),
    path("foreign/", foreign),
]
