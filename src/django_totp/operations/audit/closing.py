"""Whether ``SecondFactorMiddleware`` closes the doors to a session, and what it lacks if not."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import dropwhile
from types import FunctionType
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from django_totp.conf import conf

from . import code
from .urlconf import is_class, lineage

AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
OURS = "django_totp.middleware.SecondFactorMiddleware"
MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"
TESTS = {"acheck_password", "check_password"}
ADD = (
    f"Add '{OURS}' to MIDDLEWARE, after AuthenticationMiddleware, and "
    'include("django_totp.urls.pages") in the URLs.'
)
MOVE = f"Move '{OURS}' in MIDDLEWARE, to a place after AuthenticationMiddleware."
TAKE_OUT = (
    "Take {} out of TOTP_EXEMPT_BACKENDS. It takes passwords, and the middleware asks its "
    "sessions for nothing."
)


def lacking() -> str:
    """Return what to do so that the middleware closes them, or an empty string."""
    chain = list(map(_lineage_of, settings.MIDDLEWARE))
    if not any(OURS in names for names in chain):
        return ADD
    if not any(OURS in names for names in dropwhile(_is_not_authentication, chain)):
        return MOVE
    return " ".join(map(TAKE_OUT.format, exempt_passwords()))


def class_at(name: Any) -> type | None:
    """Return the class of this dotted name, or ``None`` where that is none or cannot be had."""
    with suppress(Exception):  # Django tells what is wrong with it
        found = import_string(name)
        if is_class(found):
            cls: type = found
            return cls
    return None


def _is_not_authentication(names: list[str]) -> bool:
    return AUTHENTICATION not in names


def exempt_passwords() -> Iterator[str]:
    """Yield the exempt backends that take a password of this database."""
    exempt: Any = conf.TOTP_EXEMPT_BACKENDS
    named = [exempt] if isinstance(exempt, str) else exempt
    for name in named if isinstance(named, Iterable) else ():
        backend = class_at(name)
        if backend is not None and _takes_passwords(backend):
            yield name


def _takes_passwords(backend: type) -> bool:
    """Return whether it tests a password, or is given one and descends from Django's own.

    A backend for an identity provider or a mailed link descends from Django's, too.
    """
    codes = [function.__code__ for function in _authenticating(backend)]
    if any(TESTS & code.names_in(one) for one in codes):
        return True
    is_given = any("password" in (*one.co_varnames, *one.co_consts) for one in codes)
    return is_given and MODEL_BACKEND in lineage(backend)


def _authenticating(backend: type) -> Iterator[FunctionType]:
    """Yield its ``authenticate``, and what that hides as far as it passes on."""
    for method in code.methods(backend, "authenticate", hidden=True):
        functions = list(code.functions_in(method))
        yield from functions
        if not any("super" in code.names_in(one.__code__) for one in functions):
            return


def _lineage_of(name: str) -> list[str]:
    cls = class_at(name)
    return lineage(cls) if cls is not None else []
