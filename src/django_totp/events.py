"""What happened, told twice: one record under the logger ``django_totp``, and a signal.

Nothing that comes here is secret: a user's key, names of methods and reasons, an address.
"""

import logging
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.dispatch import Signal

from .addresses import client_address
from .signals import totp_verification_failed

logger = logging.getLogger("django_totp")


def record(
    event: str,
    user: AbstractBaseUser | None,
    request: Any,
    *,
    level: int = logging.INFO,
    **facts: str,
) -> None:
    """Log ``event`` of ``user`` with ``facts`` and, as far as ``request`` tells it, the address.

    The record has them as attributes too: ``event``, ``user_pk`` and each fact by its name.
    """
    if not logger.isEnabledFor(level):
        return
    user_pk = "" if user is None else str(user.pk)
    told = {"user_pk": user_pk, **facts, "address": _address(request)}
    text = " ".join(f"{name}={value!r}" for name, value in told.items() if value)
    logger.log(level, "%s %s", event, text, extra={"event": event, **told})


def send(signal: Signal, user: AbstractBaseUser, request: Any, **facts: Any) -> None:
    """Send ``signal``; what its receivers raise is logged and goes no further."""
    sender = user.__class__  # type() of a lazy request.user is not the class of the user
    signal.send_robust(sender=sender, request=request, user=user, **facts)


def verified(user: AbstractBaseUser, request: Any, *, method: str, refused: str) -> None:
    """Tell that a code was evaluated: accepted, or ``refused`` for a reason that is named."""
    if not refused:
        record("verified", user, request, method=method)
        return
    record(
        "verification_failed", user, request, level=logging.WARNING, method=method, reason=refused
    )
    send(totp_verification_failed, user, request, method=method)


def _address(request: Any) -> str:
    """Return the client's address as the face has resolved it, or else as the server saw it."""
    if request is None:
        return ""
    seen: str = getattr(request, "totp_client_address", "")
    return seen or client_address(request.META.get("REMOTE_ADDR"))
