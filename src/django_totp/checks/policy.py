"""Checks of who must have a second factor: that each word can be asked, and that somebody asks.

A word that cannot be asked refuses every login without a second factor.
"""

from typing import Any

from django.contrib.auth import get_user_model
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.utils.module_loading import import_string

from django_totp.conf import conf
from django_totp.policy import COLUMNS, EVERYONE, GROUP, has_groups, is_group

from .project import descends_from, our_views
from .settings import is_words

WORDS = (EVERYONE, *COLUMNS)
JWT_AUTHENTICATION = "rest_framework_simplejwt.authentication.JWTAuthentication"
ASKS = "django_totp.authentication.StandingMixin"


@register(Tags.security)
def check_required_words(**kwargs: Any) -> list[CheckMessage]:
    hint = (
        f"Known are {', '.join(map(repr, WORDS))}, '{GROUP}NAME', and the dotted path of a "
        "function that gets a user and returns whether that user must have a second factor."
    )
    return [
        Error(f"TOTP_REQUIRED_FOR names {word!r}, {wrong}.", hint=hint, id="django_totp.E025")
        for word in _words()
        if (wrong := _what_is_wrong_with(word))
    ]


@register(Tags.security)
def check_required_users(**kwargs: Any) -> list[CheckMessage]:
    user = get_user_model()
    hint = "Name the dotted path of a function instead, which knows who they are."
    return [
        Error(
            f"TOTP_REQUIRED_FOR names {word!r}, and {user._meta.label} has no {lacking!r}.",
            hint=hint,
            id="django_totp.E026",
        )
        for word in _words()
        if (lacking := _lacking(user, word))
    ]


@register(Tags.security)
def check_jwt_authentication(**kwargs: Any) -> list[CheckMessage]:
    if not _words():
        return []
    hint = (
        "Use 'django_totp.authentication.JWTAuthentication', or put StandingMixin of that module "
        "before your own: tokens of those who have not enrolled work on until then."
    )
    return [
        Warning(
            f"TOTP_REQUIRED_FOR is set, and {cls.__module__}.{cls.__qualname__} in "
            "REST_FRAMEWORK['DEFAULT_AUTHENTICATION_CLASSES'] does not look whether it is met.",
            hint=hint,
            id="django_totp.W017",
        )
        for cls in _default_authentication()
        if descends_from(cls, JWT_AUTHENTICATION) and not descends_from(cls, ASKS)
    ]


def _words() -> list[str]:
    """Return the words, or none where E023 speaks of them."""
    words: Any = conf.TOTP_REQUIRED_FOR
    return list(words) if is_words(words) else []


def _what_is_wrong_with(word: str) -> str:
    """Return what is wrong with a word that no user could be asked by, or an empty string."""
    if is_group(word):
        return "" if word.removeprefix(GROUP).strip() else "a group without a name"
    if word in WORDS:
        return ""
    if "." not in word:
        return "which is no word of it"
    try:
        return "" if callable(import_string(word)) else "which cannot be called"
    except Exception as error:
        return f"which cannot be imported ({type(error).__name__})"


def _lacking(user: Any, word: str) -> str:
    """Return what the user model lacks to be asked by ``word``, or an empty string."""
    if is_group(word):
        return "" if has_groups() else "groups"
    attribute = COLUMNS.get(word, "")
    return "" if not attribute or hasattr(user, attribute) else attribute


def _default_authentication() -> list[Any]:
    """Return the classes by which REST framework authenticates, as our views know them."""
    try:
        return list(next(view.settings.DEFAULT_AUTHENTICATION_CLASSES for view in our_views()))
    except Exception:
        return []  # there are no views of ours, or no such class: REST framework tells
