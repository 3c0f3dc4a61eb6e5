"""Which of the installed views are ways in, and which could not be looked at."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from django.conf import settings

from .closing import class_at, lacking
from .doors import (
    CREDENTIAL_FORMS,
    CREDENTIALS,
    DOORS,
    LOGINS,
    MAKES_SESSION,
    MIDDLEWARE_DOORS,
    NINJA_VIEW,
    OUR_VIEW,
    READS_CREDENTIALS,
    READS_FORM,
    REPLACES_OURS,
    TOKEN_MAKERS,
    TOKENS,
    Door,
)
from .urlconf import (
    Place,
    enclosed,
    installed_views,
    is_shadowed,
    known_as,
    lineage,
    needs_login,
)
from .view import View
from .word import asks

DEFAULT_CLASSES = "REST_FRAMEWORK.DEFAULT_AUTHENTICATION_CLASSES"
NO_BASIC = "Leave BasicAuthentication out of its authentication_classes."
NO_DEFAULT_BASIC = (
    "Set REST_FRAMEWORK['DEFAULT_AUTHENTICATION_CLASSES'] without BasicAuthentication: unless "
    "told otherwise, REST framework uses it."
)
LOOK_YOURSELF = "Look at it yourself: whether it logs in, and asks for the second factor."


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
    return _unless_closed(url, view, door)


def _own_login(url: str, view: View) -> Finding | None:
    """Find views that are no known login, but read or give out what one does."""
    if DOORS.keys() & view.names or view.needs_authentication or view.asks_second_factor:
        return None
    door = _kind(view)
    return door and _unless_closed(url, view, door)


def _kind(view: View) -> Door | None:
    read = CREDENTIALS.intersection(name for one in view.readers for name in lineage(one))
    if read:
        return READS_FORM if read <= CREDENTIAL_FORMS else READS_CREDENTIALS
    if OUR_VIEW in view.names:
        return REPLACES_OURS
    return MAKES_SESSION if view.gives_out(LOGINS | TOKENS.keys()) else None


def _unless_closed(url: str, view: View, door: Door) -> Finding | None:
    """Name the view, unless the middleware sees all that it gives, and asks."""
    hint = door.hint
    if door.opens_session(view) and not view.gives_out(TOKEN_MAKERS):
        todo = lacking()
        if not todo:
            return None
        hint = f"{todo} Or {hint[0].lower()}{hint[1:]}"
    return Finding(url, view.names[0], door.why, hint)


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


def _middleware() -> Iterator[Finding]:
    for name in settings.MIDDLEWARE:
        middleware = class_at(name)
        known = lineage(middleware) if middleware else []
        door = next((MIDDLEWARE_DOORS[base] for base in known if base in MIDDLEWARE_DOORS), None)
        if door is not None and not asks(middleware) and lacking():
            yield Finding("*", known[0], door.why, door.hint)
