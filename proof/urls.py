from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView

urlpatterns = [
    path("api/", include("django_totp.urls")),
    path("api/", include("django_totp.urls.jwt")),
    path("api/", include("django_totp.urls.recovery")),
    path("schema/", SpectacularAPIView.as_view()),
]
