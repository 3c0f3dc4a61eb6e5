"""Checks of the session face: its middleware, its pages, and whose sessions are asked nothing."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.urls import NoReverseMatch, reverse

from django_totp.conf import conf
from django_totp.operations.audit import (
    AUTHENTICATION,
    OURS,
    class_at,
    exempt_passwords,
    installed_views,
    layers,
)

from .project import OUR_PAGE, descends_from, installed
from .settings import is_words

RECOVERY_PAGE = "django_totp.views.pages.recovery.RecoveryPage"
PAGES = (OUR_PAGE, "django_totp.mixins.TwoStepMixin")
ADD = f"Add {OURS!r} to MIDDLEWARE, after {AUTHENTICATION!r}."


@register(Tags.security)
def check_middleware(**kwargs: Any) -> list[CheckMessage]:
    if _place_of(OURS) is not None:
        return []
    if any(map(installed, PAGES)):
        message = "The pages of django-totp are included, but its middleware is missing."
    elif any(map(_is_guarded, _callbacks())):
        message = "A view asks for a second factor, but the middleware of django-totp is missing."
    else:
        return []
    return [Error(message, hint=ADD, id="django_totp.E028")]


@register(Tags.security)
def check_place_of_middleware(**kwargs: Any) -> list[CheckMessage]:
    ours, djangos = _place_of(OURS), _place_of(AUTHENTICATION)
    if ours is None or (djangos is not None and djangos < ours):
        return []
    message = f"{OURS!r} stands in MIDDLEWARE before there are users to look at."
    hint = f"Put it after {AUTHENTICATION!r}."
    return [Error(message, hint=hint, id="django_totp.E029")]


@register(Tags.security)
def check_pages(**kwargs: Any) -> list[CheckMessage]:
    if _place_of(OURS) is None or _is_there("two-factor-verify"):
        return []
    message = "The middleware of django-totp is on, and there is no page 'two-factor-verify'."
    hint = (
        "Add path('account/', include('django_totp.urls.pages')) to the URLs, without a namespace."
    )
    return [Error(message, hint=hint, id="django_totp.E030")]


@register(Tags.security)
def check_exempt_backends(**kwargs: Any) -> list[CheckMessage]:
    names = conf.TOTP_EXEMPT_BACKENDS
    if not is_words(names):
        message = f"TOTP_EXEMPT_BACKENDS must be a list of strings, not {names!r}."
        return [Error(message, hint="Put a single one into brackets, too.", id="django_totp.E031")]
    hint = "Write it as it stands in AUTHENTICATION_BACKENDS, or remove it."
    return [
        Error(
            f"TOTP_EXEMPT_BACKENDS names {name!r}, which AUTHENTICATION_BACKENDS does not.",
            hint=hint,
            id="django_totp.E031",
        )
        for name in names
        if name not in settings.AUTHENTICATION_BACKENDS
    ]


@register(Tags.security)
def check_recovery_page(**kwargs: Any) -> list[CheckMessage]:
    is_on = conf.TOTP_RECOVERY_DELAY is not None and not conf.TOTP_RECOVERY_URL
    if not is_on or installed(RECOVERY_PAGE):
        return []
    hint = "Include django_totp.urls.pages, or set TOTP_RECOVERY_URL to a page of your app."
    message = "TOTP_RECOVERY_DELAY is set, and there is no page that a mail could lead to."
    return [Warning(message, hint=hint, id="django_totp.W022")]


@register(Tags.security, deploy=True)
def check_hosts_of_links(**kwargs: Any) -> list[CheckMessage]:
    is_on = conf.TOTP_RECOVERY_DELAY is not None and not conf.TOTP_RECOVERY_URL
    if not is_on or "*" not in settings.ALLOWED_HOSTS:
        return []
    hint = "Name your hosts in ALLOWED_HOSTS, or set TOTP_RECOVERY_URL."
    message = "Mails about a recovery lead to whatever host a request names."
    return [Warning(message, hint=hint, id="django_totp.W021")]


@register(Tags.security)
def check_exempt_passwords(**kwargs: Any) -> list[CheckMessage]:
    hint = "Exempt only backends whose users give a second factor elsewhere."
    return [
        Warning(
            f"TOTP_EXEMPT_BACKENDS names {name!r}: its passwords open sessions all alone.",
            hint=hint,
            id="django_totp.W018",
        )
        for name in exempt_passwords()
    ]


def _callbacks() -> list[Any]:
    try:
        return [place.callback for place in installed_views()]
    except Exception:
        return []  # the URLs are broken: Django tells


def _is_guarded(view: Any) -> bool:
    """Return whether ``view`` is behind ``second_factor_required``."""
    try:
        return any(
            getattr(layer, "second_factor_required", False) is True for layer in layers(view)
        )
    except Exception:
        return False  # it has no end, or raises: the audit names it


def _place_of(name: str) -> int | None:
    """Return where the middleware ``name``, or one derived from it, stands."""
    classes = map(class_at, settings.MIDDLEWARE)
    return next((at for at, cls in enumerate(classes) if descends_from(cls, name)), None)


def _is_there(name: str) -> bool:
    try:
        reverse(name)
    except NoReverseMatch:
        return False
    except Exception:
        return True  # the URLs are broken: Django tells
    return True
