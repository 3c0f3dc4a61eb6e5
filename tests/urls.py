from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/", include("django_totp.urls")),
    path("api/", include("django_totp.urls.jwt")),
    path("api/", include("django_totp.urls.recovery")),
    path("account/", include("django_totp.urls.pages")),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
]
