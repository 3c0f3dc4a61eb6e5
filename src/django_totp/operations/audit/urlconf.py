"""What the URLs lead to, and what a callable is made of, however it is decorated."""

import functools
import inspect
from collections.abc import Iterator
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

# Whoever gets past these decorators has logged in by another way, which is looked at by itself.
LOGIN_TESTS = {"django.contrib.admin.views.decorators", "django.contrib.auth.decorators"}
LOGIN_GUARDS = {"allauth.account.decorators"}


def installed_views() -> Iterator[tuple[str, Any]]:
    """Yield the route and the callable of every view that the project's URLconf reaches."""
    yield from _walk(get_resolver().url_patterns, "/")


def layers(view: Any) -> Iterator[Any]:
    """Yield ``view`` and then what it wraps, from the outermost decorator inwards."""
    while view is not None:
        yield view
        wrapped = getattr(view, "__wrapped__", None)
        view = view.func if isinstance(view, functools.partial) else wrapped


def view_class(view: Any) -> type | None:
    """Return the class that made ``view``, however it is decorated, or ``None``."""
    for layer in layers(view):
        made_by = (getattr(layer, "view_class", None), getattr(layer, "cls", None))
        for found in (*made_by, _enclosed(layer, "cls")):
            if isinstance(found, type):
                return found
    return None


def needs_login(view: Any) -> bool:
    """Return whether ``view`` is behind a decorator that lets in only who is signed in."""
    return any(_guards(layer) for layer in layers(view))


def full_name(thing: Any) -> str:
    """Return the dotted name of a class or function."""
    name: str = thing.__qualname__
    if not name.endswith(thing.__name__):  # api_view renames its class, but not that
        name = thing.__name__
    return f"{thing.__module__}.{name}"


def lineage(cls: type) -> list[str]:
    """Return the dotted names of ``cls`` and its bases, the most derived one first."""
    return [full_name(base) for base in cls.__mro__]


def _walk(patterns: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        route = prefix + str(getattr(pattern, "pattern", "")).removeprefix("^")
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern):
            yield route.removesuffix("$"), pattern.callback


def _guards(layer: Any) -> bool:
    if getattr(_enclosed(layer, "test_func"), "__module__", "") in LOGIN_TESTS:
        return True
    return inspect.isfunction(layer) and layer.__globals__.get("__name__") in LOGIN_GUARDS


def _enclosed(layer: Any, name: str) -> Any:
    """Return what the function ``layer`` calls ``name`` and has from the function around it."""
    if not inspect.isfunction(layer) or name not in layer.__code__.co_freevars:
        return None
    position = layer.__code__.co_freevars.index(name)
    return (layer.__closure__ or ())[position].cell_contents
