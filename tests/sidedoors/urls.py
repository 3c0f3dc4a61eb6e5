"""Every side door, and what looks like one. ``test_audit`` lists the doors."""

import functools

from allauth.account.decorators import secure_admin_login
from django.conf.urls.i18n import i18n_patterns
from django.contrib import admin
from django.contrib.auth import views as auth
from django.contrib.auth.decorators import login_required, user_passes_test
from django.urls import include, path, re_path
from django.views.decorators.cache import never_cache
from graphene_django.views import GraphQLView
from rest_framework.authtoken.views import ObtainAuthToken, obtain_auth_token
from rest_framework.routers import SimpleRouter
from rest_framework_simplejwt import views as simplejwt
from sesame import views as sesame
from strawberry.django import views as strawberry

from . import graphql, ninja, views

router = SimpleRouter()
router.register("report-set", views.ReportSet, basename="report")

only_strangers = user_passes_test(lambda user: not user.is_authenticated, login_url="/")
own_site = views.OwnSite(name="own")
protected_site = views.ProtectedSite(name="protected")
behind_login = admin.AdminSite(name="behind_login")
behind_login.login = login_required(behind_login.login)
behind_allauth = admin.AdminSite(name="behind_allauth")
behind_allauth.login = secure_admin_login(behind_allauth.login)
decorated_site = views.OwnSite(name="decorated")
decorated_site.login = never_cache(decorated_site.login)

own_doors = [
    path("tokens/", views.OwnTokens.as_view()),
    path("by-serializer/", views.BySerializer.as_view()),
    path("by-setting/", views.BySetting.as_view()),
    path("by-auth-token/", views.ByAuthToken.as_view()),
    path("knox/", views.OwnKnoxLogin.as_view()),
    path("knox-basic/", views.BasicKnoxLogin.as_view()),
    path("social/", views.OwnSocialLogin.as_view()),
    path("reset/<uidb64>/<token>/", views.OwnReset.as_view()),
    path("reset-by-argument/", auth.PasswordResetConfirmView.as_view(post_reset_login=True)),
    path("reports/", views.Reports.as_view()),
    path("report/", views.report),
    path("partial/", functools.partial(auth.LoginView.as_view(), next_page="/")),
    path("decorated/", never_cache(only_strangers(auth.LoginView.as_view()))),
    path("oauth/", views.OwnOAuthTokens.as_view()),
    path("sesame/", views.OwnSesameLogin.as_view()),
    path("jwt/", views.OwnPost.as_view()),
    path("drf-token/", views.MakeToken.as_view()),
    path("knox-token/", views.MakeKnoxToken.as_view()),
    path("refresh-token/", views.make_refresh_token),
    path("graphql-token/", views.make_graphql_token),
    path("admin/", own_site.urls),
    path("decorated-admin/", decorated_site.urls),
]
harmless = [
    path("totp/", include("django_totp.urls")),
    path("totp/", include("django_totp.urls.jwt")),
    path("tokens/", views.ProtectedTokens.as_view()),
    path("by-serializer/", views.ProtectedBySerializer.as_view()),
    path("login/", views.ProtectedLogin.as_view()),
    path("knox/", views.ProtectedBasicLogin.as_view()),
    path("reports/", views.ReportsByCode.as_view()),
    path("admin/", protected_site.urls),
    path("behind-login/", behind_login.urls),
    path("behind-allauth/", behind_allauth.urls),
    path("social-connect/", views.OwnSocialConnect.as_view()),
    path("confirm-password/", views.ConfirmPassword.as_view()),
    path("refresh/", simplejwt.TokenRefreshView.as_view()),
    path("verify/", simplejwt.TokenVerifyView.as_view()),
    path("blacklist/", simplejwt.TokenBlacklistView.as_view()),
    path("with-cookie/", views.WithCookie.as_view()),
    path("logout/", views.Logout.as_view()),
    path("token/", views.TokenOfWhoIsSignedIn.as_view()),
    path("graphql/", login_required(GraphQLView.as_view(schema=graphql.graphene_schema))),
    path("instance/", views.Login()),
    path("function/", views.login),
    path("partial/", views.login_of_another_kind),
    path("class/", views.Login),
]
urlpatterns = [
    path("own/", include((own_doors, "own"), namespace="inner")),
    path("harmless/", include(harmless)),
    path("", include(router.urls)),
    path("jwt/", simplejwt.TokenObtainPairView.as_view()),
    path("sliding/", simplejwt.TokenObtainSlidingView.as_view()),
    path("auth-token/", obtain_auth_token),
    path("auth-token-again/", ObtainAuthToken.as_view()),
    path("admin/", admin.site.urls),
    path("api-auth/", include("rest_framework.urls")),
    path("djoser/", include("djoser.urls")),
    path("djoser/", include("djoser.urls.authtoken")),
    path("djoser/", include("djoser.urls.jwt")),
    path("djoser/", include("djoser.social.urls")),
    path("dj-rest-auth/", include("dj_rest_auth.urls")),
    path("dj-rest-auth/registration/", include("dj_rest_auth.registration.urls")),
    path("knox/", include("knox.urls")),
    path("allauth/", include("allauth.urls")),
    path("headless/", include("allauth.headless.urls")),
    path("social/", include("social_django.urls")),
    path("oauth/", include("oauth2_provider.urls")),
    path("oidc/", include("mozilla_django_oidc.urls")),
    path("saml2/", include("djangosaml2.urls")),
    path("sesame/", sesame.LoginView.as_view()),
    path("ninja/", ninja.api.urls),
    path("ninja-extra/", ninja.extra_api.urls),
    path("ninja-async/", ninja.async_api.urls),
    path("graphene/", GraphQLView.as_view(schema=graphql.graphene_schema)),
    path("strawberry/", strawberry.GraphQLView.as_view(schema=graphql.own_schema)),
    path("strawberry-async/", strawberry.AsyncGraphQLView.as_view(schema=graphql.own_schema)),
    *i18n_patterns(re_path("^accounts/", include("django.contrib.auth.urls"))),
]
