"""URLs of a project that has no pages of ours, and a view that asks for a second factor."""

from django.http import HttpResponse
from django.urls import path

from django_totp.decorators import second_factor_required

urlpatterns = [path("guarded/", second_factor_required(lambda request: HttpResponse()))]
