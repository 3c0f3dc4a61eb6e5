"""Checks of what is around our endpoints: REST framework, the throttle and its cache."""

import math
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.cache import caches
from django.core.cache.backends.db import DatabaseCache
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.filebased import FileBasedCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connections, router
from django.db.models import DO_NOTHING, PROTECT, RESTRICT

from django_totp import rates
from django_totp.conf import conf
from django_totp.models import BackupCode, Totp
from django_totp.operations.audit import Finding, View, side_doors, views_of

OUR_VIEW, OUR_PAGE = "django_totp.views.base.TotpView", "django_totp.views.pages.base.Page"
LOOSE_CACHES = {
    DatabaseCache: "drops counts when it is full, and lets a burst slip through",
    DummyCache: "keeps nothing",
    FileBasedCache: "looks before it writes, so that a burst slips through in between",
    LocMemCache: "does not count for all processes",
}
# Above this, in requests per second, the brake on those who try passwords is off.
WEAK_RATES = {
    "TOTP_THROTTLE_RATE": ("60/minute", 1),
    "TOTP_ADDRESS_THROTTLE_RATE": ("600/minute", 10),
}


@register(Tags.security)
def check_rest_framework(**kwargs: Any) -> list[CheckMessage]:
    if apps.is_installed("rest_framework") or not our_views():
        return []
    message = "The URLs of django-totp are included, but REST framework is not installed as an app."
    hint = "Add 'rest_framework' to INSTALLED_APPS."
    return [Warning(message, hint=hint, id="django_totp.W001")]


@register(Tags.security)
def check_throttle_rate(**kwargs: Any) -> list[CheckMessage]:
    wanted = "None or a rate of at least one request, such as '10/minute'"
    hint = "Correct it, or remove it to have the default."
    return [
        Error(
            f"{setting} must be {wanted}, not {getattr(conf, setting)!r}.",
            hint=hint,
            id="django_totp.E018",
        )
        for setting, rate in _our_rates().items()
        if rate <= 0
    ]


@register(Tags.security, deploy=True)
def check_weak_throttle_rate(**kwargs: Any) -> list[CheckMessage]:
    hint = "It is what slows down those who try many passwords, or one on many accounts."
    return [
        Warning(
            f"{setting} should be at most {WEAK_RATES[setting][0]!r}, "
            f"not {getattr(conf, setting)!r}.",
            hint=hint,
            id="django_totp.W007",
        )
        for setting, rate in _our_rates().items()
        if rate > WEAK_RATES[setting][1]
    ]


@register(Tags.security, deploy=True)
def check_cache(**kwargs: Any) -> list[CheckMessage]:
    reason = _why_it_is_loose()
    if not reason or all(getattr(conf, setting) is None for setting in _our_rates()):
        return []
    message = f"The throttle counts in the default cache, and {reason}."
    hint = "Use a cache that all processes share, such as RedisCache or PyMemcacheCache."
    return [Warning(message, hint=hint, id="django_totp.W008")]


@register(Tags.security)
def check_basic_authentication(**kwargs: Any) -> list[CheckMessage]:
    if not any(map(_takes_basic, installed(OUR_VIEW))):
        return []
    message = "BasicAuthentication lets a password alone into the endpoints of django-totp."
    hint = (
        "It suffices to enroll, whereas a second factor that is on is not changed without a code. "
        "Set REST_FRAMEWORK['DEFAULT_AUTHENTICATION_CLASSES'] without it: unless told otherwise, "
        "REST framework uses it."
    )
    return [Warning(message, hint=hint, id="django_totp.W009")]


@register(Tags.security)
def check_autocommit(**kwargs: Any) -> list[CheckMessage]:
    alias = router.db_for_write(Totp)
    if connections.settings[alias].get("AUTOCOMMIT", True):
        return []
    message = f"DATABASES[{alias!r}]['AUTOCOMMIT'] is off: who never commits forgets each guess."
    hint = "Remove it. Wrong codes are not counted, and used ones work again, until a commit."
    return [Warning(message, hint=hint, id="django_totp.W015")]


@register(Tags.security)
def check_foreign_keys(**kwargs: Any) -> list[CheckMessage]:
    hint = "Use CASCADE or SET_NULL: else disable, rotate and reset fail for those who have one."
    return [
        Warning(
            f"{relation.field} keeps {model._meta.verbose_name_plural} from being removed.",
            hint=hint,
            id="django_totp.W016",
        )
        for model in (Totp, BackupCode)
        for relation in _relations_to(model)
        if relation.on_delete in (PROTECT, RESTRICT, DO_NOTHING)
    ]


@register(Tags.security, deploy=True)
def check_proxies(**kwargs: Any) -> list[CheckMessage]:
    proxies = [view.settings.NUM_PROXIES for view in our_views()]
    if installed(OUR_PAGE):
        proxies.append((getattr(settings, "REST_FRAMEWORK", None) or {}).get("NUM_PROXIES"))
    if None not in proxies:
        return []
    message = "A client's address is taken from a header that the client can write."
    hint = (
        "Set REST_FRAMEWORK['NUM_PROXIES'] to the number of proxies in front of the application, "
        "0 if there is none."
    )
    return [Warning(message, hint=hint, id="django_totp.W010")]


@register(Tags.security, deploy=True)
def check_side_doors(**kwargs: Any) -> list[CheckMessage]:
    allow = "Or allow it, with the reason, in TOTP_AUDIT_ALLOWED."
    return [
        Warning(
            f"{door.url} leads to {door.view} and never asks for the second factor. {door.why}",
            hint=f"{door.hint} {allow}",
            id="django_totp.W011",
        )
        for door in _side_doors()
    ]


def _side_doors() -> list[Finding]:
    try:
        return side_doors()
    except Exception:
        return []  # the URLs are broken: Django reports that


def our_views() -> list[Any]:
    """Return the classes of the views of django-totp, and of those derived from them."""
    return [view.cls for view in installed(OUR_VIEW)]


def installed(name: str) -> list[View]:
    """Return the views in the URLs that descend from the class ``name``."""
    try:
        return list(views_of(name))
    except Exception:
        return []  # the URLs are broken: Django reports that


def _our_rates() -> dict[str, float]:
    """Return the requests per second that our views and pages let pass, by setting."""
    names = WEAK_RATES if installed(OUR_PAGE) else ()
    of_pages = {setting: _per_second(getattr(conf, setting)) for setting in names}
    throttles = _our_throttles().items()
    return of_pages | {setting: _requests_per_second(throttle) for setting, throttle in throttles}


def _per_second(rate: Any) -> float:
    """Return ``rate`` as our pages read it: 0 for nonsense, infinity where it is off."""
    try:
        return math.inf if rate is None else rates.parse(rate).requests / rates.parse(rate).seconds
    except Exception:
        return 0


def _relations_to(model: Any) -> list[Any]:
    fields = model._meta.get_fields(include_hidden=True)
    return [one for one in fields if one.auto_created and one.is_relation]


def _takes_basic(view: View) -> bool:
    try:
        return view.takes_basic
    except Exception:
        return False  # its classes have no end, or raise: the audit names it


def _our_throttles() -> dict[str, Any]:
    """Return one of our throttles for each setting that they read, if any view uses them."""
    throttles = [throttle for view in our_views() for throttle in view.throttle_classes]
    ours = [one for one in throttles if descends_from(one, "django_totp.throttle.TotpThrottle")]
    return {one.setting: one for one in reversed(ours) if one.setting in WEAK_RATES}


def descends_from(cls: Any, name: str) -> bool:
    """Return whether ``name`` is the full name of ``cls`` or of one of its bases."""
    bases = getattr(cls, "__mro__", ())
    return any(f"{base.__module__}.{base.__qualname__}" == name for base in bases)


def _requests_per_second(throttle_class: Any) -> float:
    """Return the rate as REST framework reads it: 0 for nonsense, infinity where it is off."""
    try:
        throttle = throttle_class()
        return math.inf if throttle.rate is None else throttle.num_requests / throttle.duration
    except Exception:
        return 0


def _why_it_is_loose() -> str:
    """Return why the default cache does not count each request, or an empty string."""
    try:
        cache = caches["default"]
    except Exception:
        return "it cannot be made"
    kinds = [kind for kind in LOOSE_CACHES if isinstance(cache, kind)]
    return f"{kinds[0].__name__} {LOOSE_CACHES[kinds[0]]}" if kinds else ""
