"""Receivers of the signals of the package, for the length of a ``with`` block."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django_totp import signals

NAMES = [
    "totp_created",
    "totp_replaced",
    "totp_recovery_started",
    "totp_recovery_succeeded",
    "totp_disabled",
    "sessions_ended",
    "backup_codes_rotated",
    "totp_login_success",
    "non_totp_login_success",
    "totp_verification_failed",
]


@contextmanager
def connected(receive: Callable[[str, dict[str, Any]], Any]) -> Iterator[None]:
    """Call ``receive`` with the name and the arguments of each signal that is sent."""

    def receiver(name: str) -> Callable[..., Any]:
        return lambda signal, **arguments: receive(name, arguments)

    receivers = {name: receiver(name) for name in NAMES}
    for name, function in receivers.items():
        getattr(signals, name).connect(function)
    try:
        yield
    finally:
        for name, function in receivers.items():
            getattr(signals, name).disconnect(function)


@contextmanager
def heard() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """Return the names and the arguments of the signals that are sent, in a list that grows."""
    calls: list[tuple[str, dict[str, Any]]] = []
    with connected(lambda name, arguments: calls.append((name, arguments))):
        yield calls
