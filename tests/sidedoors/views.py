"""Views of a project's own: ways in, and look-alikes."""

import functools

from dj_rest_auth.registration.views import SocialConnectView, SocialLoginView
from django.contrib.admin import AdminSite
from django.contrib.auth import authenticate
from django.contrib.auth.views import LoginView, PasswordResetConfirmView
from django.http import HttpResponse
from graphql_jwt.shortcuts import get_token
from knox.models import AuthToken
from knox.views import LoginView as KnoxLoginView
from oauth2_provider.views import TokenView as OAuthTokenView
from rest_framework import permissions, viewsets
from rest_framework.authentication import BasicAuthentication, SessionAuthentication
from rest_framework.authtoken.models import Token
from rest_framework.authtoken.serializers import AuthTokenSerializer
from rest_framework.decorators import action, api_view, authentication_classes
from rest_framework.generics import GenericAPIView
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.serializers import TokenObtainPairSerializer
from rest_framework_simplejwt.tokens import RefreshToken
from rest_framework_simplejwt.views import TokenObtainPairView, TokenViewBase
from sesame.views import LoginView as SesameLoginView

from django_totp.views.jwt import JWTCreateView

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


class OwnOAuthTokens(OAuthTokenView):
    pass


class OwnSesameLogin(SesameLoginView):
    pass


class OwnPost(JWTCreateView):
    def post(self, request):
        return Response(self.token_pair(authenticate(request, **request.data)))


class MakeToken(APIView):
    def post(self, request):
        token, _ = Token.objects.get_or_create(user=authenticate(request, **request.data))
        return Response({"key": token.key})


class MakeKnoxToken(APIView):
    def post(self, request):
        return Response(AuthToken.objects.create(authenticate(request, **request.data))[1])


@api_view(["POST"])
def make_refresh_token(request):
    refresh = RefreshToken.for_user(authenticate(request, **request.data))
    return Response(str(refresh.access_token))


def make_graphql_token(request):
    return HttpResponse(get_token(authenticate(request, **request.POST.dict())))


# Look-alikes.


class WithCookie(JWTCreateView):
    def post(self, request):
        response = super().post(request)
        response.set_cookie("seen", "yes")
        return response


class Logout(APIView):
    def post(self, request):
        RefreshToken(request.data["refresh"]).blacklist()
        Token.objects.filter(user=request.user.pk).delete()
        return Response()


class TokenOfWhoIsSignedIn(MakeToken):
    permission_classes = [permissions.IsAuthenticated]


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
