"""A callable of the URLconf, as the rules see it: what it is made of, what it reads and calls."""

import inspect
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from types import FunctionType
from typing import Any

from django.utils.functional import cached_property
from django.utils.module_loading import import_string

from . import code
from .doors import API_VIEW, ASKING, AUTHENTICATED, BASIC, NINJA_BASIC, TOKENS, public
from .urlconf import bases, full_name, is_class, layers, lineage, view_class
from .word import HANDLERS, OF_AUTHENTICATION, OF_SERIALIZER, asks

MAX_CLASSES = 100
READERS = {"_serializer_class", "get_serializer", "get_serializer_class", "serializer_class"}


class View:
    """What raises when it is looked at, raises here."""

    def __init__(self, callback: Any, guards: Iterable[Any] = ()) -> None:
        self.layers = tuple(layers(callback))
        self.guards = list(guards)  # whom django-ninja asks first
        self.cls = view_class(callback)

    @cached_property
    def names(self) -> list[str]:
        """The name of the view and those it descends from; of a site's method, by its sites."""
        if self.cls is not None:
            return list(map(public, lineage(self.cls)))
        if self.method is not None:
            return [f"{site}.{self._method_name}" for site in lineage(self._owner)]
        functions = filter(inspect.isfunction, self.layers)
        return [*map(full_name, functions), *lineage(type(self.layers[-1]))]

    @property
    def method(self) -> Any:
        return next(filter(inspect.ismethod, self.layers), None)

    @property
    def _owner(self) -> type:
        """The class that methods are looked up in."""
        thing = self.cls or (self.method.__self__ if self.method else self.layers[-1])
        return thing if is_class(thing) else type(thing)

    @property
    def _method_name(self) -> str:
        """The name by which the class calls the method, which may be made of another function."""
        own = (item for base in bases(self._owner) for item in vars(base).items())
        function = self.method.__func__
        name: str = next((name for name, one in own if one is function), function.__name__)
        return name

    @property
    def asks_second_factor(self) -> bool:
        sites = [getattr(layer, "__self__", None) for layer in self.layers]
        handlers = HANDLERS.union(self.actions)
        if any(asks(one, handlers) for one in (self.cls, *self.layers, *sites)):
            return True
        return asks(self.serializer, OF_SERIALIZER) and self._reads_by_serializer

    @property
    def serializer(self) -> Any:
        by_setting = self.attribute("_serializer_class")  # simplejwt
        return self.attribute("serializer_class") or (by_setting and import_if_there(by_setting))

    @property
    def readers(self) -> Iterator[type]:
        """The forms, serializers and schemas that may read the input."""
        given = map(self.attribute, ("authentication_form", "form_class"))
        chosen = map(self._named_in, ("get_form_class", "get_serializer_class"))
        annotated = (getattr(one, "__annotations__", {}).values() for one in self.layers)
        for each in ([self.serializer], given, *chosen, *annotated):
            yield from filter(is_class, each)

    @property
    def takes_basic(self) -> bool:
        classes = [*self._authentication, *map(type, self.guards)]
        return any(
            {BASIC, NINJA_BASIC}.intersection(lineage(one)) and not asks(one, OF_AUTHENTICATION)
            for one in classes
        )

    @property
    def needs_authentication(self) -> bool:
        if self.guards:
            return True
        if self._overrides("get_permissions") or self._overrides("check_permissions"):
            return False  # nobody knows for which requests
        permissions = self._classes("permission_classes")
        return any(AUTHENTICATED.intersection(lineage(one)) for one in permissions)

    @property
    def takes_default(self) -> bool:
        """Whether its authentication classes are those of the settings, and not its own choice."""
        mro = bases(self.cls) if self.cls else ()
        api_view = next((base for base in mro if full_name(base) == API_VIEW), None)
        default = getattr(api_view, "authentication_classes", None)
        if default is None or self._overrides("get_authenticators"):
            return False
        return self.attribute("authentication_classes") is default

    @cached_property
    def calls(self) -> list[FunctionType]:
        """The functions that a request may come to, as far as they are known."""
        cls = self._owner
        names = {"dispatch", *self.actions} if self.actions else HANDLERS
        if self.method is not None:
            names = frozenset()  # this method, and no other of its class
        methods = [one for name in sorted(names) for one in code.methods(cls, name)]
        return list(code.reached([*self.layers, *methods], cls))

    def gives_out(self, makers: Collection[str]) -> bool:
        """Return whether its code names one of ``makers``, and nothing of ours that asks."""
        return not self._named.isdisjoint(makers) and self._named.isdisjoint(ASKING)

    @cached_property
    def _named(self) -> set[str]:
        """The functions that its code names, and the kinds of token that it makes."""
        found: set[str] = set()
        for function in self.calls:
            things = list(code.mentioned(function))
            found |= code.names_of(things)
            names = code.names_in(function.__code__)
            known = (base for one in filter(is_class, things) for base in lineage(one))
            found |= {base for base in known if names & TOKENS.get(base, set())}
        return found

    @property
    def actions(self) -> list[str]:
        """The methods of a view set that answer at this URL."""
        return [name for name in self._given("actions").values() if isinstance(name, str)]

    def attribute(self, name: str) -> Any:
        """Return what the view's instances have: given to ``as_view()``, or by the class."""
        return self._initkwargs.get(name, getattr(self.cls, name, None))

    @property
    def _initkwargs(self) -> Mapping[str, Any]:
        return self._given("view_initkwargs") or self._given("initkwargs")

    def _given(self, name: str) -> Mapping[Any, Any]:
        """Return what ``as_view()`` has noted down at the function that it made."""
        noted = (getattr(layer, name, None) for layer in self.layers)
        return next((one for one in noted if one and isinstance(one, Mapping)), {})

    def _classes(self, name: str) -> list[type]:
        return list(filter(is_class, _some(self.attribute(name))))

    @property
    def _authentication(self) -> list[type]:
        declared = self._classes("authentication_classes")
        if not self._overrides("get_authenticators"):
            return declared
        made = self._made_by_get_authenticators()
        named = filter(is_class, self._named_in("get_authenticators"))
        return [*named, *(declared if made is None else made)]

    def _made_by_get_authenticators(self) -> list[type] | None:
        """Return what a view without a request authenticates by, or ``None`` if it needs one."""
        try:
            view: Any = self.cls and self.cls(**self._initkwargs)
            view.request, view.args, view.kwargs, view.action = None, (), {}, None
            return list(map(type, _some(view.get_authenticators())))
        except Exception:
            return None

    def _overrides(self, name: str) -> bool:
        """Return whether a class has put a method of its own in the place of REST framework's."""
        mro = bases(self.cls) if self.cls else ()
        owner = next((base for base in mro if name in vars(base)), None)
        return owner is not None and full_name(owner) != API_VIEW

    def _named_in(self, name: str) -> Iterator[Any]:
        """Yield what the code of the method ``name`` stands on."""
        for method in code.methods(self.cls, name):
            for function in code.functions_in(method):
                yield from code.mentioned(function)

    @property
    def _reads_by_serializer(self) -> bool:
        """Return whether its handler, if it has one, uses the serializer."""
        handlers = [*self.actions, "post"]
        if not any(list(code.methods(self.cls, name)) for name in handlers):
            return True
        return any(READERS & code.names_in(one.__code__) for one in self.calls)


def _some(value: Any) -> list[Any]:
    """Return the items of ``value``, if it has any. Raise ValueError if they do not end."""
    found = list(islice(value, MAX_CLASSES + 1)) if isinstance(value, Iterable) else []
    if len(found) > MAX_CLASSES:
        raise ValueError("a list of classes has no end")
    return found


def import_if_there(name: str) -> Any:
    try:
        return import_string(name)
    except ImportError:
        return None  # the view raises it
