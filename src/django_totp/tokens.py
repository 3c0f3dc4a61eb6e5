"""JSON web tokens of simplejwt that say what their login is worth, from the first to the last."""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import update_last_login
from django.utils.module_loading import import_string
from rest_framework_simplejwt.exceptions import InvalidToken
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import Token

from .assurance import UNKNOWN, Assurance, new_login
from .retrying import retried

CLAIMS = (*UNKNOWN.claims, "device")


def token_pair(user: AbstractBaseUser, *methods: str) -> dict[str, str]:
    """Return ``refresh`` and ``access`` for a login of ``user`` by ``methods``, now.

    They are those of RFC 8176, such as ``"pwd"``, ``"otp"`` or ``"hwk"``. For login views of the
    project: what must be asked for, ``auth.next_step`` tells.
    """
    return pair(user, new_login(user, *methods))


def pair(user: AbstractBaseUser, login: Assurance) -> dict[str, str]:
    """Return new tokens of ``user`` that state ``login``, as the project makes tokens."""
    serializer: Any = import_string(api_settings.TOKEN_OBTAIN_SERIALIZER)
    refresh = retried(serializer.get_token)(user)  # a code is used up: this must not be in vain
    restate(refresh, login)
    if api_settings.UPDATE_LAST_LOGIN:
        retried(update_last_login)(None, user)  # type: ignore[arg-type]
    return _signed(refresh)


def restate(token: Token, login: Assurance) -> None:
    """Let ``token`` state ``login``, whatever it said. An unknown login leaves it as it is."""
    if login.stated:
        restate_as(token, login.claims)


def claims_in(token: Token) -> dict[str, Any]:
    """Return those claims of ``token`` that could state a login, whether they do or not."""
    return {name: token.payload[name] for name in CLAIMS if name in token.payload}


def restate_as(token: Token, claims: Mapping[str, Any]) -> None:
    """Let ``token`` have ``claims``, of another token, and none beside them that state a login."""
    for name in CLAIMS:
        token.payload.pop(name, None)
    token.payload.update(claims)


def rotated(refresh: Any, *, uses_up: bool) -> dict[str, str]:
    """Return new tokens that say what ``refresh`` says.

    ``uses_up`` blacklists the old one, where that app is installed. Raise InvalidToken if
    somebody else has used it up: of simultaneous requests, one gets the new tokens.
    """
    if uses_up and hasattr(refresh, "blacklist"):
        use_up(retried(refresh.blacklist)())
    refresh.set_jti()
    refresh.set_exp()
    refresh.set_iat()
    retried(refresh.outstand)()
    return _signed(refresh)


def _signed(refresh: Any) -> dict[str, str]:
    return {"refresh": str(refresh), "access": str(refresh.access_token)}


def use_up(blacklisted: Any) -> Any:
    """Return what blacklisting a token gave. Raise InvalidToken if it was blacklisted before.

    A token class of the project may not tell.
    """
    if isinstance(blacklisted, tuple) and not blacklisted[-1]:
        raise InvalidToken
    return blacklisted
