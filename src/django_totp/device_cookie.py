"""The cookie of trusted devices: what several people have in one browser, side by side.

It is read where somebody has just given the first factor, and nowhere else. What is to be kept
waits at the request, and the middleware sends it with whatever is answered.
"""

from typing import Any

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.http.response import HttpResponseBase
from django.views.decorators.debug import sensitive_variables

from . import devices, events
from .agents import described
from .assurance import Assurance
from .devices import Kept, Trusted

COOKIE, SEPARATOR = "totp_device", "~"
MOST = 5  # people in one browser: a sixth takes the place of whoever was here longest ago
TO_SEND = "totp_device_values"  # attribute of a request after which there is something new
CAME = "totp_device_came"  # attribute of a request: what has come, in a Hidden


class Hidden:
    """Text that no report shows: of the attributes of a request Django shows cookies alone."""

    def __init__(self, text: str) -> None:
        self.text = text


def hide(request: Any) -> None:
    """Take the cookie away from where every error report of the project would show it."""
    if COOKIE in request.COOKIES:
        vars(request)[CAME] = Hidden(request.COOKIES.pop(COOKIE))


def has_of(request: Any, user: AbstractBaseUser) -> bool:
    """Return whether this browser keeps something of ``user``, good or not."""
    return devices.tag_of(user) in _kept_in(request)


@sensitive_variables("kept")
def recognize(request: Any, user: AbstractBaseUser) -> Trusted | None:
    """Return what stands in for a code of ``user``, if this browser is a trusted device."""
    kept = _kept_in(request).get(devices.tag_of(user))
    trusted = None if kept is None else devices.use(user, kept.text, request=request)
    if trusted is not None:
        _keep(request, trusted.value)
    return trusted


@sensitive_variables("value")
def trust(request: Any, user: AbstractBaseUser, login: Assurance) -> None:
    """Let this browser be a trusted device of ``user``: see ``devices.trust``."""
    agent = events.user_agent(request)
    name = described(agent) if agent else ""
    value = devices.trust(user, login, name, request=request)
    if value:
        _keep(request, value)


@sensitive_variables("kept")
def send(request: Any, response: HttpResponseBase) -> None:
    """Let ``response`` tell the browser what to keep, if that is not what it has."""
    kept: list[Kept] | None = vars(request).get(TO_SEND)
    if kept is None:
        return
    response.set_cookie(
        COOKIE,
        SEPARATOR.join(each.text for each in kept),
        max_age=max(map(devices.left_of, kept)),
        path=settings.SESSION_COOKIE_PATH,
        domain=settings.SESSION_COOKIE_DOMAIN,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


@sensitive_variables("value", "kept", "others")
def _keep(request: Any, value: str) -> None:
    """Let ``value`` be the first in the cookie, in the place of an older one of its user."""
    kept = devices.parsed(value)
    if kept is None:
        return
    others = [one for one in _kept_in(request).values() if one.tag != kept.tag]
    vars(request)[TO_SEND] = [kept, *[one for one in others if devices.left_of(one) > 0]][:MOST]


@sensitive_variables("told", "kept")
def _kept_in(request: Any) -> dict[str, Kept]:
    """Return what the browser keeps, for each of its people."""
    came = vars(request).get(CAME)
    told = came.text.split(SEPARATOR, MOST)[:MOST] if came is not None else []
    kept = vars(request).get(TO_SEND) or filter(None, map(devices.parsed, told))
    return {one.tag: one for one in kept}
