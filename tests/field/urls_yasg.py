from django.urls import include, path
from drf_yasg import openapi
from drf_yasg.views import get_schema_view

schema = get_schema_view(openapi.Info(title="Field", default_version="v1"), public=True)
urlpatterns = [
    path("api/", include("django_totp.urls")),
    path("api/", include("django_totp.urls.jwt")),
    path("schema.json", schema.without_ui()),
]
