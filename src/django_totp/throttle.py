"""Throttles that count each endpoint by itself, apart from the throttles of the project.

They slow a flood down. They are not what keeps guesses in bounds: that is counted in the
database (``attempts``), so a cache that is empty, per process, down or silent opens nothing.
"""

import hashlib
import math
import random
import time
from typing import Any, NamedTuple

from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle
from rest_framework.views import APIView

from .addresses import subnet
from .conf import conf
from .events import complain

FEW = 3  # slots that are tried before all are looked at


class Subject(NamedTuple):
    """Whom a request that is not signed in is about: a view has one as ``throttle_subject``.

    ``is_proven`` says that the signature of a token vouches for it. It is then counted as if it
    were signed in, and else together with the address: anybody may write a name. A token that
    ``is_expired`` may lie anywhere, and uses up nothing of those who are elsewhere.
    """

    name: str
    is_proven: bool = False
    is_expired: bool = False


class TotpThrottle(SimpleRateThrottle):
    """Let through ``TOTP_THROTTLE_RATE`` requests of one client to one view.

    The client is the user who is signed in, or else the address.

    A rate of n per period is n slots, each taken for a period by the request that it let
    through. ``cache.add`` takes a slot: it is the one atomic step that Django's caches for many
    processes share (see W008 for those that have none), so a burst does not slip through between
    reading a count and writing it.
    """

    scope = "totp"
    setting = "TOTP_THROTTLE_RATE"
    num_requests: int
    duration: int
    seconds: float | None = None
    slot: str | None = None  # that this request has taken

    def get_rate(self) -> str | None:
        rate: str | None = getattr(conf, self.setting)
        return rate

    def allow_request(self, request: Request, view: APIView) -> bool:
        """Return whether ``request`` may pass. A cache that fails lets it, and the log says so."""
        if self.rate is None:
            return True
        key = self.get_cache_key(request, view)
        if key is None:
            return True
        try:
            return self._take_slot(key)
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

    def wait(self) -> float | None:
        """Return the seconds until the next slot is free, once a request was refused."""
        return self.seconds

    def get_cache_key(self, request: Request, view: APIView) -> str | None:
        client = self.get_client(request, view)
        if client is None:
            return None
        cls = type(view)
        endpoint = f"{cls.__module__}.{cls.__qualname__}.{cls.__name__}"  # @api_view names the last
        counted = f"{endpoint} {client}".encode(errors="surrogatepass")
        return f"django_totp.throttle.{hashlib.sha256(counted).hexdigest()}"

    def get_client(self, request: Request, view: APIView) -> str | None:
        """Return whom to count, or ``None`` for a request that this throttle leaves alone."""
        return _user(request, view) or f"address {self.get_ident(request)}"

    def get_ident(self, request: Request) -> str:
        """Return the address as one client has it, whatever its port or its form."""
        return subnet(super().get_ident(request))

    def _take_slot(self, key: str) -> bool:
        now = time.time()
        slots = [_slot(key, number) for number in range(self.num_requests)]
        few = random.sample(slots, min(FEW, len(slots)))
        if any(self._take(slot, now) for slot in few):
            return True  # any slot will do, and mostly one of a few is free
        taken = self._taken(slots, now)
        if few and not taken and self._is_silent(few[0], slots, now):
            complain("The cache keeps nothing, and is silent: requests are not throttled.")
            return True
        if any(self._take(slot, now) for slot in slots if slot not in taken):
            return True
        oldest = min(taken.values(), default=now)
        self.seconds = min(max(math.ceil(oldest + self.duration - now), 1), self.duration)
        return False

    def _take(self, slot: str, now: float) -> bool:
        if not self.cache.add(slot, now, timeout=self.duration):
            return False
        self.slot = slot
        return True

    def _taken(self, slots: list[str], now: float) -> dict[str, float]:
        """Return when the slots that the cache shows were taken.

        Those that are long over do not count, a little over do: clocks of servers differ.
        """
        shown = self.cache.get_many(slots) or {}
        since = now - 2 * self.duration
        return {
            slot: at for slot, at in shown.items() if isinstance(at, int | float) and at > since
        }

    def _is_silent(self, refused: str, slots: list[str], now: float) -> bool:
        """Return whether the cache has refused a slot though it keeps none.

        So does one whose client swallows its errors. One that reads from a replica may only be
        late to show what was put there: ``touch`` asks where is written.
        """
        return not self.cache.touch(refused, self.duration) and not self._taken(slots, now)


class TotpUserThrottle(TotpThrottle):
    """Count the requests of a signed-in user, or of the one whom a signed token names."""

    scope = "totp_user"

    def get_client(self, request: Request, view: APIView) -> str | None:
        return _user(request, view)


class TotpAnonThrottle(TotpThrottle):
    """Count the requests of everybody else, by the account that they are about and by address.

    By both: neighbours behind one address do not hold each other up, and who knows the name or
    even the password of somebody does not use up the requests of the owner, who is elsewhere.
    """

    scope = "totp_anon"

    def get_client(self, request: Request, view: APIView) -> str | None:
        if _user(request, view):
            return None
        subject, address = _subject(view), self.get_ident(request)
        return f"account {subject.name} at {address}" if subject else f"address {address}"


class TotpAddressThrottle(TotpThrottle):
    """Count all requests of an address that are not signed in: many names buy no more of them.

    A server that does not tell addresses (behind a Unix socket) would make all the world one.
    """

    scope = "totp_address"
    setting = "TOTP_ADDRESS_THROTTLE_RATE"

    def get_client(self, request: Request, view: APIView) -> str | None:
        address = self.get_ident(request)
        if _user(request, view) or not address:
            return None
        return f"all of address {address}"


def _user(request: Request, view: APIView) -> str | None:
    if request.user and request.user.is_authenticated:
        return f"user {request.user.pk}"
    subject = _subject(view)
    if subject is None or not subject.is_proven:
        return None
    where = f" at {TotpThrottle().get_ident(request)}" if subject.is_expired else ""
    return f"user {subject.name}{where}"


def _subject(view: APIView) -> Subject | None:
    subject: Any = getattr(view, "throttle_subject", None)
    return subject if isinstance(subject, Subject) else None


def _slot(key: str, number: int) -> str:
    """Return the name of a slot. A cluster keeps what has the same word in braces in one place."""
    return f"{{{key}}}.{number}"
