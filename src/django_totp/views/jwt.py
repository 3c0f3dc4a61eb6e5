"""Login in two steps that ends in JSON web tokens. All that knows simplejwt is here."""

import copy
import logging
import time
import unicodedata
from datetime import timedelta
from typing import Any

from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import update_last_login
from django.core.exceptions import EmptyResultSet
from django.db import router
from django.db.models import QuerySet
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.exceptions import ValidationError as InvalidBody
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings as drf
from rest_framework_simplejwt import state
from rest_framework_simplejwt.exceptions import AuthenticationFailed as JWTAuthenticationFailed
from rest_framework_simplejwt.exceptions import InvalidToken
from rest_framework_simplejwt.serializers import TokenRefreshSerializer
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import Token, UntypedToken
from rest_framework_simplejwt.utils import get_md5_hash_password
from rest_framework_simplejwt.views import TokenRefreshView, TokenVerifyView, TokenViewBase

from django_totp import events, signals
from django_totp.auth import challenge_if_enabled, challenge_subject, finish_login
from django_totp.models import Totp, fetch
from django_totp.serializers import (
    JWTCreateRequest,
    JWTTotpVerifyRequest,
    TokenPairResponse,
)
from django_totp.throttle import Subject

from .base import NOBODY, TotpView, complain_of_search, shows
from .throttled import LONGEST_NAME, folded

EVER = timedelta(days=36525)


class LoginView(TotpView):
    """Nobody is signed in here, and a stale ``Authorization`` header keeps nobody out."""

    authentication_classes = ()
    permission_classes = ()

    def get_authenticate_header(self, request: Request) -> str:
        return TokenViewBase().get_authenticate_header(request)

    def token_pair(self, user: AbstractBaseUser, *amr: str) -> dict[str, str]:
        """Return the tokens that end a login of ``user`` by the methods ``amr`` (RFC 8176)."""
        refresh: Any = import_string(api_settings.TOKEN_OBTAIN_SERIALIZER).get_token(user)
        refresh["amr"] = list(amr)
        refresh["auth_time"] = int(time.time())
        if api_settings.UPDATE_LAST_LOGIN:
            update_last_login(None, user)  # type: ignore[arg-type]
        return {"refresh": str(refresh), "access": str(refresh.access_token)}


class JWTCreateView(LoginView):
    """The first step: a password gives tokens or, where TOTP is on, a challenge token."""

    def name_subject(self, body: dict[str, Any]) -> Subject | None:
        name = body.get(get_user_model().USERNAME_FIELD)
        return Subject(folded(name)) if isinstance(name, str) else None

    @shows(200, "Tokens, or a challenge token.", request=JWTCreateRequest)
    def post(self, request: Request) -> Response:
        user = self._authenticate(request)
        challenge = challenge_if_enabled(user)
        if challenge is not None:
            return Response({"is_totp_enabled": True, "totp_challenge_token": challenge})
        tokens = self.token_pair(user, "pwd")
        events.record("login", user, request, method="password")
        events.send(signals.non_totp_login_success, user, request)
        return Response({"is_totp_enabled": False, **tokens})

    def _authenticate(self, request: Request) -> AbstractBaseUser:
        user = authenticate(request._request, **_as_in_forms(self.read(JWTCreateRequest)))
        if user is None or not api_settings.USER_AUTHENTICATION_RULE(user):
            events.record("login_failed", user, request, level=logging.WARNING, method="password")
            raise AuthenticationFailed(_("Invalid credentials."), "invalid_credentials")
        return user


class JWTTotpVerifyView(LoginView):
    """The second step: a challenge token and a code give tokens."""

    challenge_field = "totp_challenge_token"

    def name_subject(self, body: dict[str, Any]) -> Subject | None:
        account = challenge_subject(body.get(self.challenge_field))
        return Subject(account) if account is not None else None

    @shows(200, TokenPairResponse, request=JWTTotpVerifyRequest)
    def post(self, request: Request) -> Response:
        data = self.read(JWTTotpVerifyRequest)
        user = finish_login(
            data.pop(self.challenge_field),
            **data,
            may_sign_in=api_settings.USER_AUTHENTICATION_RULE,
            request=request,
        )
        tokens = self.token_pair(user, "pwd", "otp")
        method = "backup_code" if "backup_code" in data else "totp"
        events.record("login", user, request, method=method)
        events.send(signals.totp_login_success, user, request, method=method)
        return Response(tokens)


class TokenView(TotpView):
    """The base of what reads a JWT: one that is not valid, for whatever reason, gets a 401.

    simplejwt lets the errors of a search for the user pass. DRF makes some of them, and a
    blacklisted token, errors of a whole body: a 400 to a body whose fields are in order.
    """

    signed_field = ""

    def name_subject(self, body: dict[str, Any]) -> Subject | None:
        return _signed_subject(body.get(self.signed_field))

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, (EmptyResultSet, *NOBODY)):
            complain_of_search(exc)
            exc = InvalidToken()
        elif self._is_of_whole_body(exc):
            exc = InvalidToken()
        return super().handle_exception(exc)

    def _is_of_whole_body(self, exc: Exception) -> bool:
        if not isinstance(exc, InvalidBody) or not isinstance(self.request.data, dict):
            return False
        return list(exc.detail) == [drf.NON_FIELD_ERRORS_KEY]


class RefreshSerializer(TokenRefreshSerializer):
    """simplejwt's refresh, which one look at the row of the user decides."""

    def validate(self, attrs: dict[str, Any]) -> dict[str, str]:
        refresh: Any = self.token_class(attrs["refresh"])
        _refuse_what_authentication_would(refresh)
        tokens = {"access": str(refresh.access_token)}
        if api_settings.ROTATE_REFRESH_TOKENS:
            tokens["refresh"] = str(_rotated(refresh))
        return tokens


class JWTRefreshView(TokenView, TokenRefreshView):
    """A refresh token gives a new access token, as long as its user may sign in.

    A token that authentication then refuses would send the client back here, without end.
    """

    def get_serializer_class(self) -> Any:
        chosen = super().get_serializer_class()
        return RefreshSerializer if chosen is TokenRefreshSerializer else chosen

    @shows(200, "A new access token.")
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        response = super().post(request, *args, **kwargs)
        if self.get_serializer_class() is not RefreshSerializer and "access" in response.data:
            _refuse_what_authentication_would(_read(response.data["access"]))
        return response

    signed_field = "refresh"


class JWTVerifyView(TokenView, TokenVerifyView):
    """Whether a token is valid, for clients that cannot check its signature themselves."""

    signed_field = "token"

    @shows(200, "The token is valid.")
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        response = super().post(request, *args, **kwargs)
        body: Any = request.data
        token = _read(body["token"])
        if api_settings.USER_ID_CLAIM in token:
            _users_named_by(token).query.sql_with_params()  # asks nobody, and raises like a search
        return response


def _as_in_forms(credentials: dict[str, str]) -> dict[str, str]:
    """Return ``credentials`` with the user name as Django's login form makes it, in NFKC, unless
    somebody has the very name that was typed.

    A look at the table tells: to authenticate twice would count one mistake twice.
    """
    model = get_user_model()
    typed = credentials[model.USERNAME_FIELD]
    if len(typed) > LONGEST_NAME:
        return credentials
    name = unicodedata.normalize("NFKC", typed)
    if name == typed or model._default_manager.filter(**{model.USERNAME_FIELD: typed}).exists():
        return credentials
    return {**credentials, model.USERNAME_FIELD: name}


def _read(token: str) -> Token:
    """Return what ``token`` says; that it is good has been seen before."""
    return UntypedToken(token, verify=False)  # type: ignore[arg-type]


def _refuse_what_authentication_would(token: Token) -> None:
    """Raise InvalidToken or AuthenticationFailed unless the user of ``token`` may sign in."""
    user: Any = next(fetch(_users_named_by(token)), None)
    if user is None:
        raise InvalidToken
    if not api_settings.USER_AUTHENTICATION_RULE(user):
        message: Any = TokenRefreshSerializer.default_error_messages["no_active_account"]
        raise JWTAuthenticationFailed(message, "no_active_account")
    if api_settings.CHECK_REVOKE_TOKEN:
        made_upon = token.get(api_settings.REVOKE_TOKEN_CLAIM)
        if made_upon != get_md5_hash_password(user.password):
            message = _("The password has been changed.")
            raise JWTAuthenticationFailed(message, "password_changed")


def _users_named_by(token: Token) -> QuerySet[Any]:
    """Return the users, one or none, of ``token``. To ask for them raises one of NOBODY."""
    key = token.get(api_settings.USER_ID_CLAIM)
    if isinstance(key, bool) or not isinstance(key, str | int) or "\0" in str(key):
        raise InvalidToken  # a database would take some of these for numbers, and so for a user
    users = get_user_model()._default_manager.using(router.db_for_write(Totp))
    return users.filter(**{api_settings.USER_ID_FIELD: key})


def _rotated(refresh: Any) -> Any:
    if api_settings.BLACKLIST_AFTER_ROTATION and hasattr(refresh, "blacklist"):
        refresh.blacklist()
    refresh.set_jti()
    refresh.set_exp()
    refresh.set_iat()
    refresh.outstand()
    return refresh


def _signed_subject(token: object) -> Subject | None:
    """Return whom a token names that was signed here, expired or not, for counting requests only.

    Those who come back after a weekend all come with expired ones, from one address.
    """
    late = copy.copy(state.token_backend)
    late.leeway = EVER
    claims = _claims_of(token, state.token_backend)
    is_expired = claims is None
    claims = _claims_of(token, late) if claims is None else claims
    user = (claims or {}).get(api_settings.USER_ID_CLAIM)
    return None if user is None else Subject(str(user), is_proven=True, is_expired=is_expired)


def _claims_of(token: object, backend: Any) -> Any:
    try:
        return backend.decode(token)
    except Exception:
        return None  # the view tells what is wrong with it
