"""Which of the installed views are ways in, and which could not be looked at."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from django.conf import settings

from . import code
from .doors import (
    ASKING,
    CREDENTIALS,
    DOORS,
    LOGINS,
    MIDDLEWARE_DOORS,
    NINJA_VIEW,
    OUR_VIEW,
    TOKENS,
    USE_OURS,
)
from .urlconf import (
    Place,
    enclosed,
    installed_views,
    is_class,
    is_shadowed,
    known_as,
    lineage,
    needs_login,
)
from .view import View, import_if_there
from .word import asks

DEFAULT_CLASSES = "REST_FRAMEWORK.DEFAULT_AUTHENTICATION_CLASSES"
NO_BASIC = "Leave BasicAuthentication out of its authentication_classes."
NO_DEFAULT_BASIC = (
    "Set REST_FRAMEWORK['DEFAULT_AUTHENTICATION_CLASSES'] without BasicAuthentication: unless "
    "told otherwise, REST framework uses it."
)
LOOK_YOURSELF = "Look at it yourself: whether it logs in, and asks for the second factor."
SAY_AGAIN = (
    "Call the handler that it hides, or ask for the second factor in its own and declare "
    "asks_second_factor = True beside it."
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


def findings() -> Iterator[Finding]:
    """Yield every way in, allowed or not. A default is told once for all views that take it."""
    default_is_told = False
    for place in installed_views():
        for finding in _findings_at(place):
            is_default = finding.view == DEFAULT_CLASSES
            if not (is_default and default_is_told):
                yield finding
            default_is_told = default_is_told or is_default
    yield from _middleware()


def _findings_at(place: Place) -> list[Finding]:
    found: list[Finding] = []
    try:
        for view in _views(place.callback):
            found += filter(None, (rule(place.url, view) for rule in RULES))
    except Exception as error:  # it is the project's own code, and may be anything
        why = f"It could not be looked at ({type(error).__name__})."
        found.append(Finding(place.url, known_as(place.callback), why, LOOK_YOURSELF))
    return [] if found and is_shadowed(place) else found


def _views(callback: Any) -> Iterator[View]:
    """Yield what answers: of django-ninja each operation, else the view, if it is for strangers."""
    ninja = enclosed(callback, "self")
    if NINJA_VIEW in lineage(type(ninja)):
        for operation in ninja.operations:
            yield View(operation.view_func, operation.auth_callbacks)
    elif not needs_login(callback):
        yield View(callback)


def _login(url: str, view: View) -> Finding | None:
    door = next((DOORS[name] for name in view.names if name in DOORS), None)
    if door is None or view.asks_second_factor or not door.is_open(view):
        return None
    if view.needs_authentication and not view.takes_basic:
        return None  # knox, where it only exchanges a token or a session that was there before
    return Finding(url, view.names[0], door.why, door.hint)


def _own_login(url: str, view: View) -> Finding | None:
    """Find views that are no known login, but read or give out what one does."""
    if DOORS.keys() & view.names or view.needs_authentication or view.asks_second_factor:
        return None
    if any(CREDENTIALS.intersection(lineage(one)) for one in view.readers):
        return Finding(url, view.names[0], "It reads a password as a login does.", USE_OURS)
    if OUR_VIEW in view.names:
        why = "Its handler takes the place of ours, which asks."
        return Finding(url, view.names[0], why, SAY_AGAIN)
    if _gives_out(view):
        return Finding(url, view.names[0], "Its code makes a session or a token.", USE_OURS)
    return None


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
    _own_login,
    _basic_authentication,
)


def _gives_out(view: View) -> bool:
    """Return whether its code names what opens a session or makes a token, and nothing of ours."""
    found: set[str] = set()
    is_maker = False
    for function in view.calls:
        things = list(code.mentioned(function))
        found |= code.names_of(things)
        names = code.names_in(function.__code__)
        is_maker = is_maker or any(_makes_tokens(one, names) for one in filter(is_class, things))
    return (is_maker or bool(found & LOGINS)) and not found & ASKING


def _makes_tokens(cls: type, names: set[str]) -> bool:
    return any(names & TOKENS[base] for base in lineage(cls) if base in TOKENS)


def _middleware() -> Iterator[Finding]:
    for name in settings.MIDDLEWARE:
        middleware = import_if_there(name)
        known = lineage(middleware) if is_class(middleware) else []
        door = next((MIDDLEWARE_DOORS[base] for base in known if base in MIDDLEWARE_DOORS), None)
        if door is not None and not asks(middleware):
            yield Finding("*", known[0], door.why, door.hint)
