"""Attacks at doors: half-logins that were left open, and URLs that lead away."""

import itertools
import re
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, quote, urljoin, urlsplit

from proof.attacks import INSIDE, LOGOUT, Attacks, Promises, is_in, name_of, refresh
from proof.browsers import LOGIN, VERIFY, Browser, Page

STATE = "/account/two-factor/"
SETUP, CODES, DISABLE = f"{STATE}setup/", f"{STATE}backup-codes/", f"{STATE}disable/"
ADMIN = "/admin/"
# What shows something to staff who are signed in with a recent second factor, and to nobody else.
CLOSED = (INSIDE, STATE, CODES, DISABLE, "/api/totp/", ADMIN, f"{ADMIN}auth/user/")
CHANGES = ("create", "confirm", "disable", "rotate_backup_codes")
PAGES = (LOGIN, VERIFY, SETUP, STATE, CODES, f"{ADMIN}login/", INSIDE, LOGOUT, DISABLE)
HOST = "127.0.0.1"
EVIL = "evil.example"
HOSTILE = (
    *(f"https://{EVIL}/", f"//{EVIL}", f"/\\{EVIL}", f"///{EVIL}", f"http:///{EVIL}"),
    *("javascript:alert(1)", f"\t//{EVIL}", f"https://{HOST}@{EVIL}/"),
)
TRIED = (*HOSTILE, f"/\r\nX: {EVIL}")  # the last one is of this site, if it is no header
LEADING = (LOGIN, VERIFY, SETUP)  # pages of ours that lead on to ``next``
LONGEST = 8  # redirects, before a browser gives up
FAILED = 500
LIFE_SECONDS = 2  # of a half-login, where it is waited for


def doors(attacks: Attacks) -> Promises:
    """Yield attacks at what is closed to a half-login, and at where pages lead."""

    urls = itertools.cycle(TRIED)

    def left_open(account: Any) -> str:
        _make_staff(account)
        insider = attacks.inside(account)
        closed = {*CLOSED}.difference(_opened(insider))
        assert not closed, f"closed to everybody: {closed}"
        browser = attacks.half(account)
        opened = _opened(browser)
        for path in (f"/api/totp/{name}/" for name in CHANGES):
            page = browser.submit(path, "", Accept="application/json")
            opened += [path] if page.status not in (401, 403) else []
        return f"OPEN: {opened}" if opened else name_of(browser)

    def hostile(account: Any) -> str:
        _make_staff(account)
        url = next(urls)
        begins = (attacks.browser, _owing(attacks), lambda: attacks.half(account))
        led = [away for begin in begins for away in _led_away(begin, url)]
        refresh(account)
        led += _led_away(lambda: attacks.inside(account), url)
        return f"LED TO {led}" if led else "nowhere"

    def through(account: Any) -> str:
        led = set()
        for url in HOSTILE:
            browser = attacks.half(account)
            refresh(account)
            code = {"otp_code": account.code(), "next": url}
            led.add(browser.post(f"{VERIFY}?next={quote(url)}", code).location)
        return "nowhere" if led == {INSIDE} else f"LED TO {led}"

    yield "a half-login left open opens nothing", left_open, "nobody"
    yield "a hostile next of each page, by each method, leads", hostile, "nowhere"
    yield "a hostile next beside the code leads", through, "nowhere"


def aged(attacks: Attacks) -> Promises:
    """Yield attacks at a server whose half-logins live for two seconds."""

    def late(account: Any) -> str:
        browser = attacks.half(account)
        thief, form = browser.twin(), browser.fill(VERIFY, {"otp_code": account.code()})
        time.sleep(LIFE_SECONDS + 1.1)
        thief.submit(VERIFY, form)
        looked = name_of(browser)
        browser.submit(VERIFY, form)
        names = {looked, name_of(browser), name_of(thief)}
        return " or ".join(sorted(names))

    def in_time(account: Any) -> str:
        browser = attacks.half(account)
        browser.post(VERIFY, {"otp_code": account.code()})
        return is_in(browser, account)

    yield "a code after the time of a half-login is over", late, "nobody"
    yield "a code in time, at the same server", in_time, "in"


def _make_staff(account: Any) -> None:
    account.user.is_staff = account.user.is_superuser = True
    account.user.save(update_fields=["is_staff", "is_superuser"])


def _owing(attacks: Attacks) -> Callable[[], Browser]:
    """Return what makes a browser whose login owes an enrollment."""
    from proof.accounts import plain

    def begin() -> Browser:
        browser = attacks.browser()
        attacks.log_in(plain(is_superuser=True), browser)
        return browser

    return begin


def _opened(browser: Browser) -> list[str]:
    """Return what is shown, as a page or to a program."""
    kinds = ("text/html", "application/json", "*/*")
    asked = [(path, kind) for path in CLOSED for kind in kinds]
    return [path for path, kind in asked if browser.get(path, Accept=kind).status == 200]


def _led_away(begin: Callable[[], Browser], url: str) -> Iterator[str]:
    """Try each page with ``url``, and yield what leads away from this site."""
    for path in PAGES:
        for page in _asked(begin(), path, url):
            away = [target for target in _targets(page) if not _is_ours(path, target)]
            yield from (f"{path}: {target}" for target in away)
            if page.status >= FAILED:
                yield f"{path}: STATUS {page.status}"


def _asked(browser: Browser, path: str, url: str) -> Iterator[Page]:
    """Ask with ``url`` in the query and in the form, and follow where a browser is led."""
    query = f"{path}?next={quote(url)}"
    shows_form = VERIFY if path == LOGOUT else query
    yield browser.ask("HEAD", query)
    yield from _followed(browser, path, browser.get(query))
    for data in ({}, {"next": url}, {"next": url, "another": "1"}):
        page = browser.submit(query, browser.fill(shows_form, data))
        yield from _followed(browser, path, page)


def _followed(browser: Browser, path: str, page: Page) -> list[Page]:
    """Return a page, and those that a browser comes to from there by itself."""
    pages = [page]
    while page.location and _is_ours(path, page.location) and len(pages) < LONGEST:
        path = urljoin(path, page.location)
        page = browser.get(path)
        pages.append(page)
    return pages


def _targets(page: Page) -> list[str]:
    """Return all that a browser goes to from here: by itself, by a link or by a form."""
    links = re.findall(r'(?:href|action|formaction)="([^"]*)"', page.text)
    hidden = re.findall(r'name="next" value="([^"]*)"', page.text)
    return [one for one in [page.location, *links, *hidden] if one]


def _is_ours(path: str, url: str) -> bool:
    """Return whether a browser that is at ``path`` stays at this site, as browsers read URLs."""
    read = url.replace("\\", "/").replace("\t", "").strip()
    there = urlsplit(urljoin(f"http://{HOST}{path}", read))
    if there.scheme in ("data", "otpauth"):
        return True
    leads_on = parse_qs(there.query).get("next", [""])[0] if there.path in LEADING else ""
    is_here = there.scheme == "http" and there.hostname == HOST
    return is_here and (not leads_on or _is_ours(there.path, leads_on))
