"""Rates of requests: how many of one client pass in a period, counted in the cache.

They slow a flood down. They are not what keeps guesses in bounds: that is counted in the
database (``attempts``), so a cache that is empty, per process, down or silent opens nothing.
"""

import hashlib
import math
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.core.cache import cache as default_cache

from .conf import conf
from .events import complain

FEW = 3  # slots that are tried before all are looked at
PERIODS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Rate(NamedTuple):
    """So many requests in so many seconds."""

    requests: int
    seconds: int


def parse(rate: str) -> Rate:
    """Return what ``rate`` says, such as ``"10/minute"``. Raise ValueError or KeyError."""
    number, _, period = rate.partition("/")
    return Rate(int(number), PERIODS[period.strip()[:1].lower()])


def refused(endpoint: str, limits: Mapping[str, str]) -> int | None:
    """Return for how many seconds a request is refused, or ``None`` if it may pass.

    ``limits`` has whom it counts for by the setting that is the rate.
    """
    for setting, client in limits.items():
        rate: str | None = getattr(conf, setting)
        slots = Slots(key(endpoint, client), parse(rate)) if rate is not None else None
        if slots is not None and not slots.take():
            return math.ceil(slots.wait or 1)
    return None


def of_user(name: object) -> str:
    """Return whom requests count for that are signed in, or that a signed token vouches for."""
    return f"user {name}"


def of_account(name: str, address: str) -> str:
    """Return whom requests about an account count for: by both, for anybody may write a name."""
    return f"account {name} at {address}"


def of_address(address: str) -> str:
    """Return whom requests count for that name nobody."""
    return f"address {address}"


def of_all_at(address: str) -> str:
    """Return whom all requests of an address count for, whatever they are about."""
    return f"all of address {address}"


def key(endpoint: str, client: str) -> str:
    """Return the name under which the requests of ``client`` to ``endpoint`` are counted."""
    counted = f"{endpoint} {client}".encode(errors="surrogatepass")
    return f"django_totp.throttle.{hashlib.sha256(counted).hexdigest()}"


@dataclass
class Slots:
    """The requests of one client to one endpoint.

    A rate of n per period is n slots, each taken for a period by the request that it let
    through. ``cache.add`` takes a slot: it is the one atomic step that Django's caches for many
    processes share (see W008 for those that have none), so a burst does not slip through between
    reading a count and writing it.
    """

    key: str
    rate: Rate
    cache: Any = field(default_factory=lambda: default_cache, repr=False)
    wait: float | None = None  # seconds until the next slot is free, once a request was refused
    slot: str | None = None  # that this request has taken

    def take(self) -> bool:
        """Return whether a request may pass. A cache that fails lets it, and the log says so."""
        try:
            return self._take_any()
        except Exception:
            complain("The cache is down: requests are not throttled.", exc_info=True)
            return True

    def give_back(self) -> None:
        """Free the slot of a request that no handler took after all."""
        if self.slot is None:
            return
        try:
            self.cache.delete(self.slot)
        except Exception:
            complain("The cache is down: a slot of the throttle stays taken.", exc_info=True)

    def _take_any(self) -> bool:
        now, numbers = time.time(), range(self.rate.requests)
        few = [_slot(self.key, one) for one in random.sample(numbers, min(FEW, len(numbers)))]
        if any(self._take(slot, now) for slot in few):
            return True  # any slot will do, and mostly one of a few is free
        slots = [_slot(self.key, number) for number in numbers]
        taken = self._taken(slots, now)
        if few and not taken and self._is_silent(few[0], slots, now):
            complain("The cache keeps nothing, and is silent: requests are not throttled.")
            return True
        if any(self._take(slot, now) for slot in slots if slot not in taken):
            return True
        period, oldest = self.rate.seconds, min(taken.values(), default=now)
        self.wait = min(max(math.ceil(oldest + period - now), 1), period)
        return False

    def _take(self, slot: str, now: float) -> bool:
        if not self.cache.add(slot, now, timeout=self.rate.seconds):
            return False
        self.slot = slot
        return True

    def _taken(self, slots: list[str], now: float) -> dict[str, float]:
        """Return when the slots that the cache shows were taken.

        Those that are long over do not count, a little over do: clocks of servers differ.
        """
        shown = self.cache.get_many(slots) or {}
        since = now - 2 * self.rate.seconds
        return {
            slot: at for slot, at in shown.items() if isinstance(at, int | float) and at > since
        }

    def _is_silent(self, refused: str, slots: list[str], now: float) -> bool:
        """Return whether the cache has refused a slot though it keeps none.

        So does one whose client swallows its errors. One that reads from a replica may only be
        late to show what was put there: ``touch`` asks where is written.
        """
        return not self.cache.touch(refused, self.rate.seconds) and not self._taken(slots, now)


def _slot(key: str, number: int) -> str:
    """Return the name of a slot. A cluster keeps what has the same word in braces in one place."""
    return f"{{{key}}}.{number}"
