"""Which of the installed views are ways in: known logins, credential serializers, Basic."""

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from django.utils.module_loading import import_string

from .doors import API_VIEW, AUTHENTICATED, BASIC, CREDENTIAL_SERIALIZERS, DOORS, USE_OURS
from .urlconf import full_name, installed_views, layers, lineage, needs_login, view_class

DEFAULT_CLASSES = "REST_FRAMEWORK.DEFAULT_AUTHENTICATION_CLASSES"
NO_BASIC = "Leave BasicAuthentication out of its authentication_classes."
NO_DEFAULT_BASIC = (
    "Set REST_FRAMEWORK['DEFAULT_AUTHENTICATION_CLASSES'] without BasicAuthentication: unless "
    "told otherwise, REST framework uses it."
)


@dataclass(frozen=True)
class Finding:
    """One way in: where it is, what it is, why it is one, and what to do."""

    url: str
    view: str
    why: str
    hint: str

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


class View:
    """A callable of the URLconf, as the rules see it."""

    def __init__(self, callback: Any) -> None:
        self.callback = callback
        self.cls = view_class(callback)

    @cached_property
    def names(self) -> list[str]:
        """The name of the view and those it descends from; of a site's method, by its sites."""
        if self.cls is not None:
            return lineage(self.cls)
        method = next(filter(inspect.ismethod, layers(self.callback)), None)
        if method is not None:
            return [f"{site}.{method.__name__}" for site in lineage(type(method.__self__))]
        functions = filter(inspect.isfunction, layers(self.callback))
        return [*map(full_name, functions), *lineage(type(self.callback))]

    @property
    def asks_second_factor(self) -> bool:
        wrappers = list(layers(self.callback))
        sites = [getattr(layer, "__self__", None) for layer in wrappers]
        return any(map(_asks, (self.cls, self.serializer, *wrappers, *sites)))

    @property
    def serializer(self) -> Any:
        by_setting = self.attribute("_serializer_class")  # simplejwt
        return self.attribute("serializer_class") or (by_setting and _import(by_setting))

    @property
    def takes_basic(self) -> bool:
        classes = self.classes("authentication_classes")
        return any(BASIC in lineage(one) and not _asks(one) for one in classes)

    @property
    def needs_authentication(self) -> bool:
        permissions = self.classes("permission_classes")
        return any(AUTHENTICATED.intersection(lineage(one)) for one in permissions)

    @property
    def takes_default(self) -> bool:
        """Whether its authentication classes are those of the settings, and not its own choice."""
        bases = getattr(self.cls, "__mro__", ())
        api_view = next((base for base in bases if full_name(base) == API_VIEW), None)
        default = getattr(api_view, "authentication_classes", None)
        return default is not None and self.attribute("authentication_classes") is default

    def attribute(self, name: str) -> Any:
        """Return what the view's instances have: given to ``as_view()``, or by the class."""
        given: dict[str, Any] = {}
        for layer in layers(self.callback):
            given = given or getattr(layer, "view_initkwargs", getattr(layer, "initkwargs", {}))
        return given.get(name, getattr(self.cls, name, None))

    def classes(self, name: str) -> list[type]:
        value = self.attribute(name)
        each = value if isinstance(value, Iterable) else ()
        return [one for one in each if isinstance(one, type)]


def findings() -> Iterator[Finding]:
    """Yield every way in, allowed or not. A default is told once for all views that take it."""
    default_is_told = False
    for url, callback in installed_views():
        for finding in _findings_of(url, callback):
            is_default = finding.view == DEFAULT_CLASSES
            if not (is_default and default_is_told):
                yield finding
            default_is_told = default_is_told or is_default


def _findings_of(url: str, callback: Any) -> Iterator[Finding]:
    if not needs_login(callback):
        view = View(callback)
        yield from filter(None, (rule(url, view) for rule in RULES))


def _login(url: str, view: View) -> Finding | None:
    door = next((DOORS[name] for name in view.names if name in DOORS), None)
    if door is None or view.asks_second_factor or not door.is_open(view):
        return None
    if view.needs_authentication and not view.takes_basic:
        return None  # knox, where it only exchanges a token or a session that was there before
    return Finding(url, view.names[0], door.why, door.hint)


def _credential_serializer(url: str, view: View) -> Finding | None:
    """Find views that are no known login, but read credentials like one."""
    serializer = view.serializer
    if not isinstance(serializer, type) or DOORS.keys() & view.names:
        return None
    if view.needs_authentication or view.asks_second_factor:
        return None
    if not CREDENTIAL_SERIALIZERS.intersection(lineage(serializer)):
        return None
    return Finding(url, view.names[0], "Its serializer takes a password for a token.", USE_OURS)


def _basic_authentication(url: str, view: View) -> Finding | None:
    """Find what takes a password with each request.

    That a view asks at login excuses its own choice of classes, and not the default: this
    opens our own endpoints too, where the second factor is switched off.
    """
    if not view.takes_basic:
        return None
    if view.takes_default:
        why = "Every view that takes the default accepts a password with each request."
        return Finding("*", DEFAULT_CLASSES, why, NO_DEFAULT_BASIC)
    if view.asks_second_factor:
        return None
    return Finding(url, view.names[0], "It accepts a password with each request.", NO_BASIC)


RULES: tuple[Callable[[str, View], Finding | None], ...] = (
    _login,
    _credential_serializer,
    _basic_authentication,
)


def _asks(thing: Any) -> bool:
    return getattr(thing, "asks_second_factor", False) is True


def _import(name: str) -> Any:
    try:
        return import_string(name)
    except ImportError:
        return None  # the view raises it
