from django.urls import include, path

urlpatterns = [path("", include("django_totp.urls.recovery"))]
