from django.urls import include, path

from tests.urls import urlpatterns as _ours

urlpatterns = [*_ours, path("o/", include("oauth2_provider.urls", namespace="oauth2_provider"))]
