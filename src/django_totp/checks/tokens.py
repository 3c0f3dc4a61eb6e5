"""Checks of what simplejwt is told, where our JWT views are included: what they cannot honour.

simplejwt is not imported here, but asked for what our views have imported.
"""

import inspect
import sys
from collections.abc import Iterable
from typing import Any

from django.contrib.auth import get_user_model
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import FieldDoesNotExist
from django.utils.module_loading import import_string

from django_totp.operations.audit import views_of

OUR_VIEWS = "django_totp.views.jwt"
SERIALIZERS = "rest_framework_simplejwt.serializers"


@register(Tags.security)
def check_obtain_serializer(**kwargs: Any) -> list[CheckMessage]:
    name = _setting("TOKEN_OBTAIN_SERIALIZER")
    if name is None or _makes_refresh_tokens(_import(name)):
        return []
    message = f"SIMPLE_JWT['TOKEN_OBTAIN_SERIALIZER'] makes no refresh tokens: {name!r}."
    hint = (
        "jwt/create/ answers with a refresh and an access token. Name a subclass of "
        "TokenObtainPairSerializer whose get_token() returns a refresh token."
    )
    return [Error(message, hint=hint, id="django_totp.E020")]


@register(Tags.security)
def check_obtain_serializer_validate(**kwargs: Any) -> list[CheckMessage]:
    name = _setting("TOKEN_OBTAIN_SERIALIZER")
    validate = getattr(_import(name), "validate", None)
    if validate is None or _is_of(validate, SERIALIZERS):
        return []
    message = f"jwt/create/ never calls validate() of {name}."
    hint = (
        "Refuse a login in SIMPLE_JWT['USER_AUTHENTICATION_RULE'], and put claims into tokens in "
        "get_token(): these two are used."
    )
    return [Warning(message, hint=hint, id="django_totp.W014")]


@register(Tags.security)
def check_refresh_serializer(**kwargs: Any) -> list[CheckMessage]:
    name = _setting("TOKEN_REFRESH_SERIALIZER")
    if name is None or callable(_import(name)):
        return []
    message = f"SIMPLE_JWT['TOKEN_REFRESH_SERIALIZER'] cannot be imported: {name!r}."
    hint = "Name a subclass of TokenRefreshSerializer, or remove it to have simplejwt's."
    return [Error(message, hint=hint, id="django_totp.E027")]


@register(Tags.security)
def check_token_classes(**kwargs: Any) -> list[CheckMessage]:
    types = [getattr(one, "token_type", None) for one in _token_classes()]
    if not types or ("access" in types and "sliding" not in types):
        return []
    setting = "SIMPLE_JWT['AUTH_TOKEN_CLASSES']"
    if "access" not in types:
        message = f"{setting} accepts no access tokens, and jwt/create/ makes no others."
        hint = "Put 'rest_framework_simplejwt.tokens.AccessToken' there."
        return [Error(message, hint=hint, id="django_totp.E021")]
    message = f"{setting} accepts sliding tokens, and jwt/create/ and jwt/refresh/ make none."
    hint = "Take them out: whoever holds one was let in by another login."
    return [Warning(message, hint=hint, id="django_totp.W013")]


@register(Tags.security)
def check_user_id_field(**kwargs: Any) -> list[CheckMessage]:
    field, user = _setting("USER_ID_FIELD"), get_user_model()._meta
    if field is None or _has_column(user, field):
        return []
    message = f"SIMPLE_JWT['USER_ID_FIELD'] is {field!r}, and {user.label} has no such field."
    hint = f"Name a unique field of the user model, such as {user.pk.name!r}."
    return [Error(message, hint=hint, id="django_totp.E022")]


def _setting(name: str) -> Any:
    """Return a setting of simplejwt as our views read it, or ``None`` without these views."""
    try:
        is_asked = any(True for _ in views_of(OUR_VIEWS))
        return getattr(sys.modules[OUR_VIEWS].api_settings, name) if is_asked else None
    except Exception:
        return None  # the URLs, or simplejwt's settings, are broken: Django or simplejwt tells


def _token_classes() -> list[Any]:
    classes = _setting("AUTH_TOKEN_CLASSES")
    return list(classes) if isinstance(classes, Iterable) else []


def _import(name: Any) -> Any:
    try:
        return import_string(name)
    except Exception:
        return None


def _makes_refresh_tokens(serializer: Any) -> bool:
    """Return whether it has a ``get_token`` that, as far as can be told, makes them."""
    get_token = getattr(serializer, "get_token", None)
    token_class = getattr(serializer, "token_class", None)
    if token_class is None:
        return callable(get_token) and not _is_of(get_token, SERIALIZERS)
    return callable(get_token) and hasattr(token_class, "access_token")


def _is_of(method: Any, module: str) -> bool:
    return getattr(inspect.unwrap(method), "__module__", None) == module


def _has_column(user: Any, name: Any) -> bool:
    try:
        return name == "pk" or bool(user.get_field(name).concrete)
    except (FieldDoesNotExist, TypeError):
        return False
