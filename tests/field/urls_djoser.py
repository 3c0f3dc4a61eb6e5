from django.urls import include, path

from tests.urls import urlpatterns as _ours

urlpatterns = [
    *_ours,
    path("auth/", include("djoser.urls")),
    path("auth/", include("djoser.urls.authtoken")),
    path("auth/", include("djoser.urls.jwt")),
]
