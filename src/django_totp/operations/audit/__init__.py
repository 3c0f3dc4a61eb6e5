"""The side-door audit: which URLs give a session or a token and never ask for a second factor?

A view is known by the names of the classes it is made of, so nothing is imported that the
project does not use, or by the names in its code. A view of the project's own that does ask says
so with the attribute ``asks_second_factor = True`` (on the view, its serializer or its admin
site); one that need not ask is named in ``TOTP_AUDIT_ALLOWED`` with the reason.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from django_totp.conf import conf

from .closing import AUTHENTICATION, OURS, class_at, exempt_passwords
from .rules import Finding, findings
from .urlconf import installed_views, layers, view_class
from .view import View

__all__ = [
    "AUTHENTICATION",
    "OURS",
    "Finding",
    "View",
    "class_at",
    "exempt_passwords",
    "installed_views",
    "layers",
    "side_doors",
    "stale_allowances",
    "view_class",
    "views_of",
]


def side_doors() -> list[Finding]:
    """Return every way in that ``TOTP_AUDIT_ALLOWED`` gives no reason for, in the URLs' order.

    What the project's URLconf raises while it is loaded is raised here.
    """
    allowed = _allowances()
    return [finding for finding in findings() if not allowed.get(finding.view)]


def stale_allowances() -> list[str]:
    """Return the views that ``TOTP_AUDIT_ALLOWED`` names and that are no way in (any more)."""
    found = {finding.view for finding in findings()}
    return [view for view in _allowances() if view not in found]


def views_of(name: str) -> Iterator[View]:
    """Yield the views that descend from a class of this dotted name, or from one of its module."""
    for place in installed_views():
        view = _view_of(name, place.callback)
        if view is not None:
            yield view


def _view_of(name: str, callback: Any) -> View | None:
    try:
        view = View(callback)
        is_one = any(one.startswith(f"{name}.") or one == name for one in view.names)
    except Exception:
        return None  # the audit names it
    return view if is_one else None


def _allowances() -> Mapping[str, str]:
    allowed = conf.TOTP_AUDIT_ALLOWED
    return allowed if isinstance(allowed, Mapping) else {}  # a check tells what is wrong with it
