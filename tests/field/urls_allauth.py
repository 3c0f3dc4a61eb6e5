from django.urls import include, path

from tests.field.urls_sessions import urlpatterns as _ours

urlpatterns = [*_ours, path("accounts/", include("allauth.urls"))]
