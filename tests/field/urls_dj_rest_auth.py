from django.urls import include, path

from tests.urls import urlpatterns as _ours

urlpatterns = [*_ours, path("auth/", include("dj_rest_auth.urls"))]
