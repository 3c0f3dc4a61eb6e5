from django.contrib import admin
from django.contrib.auth.views import LogoutView
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from playground import views

urlpatterns = [
    path("api/", include("django_totp.urls")),
    path("api/", include("django_totp.urls.jwt")),
    path("api/", include("django_totp.urls.recovery")),
    path("api/notes/", views.NotesView.as_view(), name="notes"),
    path("api/notes/strict/", views.StrictNotesView.as_view(), name="notes-strict"),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path(
        "api/docs/",
        SpectacularSwaggerSplitView.as_view(template_name="playground/docs.html"),
        name="docs",
    ),
    path("account/", include("django_totp.urls.pages")),
    path("admin/", admin.site.urls),
    path("session/", views.session, name="session"),
    path("session/danger/", views.danger, name="danger"),
    path("session/sign-out/", LogoutView.as_view(), name="sign-out"),
    path("favicon.ico", RedirectView.as_view(url=static("playground/icon.svg"))),
    path("", views.start, name="start"),
    path("jwt/", views.jwt, name="jwt"),
    path("tools/", views.tools, name="tools"),
    path("demo/code/", views.demo_code, name="demo-code"),
    path("demo/phone/", views.demo_phone, name="demo-phone"),
]
