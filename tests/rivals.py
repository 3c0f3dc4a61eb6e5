"""Other requests at the worst moment: between our read and our write, or all at once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connections

from django_totp.models import TotpManager
from django_totp.views import api


def act_after_reading(
    monkeypatch: pytest.MonkeyPatch, act: Callable[[], Any], times: int = 1
) -> None:
    """Make ``act`` run after each of the next ``times`` reads of an enrollment.

    A view reads it together with the user, ahead of the services.
    """
    find, ahead, left = TotpManager.find, api.read_ahead, [act] * times

    def find_and_act(manager: TotpManager, user: Any, **told: Any) -> Any:
        totp = find(manager, user, **told)
        if left:
            left.pop()()
        return totp

    def read_ahead_and_act(user: Any, totp: Any) -> None:
        ahead(user, totp)
        if left:
            left.pop()()

    monkeypatch.setattr(TotpManager, "find", find_and_act)
    monkeypatch.setattr(api, "read_ahead", read_ahead_and_act)


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """Run each of ``acts`` in a thread with connections of its own, all at one moment.

    Return what each gave, in their order: a value or the error that it raised.
    """
    start = Barrier(len(acts))

    def run(act: Callable[[], Any]) -> Any:
        start.wait()
        try:
            return act()
        except Exception as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(acts)) as threads:
        return list(threads.map(run, acts))
