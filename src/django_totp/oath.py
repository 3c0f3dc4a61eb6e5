"""RFC 6238 without state: which time step does a code belong to? And the URI for apps."""

import hashlib
import hmac
import itertools
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import pyotp
from pyotp.otp import OTP

from . import spelling

ALGORITHMS: Mapping[str, Any] = {
    "SHA1": hashlib.sha1,
    "SHA256": hashlib.sha256,
    "SHA512": hashlib.sha512,
}
MAX_ACCOUNT = 1800  # characters, percent-encoded: a QR code holds 2331 at error correction M
MAX_ISSUER = 200  # the same; it is there twice
SECRET_LENGTH = 32  # base32 symbols: 160 bits, RFC 4226 section 4, R6


class Hotp(OTP):
    """PyOTP's values of one secret (RFC 4226), which is decoded once and not for each value."""

    min_secret_length_bits = 0  # PyOTP 2.12 asks for 112: whose secret is shorter must get in, too
    _decoded = b""

    def byte_secret(self) -> bytes:
        self._decoded = self._decoded or super().byte_secret()
        if not self._decoded:
            raise ValueError("An empty secret makes codes that everybody knows.")
        return self._decoded


def generate_secret() -> str:
    """Return a new base32 secret of 160 bits."""
    return pyotp.random_base32(SECRET_LENGTH)


def is_secret(value: str) -> bool:
    """Return whether ``value`` is a base32 secret that makes codes."""
    try:
        return bool(Hotp(spelling.secret(value)).byte_secret())
    except ValueError:
        return False


def time_step(at: float, period: int) -> int:
    """Return the number of whole periods since the epoch (RFC 6238 section 4.2, T0 = 0)."""
    return int(at // period)


def matching_step(
    secret: str, code: bytes, *, at: float, digits: int, period: int, algorithm: str, window: int
) -> int | None:
    """Return the newest time step within ``window`` steps of ``at`` whose code is ``code``.

    Return ``None`` if there is none. Raise ValueError if ``secret`` is no base32 secret.
    ``at`` is in seconds since the epoch. Every step is compared, in constant time, so that
    the time taken does not tell which one matched.
    """
    hotp = Hotp(spelling.secret(secret), digits=digits, digest=ALGORITHMS[algorithm.upper()])
    now = time_step(at, period)
    steps = range(max(now - window, 0), now + window + 1)
    matches = [step for step in steps if hmac.compare_digest(_value(hotp, step), code)]
    return matches[-1] if matches else None


def provisioning_uri(
    secret: str, *, account: str, issuer: str, digits: int, period: int, algorithm: str
) -> str:
    """Return the ``otpauth://`` URI of the Key Uri Format.

    Parameters at their default are left out: authenticators assume them, and the QR code
    gets smaller. The format forbids a colon in issuer and account, so it becomes a space. An
    account too long for a QR code loses its end: it is there for a person to read.
    """
    issuer, account = (text.replace(":", " ").strip() for text in (issuer, account))
    query = {"secret": secret, "issuer": issuer}
    query |= {"algorithm": algorithm} if algorithm != "SHA1" else {}
    query |= {"digits": str(digits)} if digits != 6 else {}
    query |= {"period": str(period)} if period != 30 else {}
    label = f"{quote(issuer, safe='')}:{_quoted(account, MAX_ACCOUNT)}"
    return f"otpauth://totp/{label}?{urlencode(query, quote_via=quote, safe='')}"


def _quoted(text: str, room: int) -> str:
    """Return as many characters of ``text`` as have ``room`` once they are percent-encoded."""
    pieces = [quote(character, safe="") for character in text[:room]]
    ends = itertools.accumulate(map(len, pieces))
    return "".join(piece for piece, end in zip(pieces, ends, strict=True) if end <= room)


def _value(hotp: Hotp, step: int) -> bytes:
    return hotp.generate_otp(step).encode()
