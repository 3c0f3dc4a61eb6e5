"""Attacks on logins by session: on real servers, with cookies and forms as browsers send them.

One process a database, and one for sessions in signed cookies. What must never happen makes the
program fail.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from proof import database
from proof.attacks import (
    COOKIES,
    INSIDE,
    VISIT,
    WIDTH,
    Attacks,
    Promises,
    is_in,
    name_of,
    refresh,
    strange,
)
from proof.browsers import VERIFY, Browser
from proof.doors import LIFE_SECONDS, aged, doors
from proof.report import Report
from proof.server import PROCESSES, running
from proof.tabs import conversions, pages, setups
from tests import services

JITTER_SECONDS = 0.005  # so that about as often the one is first as the other
STEP_SECONDS = 0.01  # about what a second step takes
MODULES = {
    name: f"django.contrib.{name}"
    for name in ("admin", "auth", "contenttypes", "messages", "sessions")
}
PROJECT: dict[str, Any] = {
    "ROOT_URLCONF": "proof.session_urls",
    "LOGIN_URL": "two-factor-login",
    "LOGIN_REDIRECT_URL": INSIDE,
    "STATIC_URL": "static/",
    "TOTP_FAILURE_LIMIT": 10_000,
    "TOTP_REQUIRED_FOR": ["superusers"],
    "REST_FRAMEWORK": {
        "DEFAULT_AUTHENTICATION_CLASSES": [
            "rest_framework.authentication.SessionAuthentication",
            "rest_framework_simplejwt.authentication.JWTAuthentication",
        ],
        "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    },
    "MIDDLEWARE": [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django_totp.middleware.SecondFactorMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    "TEMPLATES": [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
}
ENGINES = {"database": "db", COOKIES: "signed_cookies", "cached database": "cached_db"}


def steps(attacks: Attacks) -> Promises:
    """Yield attacks at the second step, with what has to come out."""

    def one_code(account: Any) -> str:
        browser = attacks.half(account)
        answers = browser.fire(VERIFY, [{"otp_code": account.code()}] * WIDTH)
        return attacks.let_in(answers, browser, account)

    def many_codes(account: Any) -> str:
        browser = attacks.half(account)
        forms = [{"backup_code": code} for code in account.backup_codes[: WIDTH - 1]]
        forms.append({"otp_code": account.code()})
        return attacks.let_in(browser.fire(VERIFY, [*forms]), browser, account)

    def two_browsers(account: Any) -> str:
        browsers = [attacks.half(account) for _ in range(4)]
        bodies = [browser.fill(VERIFY, {"otp_code": account.code()}) for browser in browsers]
        with ThreadPoolExecutor(len(browsers)) as pool:
            answers = pool.map(lambda tab, body: tab.submit(VERIFY, body), browsers, bodies)
        told = [is_in(browser, account) for browser in browsers]
        return f"{told.count('in')} in{strange([*answers])}{attacks.kept(account)}"

    def step_ups(account: Any) -> str:
        browser = attacks.inside(account)
        answers = browser.fire(VERIFY, [{"otp_code": account.code()}] * WIDTH)
        stepped = sum(page.location == "/account/two-factor/" for page in answers)
        return f"{stepped} stepped up{strange(answers)}{attacks.kept(account)}"

    yield "8 requests of one half-login with one code let one in", one_code, "1 in"
    yield "8 requests of one half-login with 8 codes let one in", many_codes, "1 in"
    yield "4 half-logins with one code let one in", two_browsers, "1 in"
    yield "8 step-ups with one code: one", step_ups, "1 stepped up"


def thefts(attacks: Attacks) -> Promises:
    """Yield attacks with cookies, codes and logins of somebody else."""

    def of_another(account: Any) -> str:
        from proof.accounts import enrolled

        browser, other = attacks.half(account), enrolled()
        browser.post(VERIFY, {"otp_code": other.code()})
        browser.post(VERIFY, {"backup_code": other.backup_codes[0]})
        return name_of(browser)

    def beside_another(account: Any) -> str:
        from proof.accounts import enrolled

        other = enrolled()
        for flipped in (False, True):
            browser, thief = attacks.half(account), attacks.half(other)
            keys = [one.cookies["sessionid"] for one in (browser, thief)]
            both = "; ".join(f"sessionid={key}" for key in (keys[::-1] if flipped else keys))
            both += f"; csrftoken={thief.cookies['csrftoken']}"
            refresh(other)
            thief.post(VERIFY, {"otp_code": other.code()}, Cookie=both)
            if "in" in (is_in(thief, account), is_in(browser, account)):
                return "IN BY THE CODE OF ANOTHER"
        return "nobody"

    def replayed(account: Any) -> str:
        browser = attacks.half(account)
        thief, form = browser.twin(), {"otp_code": account.code()}
        body = browser.fill(VERIFY, form)
        browser.submit(VERIFY, body)
        thief.submit(VERIFY, body)
        thief.post(VERIFY, form)
        thief.post(VERIFY, {"backup_code": account.backup_codes[0]})
        return name_of(thief)

    def foreign(account: Any) -> str:
        browser = attacks.browser()
        browser.get(f"/foreign/?pk={account.user.pk}")
        return name_of(browser)

    def planted(account: Any) -> str:
        thief = attacks.browser()
        thief.get(VISIT)
        return _ridden(attacks, thief, account)

    def planted_half(account: Any) -> str:
        from proof.accounts import enrolled

        return _ridden(attacks, attacks.half(enrolled()), account)

    def planted_login(account: Any) -> str:
        from proof.accounts import enrolled

        return _ridden(attacks, attacks.inside(enrolled()), account)

    def fixed(account: Any) -> str:
        browser = attacks.half(account)
        thief = browser.twin()
        browser.post(VERIFY, {"otp_code": account.code()})
        return name_of(thief)

    def fixed_by_step_up(account: Any) -> str:
        browser = attacks.inside(account)
        thief = browser.twin()
        browser.post(VERIFY, {"otp_code": account.code()})
        return name_of(thief)

    yield "the codes of another complete nothing", of_another, "nobody"
    yield "the cookies of two half-logins, and the code of one", beside_another, "nobody"
    yield "a half-login that was completed opens nothing again", replayed, "nobody"
    yield "a login of another view opens nothing", foreign, "nobody"
    yield "a session that was planted before the login", planted, "in, its planter not"
    yield "a half-login of another that was planted", planted_half, "in, its planter not"
    yield "a login of another that was planted", planted_login, "in, its planter not"
    if attacks.is_stored:  # else the old one is a statement of its own
        yield "a key from before the second step opens nothing", fixed, "nobody"
        yield "a key from before a step-up opens nothing", fixed_by_step_up, "nobody"


def ends(attacks: Attacks) -> Promises:
    """Yield races of the second step with what ends logins: nobody is in afterwards."""
    from django_totp.auth import end_sessions, reset_totp

    def race(end: Callable[[Any], None]) -> Callable[[Any], str]:
        def against(account: Any) -> str:
            browser = attacks.half(account)
            body = browser.fill(VERIFY, {"otp_code": account.code()})
            start = threading.Barrier(2)
            with ThreadPoolExecutor(1) as beside:
                ended = beside.submit(_alone, end, account.user, start)
                _wait_for_turn()
                start.wait()
                page = browser.submit(VERIFY, body)
                ended.result()
            said = "let in" if page.location == INSIDE else "refused"
            return f"{name_of(browser)}{strange([page])} ({said} at first)"

        return against

    def stolen(end: Callable[[Any], None]) -> Callable[[Any], str]:
        def before(account: Any) -> str:
            thief = attacks.inside(account).twin()
            half = attacks.half(account)
            end(account.user)
            half.post(VERIFY, {"otp_code": account.code()})
            return name_of(thief) if name_of(half) == "nobody" else name_of(half)

        return before

    ways = {"end_sessions": end_sessions, "a reset": reset_totp, "a new password": _change_password}
    for name, end in ways.items():
        yield f"a second step against {name}", race(end), "nobody"
        yield f"cookies from before {name} open nothing", stolen(end), "nobody"


def _ridden(attacks: Attacks, thief: Browser, account: Any) -> str:
    """Log in with the cookies that ``thief`` has planted; return who of the two is in."""
    browser = thief.twin()
    attacks.half(account, browser)
    between = browser.twin()
    thief.post(VERIFY, {"backup_code": account.backup_codes[0]})
    after_one = is_in(thief, account)
    browser.post(VERIFY, {"otp_code": account.code()})
    refresh(account)
    for other in (thief, between):
        other.post(VERIFY, {"otp_code": account.code()})
    is_out = "in" not in (after_one, is_in(thief, account), is_in(between, account))
    return f"{is_in(browser, account)}, its planter {'not' if is_out else 'AS WELL'}"


def _wait_for_turn() -> None:
    """Wait until a second ends soon: sessions are dated in whole ones."""
    time.sleep((1 - STEP_SECONDS / 2 - time.time()) % 1)


def _alone(end: Callable[[Any], None], user: Any, start: threading.Barrier) -> None:
    """Call ``end`` about when the other one sends, sometimes before and sometimes after."""
    from django.db import connections

    try:
        connections["default"].ensure_connection()
        start.wait()
        time.sleep(random.uniform(0, JITTER_SECONDS))
        end(user)
    finally:
        connections.close_all()


def _change_password(user: Any) -> None:
    user.set_password("a new password")
    user.save(update_fields=["password"])


RACED = (steps, thefts, conversions, ends)
SHOWN = (doors, pages, setups)


def main() -> int:
    options = _options()
    if options.one:
        return _run_one(options)
    report = Report()
    missing = services.missing("redis")
    for name in options.database:
        for engine in ENGINES if name == "sqlite" else ["database"]:
            where = f"{name}, {engine}"
            if missing and engine == "cached database":
                report.leave_out(where, missing)
                continue
            command = [sys.executable, "-m", "proof.sessions", "--one"]
            command += [f"--rounds={options.rounds}", f"--engine={engine}", "--database", name]
            command += ["--quick"] * options.quick
            report.broken += [where] * bool(subprocess.run(command).returncode)
    return report.close()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="of each attack and database")
    parser.add_argument(
        "--quick", action="store_true", help="two processes, and the pages on one database"
    )
    parser.add_argument("--database", nargs="+", choices=database.ALL, default=database.ALL)
    parser.add_argument("--engine", default="database", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _run_one(options: argparse.Namespace) -> int:
    with _project(options) as (env, where):
        kinds = RACED if _is_short(options) else (*RACED, *SHOWN)
        with running(env, processes=2 if options.quick else PROCESSES) as server:
            attacks = Attacks(server, options.rounds, where)
            _try(attacks, kinds)
        if not _is_short(options):
            with running(_hurried(env), processes=1) as server:
                attacks = attacks.at(server, min(options.rounds, 2))
                _try(attacks, (aged,))
    print(f"{where}: {attacks.tried} attacks", flush=True)
    return int(bool(attacks.report.broken))


def _is_short(options: argparse.Namespace) -> bool:
    """Return whether the pages are left out: they are the same on each database."""
    return options.quick and (options.database, options.engine) != (["sqlite"], "database")


def _try(attacks: Attacks, kinds: tuple[Callable[[Attacks], Promises], ...]) -> None:
    for kind in kinds:
        for promise, attack, wanted in kind(attacks):
            attacks.check(promise, attack, wanted)


@contextmanager
def _project(options: argparse.Namespace) -> Iterator[tuple[dict[str, str], str]]:
    """Prepare a project whose sessions are kept by the engine that was asked for."""
    [name] = options.database
    engine = f"django.contrib.sessions.backends.{ENGINES[options.engine]}"
    settings = json.dumps({**PROJECT, "SESSION_ENGINE": engine})
    apps = json.dumps([MODULES[one] for one in ("admin", "messages", "sessions")])
    cache = "redis" if options.engine == "cached database" else "locmem"
    with database.prepared(name, APPS=apps, SETTINGS=settings, CACHE=cache) as env:
        yield env, f"{os.environ['DATABASE']}, {options.engine}"


def _hurried(env: dict[str, str]) -> dict[str, str]:
    """Let half-logins live for a short time."""
    settings = json.loads(env["SETTINGS"])
    return {**env, "SETTINGS": json.dumps({**settings, "TOTP_TOKEN_MAX_AGE": LIFE_SECONDS})}


if __name__ == "__main__":
    sys.exit(main())
