from django.urls import include, path

from tests.urls import urlpatterns as _ours

urlpatterns = [*_ours, path("hijack/", include("hijack.urls"))]
