"""Throttles that count each endpoint by itself, apart from the throttles of the project."""

from typing import Any, NamedTuple

from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle
from rest_framework.views import APIView

from . import rates
from .addresses import subnet
from .conf import conf


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
    """Let through ``TOTP_THROTTLE_RATE`` requests of one client to one view (``rates``).

    The client is the user who is signed in, or else the address.
    """

    scope = "totp"
    setting = "TOTP_THROTTLE_RATE"
    num_requests: int
    duration: int
    slots: rates.Slots | None = None

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
        rate = rates.Rate(self.num_requests, self.duration)
        self.slots = rates.Slots(key, rate, self.cache)
        return self.slots.take()

    def give_back(self) -> None:
        """Free the slot of a request that no handler took after all."""
        if self.slots is not None:
            self.slots.give_back()

    def wait(self) -> float | None:
        """Return the seconds until the next slot is free, once a request was refused."""
        return None if self.slots is None else self.slots.wait

    def get_cache_key(self, request: Request, view: APIView) -> str | None:
        client = self.get_client(request, view)
        if client is None:
            return None
        cls = type(view)
        endpoint = f"{cls.__module__}.{cls.__qualname__}.{cls.__name__}"  # @api_view names the last
        return rates.key(endpoint, client)

    def get_client(self, request: Request, view: APIView) -> str | None:
        """Return whom to count, or ``None`` for a request that this throttle leaves alone."""
        return _user(request, view) or rates.of_address(self.get_ident(request))

    def get_ident(self, request: Request) -> str:
        """Return the address as one client has it, whatever its port or its form."""
        return subnet(super().get_ident(request))


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
        if subject is None:
            return rates.of_address(address)
        return rates.of_account(subject.name, address)


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
        return rates.of_all_at(address)


def _user(request: Request, view: APIView) -> str | None:
    if request.user and request.user.is_authenticated:
        return rates.of_user(request.user.pk)
    subject = _subject(view)
    if subject is None or not subject.is_proven:
        return None
    where = f" at {TotpThrottle().get_ident(request)}" if subject.is_expired else ""
    return rates.of_user(f"{subject.name}{where}")


def _subject(view: APIView) -> Subject | None:
    subject: Any = getattr(view, "throttle_subject", None)
    return subject if isinstance(subject, Subject) else None
