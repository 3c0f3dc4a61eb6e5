"""The ways in that Django and the packages around it ship, by name."""

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from django.conf import settings

USE_JWT = "Route it to jwt/create/ of django_totp.urls.jwt instead, or remove it."
USE_OURS = (
    "Remove it, or ask for the second factor in a subclass (django_totp.auth.challenge_if_enabled "
    "and finish_login) that declares asks_second_factor = True."
)


def _always(view: Any) -> bool:
    return True


def _never(view: Any) -> bool:
    return False


class Door(NamedTuple):
    """A way in.

    ``is_open`` is asked whether this view, in this project, is one, and ``opens_session`` whether
    all that it gives is a session, which SecondFactorMiddleware sees.
    """

    why: str
    hint: str = USE_OURS
    is_open: Callable[[Any], bool] = _always
    opens_session: Callable[[Any], bool] = _never

    @classmethod
    def to_session(
        cls, why: str, hint: str = USE_OURS, is_open: Callable[[Any], bool] = _always
    ) -> "Door":
        return cls(why, hint, is_open, opens_session=_always)


def _if_set(setting: str) -> Callable[[Any], bool]:
    return lambda view: bool(getattr(settings, setting, False))


def _unless_set(setting: str) -> Callable[[Any], bool]:
    return lambda view: not getattr(settings, setting, False)


def _has_password_grant(view: Any) -> bool:
    """Return whether django-oauth-toolkit lets an application trade passwords for tokens."""
    package = sys.modules.get("oauth2_provider.settings")
    settings_of_package = getattr(package, "oauth2_settings", None)
    return not getattr(settings_of_package, "COMPLIANT_BCP_RFC9700_PASSWORD_GRANT", False)


def _serves_a_browser(view: Any) -> bool:
    """Return whether allauth keeps the session in a cookie. An app gets its key, as a token."""
    return bool(view.attribute("client") == "browser")


def _makes_no_tokens(view: Any) -> bool:
    """Return whether the settings of dj-rest-auth leave it nothing to give but a session."""
    chosen = getattr(settings, "REST_AUTH", {})
    return not chosen.get("USE_JWT") and chosen.get("TOKEN_MODEL", "its default") is None


PASSWORD_TO_JWT = Door("It turns a password into a token.", USE_JWT)
PASSWORD_TO_TOKEN = Door("It turns a password into a token.")
PASSWORD_TO_SESSION = Door.to_session("It turns a password into a session.")
SOCIAL_TO_TOKEN = Door("It turns a social login into a token.")
SOCIAL_TO_SESSION = Door.to_session("It turns a social login into a session.")
KEY_TO_TOKEN = Door("It turns a security key, which no PIN protects, into a token.")
ELSEWHERE_TO_SESSION = Door.to_session("It turns a login at an identity provider into a session.")
LINK_TO_SESSION = Door.to_session("It turns a mailed link into a session.")
PASSWORD_GRANT = Door(
    "It turns a password into a token, for applications with the password grant.",
    "Set COMPLIANT_BCP_RFC9700_PASSWORD_GRANT in OAUTH2_PROVIDER to True (django-oauth-toolkit "
    "3.4 or newer), which refuses that grant, or make sure that no application has it.",
    _has_password_grant,
)
GRAPHQL = Door(
    "The audit cannot see into its schema. A mutation there may turn a password into a token.",
    "Look for a mutation that logs in, such as tokenAuth or login. Remove it, or ask for the "
    "second factor there.",
)
ALLAUTH_LOGIN = PASSWORD_TO_SESSION._replace(is_open=_unless_set("SOCIALACCOUNT_ONLY"))
MAIL_TO_SESSION = Door.to_session(
    "It turns a mailed code into a session.", is_open=_if_set("ACCOUNT_LOGIN_BY_CODE_ENABLED")
)
ALLAUTH_RESET = Door.to_session(
    "It turns a mailed link or code into a session (ACCOUNT_LOGIN_ON_PASSWORD_RESET).",
    "Leave ACCOUNT_LOGIN_ON_PASSWORD_RESET off.",
    _if_set("ACCOUNT_LOGIN_ON_PASSWORD_RESET"),
)
RESET = Door.to_session(
    "It turns a mailed link into a session (post_reset_login).",
    "Leave post_reset_login off.",
    lambda view: bool(view.attribute("post_reset_login")),
)


def _headless(door: Door) -> Door:
    return door._replace(opens_session=_serves_a_browser)


# A name with None is no way in, although it descends from one.
DOORS: dict[str, Door | None] = {
    "allauth.account.views.CompletePasswordResetView": ALLAUTH_RESET,
    "allauth.account.views.ConfirmLoginCodeView": MAIL_TO_SESSION,
    "allauth.account.views.LoginView": ALLAUTH_LOGIN,
    "allauth.account.views.PasswordResetFromKeyView": ALLAUTH_RESET,
    "allauth.headless.account.views.ConfirmLoginCodeView": _headless(MAIL_TO_SESSION),
    "allauth.headless.account.views.LoginView": _headless(ALLAUTH_LOGIN),
    "allauth.headless.account.views.ResetPasswordView": _headless(ALLAUTH_RESET),
    "allauth.headless.socialaccount.views.ProviderTokenView": _headless(SOCIAL_TO_SESSION),
    "allauth.socialaccount.providers.facebook.views.LoginByTokenView": SOCIAL_TO_SESSION,
    "allauth.socialaccount.providers.google.views.LoginByTokenView": SOCIAL_TO_SESSION,
    "allauth.socialaccount.providers.oauth.views.OAuthCallbackView": SOCIAL_TO_SESSION,
    "allauth.socialaccount.providers.oauth2.views.OAuth2CallbackView": SOCIAL_TO_SESSION,
    "allauth.socialaccount.providers.openid.views.OpenIDCallbackView": SOCIAL_TO_SESSION,
    "allauth.socialaccount.providers.saml.views.FinishACSView": SOCIAL_TO_SESSION,
    "allauth.socialaccount.providers.telegram.views.CallbackView": SOCIAL_TO_SESSION,
    "dj_rest_auth.registration.views.SocialConnectView": None,
    "dj_rest_auth.registration.views.SocialLoginView": SOCIAL_TO_TOKEN._replace(
        opens_session=_makes_no_tokens
    ),
    "dj_rest_auth.views.LoginView": Door(
        "It turns a password into a token or a session.", opens_session=_makes_no_tokens
    ),
    "django.contrib.admin.sites.AdminSite.login": PASSWORD_TO_SESSION,
    "django.contrib.auth.views.LoginView": PASSWORD_TO_SESSION,
    "django.contrib.auth.views.PasswordResetConfirmView": RESET,
    "djangosaml2.views.AssertionConsumerServiceView": ELSEWHERE_TO_SESSION,
    "djoser.social.views.ProviderAuthView": SOCIAL_TO_TOKEN,
    "djoser.views.TokenCreateView": PASSWORD_TO_TOKEN,
    "djoser.webauthn.views.LoginView": KEY_TO_TOKEN,
    "graphene_django.views.GraphQLView": GRAPHQL,
    "knox.views.LoginView": PASSWORD_TO_TOKEN,
    "mozilla_django_oidc.views.OIDCAuthenticationCallbackView": ELSEWHERE_TO_SESSION,
    "ninja_jwt.controller.AsyncTokenObtainPairController.obtain_token": PASSWORD_TO_JWT,
    "ninja_jwt.controller.AsyncTokenObtainSlidingController.obtain_token": PASSWORD_TO_JWT,
    "ninja_jwt.controller.TokenObtainPairController.obtain_token": PASSWORD_TO_JWT,
    "ninja_jwt.controller.TokenObtainSlidingController.obtain_token": PASSWORD_TO_JWT,
    "ninja_jwt.routers.obtain.obtain_token": PASSWORD_TO_JWT,
    "ninja_jwt.routers.obtain.obtain_token_sliding_token": PASSWORD_TO_JWT,
    "oauth2_provider.views.base.TokenView": PASSWORD_GRANT,
    "rest_framework.authtoken.views.ObtainAuthToken": PASSWORD_TO_TOKEN,
    "rest_framework_simplejwt.views.TokenObtainPairView": PASSWORD_TO_JWT,
    "rest_framework_simplejwt.views.TokenObtainSlidingView": PASSWORD_TO_JWT,
    "sesame.views.LoginView": LINK_TO_SESSION,
    "social_django.views.complete": SOCIAL_TO_SESSION,
    "strawberry.django.views.AsyncGraphQLView": GRAPHQL,
    "strawberry.django.views.GraphQLView": GRAPHQL,
}
MIDDLEWARE_DOORS = {
    "sesame.middleware.AuthenticationMiddleware": Door(
        "It turns a mailed link to any page into a session.",
        "Remove it, and route sesame's links to a view that asks for the second factor.",
    ),
}
# A view of the project's own that reads its input with one of these is a login.
CREDENTIAL_FORMS = {"django.contrib.auth.forms.AuthenticationForm"}
CREDENTIAL_SCHEMAS = {"ninja_jwt.schema.TokenObtainInputSchemaBase"}
CREDENTIAL_SERIALIZERS = {
    "dj_rest_auth.serializers.LoginSerializer",
    "djoser.serializers.TokenCreateSerializer",
    "rest_framework.authtoken.serializers.AuthTokenSerializer",
    "rest_framework_simplejwt.serializers.TokenObtainSerializer",
}
CREDENTIALS = CREDENTIAL_FORMS | CREDENTIAL_SCHEMAS | CREDENTIAL_SERIALIZERS
# A view of the project's own whose code names one of these is a login,
SESSION_LOGINS = {
    "django.contrib.auth.alogin",
    "django.contrib.auth.login",
}
LOGINS = SESSION_LOGINS | {"graphql_jwt.shortcuts.get_token"}
# or names one of these together with one of its methods,
TOKENS = {
    "knox.models.AbstractAuthToken": {"acreate", "create"},
    "ninja_jwt.tokens.Token": {"for_user"},
    "rest_framework.authtoken.models.Token": {
        *("acreate", "aget_or_create", "create", "get_or_create", "update_or_create"),
    },
    "rest_framework_simplejwt.serializers.TokenObtainSerializer": {"get_token"},
    "rest_framework_simplejwt.tokens.Token": {"for_user"},
}
TOKEN_MAKERS = {"django_totp.tokens.token_pair", "graphql_jwt.shortcuts.get_token", *TOKENS}
# unless it also names one of these.
ASKING = {
    "django_totp.auth.challenge_if_enabled",
    "django_totp.auth.finish_login",
    "django_totp.auth.generate_challenge_token",
    "django_totp.auth.get_user_from_challenge_token",
    "django_totp.auth.is_totp_enabled",
    "django_totp.auth.verify_challenge_token",
    "django_totp.backup_code_utils.verify_backup_code",
    "django_totp.totp.verify_totp_code",
}
READS_FORM = Door.to_session("It reads a password as a login does.")
READS_CREDENTIALS = Door(READS_FORM.why)
MAKES_SESSION = Door.to_session("Its code makes a session or a token.")
# What gives out tokens in a view of ours. Whoever does so in a handler of its own must ask there.
OUR_VIEW = "django_totp.views.base.TotpView"
MAKES_TOKENS = {"for_user", "get_token", "token_pair"}
REPLACES_OURS = Door(
    "Its handler takes the place of ours, which asks.",
    "Call the handler that it hides, or ask for the second factor in its own and declare "
    "asks_second_factor = True beside it.",
)
API_VIEW = "rest_framework.views.APIView"
BASIC = "rest_framework.authentication.BasicAuthentication"
NINJA_BASIC = "ninja.security.http.HttpBasicAuth"
NINJA_VIEW = "ninja.operation.PathView"
AUTHENTICATED = {
    "rest_framework.permissions.IsAdminUser",
    "rest_framework.permissions.IsAuthenticated",
}


def public(name: str) -> str:
    """Return the name under which a door is known: packages move views into private modules."""
    parts = (part for part in name.split(".") if not part.startswith("_"))
    shown = ".".join(parts)
    return shown if shown in DOORS else name
