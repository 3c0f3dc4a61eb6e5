"""URLs of a project that has our pages, and nothing of REST framework."""

from django.urls import include, path

urlpatterns = [path("account/", include("django_totp.urls.pages"))]
