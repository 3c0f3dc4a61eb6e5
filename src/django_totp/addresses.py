"""Whose address it is: what a proxy or a server wrote, as one client is told from another."""

from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any

from django.conf import settings
from django.http import HttpRequest

LONGEST = 255  # characters that are looked at: a client may have written them
NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: each is an IPv4 client of its own
SUBNET = 64  # bits of an IPv6 address that a client is given; the others are its own choice


def address_of(request: HttpRequest) -> str:
    """Return what REST framework takes for the address of a client, whether it is there or not.

    ``REST_FRAMEWORK["NUM_PROXIES"]`` says how many of the forwarding proxies are the project's.
    """
    seen: str = request.META.get("REMOTE_ADDR") or ""
    forwarded: str = request.META.get("HTTP_X_FORWARDED_FOR") or ""
    proxies: Any = (getattr(settings, "REST_FRAMEWORK", None) or {}).get("NUM_PROXIES")
    if not forwarded or proxies == 0:
        return seen
    if proxies is None:
        return "".join(forwarded.split())
    hops = forwarded.split(",")
    return str(hops[-min(proxies, len(hops))]).strip()


def client_address(written: str | None) -> str:
    """Return an address without port, brackets and IPv4-mapped form, and anything else as it is.

    It is a list of addresses where REST framework is not told how many proxies there are.
    """
    return ",".join(str(address) for address in _parsed(written))


def addresses_in(written: str) -> str:
    """Return the addresses in ``written``, and nothing else that a client may have put there.

    The scope of an IPv6 address may be any text.
    """
    found = [one for one in _parsed(written) if not isinstance(one, str)]
    return ", ".join(str(type(one)(int(one))) for one in found)


def subnet(written: str | None) -> str:
    """Return what is counted as one client: of an IPv6 address its network of 64 bits."""
    return ",".join(_subnet(address) for address in _parsed(written))


def _parsed(written: str | None) -> list[IPv4Address | IPv6Address | str]:
    return [_address(one.strip()) for one in (written or "")[:LONGEST].split(",")]


def _address(written: str) -> IPv4Address | IPv6Address | str:
    bare = written.strip('"')  # as RFC 7239 has it
    for candidate in (bare, bare.rpartition(":")[0]):  # the latter without a port
        with suppress(ValueError):
            address = ip_address(candidate.strip("[]"))
            mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
            return mapped or address
    return written


def _subnet(address: IPv4Address | IPv6Address | str) -> str:
    if not isinstance(address, IPv6Address):
        return str(address)
    if address in NAT64:
        return str(IPv4Address(int(address) & 0xFFFFFFFF))
    return str(IPv6Network((int(address), SUBNET), strict=False))
