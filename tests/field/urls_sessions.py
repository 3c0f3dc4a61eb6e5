from django import forms
from django.contrib import admin
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.models import Group
from django.http import HttpResponse
from django.urls import include, path

from tests.urls import urlpatterns as _ours


def who(request):
    return HttpResponse(request.user.get_username() or "nobody")


class RoomForm(AdminAuthenticationForm):
    """A login form of the project's own, which asks for more."""

    room = forms.CharField(required=False)

    def clean(self):
        if self.cleaned_data.get("room") != "12":
            raise forms.ValidationError("There is no such room.")
        return super().clean()


class RoomSite(admin.site.__class__):  # a theme brings one of its own
    login_form = RoomForm


other = RoomSite(name="other")
other.register(Group)

urlpatterns = [
    path("account/", include("django_totp.urls.pages")),
    path("other/", other.urls),
    path("who/", who),
    *_ours,
]
