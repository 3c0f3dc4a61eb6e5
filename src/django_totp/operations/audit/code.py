"""What the code of a view calls, as far as the names in it tell."""

import functools
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from django.utils.functional import cached_property

from .urlconf import bases, full_name, layers

MAX_FUNCTIONS = 1000
# Their functions open no session of their own accord.
NOT_FOLLOWED = {"django", "django_totp", "rest_framework"}
GETTERS: dict[type, str] = {property: "fget", cached_property: "func"}
# No other object is touched: a lazy one would be made, and a queryset would ask the database.
CALLABLES = (FunctionType, MethodType, classmethod, functools.partial, staticmethod)


def reached(roots: Iterable[Any], cls: type | None = None) -> Iterator[FunctionType]:
    """Yield the functions in ``roots``, those that they call, and so on, each one once.

    Methods are looked up in ``cls``. A name that means another thing there is followed, too.
    """
    todo = [function for root in roots for function in functions_in(root)]
    seen: set[FunctionType] = set()
    while todo and len(seen) < MAX_FUNCTIONS:
        function = todo.pop()
        if function in seen:
            continue
        seen.add(function)
        yield function
        todo += _called(function, cls)


def names_in(code: CodeType) -> set[str]:
    """Return the names in ``code``, and in the functions inside it, that are not local."""
    inner = (names_in(one) for one in code.co_consts if isinstance(one, CodeType))
    return set(code.co_names).union(*inner)


def mentioned(function: FunctionType) -> Iterator[Any]:
    """Yield what the names in ``function`` stand for, in its modules and the function around it."""
    names = names_in(function.__code__)
    yield from map(function.__globals__.get, names)
    yield from _cells(function)
    modules = list(_modules(function, names))
    for module in modules:
        for thing in map(vars(module).get, names):
            if type(thing) is not ModuleType:
                yield thing
            elif thing not in modules:
                modules.append(thing)  # looked at by this very loop


def names_of(things: Iterable[Any]) -> set[str]:
    """Return the dotted names of the functions among ``things``, also of those in a partial."""
    functions = (function for thing in things for function in functions_in(thing))
    return {full_name(function) for function in functions}


def functions_in(thing: Any) -> Iterator[FunctionType]:
    """Yield the functions that a function, a method or a property is made of."""
    if type(thing) in GETTERS:
        thing = getattr(thing, GETTERS[type(thing)])
    if type(thing) in CALLABLES:
        for layer in layers(thing):
            function = getattr(layer, "__func__", layer)
            if type(function) is FunctionType:
                yield function


def methods(cls: type | None, name: str, *, hidden: bool = False) -> Iterator[Any]:
    """Yield what instances of ``cls`` have as ``name``, and what that hides, if wanted."""
    for base in bases(cls) if cls else ():
        if name in vars(base):
            yield vars(base)[name]
            if not hidden:
                return


def _called(function: FunctionType, cls: type | None) -> Iterator[FunctionType]:
    for thing in mentioned(function):
        for one in functions_in(thing):
            if _top(one) not in NOT_FOLLOWED:
                yield one
    names = names_in(function.__code__)
    for name in names:
        for method in methods(cls, name, hidden="super" in names):
            yield from functions_in(method)


def _cells(function: FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # nothing is in it (yet)
            yield cell.cell_contents


def _modules(function: FunctionType, names: set[str]) -> Iterator[ModuleType]:
    """Yield the modules that ``function`` names, or imports when it is called."""
    found = [*map(function.__globals__.get, names), *map(sys.modules.get, names)]
    package = str(function.__globals__.get("__package__") or "")
    while package:  # from .services import sign_in
        found += [sys.modules.get(f"{package}.{name}") for name in names]
        package = package.rpartition(".")[0]
    return (one for one in found if type(one) is ModuleType)


def _top(function: FunctionType) -> str:
    return str(function.__module__).partition(".")[0]
