"""What a reporter that reads stack frames, such as Sentry, may keep of an event.

It imports no Sentry, and neither models nor REST framework: settings modules import it.
An event that concerns this package is made anew of what is known to be harmless: whatever a
release of the SDK, or the project, puts into it beside that is left out.
"""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from django.urls import Resolver404, get_script_prefix, resolve

FILTERED = "[Filtered]"
PACKAGE = re.compile(r"^django_totp(\.|$)")
FILE = re.compile(r"(^|[/\\])django_totp[/\\]")

EVENT = (
    "dist",
    "environment",
    "event_id",
    "fingerprint",
    "level",
    "logger",
    "measurements",
    "modules",
    "platform",
    "release",
    "sdk",
    "server_name",
    "start_timestamp",
    "tags",
    "timestamp",
    "transaction",
    "transaction_info",
    "type",
    "user",
)
EXCEPTION = ("module", "thread_id", "type")
THREAD = ("crashed", "current", "id", "name")
FRAME = (
    "abs_path",
    "context_line",
    "filename",
    "function",
    "in_app",
    "lineno",
    "module",
    "post_context",
    "pre_context",
)
CRUMB = ("category", "level", "timestamp", "type")
SPAN = (
    "op",
    "origin",
    "parent_span_id",
    "same_process_as_parent",
    "span_id",
    "start_timestamp",
    "status",
    "timestamp",
    "trace_id",
)
COOKIE = "totp_device"
SECRETS = re.compile(rf"(two-factor/recovery/|{COOKIE}=)[^/?#;,\s\"']+")
HEADERS = ("accept", "content-length", "content-type", "host", "user-agent")


def before_send(event: Any, hint: Any) -> Any:
    """Return ``event``, for Sentry's ``before_send`` and ``before_send_transaction``.

    One that has to do with this package (a request to our endpoints, a frame of ours in the
    stack, a line of our logger) keeps the class of the exception, the lines of code, and the
    names of variables; not what was in them, nor the message, which may quote it. Any other
    event is returned as it came, but for what each request may have of us: the cookie of trusted
    devices, and the token in the address that a mail about a recovery leads to.
    """
    if not _concerns_us(event):
        return _scrubbed(event)
    if isinstance(hint, dict):
        hint.pop("attachments", None)
    return _scrubbed(_harmless(event))


def _scrubbed(thing: Any) -> Any:
    """Return ``thing`` with neither a mailed token nor the cookie in it."""
    if isinstance(thing, dict):
        return {
            name: FILTERED if name == COOKIE else _scrubbed(each) for name, each in thing.items()
        }
    if isinstance(thing, list | tuple):
        return [_scrubbed(each) for each in thing]  # a named tuple takes no list of its values
    return SECRETS.sub(rf"\1{FILTERED}", thing) if isinstance(thing, str) else thing


def _concerns_us(event: Any) -> bool:
    name = str(event.get("transaction") or "")  # the path, or the view, as the project chose
    return (
        any(PACKAGE.match(each) for each in (name, str(event.get("logger") or "")))
        or any(_is_our_frame(frame) for frame in _frames(event))
        or _is_our_endpoint(str(_part(event, "request").get("url") or ""))
        or _is_our_endpoint(name)
    )


def _is_our_frame(frame: dict[str, Any]) -> bool:
    if frame.get("module"):
        return bool(PACKAGE.match(str(frame["module"])))
    return bool(FILE.search(str(frame.get("abs_path") or frame.get("filename") or "")))


def _is_our_endpoint(url: str) -> bool:
    """Return whether ``url`` leads to a view of ours, or to one that derives from it."""
    if not url:
        return False
    path, prefix = urlsplit(url).path, get_script_prefix()
    try:
        view: Any = resolve("/" + path.removeprefix(prefix).lstrip("/")).func
    except Resolver404:
        return False
    classes = getattr(view, "cls", getattr(view, "view_class", None))
    return any(PACKAGE.match(base.__module__) for base in getattr(classes, "__mro__", ()))


def _harmless(event: dict[str, Any]) -> dict[str, Any]:
    harmless = _only(event, EVENT)
    for name, made in (
        ("exception", {"values": [_exception(each) for each in _values(event, "exception")]}),
        ("threads", {"values": [_with_stack(each, THREAD) for each in _values(event, "threads")]}),
        ("breadcrumbs", {"values": [_crumb(each) for each in _values(event, "breadcrumbs")]}),
        ("contexts", {"trace": _only(_part(_part(event, "contexts"), "trace"), SPAN)}),
        ("logentry", _logentry(event)),
        ("request", _request(_part(event, "request"))),
        ("spans", [_only(each, SPAN) for each in _dicts(event.get("spans"))]),
    ):
        if name in event:
            harmless[name] = made
    return harmless


def _exception(exception: dict[str, Any]) -> dict[str, Any]:
    mechanism = _only(_part(exception, "mechanism"), ("type", "handled", "exception_id"))
    parent = _only(_part(exception, "mechanism"), ("parent_id", "source", "is_exception_group"))
    bare = {**_with_stack(exception, EXCEPTION), "value": FILTERED}
    return {**bare, "mechanism": mechanism | parent} if mechanism else bare


def _with_stack(thing: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    frames = [_frame(frame) for frame in _dicts(_part(thing, "stacktrace").get("frames"))]
    return {**_only(thing, names), "stacktrace": {"frames": frames}}


def _frame(frame: dict[str, Any]) -> dict[str, Any]:
    return {**_only(frame, FRAME), "vars": dict.fromkeys(_part(frame, "vars"), FILTERED)}


def _crumb(crumb: dict[str, Any]) -> dict[str, Any]:
    """Keep what our own logger says: it says no secrets. SQL and others may."""
    ours = PACKAGE.match(str(crumb.get("category")))
    return _only(crumb, (*CRUMB, "message") if ours else CRUMB)


def _logentry(event: dict[str, Any]) -> dict[str, Any]:
    if PACKAGE.match(str(event.get("logger") or "")):
        return _only(_part(event, "logentry"), ("message", "formatted"))
    return {"message": FILTERED}


def _request(request: dict[str, Any]) -> dict[str, Any]:
    url = str(request.get("url") or "").partition("?")[0].partition("#")[0]
    headers = _part(request, "headers").items()
    kept = {name: value for name, value in headers if str(name).lower() in HEADERS}
    return {**_only(request, ("method",)), "url": url, "headers": kept}


def _frames(event: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for thing in (event, *_values(event, "exception"), *_values(event, "threads")):
        yield from _dicts(_part(thing, "stacktrace").get("frames"))


def _values(event: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return _dicts(_part(event, name).get("values"))


def _dicts(things: Any) -> list[dict[str, Any]]:
    return [thing for thing in things or () if isinstance(thing, dict)]


def _part(thing: dict[str, Any], name: str) -> dict[str, Any]:
    part = thing.get(name)
    return part if isinstance(part, dict) else {}


def _only(thing: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: thing[name] for name in names if name in thing}
