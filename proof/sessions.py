"""Attacks on logins by session: on real servers, with cookies and forms as browsers send them.

One process a database, and one for sessions in signed cookies. What must never happen makes the
program fail.
"""

import argparse
import collections
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from proof import database
from proof.browsers import LOGIN, VERIFY, Browser, Page
from proof.report import Report
from proof.server import Server, running

WIDTH = 8
INSIDE = "/page/"
CLOSED = (INSIDE, "/admin/", "/account/two-factor/", "/account/two-factor/disable/", "/api/totp/")
HOSTILE = ("https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)")
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
ENGINES = {"database": "db", "signed cookies": "signed_cookies"}


class Attacks:
    """What is tried at one server, ``rounds`` times each."""

    def __init__(self, server: Server, rounds: int, where: str) -> None:
        self.server, self.rounds, self.where = server, rounds, where
        self.report = Report()

    def browser(self) -> Browser:
        return Browser(self.server.port)

    def half(self, account: Any) -> Browser:
        """Return a browser that has given the password of ``account``."""
        from proof.accounts import PASSWORD

        browser = self.browser()
        form = {"username": account.user.get_username(), "password": PASSWORD}
        page = browser.post(LOGIN, form)
        assert page.location.startswith(VERIFY), page
        return browser

    def inside(self, account: Any) -> Browser:
        """Return a browser that is signed in with both factors, and a code that is unused."""
        browser = self.half(account)
        browser.post(VERIFY, {"otp_code": account.code()})
        assert browser.shows(INSIDE) == f"in as {account.user.pk}"
        refresh(account)
        return browser

    def check(self, promise: str, attack: Callable[[Any], str], wanted: str) -> None:
        """Print what came out of the rounds of ``attack``, each at an account of its own."""
        from proof.accounts import enrolled

        tracebacks = self.server.errors()
        seen = collections.Counter(attack(enrolled()) for _ in range(self.rounds))
        seen["tracebacks"] += self.server.errors() - tracebacks
        told = ", ".join(f"{outcome}: {count}" for outcome, count in seen.items() if count)
        fine = seen == {wanted: self.rounds, "tracebacks": 0}
        self.report.check(f"{self.where}: {promise}", told, fine=fine)


def refresh(account: Any) -> None:
    """Let the code of now be unused."""
    from django_totp.models import Totp

    Totp.objects.filter(user=account.user).update(last_used_step=None)


def let_in(pages: list[Page], browser: Browser, account: Any) -> str:
    """Return how many answers have signed somebody in, by the cookies that they gave."""
    strange = [page.status for page in pages if page.status not in (200, 302, 400)]
    if strange:
        return f"STATUS {strange[0]}"
    count = 0
    for page in pages:
        twin = browser.twin()
        twin.cookies.update(page.cookies)
        is_new = page.cookies.get("sessionid", "") != ""
        count += is_new and twin.shows(INSIDE) == f"in as {account.user.pk}"
    return f"{count} in"


def steps(attacks: Attacks) -> Iterator[tuple[str, Callable[[Any], str], str]]:
    """Yield attacks at the second step, with what has to come out."""

    def one_code(account: Any) -> str:
        browser = attacks.half(account)
        return let_in(
            browser.fire(VERIFY, [{"otp_code": account.code()}] * WIDTH), browser, account
        )

    def many_codes(account: Any) -> str:
        browser = attacks.half(account)
        forms = [{"backup_code": code} for code in account.backup_codes[: WIDTH - 1]]
        forms.append({"otp_code": account.code()})
        return let_in(browser.fire(VERIFY, forms), browser, account)

    def two_browsers(account: Any) -> str:
        code, browsers = {"otp_code": account.code()}, [attacks.half(account) for _ in range(4)]
        with ThreadPoolExecutor(len(browsers)) as pool:
            list(pool.map(lambda browser: browser.post(VERIFY, code), browsers))
        names = [browser.shows(INSIDE) for browser in browsers]
        return f"{names.count(f'in as {account.user.pk}')} in"

    def of_another(account: Any) -> str:
        from proof.accounts import enrolled

        browser, other = attacks.half(account), enrolled()
        browser.post(VERIFY, {"otp_code": other.code()})
        browser.post(VERIFY, {"backup_code": other.backup_codes[0]})
        return _name(browser)

    def replayed(account: Any) -> str:
        browser = attacks.half(account)
        thief, form = browser.twin(), {"otp_code": account.code()}
        browser.post(VERIFY, form)
        thief.post(VERIFY, form)
        thief.post(VERIFY, {"backup_code": account.backup_codes[0]})
        return _name(thief)

    yield "8 requests of one half-login with one code let one in", one_code, "1 in"
    yield "8 requests of one half-login with 8 codes let one in", many_codes, "1 in"
    yield "4 half-logins with one code let one in", two_browsers, "1 in"
    yield "the codes of another complete nothing", of_another, "nobody"
    yield "a half-login that was completed opens nothing again", replayed, "nobody"


def states(attacks: Attacks) -> Iterator[tuple[str, Callable[[Any], str], str]]:
    """Yield attacks at sessions in one state or another."""

    def left_open(account: Any) -> str:
        browser = attacks.half(account)
        open_pages = [path for path in CLOSED if browser.get(path).status == 200]
        return f"open: {open_pages}" if open_pages else "nobody"

    def foreign(account: Any) -> str:
        browser = attacks.browser()
        browser.get(f"/foreign/?pk={account.user.pk}")
        return _name(browser)

    def fixed(account: Any) -> str:
        browser = attacks.half(account)
        thief = browser.twin()
        browser.post(VERIFY, {"otp_code": account.code()})
        return _name(thief)

    def fixed_by_step_up(account: Any) -> str:
        browser = attacks.inside(account)
        thief = browser.twin()
        browser.post(VERIFY, {"otp_code": account.code()})
        return _name(thief)

    def step_ups(account: Any) -> str:
        browser = attacks.inside(account)
        pages = browser.fire(VERIFY, [{"otp_code": account.code()}] * WIDTH)
        strange = [page.status for page in pages if page.status not in (200, 302, 400)]
        stepped = sum(page.location == "/account/two-factor/" for page in pages)
        return f"STATUS {strange[0]}" if strange else f"{stepped} stepped up"

    def hostile(account: Any) -> str:
        led = set()
        for url in HOSTILE:
            browser = attacks.half(account)
            refresh(account)
            led.add(browser.post(VERIFY, {"otp_code": account.code(), "next": url}).location)
        return "nobody" if led == {INSIDE} else f"LED TO {led}"

    yield "a half-login left open opens nothing", left_open, "nobody"
    yield "a login of another view opens nothing", foreign, "nobody"
    yield "8 step-ups with one code: one", step_ups, "1 stepped up"
    yield "a hostile next leads nowhere", hostile, "nobody"
    if "cookies" not in attacks.where:  # there the old one is a statement of its own
        yield "a key from before the second step opens nothing", fixed, "nobody"
        yield "a key from before a step-up opens nothing", fixed_by_step_up, "nobody"


def ends(attacks: Attacks) -> Iterator[tuple[str, Callable[[Any], str], str]]:
    """Yield races of the second step with what ends logins: nobody is in afterwards."""
    from django_totp.auth import end_sessions, reset_totp

    def race(end: Callable[[Any], None]) -> Callable[[Any], str]:
        def against(account: Any) -> str:
            browser = attacks.half(account)
            with ThreadPoolExecutor(1) as beside:
                ended = beside.submit(_alone, end, account.user)
                browser.post(VERIFY, {"otp_code": account.code()})
                ended.result()
            return _name(browser)

        return against

    def ended_before(account: Any) -> str:
        browser = attacks.inside(account)
        thief = browser.twin()
        end_sessions(account.user)
        return _name(thief)

    yield "a second step against end_sessions", race(end_sessions), "nobody"
    yield "a second step against a reset", race(reset_totp), "nobody"
    yield "a second step against a new password", race(_change_password), "nobody"
    yield "a cookie from before end_sessions opens nothing", ended_before, "nobody"


def _alone(end: Callable[[Any], None], user: Any) -> None:
    from django.db import connections

    try:
        end(user)
    finally:
        connections.close_all()


def _change_password(user: Any) -> None:
    user.set_password("a new password")
    user.save(update_fields=["password"])


def _name(browser: Browser) -> str:
    shown = browser.shows(INSIDE)
    return shown if shown.startswith("in as") else "nobody"


def main() -> int:
    options = _options()
    if options.one:
        return _run_one(options)
    failed = 0
    for name in options.database:
        for engine in ENGINES if name == "sqlite" else ["database"]:
            command = [sys.executable, "-m", "proof.sessions", "--one"]
            command += [f"--rounds={options.rounds}", f"--engine={engine}", "--database", name]
            failed += subprocess.run(command).returncode
    print("No promise was broken." if not failed else "PROMISES WERE BROKEN: see above.")
    return min(failed, 1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="of each attack and database")
    parser.add_argument("--database", nargs="+", choices=database.ALL, default=database.ALL)
    parser.add_argument("--engine", default="database", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _run_one(options: argparse.Namespace) -> int:
    with _project(options) as (server, where):
        attacks = Attacks(server, options.rounds, where)
        for kind in (steps, states, ends):
            for promise, attack, wanted in kind(attacks):
                attacks.check(promise, attack, wanted)
    return int(bool(attacks.report.broken))


@contextmanager
def _project(options: argparse.Namespace) -> Iterator[tuple[Server, str]]:
    """Serve a project whose sessions are kept by the engine that was asked for."""
    [name] = options.database
    engine = f"django.contrib.sessions.backends.{ENGINES[options.engine]}"
    settings = json.dumps({**PROJECT, "SESSION_ENGINE": engine})
    apps = json.dumps([MODULES[one] for one in ("admin", "messages", "sessions")])
    with database.prepared(name, APPS=apps, SETTINGS=settings) as env, running(env) as server:
        yield server, f"{os.environ['DATABASE']}, {options.engine}"


if __name__ == "__main__":
    sys.exit(main())
