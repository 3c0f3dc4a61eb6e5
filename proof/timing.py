"""What the time of an answer tells: medians, and how likely their differences are chance.

Nothing is asserted: a time is no promise of a test. The samples of all cases are interleaved, in
an order that is shuffled anew for each round, so that what else the machine does meets all alike.
Beside the time that a client sees is the time that the server's processor works (Linux tells it),
which other programs on the machine disturb much less.
"""

import argparse
import json
import math
import pathlib
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from proof import database
from proof.client import Call, Volley
from proof.report import heading, machine
from proof.server import Server, running

DEFAULT_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]  # the first of Django's
WARM_UP = 2

Cases = dict[str, Callable[[int], Call]]
Samples = dict[str, list[tuple[float, float]]]  # seconds for the client, of the processor


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passwords", type=int, default=20, help="samples for each case")
    parser.add_argument("--codes", type=int, default=300, help="samples for each case")
    options = parser.parse_args()
    print(machine())
    settings = json.dumps({"PASSWORD_HASHERS": DEFAULT_HASHERS})
    with (
        database.prepared("sqlite-wal", SETTINGS=settings) as env,
        running(env, processes=1) as server,
        Volley(server.port, 1) as volley,
    ):
        heading("Step one, Django's default password hasher:")
        tell(measured(server, volley, passwords(), options.passwords), "wrong password, TOTP on")
        heading("Step two:")
        tell(measured(server, volley, codes(), options.codes), "wrong code")
    return 0


def passwords() -> Cases:
    """Return the logins of step one; those that are refused must look alike."""
    from proof.accounts import PASSWORD, enrolled, pending

    protected, plain, inactive = enrolled(), pending(), enrolled()
    plain.row().delete()
    inactive.user.is_active = False
    inactive.user.save()
    logins = {
        "unknown user": ("nobody", PASSWORD),
        "wrong password, TOTP on": (protected.user.get_username(), "wrong"),
        "wrong password, TOTP off": (plain.user.get_username(), "wrong"),
        "inactive, wrong password": (inactive.user.get_username(), "wrong"),
        "inactive, right password": (inactive.user.get_username(), PASSWORD),
        "right password, TOTP on": (protected.user.get_username(), PASSWORD),
        "right password, TOTP off": (plain.user.get_username(), PASSWORD),
    }
    return {name: _constant(_create(*login)) for name, login in logins.items()}


def codes() -> Cases:
    """Return the codes of step two. Each call puts the row back to where the case begins."""
    from proof.accounts import enrolled

    account = enrolled()
    now = int(time.time()) // 30
    spent = account.backup_codes[1]
    _spend(account, spent)
    return {
        "wrong code": lambda n: _verify(account, None, otp_code=account.wrong_code(n)),
        "malformed code": lambda n: _verify(account, None, otp_code="12345"),
        "replayed code": lambda n: _verify(account, now + 1000, otp_code=account.code()),
        "right code": lambda n: _verify(account, None, otp_code=account.code()),
        "wrong backup code": lambda n: _verify(account, None, backup_code=_unknown(n)),
        "used backup code": lambda n: _verify(account, None, backup_code=spent),
    }


def measured(server: Server, volley: Volley, cases: Cases, rounds: int) -> Samples:
    """Return what ``rounds`` answers of each case took."""
    source = random.Random(0)
    samples: Samples = {name: [] for name in cases}
    for number in range(-WARM_UP, rounds):
        for name in source.sample(list(cases), len(cases)):
            call = cases[name](number + WARM_UP)
            worked, started = _worked(server), time.perf_counter()
            volley.fire([call])
            taken = time.perf_counter() - started
            if number >= 0:
                samples[name].append((taken, _worked(server) - worked))
    return samples


def _worked(server: Server) -> float:
    """Return the seconds that the processor has worked for the server's one worker process."""
    parent = server.process.pid
    child = pathlib.Path(f"/proc/{parent}/task/{parent}/children").read_text().split()[0]
    threads = pathlib.Path(f"/proc/{child}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def tell(samples: Samples, reference: str) -> None:
    """Print a table, with the differences from ``reference`` and how likely they are chance."""
    print(f"{'':<34}{'time for the client':<34}time of the processor")
    print(f"{'case':<26}{'samples':<8}" + f"{'median':<12}{'difference':<12}{'p':<10}" * 2)
    for name, pairs in samples.items():
        both = zip(zip(*pairs, strict=True), zip(*samples[reference], strict=True), strict=True)
        columns = "".join(_compared(seconds, base) for seconds, base in both)
        print(f"{name:<26}{len(pairs):<8}{columns}".rstrip(), flush=True)


def _compared(seconds: Sequence[float], base: Sequence[float]) -> str:
    middle = statistics.median(seconds)
    told = f"{1000 * middle:.2f} ms"
    if seconds == base:
        return f"{told:<12}{'':<22}"
    difference = middle / statistics.median(base) - 1
    return f"{told:<12}{difference:<+12.1%}{mann_whitney(seconds, base):<10.3f}"


def mann_whitney(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the two-sided p of the Mann-Whitney U test, by its normal approximation.

    It is the probability of a difference in ranks this large if both came from one distribution.
    """
    ordered = sorted([(value, 0) for value in first] + [(value, 1) for value in second])
    ranks = sum(rank for rank, (_, which) in enumerate(ordered, 1) if not which)
    n, m = len(first), len(second)
    u = ranks - n * (n + 1) / 2
    deviation = math.sqrt(n * m * (n + m + 1) / 12)
    return math.erfc(abs(u - n * m / 2) / deviation / math.sqrt(2))


def _constant(call: Call) -> Callable[[int], Call]:
    return lambda number: call


def _create(name: str, password: str) -> Call:
    return Call("jwt/create/", {"username": name, "password": password})


def _verify(account: Any, last_used_step: int | None, **proof: str) -> Call:
    rows = type(account.row()).objects.filter(user=account.user)
    rows.update(failures=0, waiting_until=None, last_used_step=last_used_step)
    return Call("jwt/totp/verify/", {"totp_challenge_token": account.challenge(), **proof})


def _spend(account: Any, code: str) -> None:
    from django_totp.backup_code_utils import verify_backup_code

    verify_backup_code(account.user, code)


def _unknown(number: int) -> str:
    return f"{number:04}-zzzz-zzzz-zzzz"


if __name__ == "__main__":
    sys.exit(main())
