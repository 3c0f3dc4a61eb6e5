"""Login in two steps that ends in JSON web tokens. All that knows simplejwt is here."""

import copy
from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import EmptyResultSet
from django.utils.module_loading import import_string
from rest_framework.exceptions import ValidationError as InvalidBody
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings as drf
from rest_framework_simplejwt import state
from rest_framework_simplejwt.exceptions import InvalidToken, TokenError
from rest_framework_simplejwt.serializers import TokenRefreshSerializer
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import RefreshToken, Token, UntypedToken
from rest_framework_simplejwt.views import TokenRefreshView, TokenVerifyView, TokenViewBase

from django_totp import events
from django_totp.accounts import accounts
from django_totp.assurance import Assurance, of_claims, totp_of, upgraded
from django_totp.auth import step_up
from django_totp.authentication import named_by, named_in, user_of
from django_totp.events import complain, complain_of_search
from django_totp.exceptions import TotpError
from django_totp.retrying import retried
from django_totp.serializers import JWTStepUpRequest, TokenPairResponse
from django_totp.throttle import Subject
from django_totp.tokens import CLAIMS, claims_in, pair, restate, restate_as, rotated, use_up
from django_totp.users import NOBODY

from .base import TotpView, shows
from .login import (
    LoginView,
    OwedConfirmationView,
    OwedSetupView,
    PasswordView,
    SecondFactorView,
)

EVER = timedelta(days=36525)


class JWTLogin(LoginView):
    """What ends each login here: a pair of tokens."""

    may_sign_in = staticmethod(lambda user: api_settings.USER_AUTHENTICATION_RULE(user))

    def sign_in(self, user: AbstractBaseUser, login: Assurance) -> dict[str, Any]:
        return pair(user, login)

    def get_authenticate_header(self, request: Request) -> str:
        return TokenViewBase().get_authenticate_header(request)


class JWTCreateView(JWTLogin, PasswordView):
    pass


class JWTTotpVerifyView(JWTLogin, SecondFactorView):
    pass


class JWTTotpCreateView(JWTLogin, OwedSetupView):
    pass


class JWTTotpConfirmView(JWTLogin, OwedConfirmationView):
    pass


class TokenView(TotpView):
    """The base of what reads a JWT: one that is not valid, for whatever reason, gets a 401.

    simplejwt lets the errors of a search for the user pass. DRF makes some of them, and a
    blacklisted token, errors of a whole body: a 400 to a body whose fields are in order.
    """

    signed_field = ""

    def name_subject(self, body: dict[str, Any]) -> Subject | None:
        return _signed_subject(body.get(self.signed_field))

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, (EmptyResultSet, *NOBODY)) and not isinstance(exc, TotpError):
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
    """simplejwt's refresh, of a token that the view judges: nothing else decides here."""

    def validate(self, attrs: dict[str, Any]) -> dict[str, str]:
        refresh: Any = self.token_class(attrs["refresh"])
        self.context["view"].judge(refresh)
        if not api_settings.ROTATE_REFRESH_TOKENS:
            return {"access": str(refresh.access_token)}
        return rotated(refresh, uses_up=api_settings.BLACKLIST_AFTER_ROTATION)


class JWTRefreshView(TokenView, TokenRefreshView):
    """A refresh token gives a new access token, as long as its login is worth enough.

    One that authentication then refuses would send the client back here, without end. So the
    token is judged as soon as it is verified, before any serializer does something with it; and
    what it states is what the new tokens state, whatever a serializer of the project puts there.
    """

    signed_field = "refresh"
    judged: dict[str, Any] | None = None  # what the token says that is used

    def get_serializer_class(self) -> Any:
        chosen = super().get_serializer_class()
        token_class = getattr(chosen, "token_class", None)
        if chosen is TokenRefreshSerializer:
            return RefreshSerializer
        if token_class is None:
            return chosen
        return type(chosen.__name__, (chosen,), {"token_class": self._judging(token_class)})

    @shows(200, "A new access token.")
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        if super().get_serializer_class() is TokenRefreshSerializer:
            return super().post(request, *args, **kwargs)
        self._judge_body()
        response = super().post(request, *args, **kwargs)
        self._restate(response.data)
        return response

    def _restate(self, answer: Any) -> None:
        """Let the tokens that a serializer of the project has made state what was judged."""
        for name in ("access", "refresh"):
            if isinstance(answer, dict) and isinstance(answer.get(name), str):
                answer[name] = self._as_judged(answer[name])
        if self.judged is None:
            complain(
                "SIMPLE_JWT['TOKEN_REFRESH_SERIALIZER'] reads its token in a way of its own, so "
                "that nobody can tell what the login is worth: it is refused. Let it make the "
                "token with self.token_class."
            )
            raise InvalidToken

    def _judge_body(self) -> None:
        """Judge the token of the body, of which a serializer may make what it likes."""
        body: Any = self.request.data
        with suppress(InvalidToken):
            self.judge(_refresh_token(body.get("refresh") if isinstance(body, dict) else None))

    def _judging(self, token_class: Any) -> Any:
        """Return ``token_class``, whose tokens are judged once they are verified."""

        class Judging(token_class):  # type: ignore[misc]
            def __init__(judged, token: Any = None, verify: bool = True) -> None:  # noqa: N805
                super().__init__(token, verify)
                if token is not None and verify:
                    self.judge(judged)

            def blacklist(judged) -> Any:  # noqa: N805
                return use_up(retried(super().blacklist)())

        return Judging

    def judge(self, refresh: Any) -> None:
        """Let ``refresh`` state what its login is worth by now. Raise unless that is enough."""
        user = user_of(refresh)
        restate(refresh, upgraded(of_claims(refresh.payload), totp_of(user)))
        self.judged = {**refresh.payload}

    def _as_judged(self, text: str) -> str:
        """Return a new token with the claims of the login that was judged.

        If the serializer has read its token elsewhere, what it made of it is judged.
        """
        whose = api_settings.USER_ID_CLAIM
        try:
            token = _read(text)
        except TokenError:  # it is encrypted, say: what it states is the serializer's
            return text
        if self.judged is None or self.judged.get(whose) != token.get(whose):
            self.judge(token)
        claims = {name: value for name, value in (self.judged or {}).items() if name in CLAIMS}
        if claims_in(token) == claims:
            return text
        restate_as(token, claims)
        return str(token)


class JWTStepUpView(TokenView):
    """A refresh token and a code give tokens that state a second factor, given now.

    Also to a login from before the enrollment: the code is what it lacks.
    """

    authentication_classes = ()
    permission_classes = ()
    signed_field = "refresh"

    def get_authenticate_header(self, request: Request) -> str:
        return TokenViewBase().get_authenticate_header(request)

    def _is_of_whole_body(self, exc: Exception) -> bool:
        return False  # what is wrong with the whole body here are the codes

    @shows(200, TokenPairResponse, request=JWTStepUpRequest)
    def post(self, request: Request) -> Response:
        codes = self.read(JWTStepUpRequest)
        refresh = _refresh_token(codes.pop("refresh"))
        user, login = step_up(
            lambda: named_by(refresh), of_claims(refresh.payload), request=request, **codes
        )
        restate(refresh, login)
        tokens = rotated(refresh, uses_up=True)
        method = "backup_code" if "backup_code" in codes else "totp"
        events.record("stepped_up", user, request, method=method)
        return Response(tokens)


class JWTVerifyView(TokenView, TokenVerifyView):
    """Whether a token is valid, for clients that cannot check its signature themselves."""

    signed_field = "token"

    @shows(200, "The token is valid.")
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        response = super().post(request, *args, **kwargs)
        body: Any = request.data
        token = _read(body["token"])
        if api_settings.USER_ID_CLAIM in token:
            name, key = named_in(token)
            rows = accounts().filter(**{name: key})
            rows.query.sql_with_params()  # asks nobody, and raises like a search
        return response


def _read(token: str) -> Token:
    """Return what ``token`` says; that it is good has been seen before."""
    return UntypedToken(token, verify=False)  # type: ignore[arg-type]


def _refresh_token(text: Any) -> Any:
    """Return a refresh token as simplejwt's refresh reads it. Raise InvalidToken."""
    serializer = import_string(api_settings.TOKEN_REFRESH_SERIALIZER)
    try:
        return (getattr(serializer, "token_class", None) or RefreshToken)(text)
    except TokenError as error:
        raise InvalidToken(error.args[0]) from error


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
