"""JWT authentication that looks at what a login is worth: what it refuses, refresh refuses."""

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.db.models import Model
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop
from rest_framework.exceptions import APIException
from rest_framework_simplejwt import authentication
from rest_framework_simplejwt.exceptions import (
    AuthenticationFailed,
    DetailDictMixin,
    InvalidToken,
)
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import Token
from rest_framework_simplejwt.utils import get_md5_hash_password

from .accounts import account_by, join
from .assurance import judge, of_claims
from .events import complain_of_search
from .exceptions import PolicyUnavailable, TotpError
from .users import NOBODY

# What simplejwt says and we pass on is in our catalogues: its own count only where it is an
# installed app, and are few.
SAID_BY_SIMPLEJWT = (
    gettext_noop("Authorization header must contain two space-delimited values"),
    gettext_noop("Given token not valid for any token type"),
    gettext_noop("The user's password has been changed."),
    gettext_noop("Token contained no recognizable user identification"),
    gettext_noop("Token has no id"),
    gettext_noop("Token has no type"),
    gettext_noop("Token has wrong type"),
    gettext_noop("Token is blacklisted"),
    gettext_noop("Token is expired"),
    gettext_noop("Token is invalid or expired"),
    gettext_noop("Token is invalid"),
    gettext_noop("User not found"),
)


class ServiceUnavailable(DetailDictMixin, APIException):  # type: ignore[misc]  # as simplejwt's are
    """Nobody can tell now what a login is worth: that is no reason to end it."""

    status_code = 503


class StandingMixin:
    """Refuse tokens of logins that are not worth what their account asks for now.

    For a project's own variant of simplejwt's authentication: one that reads a cookie, say. It
    costs no query more, or one if the variant finds its users itself.
    """

    def get_user(self, validated_token: Token) -> Any:
        """Return the user of a token. Raise AuthenticationFailed, with the reason as its code."""
        find: Any = super().get_user  # type: ignore[misc]
        if self._finds_as_simplejwt(find):
            return user_of(validated_token)
        user = find(validated_token)
        if isinstance(user, get_user_model()):
            join(user)
            refuse_unless_good(user, validated_token)
        elif not isinstance(user, Model):  # one of another model has no account here
            user_of(validated_token)  # no more than a token: its row decides
        return user

    def _finds_as_simplejwt(self, find: Any) -> bool:
        is_plain = getattr(find, "__func__", None) is authentication.JWTAuthentication.get_user
        return is_plain and getattr(self, "user_model", None) is get_user_model()


class JWTAuthentication(StandingMixin, authentication.JWTAuthentication):
    """simplejwt's, which also refuses outdated logins and those that lack the second factor."""


def user_of(token: Token) -> AbstractBaseUser:
    """Return the user whom a valid token lets in, if its login is worth enough: one query.

    Raise InvalidToken, AuthenticationFailed or PolicyUnavailable.
    """
    user = named_by(token)
    refuse_unless_good(user, token)
    return user


def named_by(token: Token) -> AbstractBaseUser:
    """Return the user of a valid token, with the rows that judge its login: one query.

    Raise InvalidToken or AuthenticationFailed if there is none, or none who may sign in.
    """
    user: Any = _found(token)
    if not api_settings.USER_AUTHENTICATION_RULE(user):
        raise AuthenticationFailed(str(_("User is inactive")), "user_inactive")
    if api_settings.CHECK_REVOKE_TOKEN:
        made_upon = token.get(api_settings.REVOKE_TOKEN_CLAIM)
        if made_upon != get_md5_hash_password(user.password):
            raise AuthenticationFailed(str(_("The password has been changed.")), "password_changed")
    return user  # type: ignore[no-any-return]


def refuse_unless_good(user: AbstractBaseUser, token: Token) -> None:
    """Raise AuthenticationFailed if the login of ``token`` is not worth enough."""
    try:
        judge(user, of_claims(token.payload))
    except PolicyUnavailable as error:
        raise ServiceUnavailable(str(error), error.code) from error
    except TotpError as error:
        raise AuthenticationFailed(str(error), error.code) from error


def named_in(token: Token) -> tuple[str, Any]:
    """Return the field that a token names its user by, and its value. Raise InvalidToken."""
    key = token.get(api_settings.USER_ID_CLAIM)
    if isinstance(key, bool) or not isinstance(key, str | int) or "\0" in str(key):
        raise InvalidToken  # a database would take some of these for numbers, and so for a user
    return api_settings.USER_ID_FIELD, key


def _found(token: Token) -> AbstractBaseUser:
    try:
        user = account_by(*named_in(token))
    except NOBODY as error:
        complain_of_search(error)
        user = None
    if user is None:
        raise InvalidToken
    return user
