"""What happened, told: by one record under the logger ``django_totp``, and by signals.

Those of ``signals`` are for projects. ``happened`` is for our own modules: each event, as the log
has it, with the user. Nothing that comes here is secret: a user's key, names of methods and
reasons, an address.
"""

import contextlib
import logging
import sys
import traceback
from collections.abc import Iterator
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ObjectDoesNotExist
from django.dispatch import Signal

from .addresses import client_address
from .signals import non_totp_login_success, totp_login_success, totp_verification_failed

logger = logging.getLogger("django_totp")
happened = Signal()
LONGEST_AGENT = 255  # characters of a header that a client may have written
EVENTS = (  # what ``record`` tells of, as docs/logging.md explains it
    "login",
    "login_failed",
    "verified",
    "verification_failed",
    "verification_refused",
    "wait_began",
    "enrollment_started",
    "enrollment_confirmed",
    "replacement_started",
    "replaced",
    "recovery_asked",
    "recovery_started",
    "recovery_cancelled",
    "recovery_allowed",
    "recovered",
    "backup_codes_rotated",
    "disabled",
    "wait_ended",
    "stepped_up",
    "sessions_ended",
    "device_trusted",
    "device_refused",
    "device_removed",
    "exempted",
    "exemption_ended",
    "imported",
    "exported",
)


def record(
    event: str,
    user: AbstractBaseUser | None,
    request: Any,
    *,
    level: int = logging.INFO,
    **facts: str,
) -> None:
    """Log ``event`` of ``user`` with ``facts`` and, as far as ``request`` tells it, the address.

    The record has them as attributes too: ``event``, ``user_pk`` and each fact by its name. More
    attributes are ``actor_pk``, who did it (empty outside of a request), and ``user_agent``.
    """
    user_pk = "" if user is None else str(user.pk)
    told = {"user_pk": user_pk, **facts, "address": address(request)}
    actor = _actor(request, user_pk)
    shown = told if actor in ("", user_pk) else {**told, "actor_pk": actor}
    text = " ".join(f"{name}={value!r}" for name, value in shown.items() if value)
    more = {"event": event, "actor_pk": actor, "user_agent": user_agent(request)}
    _log(level, "%s %s", event, text, extra={**told, **more})
    with _never_raising():
        happened.send_robust(sender=event, user=user, request=request, facts=facts)


def is_own(user: AbstractBaseUser, request: Any) -> bool:
    """Return whether ``user`` does what happens in ``request``, as far as anybody knows."""
    return _actor(request, str(user.pk)) == str(user.pk)


def address(request: Any) -> str:
    """Return the client's address as the face has resolved it, or else as the server saw it."""
    if request is None:
        return ""
    seen: str = getattr(request, "totp_client_address", "")
    return seen or client_address(request.META.get("REMOTE_ADDR"))


def user_agent(request: Any) -> str:
    """Return what the client calls itself, or an empty string outside of a request."""
    written = "" if request is None else request.META.get("HTTP_USER_AGENT", "")
    return str(written)[:LONGEST_AGENT]


@contextlib.contextmanager
def acting(request: Any, actor: Any) -> Iterator[None]:
    """Let what happens in ``request`` be done by ``actor``, and not by whom it happens to."""
    request.totp_actor_pk = str(actor.pk)
    try:
        yield
    finally:
        del request.totp_actor_pk


def complain(text: str, *args: object, exc_info: bool = False) -> None:
    """Log as an error what somebody has to mend: ``text``, which says how, with its ``args``."""
    _log(logging.ERROR, text, *args, exc_info=exc_info)


def complain_of_search(error: Exception) -> None:
    """Tell the log why nobody was found, unless it is that nobody is there: it may be a bug."""
    if not isinstance(error, ObjectDoesNotExist):
        complain("%s was raised in search of the user of a token.", type(error).__name__)


def send(signal: Signal, user: AbstractBaseUser, request: Any, **facts: Any) -> None:
    """Send ``signal``; what its receivers raise is logged and goes no further."""
    sender = user.__class__  # type() of a lazy request.user is not the class of the user
    with _never_raising():  # Django logs what a receiver raises, and a log may raise as well
        signal.send_robust(sender=sender, request=request, user=user, **facts)


def logged_in(user: AbstractBaseUser, request: Any, *, method: str) -> None:
    """Tell that a login has ended well: by ``"password"`` alone, or by a second factor."""
    record("login", user, request, method=method)
    if method == "password":
        send(non_totp_login_success, user, request)
    else:
        send(totp_login_success, user, request, method=method)


def refused(user: AbstractBaseUser, request: Any, *, method: str, reason: str) -> None:
    """Tell that a code was evaluated and refused."""
    facts = {"method": method, "reason": reason}
    record("verification_failed", user, request, level=logging.WARNING, **facts)
    send(totp_verification_failed, user, request, method=method)


def _log(level: int, text: str, *args: object, **options: Any) -> None:
    """Log, whatever the project's record factory, filters and handlers do."""
    with _never_raising():
        try:
            logger.log(level, text, *args, **options)
        except KeyError:  # the record factory uses one of these names itself
            extra = {f"totp_{name}": fact for name, fact in options.pop("extra", {}).items()}
            logger.log(level, text, *args, extra=extra, **options)


@contextlib.contextmanager
def _never_raising() -> Iterator[None]:
    """Tell on stderr what the project's own logging raises, as ``logging`` does of handlers."""
    try:
        yield
    except Exception:
        if logging.raiseExceptions and sys.stderr:
            traceback.print_exc(file=sys.stderr)


def _actor(request: Any, user_pk: str) -> str:
    """Return the key of who did it: the user, unless somebody else is said to be ``acting``."""
    if request is None:
        return ""
    actor: str = getattr(request, "totp_actor_pk", user_pk)
    return actor
