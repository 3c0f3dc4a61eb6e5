from django.urls import path
from knox.views import LoginView
from rest_framework.authentication import BasicAuthentication

from tests.urls import urlpatterns as _ours

login = LoginView.as_view(authentication_classes=[BasicAuthentication])
urlpatterns = [*_ours, path("knox/login/", login)]
