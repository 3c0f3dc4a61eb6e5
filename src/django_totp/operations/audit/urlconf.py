"""What the URLs lead to, and what a callable is made of, however it is decorated."""

import functools
import inspect
from collections.abc import Iterator
from types import FunctionType
from typing import Any, NamedTuple

from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RegexPattern

# Whoever gets past these has logged in by another way, which is looked at by itself.
LOGIN_TESTS = {"django.contrib.admin.views.decorators", "django.contrib.auth.decorators"}
LOGIN_DECORATORS = {
    "allauth.account.decorators.reauthentication_required",
    "allauth.account.decorators.secure_admin_login",
    "allauth.account.decorators.verified_email_required",
    "django.contrib.admin.views.decorators.staff_member_required",
    "django.contrib.auth.decorators.login_required",
}
LOGIN_MIXINS = {
    "django.contrib.auth.mixins.LoginRequiredMixin",
    "django.contrib.auth.mixins.PermissionRequiredMixin",
}
MAX_LAYERS = 100
NOT_LITERAL = set("^$.*+?{}[]()|\\")  # in a regular expression


class Place(NamedTuple):
    """A view at its URL, ``is_fixed`` where that is the only path that leads to it."""

    url: str
    callback: Any
    is_fixed: bool


def installed_views() -> Iterator[Place]:
    """Yield every view that the patterns of the project's URLconf name."""
    yield from _walk(get_resolver().url_patterns, Place("/", None, True), ())


def is_shadowed(place: Place) -> bool:
    """Return whether an earlier pattern takes every request that ``place`` could get."""
    if not place.is_fixed:
        return False
    try:
        return get_resolver().resolve(place.url).func is not place.callback
    except Exception:
        return False  # a converter or a pattern of the project, that raises


def layers(view: Any) -> Iterator[Any]:
    """Yield ``view`` and then what it wraps, from the outermost decorator inwards.

    Raise ValueError if that has no end.
    """
    seen: list[Any] = []
    while view is not None:
        if len(seen) == MAX_LAYERS or any(view is one for one in seen):
            raise ValueError("what it wraps has no end")
        seen.append(view)
        yield view
        wrapped = getattr(view, "__wrapped__", None)
        view = view.func if isinstance(view, functools.partial) else wrapped


def view_class(view: Any) -> type | None:
    """Return the class that made ``view``, however it is decorated, or ``None``."""
    for layer in layers(view):
        made_by = (getattr(layer, "view_class", None), getattr(layer, "cls", None))
        for found in (*made_by, enclosed(layer, "cls")):
            if is_class(found):
                return found
    return None


def needs_login(view: Any) -> bool:
    """Return whether ``view`` is behind a decorator or mixin that lets in who is signed in."""
    cls = view_class(view)
    if cls is None:
        return any(map(_guards, layers(view)))
    dispatch = layers(getattr(cls, "dispatch", None))
    within = LOGIN_MIXINS.intersection(lineage(cls))
    return bool(within) or any(map(_guards, (*layers(view), *dispatch)))


def is_class(thing: Any) -> bool:
    """Return whether ``thing`` is a class, and does not only say so."""
    return issubclass(type(thing), type)


def bases(cls: type) -> tuple[type, ...]:
    """Return ``cls`` and what it descends from, whatever its metaclass makes of that."""
    mro: tuple[type, ...] = vars(type)["__mro__"].__get__(cls)
    return mro


def full_name(thing: Any) -> str:
    """Return the dotted name of a class or function."""
    name: str = thing.__qualname__
    if not name.endswith(thing.__name__):  # api_view renames its class, but not that
        name = thing.__name__
    return f"{thing.__module__}.{name}"


def known_as(view: Any) -> str:
    """Return a name for ``view`` that asks nothing of it: it may raise whatever is asked."""
    if type(view) is FunctionType:
        return f"{view.__module__}.{view.__qualname__}"
    cls = view if is_class(view) else type(view)
    module = vars(cls).get("__module__")
    return f"{module}.{vars(type)['__qualname__'].__get__(cls)}"


def lineage(cls: type) -> list[str]:
    """Return the dotted names of ``cls`` and its bases, the most derived one first."""
    return [full_name(base) for base in bases(cls)]


def enclosed(layer: Any, name: str) -> Any:
    """Return what the function ``layer`` calls ``name`` and has from the function around it."""
    if not inspect.isfunction(layer) or name not in layer.__code__.co_freevars:
        return None
    position = layer.__code__.co_freevars.index(name)
    return (layer.__closure__ or ())[position].cell_contents


def _walk(patterns: Any, at: Place, above: tuple[Any, ...]) -> Iterator[Place]:
    if any(patterns is one for one in above):
        return  # a URLconf that includes itself
    for pattern in patterns:
        route = str(getattr(pattern, "pattern", "")).removeprefix("^")
        here = at._replace(url=at.url + route, is_fixed=at.is_fixed and _is_fixed(pattern))
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern.url_patterns, here, (*above, patterns))
        elif isinstance(pattern, URLPattern):
            yield here._replace(url=here.url.removesuffix("$"), callback=pattern.callback)


def _is_fixed(pattern: Any) -> bool:
    route = str(getattr(pattern, "pattern", ""))
    if not isinstance(getattr(pattern, "pattern", None), RegexPattern):
        return "<" not in route
    is_whole = isinstance(pattern, URLResolver) or route.endswith("$")
    return is_whole and not NOT_LITERAL & set(route.removeprefix("^").removesuffix("$"))


def _guards(layer: Any) -> bool:
    """Return whether ``layer`` is, or is made by, a decorator that lets in who is signed in."""
    if not inspect.isfunction(layer):
        return False
    if getattr(enclosed(layer, "test_func"), "__module__", "") in LOGIN_TESTS:
        return True
    maker = layer.__code__.co_qualname.partition(".")[0]  # its own name is that of the view
    if f"{layer.__globals__.get('__name__')}.{maker}" in LOGIN_DECORATORS:
        return True
    return any(map(_guards, _method_decorators(layer)))


def _method_decorators(layer: Any) -> tuple[Any, ...]:
    """Return what Django's ``method_decorator`` decorated the method ``layer`` with."""
    found = enclosed(layer, "decorators")
    return tuple(found) if isinstance(found, list | tuple) else (found,)
