"""What cryptography a login does, beside the bare primitives.

    python -m benchmarks.crypto

In one process, without a database. Both columns of a row are measured in turn.
"""

import hashlib
import hmac
import os
import statistics
import struct
import time
from base64 import b32decode
from collections.abc import Callable
from typing import Any

from benchmarks import environments, peers, report

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
NAMES = ["django-totp", "cryptography", "pyotp", "PyJWT", "djangorestframework-simplejwt", "Python"]
SECONDS = 1e6  # microseconds in one

Pair = tuple[Callable[[], Any], Callable[[], Any]]


def pairs() -> dict[str, Pair]:
    """Return for each part of a login what this package calls, and the bare primitives."""
    return {
        "decrypt the secret": _decryption(),
        "compare with 3 TOTP codes": _codes(),
        "sign the challenge": _signing(),
        "check the challenge": _checking(),
        "make a pair of JWT": _tokens(),
    }


def _decryption() -> Pair:
    from cryptography.fernet import Fernet

    from django_totp.encryption import decrypt, encrypt

    token = encrypt(SECRET)
    fernet, raw = Fernet(peers.KEY), token.encode()
    return lambda: decrypt(token), lambda: fernet.decrypt(raw)


def _codes() -> Pair:
    from django_totp.oath import matching_step

    key, now = b32decode(SECRET), time.time()
    parameters = {"digits": 6, "period": 30, "algorithm": "SHA1", "window": 1}

    def bare() -> None:
        for step in range(-1, 2):
            digest = hmac.digest(key, struct.pack(">Q", int(now) // 30 + step), hashlib.sha1)
            offset = digest[-1] & 15
            number = struct.unpack(">I", digest[offset : offset + 4])[0] & 0x7FFFFFFF
            hmac.compare_digest(b"%06d" % (number % 1_000_000), b"123456")

    return lambda: matching_step(SECRET, b"123456", at=now, **parameters), bare


def _user() -> Any:
    from django.contrib.auth.models import User
    from django.utils import timezone

    from django_totp.models import Account, Totp, relate

    user = User(pk=1, username="ada", password="!")
    Totp(pk=1, user=user, secret_key="", confirmed_at=timezone.now())
    relate(Account, user, None)
    return user


def _signing() -> Pair:
    from django.conf import settings

    from django_totp import challenges

    user, key = _user(), hashlib.sha256(settings.SECRET_KEY.encode()).digest()
    claims = b"x" * 150  # as long as those that are signed
    return (
        lambda: challenges.make(user, challenges.VERIFY),
        lambda: hmac.digest(key, claims, hashlib.sha256),
    )


def _checking() -> Pair:
    from django.conf import settings

    from django_totp import challenges

    user, key = _user(), hashlib.sha256(settings.SECRET_KEY.encode()).digest()
    token, claims = challenges.make(user, challenges.VERIFY), b"x" * 150

    def ours() -> None:
        told = challenges.claims_of(token, challenges.VERIFY)
        assert challenges.is_current(told, user, user.totp)

    def bare() -> None:
        hmac.compare_digest(hmac.digest(key, claims, hashlib.sha256), b"x" * 32)

    return ours, bare


def _tokens() -> Pair:
    import jwt
    from django.conf import settings

    from django_totp.assurance import new_login
    from django_totp.tokens import pair

    user = _user()
    login = new_login(user, "pwd", "otp")
    claims = {"token_type": "access", "exp": 1, "iat": 1, "jti": "0" * 32, "user_id": "1"}

    def bare() -> None:
        for _ in range(2):
            jwt.encode(claims, settings.SECRET_KEY, algorithm="HS256")

    return lambda: pair(user, login), bare


def measure(rounds: int, times: int) -> dict[str, tuple[float, float]]:
    """Return for each part the medians of both columns, in microseconds."""
    found = {}
    for name, pair in pairs().items():
        taken: tuple[list[float], list[float]] = ([], [])
        for _ in range(rounds):
            for function, column in zip(pair, taken, strict=True):
                column.append(SECONDS * _seconds(function, times))
        found[name] = (statistics.median(taken[0]), statistics.median(taken[1]))
    return found


def _seconds(function: Callable[[], Any], times: int) -> float:
    start = time.process_time()
    for _ in range(times):
        function()
    return (time.process_time() - start) / times


def print_parts(found: dict[str, tuple[float, float]]) -> None:
    parts = [*found.items(), ("a whole login", tuple(map(sum, zip(*found.values(), strict=True))))]
    rows = [
        [name, f"{ours:.0f}", f"{bare:.1f}", f"{ours / bare:.1f}"] for name, (ours, bare) in parts
    ]
    report.say(report.table(["CPU time in µs", "ours", "bare", "ratio"], rows))


def main() -> None:
    parser = report.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--times", type=int, default=100, help="in each round")
    arguments = parser.parse_args()
    environments.enter("ours")
    os.environ["DATABASE"] = "sqlite"  # which is not opened
    peers.set_up(peers.DjangoTotp())
    report.heading("The cryptography of a login")
    print_parts(measure(arguments.rounds, arguments.times))
    report.heading("Versions of the cryptography")
    report.say(environments.versions("ours", NAMES))
    report.say(report.machine())
    report.write(arguments.page)


if __name__ == "__main__":
    main()
