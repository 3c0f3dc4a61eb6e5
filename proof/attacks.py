"""What attacks on logins by session have in common: who is in, and how often the project heard."""

import collections
import copy
from collections.abc import Callable, Iterator
from typing import Any

from proof.browsers import LOGIN, VERIFY, Browser, Page
from proof.report import Report
from proof.server import Server

WIDTH = 8
INSIDE, VISIT, LOGOUT = "/page/", "/visit/", "/logout/"
EXPECTED = (200, 302, 400)  # of a page, of who is led on, of a login that has to begin anew
COOKIES = "signed cookies"  # where a session is kept, if it is the browser that keeps it

Promise = tuple[str, Callable[[Any], str], str]
Promises = Iterator[Promise]


class Attacks:
    """What is tried at one server, ``rounds`` times each."""

    def __init__(self, server: Server, rounds: int, where: str) -> None:
        self.server, self.rounds, self.where = server, rounds, where
        self.is_stored = COOKIES not in where
        self.report = Report()
        self.tried = 0

    def at(self, server: Server, rounds: int) -> "Attacks":
        """Return the same attacks, with what was counted, at another server."""
        other = copy.copy(self)
        other.server, other.rounds = server, rounds
        return other

    def browser(self) -> Browser:
        return Browser(self.server.port)

    def half(self, account: Any, browser: Browser | None = None) -> Browser:
        """Return a browser that has given the password of ``account``, and owes a code."""
        browser = browser or self.browser()
        page = self.log_in(account.user, browser)
        assert page.location.startswith(VERIFY), page
        return browser

    def log_in(self, user: Any, browser: Browser) -> Page:
        """Give the password of ``user``."""
        from proof.accounts import PASSWORD

        return browser.post(LOGIN, {"username": user.get_username(), "password": PASSWORD})

    def inside(self, account: Any, browser: Browser | None = None) -> Browser:
        """Return a browser that is signed in with both factors, and a code that is unused."""
        browser = self.half(account, browser)
        browser.post(VERIFY, {"otp_code": account.code()})
        assert name_of(browser) == f"in as {account.user.pk}", browser.shows(INSIDE)
        refresh(account)
        return browser

    def check(self, promise: str, attack: Callable[[Any], str], wanted: str) -> None:
        """Print what came out of the rounds of ``attack``, each at an account of its own.

        An outcome may say more in brackets.
        """
        from proof.accounts import enrolled

        tracebacks = self.server.errors()
        seen = collections.Counter(attack(enrolled()) for _ in range(self.rounds))
        tracebacks = self.server.errors() - tracebacks
        told = ", ".join(f"{outcome}: {count}" for outcome, count in seen.items())
        told += f", TRACEBACKS: {tracebacks}" if tracebacks else ""
        fine = not tracebacks and {outcome.partition(" (")[0] for outcome in seen} == {wanted}
        self.tried += self.rounds
        self.report.check(f"{self.where}: {promise}", told, fine=fine)

    def let_in(self, pages: list[Page], browser: Browser, account: Any) -> str:
        """Return how many answers have signed somebody in, by the cookies that they gave."""
        count = 0
        for page in pages:
            twin = browser.twin()
            twin.keep(page)
            is_new = page.cookies.get("sessionid", "") != ""
            count += is_new and name_of(twin) == f"in as {account.user.pk}"
        return f"{count} in{strange(pages)}{self.kept(account)}"

    def kept(self, account: Any, *, sessions: int = 1) -> str:
        """Return what is wrong with the sessions that are stored, and with the signals sent."""
        from django.contrib.admin.models import LogEntry

        told = LogEntry.objects.filter(user=account.user).count()
        wrong = f", TOLD {told} TIMES" if told != 1 else ""
        stored = named_in_table(account) if self.is_stored else sessions
        return wrong + (f", STORED {stored} TIMES" if stored != sessions else "")


def strange(pages: list[Page]) -> str:
    """Return which answers are none that a page gives."""
    seen = sorted({page.status for page in pages} - {*EXPECTED})
    return "".join(f", STATUS {status}" for status in seen)


def named_in_table(account: Any) -> int:
    """Return how many of the stored sessions name the user."""
    from django.contrib.sessions.models import Session

    stored = (session.get_decoded() for session in Session.objects.all())
    return sum(told.get("_auth_user_id") == str(account.user.pk) for told in stored)


def refresh(account: Any) -> None:
    """Let the code of now be unused."""
    from django_totp.models import Totp

    Totp.objects.filter(user=account.user).update(last_used_step=None)


def name_of(browser: Browser) -> str:
    """Return who is in."""
    shown = browser.shows(INSIDE)
    return shown if shown.startswith("in as") else "nobody"


def is_in(browser: Browser, account: Any) -> str:
    """Return whether it is the user who is in, nobody, or somebody else."""
    name = name_of(browser)
    return "in" if name == f"in as {account.user.pk}" else name
