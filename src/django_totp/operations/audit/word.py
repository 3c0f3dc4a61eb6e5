"""Whether a class, a site or a function says that it asks for the second factor, and of what.

``asks_second_factor = True`` speaks for the handlers that are there when it is said. A subclass
with a handler of its own inherits the word, and need not keep it: it says so again, beside that
handler, or its handler passes on to the one that asks.
"""

from typing import Any

from . import code
from .doors import LOGINS, MAKES_TOKENS
from .urlconf import bases, is_class

HANDLERS = frozenset(
    ("__call__", "delete", "dispatch", "form_valid", "get", "login", "patch", "post", "put")
)
OF_AUTHENTICATION = frozenset(("authenticate", "authenticate_credentials"))
OF_SERIALIZER = frozenset(("is_valid", "run_validation", "validate"))


def asks(thing: Any, handlers: frozenset[str] = HANDLERS) -> bool:
    """Return whether ``thing``, or the class that it is of, says that it asks."""
    if is_class(thing):
        return _class_asks(thing, handlers)
    own = getattr(thing, "__dict__", {})
    if "asks_second_factor" in own:
        return own["asks_second_factor"] is True
    return _class_asks(type(thing), handlers)


def _class_asks(cls: type, handlers: frozenset[str]) -> bool:
    for base in bases(cls):
        if "asks_second_factor" in vars(base):
            return vars(base)["asks_second_factor"] is True
        if any(name in vars(base) and _is_new(cls, base, name) for name in handlers):
            return False
    return False


def _is_new(cls: type, base: type, name: str) -> bool:
    """Return whether ``base`` puts a handler of its own in the place of what was there."""
    if base.__module__.partition(".")[0] == "django_totp" or vars(base)[name] is None:
        return False
    functions = list(code.functions_in(vars(base)[name]))
    older = bases(cls)[bases(cls).index(base) + 1 :]
    hidden = [vars(one)[name] for one in older if name in vars(one)]
    if functions and functions[-1] in (one for each in hidden for one in code.functions_in(each)):
        return False  # the same one, decorated
    return not any(_passes_on(function, older, name) for function in functions[-1:])


def _passes_on(function: Any, older: tuple[type, ...], name: str) -> bool:
    """Return whether a handler calls what it hides, and gives out nothing by itself."""
    names, things = code.names_in(function.__code__), list(code.mentioned(function))
    if name not in names or names & MAKES_TOKENS or LOGINS.intersection(code.names_of(things)):
        return False
    return "super" in names or any(thing is one for thing in things for one in older)
