"""The ways in that Django and the packages around it ship, by name."""

from collections.abc import Callable
from typing import Any, NamedTuple

from django.conf import settings

USE_JWT = "Route it to jwt/create/ of django_totp.urls.jwt instead, or remove it."
USE_OURS = (
    "Remove it, or ask for the second factor in a subclass (django_totp.auth.challenge_if_enabled "
    "and finish_login) that declares asks_second_factor = True."
)


class Door(NamedTuple):
    """A way in. ``is_open`` is asked whether this view, in this project, is one."""

    why: str
    hint: str = USE_OURS
    is_open: Callable[[Any], bool] = lambda view: True


def _if_set(setting: str) -> Callable[[Any], bool]:
    return lambda view: bool(getattr(settings, setting, False))


def _unless_set(setting: str) -> Callable[[Any], bool]:
    return lambda view: not getattr(settings, setting, False)


PASSWORD_TO_JWT = Door("It turns a password into a token.", USE_JWT)
PASSWORD_TO_TOKEN = Door("It turns a password into a token.")
PASSWORD_TO_SESSION = Door("It turns a password into a session.")
SOCIAL_TO_TOKEN = Door("It turns a social login into a token.")
SOCIAL_TO_SESSION = Door("It turns a social login into a session.")
KEY_TO_TOKEN = Door("It turns a security key, which no PIN protects, into a token.")
ALLAUTH_LOGIN = PASSWORD_TO_SESSION._replace(is_open=_unless_set("SOCIALACCOUNT_ONLY"))
MAIL_TO_SESSION = Door(
    "It turns a mailed code into a session.", is_open=_if_set("ACCOUNT_LOGIN_BY_CODE_ENABLED")
)
ALLAUTH_RESET = Door(
    "It turns a mailed link or code into a session (ACCOUNT_LOGIN_ON_PASSWORD_RESET).",
    "Leave ACCOUNT_LOGIN_ON_PASSWORD_RESET off.",
    _if_set("ACCOUNT_LOGIN_ON_PASSWORD_RESET"),
)
RESET = Door(
    "It turns a mailed link into a session (post_reset_login).",
    "Leave post_reset_login off.",
    lambda view: bool(view.attribute("post_reset_login")),
)

# A name with None is no way in, although it descends from one.
DOORS: dict[str, Door | None] = {
    "allauth.account.views.CompletePasswordResetView": ALLAUTH_RESET,
    "allauth.account.views.ConfirmLoginCodeView": MAIL_TO_SESSION,
    "allauth.account.views.LoginView": ALLAUTH_LOGIN,
    "allauth.account.views.PasswordResetFromKeyView": ALLAUTH_RESET,
    "allauth.headless.account.views.ConfirmLoginCodeView": MAIL_TO_SESSION,
    "allauth.headless.account.views.LoginView": ALLAUTH_LOGIN,
    "allauth.headless.account.views.ResetPasswordView": ALLAUTH_RESET,
    "allauth.headless.socialaccount.views.ProviderTokenView": SOCIAL_TO_SESSION,
    "allauth.socialaccount.providers.facebook.views.LoginByTokenView": SOCIAL_TO_SESSION,
    "allauth.socialaccount.providers.google.views.LoginByTokenView": SOCIAL_TO_SESSION,
    "allauth.socialaccount.providers.oauth.views.OAuthCallbackView": SOCIAL_TO_SESSION,
    "allauth.socialaccount.providers.oauth2.views.OAuth2CallbackView": SOCIAL_TO_SESSION,
    "allauth.socialaccount.providers.openid.views.OpenIDCallbackView": SOCIAL_TO_SESSION,
    "allauth.socialaccount.providers.saml.views.FinishACSView": SOCIAL_TO_SESSION,
    "allauth.socialaccount.providers.telegram.views.CallbackView": SOCIAL_TO_SESSION,
    "dj_rest_auth.registration.views.SocialConnectView": None,
    "dj_rest_auth.registration.views.SocialLoginView": SOCIAL_TO_TOKEN,
    "dj_rest_auth.views.LoginView": Door("It turns a password into a token or a session."),
    "django.contrib.admin.sites.AdminSite.login": PASSWORD_TO_SESSION,
    "django.contrib.auth.views.LoginView": PASSWORD_TO_SESSION,
    "django.contrib.auth.views.PasswordResetConfirmView": RESET,
    "djoser.social.views.ProviderAuthView": SOCIAL_TO_TOKEN,
    "djoser.views.TokenCreateView": PASSWORD_TO_TOKEN,
    "djoser.webauthn.views.LoginView": KEY_TO_TOKEN,
    "knox.views.LoginView": PASSWORD_TO_TOKEN,
    "rest_framework.authtoken.views.ObtainAuthToken": PASSWORD_TO_TOKEN,
    "rest_framework_simplejwt.views.TokenObtainPairView": PASSWORD_TO_JWT,
    "rest_framework_simplejwt.views.TokenObtainSlidingView": PASSWORD_TO_JWT,
    "social_django.views.complete": SOCIAL_TO_SESSION,
}
# A view of the project's own that reads its body with one of these is a login.
CREDENTIAL_SERIALIZERS = {
    "dj_rest_auth.serializers.LoginSerializer",
    "djoser.serializers.TokenCreateSerializer",
    "rest_framework.authtoken.serializers.AuthTokenSerializer",
    "rest_framework_simplejwt.serializers.TokenObtainSerializer",
}
API_VIEW = "rest_framework.views.APIView"
BASIC = "rest_framework.authentication.BasicAuthentication"
AUTHENTICATED = {
    "rest_framework.permissions.IsAdminUser",
    "rest_framework.permissions.IsAuthenticated",
}
