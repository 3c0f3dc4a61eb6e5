"""Throttles that count each endpoint by itself, apart from the throttles of the project.

They slow a flood down. They are not what keeps guesses in bounds: that is counted in the
database (``attempts``), so a cache that is empty, per process or down opens nothing.
"""

import hashlib
import math
import random
import time
from typing import Any

from django.core.cache import cache
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle
from rest_framework.views import APIView

from .auth import challenge_subject
from .conf import conf
from .events import logger

FEW = 3  # slots that are tried before all are looked at: there may be thousands


class TotpThrottle(SimpleRateThrottle):
    """Let through ``TOTP_THROTTLE_RATE`` requests of one client to one view.

    A rate of n per period is n slots, each taken for a period by the request that it let
    through. ``cache.add`` takes a slot: it is the one atomic step that Django's caches for many
    processes share (the file-based one has none, see W008), so a burst does not slip through
    between reading a count and writing it.
    """

    num_requests: int
    duration: int
    seconds: float

    def get_rate(self) -> str | None:
        return conf.TOTP_THROTTLE_RATE

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
            logger.exception("The cache is down: requests are not throttled.")
            return True

    def wait(self) -> float:
        """Return the seconds until the next slot is free."""
        return self.seconds

    def get_cache_key(self, request: Request, view: APIView) -> str | None:
        client = self.get_client(request, view)
        if client is None:
            return None
        endpoint = f"{type(view).__module__}.{type(view).__qualname__}"
        digest = hashlib.sha256(f"{endpoint} {client}".encode()).hexdigest()
        return f"django_totp.throttle.{digest}"

    def get_client(self, request: Request, view: APIView) -> str | None:
        """Return whom to count, or ``None`` for a request that this throttle leaves alone."""
        raise NotImplementedError

    def _take_slot(self, key: str) -> bool:
        now = time.time()
        few = random.sample(range(self.num_requests), min(FEW, self.num_requests))
        if any(self._take(f"{key}.{number}", now) for number in few):
            return True  # any slot will do, and mostly one of a few is free
        slots = [f"{key}.{number}" for number in range(self.num_requests)]
        taken = cache.get_many(slots)
        if any(slot not in taken and self._take(slot, now) for slot in slots):
            return True
        oldest = min(taken.values(), default=now)
        self.seconds = max(math.ceil(oldest + self.duration - now), 1)
        return False

    def _take(self, slot: str, now: float) -> bool:
        return cache.add(slot, now, timeout=self.duration)


class TotpUserThrottle(TotpThrottle):
    """Count the requests of a signed-in user."""

    scope = "totp_user"

    def get_client(self, request: Request, view: APIView) -> str | None:
        if not request.user or not request.user.is_authenticated:
            return None
        return f"user {request.user.pk}"


class TotpAnonThrottle(TotpThrottle):
    """Count the requests of everybody else: by address, or at the second step of a login by the
    account that the challenge names, so that neighbours behind one address do not hold each
    other up and an account is not guessed at from many."""

    scope = "totp_anon"

    def get_client(self, request: Request, view: APIView) -> str | None:
        if request.user and request.user.is_authenticated:
            return None
        account = self._challenged_account(request, view)
        return f"account {account}" if account else f"address {self.get_ident(request)}"

    def _challenged_account(self, request: Request, view: APIView) -> str | None:
        field: Any = getattr(view, "challenge_field", None)
        if field is None:
            return None
        try:
            body = request.data
        except Exception as error:
            view.unreadable = error  # type: ignore[attr-defined]  # to be raised once it is counted
            return None
        return challenge_subject(body.get(field)) if hasattr(body, "get") else None
