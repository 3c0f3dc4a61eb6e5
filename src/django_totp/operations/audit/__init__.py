"""The side-door audit: which URLs give a session or a token and never ask for a second factor?

A view is known by the names of the classes it is made of, so nothing is imported that the
project does not use. A view of the project's own that does ask says so with the attribute
``asks_second_factor = True`` (on the view, its serializer or its admin site); one that need not
ask is named in ``TOTP_AUDIT_ALLOWED`` with the reason.
"""

from collections.abc import Mapping

from django_totp.conf import conf

from .rules import Finding, findings
from .urlconf import installed_views, view_class

__all__ = ["Finding", "installed_views", "side_doors", "stale_allowances", "view_class"]


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


def _allowances() -> Mapping[str, str]:
    allowed = conf.TOTP_AUDIT_ALLOWED
    return allowed if isinstance(allowed, Mapping) else {}  # a check tells what is wrong with it
