from django.urls import include, path

from tests.field.urls_sessions import urlpatterns as _ours

urlpatterns = [path("grappelli/", include("grappelli.urls")), *_ours]
