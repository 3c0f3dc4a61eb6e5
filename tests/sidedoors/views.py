"""Views of a project's own: ways in, and look-alikes."""

import functools

from dj_rest_auth.registration.views import SocialConnectView, SocialLoginView
from django.contrib.admin import AdminSite
from django.contrib.auth.views import LoginView, PasswordResetConfirmView
from django.http import HttpResponse
from knox.views import LoginView as KnoxLoginView
from rest_framework import permissions, viewsets
from rest_framework.authentication import BasicAuthentication, SessionAuthentication
from rest_framework.authtoken.serializers import AuthTokenSerializer
from rest_framework.decorators import action, api_view, authentication_classes
from rest_framework.generics import GenericAPIView
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.serializers import TokenObtainPairSerializer
from rest_framework_simplejwt.views import TokenObtainPairView, TokenViewBase

# Ways in.


class OwnTokens(TokenObtainPairView):
    pass


class OwnKnoxLogin(KnoxLoginView):
    permission_classes = [permissions.AllowAny]


class BasicKnoxLogin(KnoxLoginView):
    authentication_classes = [BasicAuthentication]


class OwnSocialLogin(SocialLoginView):
    pass


class ByAuthToken(GenericAPIView):
    serializer_class = AuthTokenSerializer
    permission_classes = []


class BySerializer(TokenViewBase):
    serializer_class = TokenObtainPairSerializer


class BySetting(TokenViewBase):
    _serializer_class = "rest_framework_simplejwt.serializers.TokenObtainPairSerializer"


class OwnReset(PasswordResetConfirmView):
    post_reset_login = True


class Reports(APIView):
    authentication_classes = [SessionAuthentication, BasicAuthentication]


class ReportSet(viewsets.ViewSet):
    @action(detail=False, authentication_classes=[BasicAuthentication])
    def totals(self, request):
        return Response()

    def list(self, request):
        return Response()


@api_view()
@authentication_classes([BasicAuthentication])
def report(request):
    return Response()


class OwnSite(AdminSite):
    pass


# Look-alikes.


class ProtectedTokens(TokenObtainPairView):
    asks_second_factor = True


class ProtectedSerializer(TokenObtainPairSerializer):
    asks_second_factor = True


class ProtectedBySerializer(TokenObtainPairView):
    serializer_class = ProtectedSerializer


class ProtectedLogin(LoginView):
    asks_second_factor = True


class ProtectedBasicLogin(KnoxLoginView):
    authentication_classes = [BasicAuthentication]
    asks_second_factor = True


class PasswordAndCode(BasicAuthentication):
    asks_second_factor = True


class ReportsByCode(APIView):
    authentication_classes = [PasswordAndCode]


class ProtectedSite(AdminSite):
    asks_second_factor = True


class OwnSocialConnect(SocialConnectView):
    pass


class ConfirmPassword(GenericAPIView):
    """The password again, of someone who is signed in."""

    serializer_class = AuthTokenSerializer
    permission_classes = [permissions.IsAuthenticated]


class Login:
    """An object that is a view, and has nothing but its name from a login."""

    def __call__(self, request):
        return HttpResponse()


def login(request, kind="a view that is called login"):
    return HttpResponse(kind)


login_of_another_kind = functools.partial(login, kind="a partial")
