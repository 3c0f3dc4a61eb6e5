"""What guessing costs: computed from the settings in force, then tried on a real server.

The arithmetic is here and not in the package, so that one checks the other: the wait that the
server tells after each of the wrong codes must be the one that the table is computed from.
"""

import argparse
import json
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from proof import database
from proof.client import Answer, Call, Volley
from proof.report import Report, heading, machine
from proof.server import PROCESSES, running

GUESSES = 20
YEAR = 365.25 * 86400


@dataclass(frozen=True)
class Limits:
    """The settings that decide what a guess costs."""

    digits: int
    window: int
    free: int
    first_wait: int
    longest_wait: int
    cap: int | None

    @property
    def chance(self) -> float:
        """Return the probability that one guess is right, at most."""
        return (2 * self.window + 1) / 10**self.digits

    def wait(self, failures: int) -> int:
        """Return the seconds that TOTP codes wait after so many wrong ones in a row."""
        excess = failures - self.free
        if excess <= 0:
            return 0
        return min(self.first_wait * 2 ** min(excess - 1, 64), self.longest_wait)

    def seconds_until(self, guess: int) -> int:
        """Return the seconds of waiting before the guess of that number, counted from 1."""
        doubling = min(guess, self.free + 64)
        waits = sum(self.wait(failures) for failures in range(1, doubling))
        return waits + (guess - doubling) * self.longest_wait

    def guesses_within(self, seconds: int) -> int:
        """Return how many guesses are evaluated in that time, beginning with a count of none."""
        guess = 1
        while self.seconds_until(guess + 1) <= seconds:
            guess += 1
        return guess

    def success(self, guesses: int) -> float:
        return -math.expm1(guesses * math.log1p(-self.chance))

    def even_chance(self) -> int:
        """Return the number of guesses that find a code with a probability of a half."""
        return math.ceil(math.log(0.5) / math.log1p(-self.chance))


def main() -> int:
    argparse.ArgumentParser(description=__doc__).parse_args()
    report = Report()
    print(machine())
    with database.prepared("sqlite-wal") as env:
        limits = in_force()
        tell(limits)
        heading(f"On a real server ({PROCESSES} processes), {GUESSES} guesses each way:")
        for name, settings, cache in SERVERS:
            env |= {"SETTINGS": json.dumps(settings), "CACHE": cache}
            with running(env) as server, Volley(server.port, GUESSES) as volley:
                for attack in ATTACKS:
                    _attack(report, volley, name, attack, limits)
                if cache == "locmem":
                    owner(report, volley, limits)
                report.check("tracebacks", server.errors(), fine=_quiet(server.errors(), cache))
    return report.close()


def in_force() -> Limits:
    from django_totp.conf import conf

    return Limits(
        conf.TOTP_DIGITS,
        conf.TOTP_VALID_WINDOW,
        conf.TOTP_FAILURE_LIMIT,
        conf.TOTP_LOCKOUT_SECONDS,
        conf.TOTP_LOCKOUT_MAX_SECONDS,
        conf.TOTP_FAILURE_CAP,
    )


def tell(limits: Limits) -> None:
    heading(f"What guessing costs, by arithmetic from the settings in force:\n{limits}\n")
    for name, value in rows(limits):
        print(f"{name:<74}{value}")


def rows(limits: Limits) -> Iterator[tuple[str, str]]:
    """Yield the table. All of it is for an attacker who knows the password."""
    yield "chance of one guess", f"{2 * limits.window + 1} in 10^{limits.digits}"
    yield "guesses before the first wait", f"{limits.free + 1}"
    waits = [limits.wait(limits.free + excess) for excess in range(1, 8)]
    yield "waits", ", ".join(map(str, waits)) + " s"
    yield "guesses in the first hour", f"{limits.guesses_within(3600)}"
    yield "guesses in the first day, if there were no cap", f"{limits.guesses_within(86400)}"
    if limits.cap is not None:
        time_to_cap = timedelta(seconds=limits.seconds_until(limits.cap))
        yield f"time until the cap of {limits.cap} guesses", f"{time_to_cap} (h:mm:ss)"
        yield "chance of success before the cap", f"{limits.success(limits.cap):.4%}"
    even = limits.even_chance()
    years = limits.seconds_until(even) / YEAR
    yield "guesses for an even chance", f"{even}"
    yield "time for an even chance, if there were no cap", f"{years:.1f} years"
    a_day = min(limits.guesses_within(86400), limits.cap or even)
    yield "  the same if the owner ends the count once a day", f"{even / a_day / 365.25:.1f} years"
    unnoticed = limits.even_chance() / limits.free if limits.free else math.inf
    yield (
        f"logins of the owner for an even chance, {limits.free} free guesses between each two",
        f"{math.ceil(unnoticed)}",
    )
    yield "  the same in years, at 10 logins a day", f"{unnoticed / 3652.5:.1f} years"


@dataclass(frozen=True)
class Attack:
    """A way to send a guess that might be counted apart from the others."""

    name: str
    call: Callable[[Volley, Any, str, int], Call]
    at_once: bool = False


def _plain(volley: Volley, account: Any, code: str, number: int) -> Call:
    return _verify(account.challenge(), code)


def _verify(challenge: str, code: str, **headers: str) -> Call:
    return Call("jwt/totp/verify/", {"totp_challenge_token": challenge, "otp_code": code}, headers)


def _forged_addresses(volley: Volley, account: Any, code: str, number: int) -> Call:
    address = f"203.0.113.{number}"
    names = ("X-Forwarded-For", "X-Real-IP", "Client-IP", "True-Client-IP", "CF-Connecting-IP")
    headers = dict.fromkeys(names, address) | {"Forwarded": f"for={address}"}
    return _verify(account.challenge(), code, **headers)


def _fresh_logins(volley: Volley, account: Any, code: str, number: int) -> Call:
    """Take the password's way to a challenge token each time, as an attacker would."""
    from proof.accounts import PASSWORD

    body = {"username": account.user.get_username(), "password": PASSWORD}
    answer = volley.send("jwt/create/", body, **{"X-Forwarded-For": f"198.51.100.{number}"})
    return _verify(answer.body["totp_challenge_token"], code)


def _other_accounts(volley: Volley, account: Any, code: str, number: int) -> Call:
    from proof.accounts import pending

    return _verify(account.challenge(), code, **pending().authorization())


def _other_doors(volley: Volley, account: Any, code: str, number: int) -> Call:
    """Guess with a stolen access token where a fresh proof is asked for, by turns."""
    doors = ("totp/disable/", "totp/rotate_backup_codes/")
    if number % 3 < len(doors):
        return Call(doors[number % 3], {"otp_code": code}, account.authorization())
    return _verify(account.challenge(), code)


ATTACKS = (
    Attack("one after the other", _plain),
    Attack("all at one moment", _plain, at_once=True),
    Attack("another address in every header", _forged_addresses),
    Attack("a login for each guess", _fresh_logins),
    Attack("access tokens of other accounts", _other_accounts),
    Attack("disable, rotate and login by turns", _other_doors),
)
ASK = {"TOTP_REAUTHENTICATE": True}
RATE = {**ASK, "TOTP_THROTTLE_RATE": "10/minute"}
SERVERS = (
    ("no throttle", {**ASK, "TOTP_THROTTLE_RATE": None}, "locmem"),
    ("dummy cache", RATE, "dummy"),
    ("cache unreachable", RATE, "unreachable"),
)


def _attack(report: Report, volley: Volley, server: str, attack: Attack, limits: Limits) -> None:
    from proof.accounts import enrolled

    account = enrolled()
    _, answers = guesses(volley, account, attack)
    evaluated = limits.free + 1
    codes = Counter(answer.body.get("code") for answer in answers)
    refused = codes["too_many_attempts"]
    failures = account.row().failures
    report.check(
        f"{server}, {attack.name}",
        f"{len(answers) - refused} evaluated, {failures} counted, {refused} refused unseen",
        fine=failures == evaluated and refused == len(answers) - evaluated,
    )


def guesses(volley: Volley, account: Any, attack: Attack) -> tuple[list[Call], list[Answer]]:
    calls = [attack.call(volley, account, account.wrong_code(n), n) for n in range(GUESSES)]
    if attack.at_once:
        return calls, volley.fire(calls)
    return calls, [volley.fire([call])[0] for call in calls]


def owner(report: Report, volley: Volley, limits: Limits) -> None:
    _backup_code_in_the_wait(report, volley)
    _neighbour(report, volley)
    _strangers(report, volley)
    _until_the_cap(report, volley, limits)
    _ways_back(report, volley, limits)


def _backup_code_in_the_wait(report: Report, volley: Volley) -> None:
    account = _waiting(volley)
    refused = _login(volley, account, otp_code=account.code()).status
    backup = _login(volley, account, backup_code=account.backup_codes[0]).status
    after = _login(volley, account, otp_code=account.code()).status
    report.check(
        "in the wait: a right TOTP code, a backup code, a TOTP code after it",
        f"{refused}, {backup}, {after}",
        fine=(refused, backup, after) == (429, 200, 200),
    )


def _neighbour(report: Report, volley: Volley) -> None:
    """The attacker's own success at the same address ends nobody else's wait."""
    from proof.accounts import enrolled

    account, own = _waiting(volley), enrolled()
    before = account.row().failures
    status = _login(volley, own, otp_code=own.code()).status
    report.check(
        "the attacker's own login, and the count of the victim before and after",
        f"{status}, {before}, {account.row().failures}",
        fine=status == 200 and account.row().failures == before,
    )


def _strangers(report: Report, volley: Volley) -> None:
    """Without the password nobody brings an account to wait."""
    from proof.accounts import PASSWORD, enrolled

    account = enrolled()
    name = account.user.get_username()
    forged = account.challenge()[:-2] + "xx"
    for number in range(GUESSES):
        volley.send("jwt/create/", {"username": name, "password": f"wrong {number}"})
        volley.fire([_verify(forged, account.wrong_code(number))])
    row, status = account.row(), _login(volley, account, otp_code=account.code()).status
    report.check(
        f"{GUESSES} wrong passwords and {GUESSES} forged challenges: count, the owner's login",
        f"{row.failures}, {status}",
        fine=row.failures == 0 and status == 200,
    )
    body = {"username": name, "password": PASSWORD}
    first_step = volley.send("jwt/create/", body).status
    report.check("the owner's first step after that", first_step, fine=first_step == 200)


def _until_the_cap(report: Report, volley: Volley, limits: Limits) -> None:
    """Guess up to the cap. After each guess the wait is compared with the arithmetic and ended."""
    from django.utils import timezone

    from proof.accounts import enrolled

    if limits.cap is None:
        return
    account, off = enrolled(), 0
    for number in range(1, limits.cap + 1):
        sent = timezone.now()
        _login(volley, account, otp_code=account.wrong_code(number))
        until = account.row().waiting_until or sent
        most = (timezone.now() - sent).total_seconds()
        off += not 0 <= (until - sent).total_seconds() - limits.wait(number) <= most
        _set(account, waiting_until=None)
    report.check(f"{limits.cap} wrong codes, waits that differ from the table", off, fine=off == 0)
    _is_off(report, volley, account)
    backup = _login(volley, account, backup_code=account.backup_codes[0]).status
    _back_on(report, volley, account, "a backup code", backup)


def _ways_back(report: Report, volley: Volley, limits: Limits) -> None:
    from django_totp.totp import disable_totp, end_wait
    from proof.accounts import PASSWORD

    account = _capped(limits)
    _is_off(report, volley, account)
    end_wait(account.user)
    _back_on(report, volley, account, "end_wait", 200)
    account = _capped(limits)
    disable_totp(account.user)
    body = {"username": account.user.get_username(), "password": PASSWORD}
    answer = volley.send("jwt/create/", body)
    report.check(
        "at the cap, after disable_totp: the password alone",
        f"{answer.status}, is_totp_enabled {answer.body.get('is_totp_enabled')}",
        fine=answer.status == 200 and "access" in answer.body,
    )


def _is_off(report: Report, volley: Volley, account: Any) -> None:
    answer = _login(volley, account, otp_code=account.code())
    report.check(
        "at the cap: a right TOTP code",
        f"{answer.status} {answer.body.get('code')}, Retry-After "
        f"{answer.headers.get('Retry-After')}",
        fine=answer.status == 429 and "Retry-After" not in answer.headers,
    )


def _back_on(report: Report, volley: Volley, account: Any, way: str, status: int) -> None:
    after = _login(volley, account, otp_code=account.code()).status
    report.check(f"at the cap, after {way}: a TOTP code", after, fine=(status, after) == (200, 200))


def _waiting(volley: Volley) -> Any:
    from proof.accounts import enrolled

    account = enrolled()
    guesses(volley, account, ATTACKS[0])
    return account


def _capped(limits: Limits) -> Any:
    from proof.accounts import enrolled

    account = enrolled()
    _set(account, failures=limits.cap)
    return account


def _login(volley: Volley, account: Any, **proof: str) -> Answer:
    body = {"totp_challenge_token": account.challenge(), **proof}
    return volley.send("jwt/totp/verify/", body)


def _set(account: Any, **fields: Any) -> None:
    type(account.row()).objects.filter(user=account.user).update(**fields)


def _quiet(tracebacks: int, cache: str) -> bool:
    """A cache that is down is told in the log, with a traceback; nothing else may be."""
    return tracebacks == 0 or cache == "unreachable"


if __name__ == "__main__":
    sys.exit(main())
