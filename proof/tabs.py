"""Attacks by pages that were left open: in other tabs, after a logout, sent twice, sent again."""

import re
from typing import Any

from proof.attacks import (
    INSIDE,
    LOGOUT,
    WIDTH,
    Attacks,
    Promises,
    is_in,
    name_of,
    refresh,
    strange,
)
from proof.browsers import LOGIN, VERIFY, Browser, Page, filled

SETUP = "/account/two-factor/setup/"
SECRET = re.compile(r'name="secret" value="([A-Z2-7=]+)"')


def pages(attacks: Attacks) -> Promises:
    """Yield attacks at the second step with pages of other tabs."""

    def clicked_twice(account: Any) -> str:
        browser = attacks.half(account)
        body = browser.fill(VERIFY, {"otp_code": account.code()})
        answers = browser.volley(VERIFY, [body] * 2)
        lost = [page for page in answers if page.location != INSIDE]
        clear = all(page.status == 400 or page.location.startswith(LOGIN) for page in lost)
        told = {_after(browser, order, account) for order in (answers, answers[::-1])}
        wrong = ("" if clear and len(lost) == 1 else ", LOST") + attacks.kept(account)
        return f"in, or told to log in{wrong} (in the end {' or '.join(sorted(told))})"

    def after_login(account: Any) -> str:
        browser = attacks.half(account)
        stale = browser.fill(VERIFY, {"otp_code": account.code()})
        browser.post(VERIFY, {"backup_code": account.backup_codes[0]})
        page = browser.submit(VERIFY, stale)
        again = is_in(browser, account)
        return f"{again}{attacks.kept(account)} (answered {page.status})"

    def after_another(account: Any) -> str:
        from proof.accounts import enrolled

        browser, other = attacks.half(account), enrolled()
        stale = browser.fill(VERIFY, {"otp_code": account.code()})
        attacks.half(other, browser)
        page = browser.submit(VERIFY, stale)
        return f"{name_of(browser)} (answered {page.status})"

    def after_logout(account: Any) -> str:
        browser = attacks.half(account)
        return _sent_late(browser, account, LOGOUT, {})

    def after_admins_logout(account: Any) -> str:
        browser = attacks.half(account)
        return _sent_late(browser, account, "/admin/logout/", {})

    def after_giving_up(account: Any) -> str:
        browser = attacks.half(account)
        return _sent_late(browser, account, VERIFY, {"another": "1"})

    def out_of_session(account: Any) -> str:
        browser = attacks.inside(account)
        thief = browser.twin()
        browser.submit(LOGOUT, browser.fill(VERIFY, {}))
        return name_of(browser if name_of(thief) == "nobody" else thief)

    def without_token(account: Any) -> str:
        browser = attacks.half(account)
        page = browser.submit(VERIFY, f"otp_code={account.code()}")
        return name_of(browser) if page.status == 403 else f"STATUS {page.status}"

    yield "a form sent twice at one moment", clicked_twice, "in, or told to log in"
    yield "a form from before the code of another tab: still in", after_login, "in"
    yield "a form from before the password of another", after_another, "nobody"
    yield "a form from before a logout", after_logout, "nobody"
    yield "a form from before a logout of the admin", after_admins_logout, "nobody"
    yield "a form from before another account was chosen", after_giving_up, "nobody"
    yield "a form of another site completes nothing", without_token, "nobody"
    if attacks.is_stored:  # else an old cookie is a statement of its own
        yield "a logout ends what was signed in, also for a thief", out_of_session, "nobody"


def setups(attacks: Attacks) -> Promises:
    """Yield attacks with pages of an enrollment."""

    def two_tabs(account: Any) -> str:
        user, browser = _signed_in_by_password(attacks)
        stale, last = browser.get(SETUP), browser.get(SETUP)
        page = browser.submit(SETUP, _typed(stale))
        if _is_on(user):
            return "CONFIRMED WITH A SECRET THAT WAS REPLACED"
        page = browser.submit(SETUP, _typed(last if page.status == 403 else page))
        return "on" if _is_on(user) else f"OFF, STATUS {page.status}"

    def owed_twice(account: Any) -> str:
        user, browser, thief, body = _owing(attacks)
        browser.submit(SETUP, body)
        shown, told = _factor(user), is_in(browser, _Of(user))
        browser.submit(SETUP, body)
        thief.submit(SETUP, body)
        same = "" if _factor(user) == shown else ", CHANGED"
        return f"{told} once{same}{attacks.kept(_Of(user))} (the thief {name_of(thief)})"

    def owed_by_thief(account: Any) -> str:
        _, browser, thief, body = _owing(attacks)
        browser.submit(SETUP, body)
        thief.submit(SETUP, body)
        return name_of(thief)

    def owed_at_once(account: Any) -> str:
        user, browser, _, body = _owing(attacks)
        pages = browser.volley(SETUP, [body] * WIDTH)
        shown = sum("data:text/plain" in page.text for page in pages)
        return f"{shown} shown codes, {attacks.let_in(pages, browser, _Of(user))}"

    yield "setup in two tabs: the secret that was shown last", two_tabs, "on"
    yield "an owed setup sent again by its own browser changes nothing", owed_twice, "in once"
    yield "an owed setup sent again from a stolen half-login", owed_by_thief, "nobody"
    yield "8 confirmations of one owed setup: one", owed_at_once, "1 shown codes, 1 in"


def conversions(attacks: Attacks) -> Promises:
    """Yield attacks with sessions from before the enrollment."""

    def from_before(account: Any) -> str:
        from proof.accounts import enroll

        user, browser = _signed_in_by_password(attacks)
        thief, late = browser.twin(), enroll(user)
        answers = browser.volley(INSIDE, [None] * WIDTH)
        seen = sum(page.text.startswith("in as") for page in answers)
        browser.keep(answers[-1])
        browser.post(VERIFY, {"otp_code": late.code()})
        told = f"{seen} in, then {is_in(browser, late)}, the thief {name_of(thief)}"
        return told + strange(answers) + attacks.kept(late)

    def looked_at(account: Any) -> str:
        browser = attacks.half(account)
        body = browser.fill(VERIFY, {"otp_code": account.code()})
        answers = browser.volley(VERIFY, [body, *[None] * (WIDTH - 1)])
        return attacks.let_in(answers, browser, account)

    promise = "8 requests of a session from before the enrollment: none, and its code lets it in"
    yield promise, from_before, "0 in, then in, the thief nobody"
    yield "7 looks at the page beside the code let one in", looked_at, "1 in"


class _Of:
    """What an account is that sets itself up."""

    def __init__(self, user: Any) -> None:
        self.user = user


def _after(browser: Browser, answers: list[Page], account: Any) -> str:
    """Return who is in once all answers have arrived in this order."""
    twin = browser.twin()
    for page in answers:
        twin.keep(page)
    return is_in(twin, account)


def _sent_late(browser: Browser, account: Any, path: str, form: dict[str, str]) -> str:
    """Send a code after ``form`` has ended the half-login in another tab."""
    stale = browser.fill(VERIFY, {"otp_code": account.code()})
    token = stale.partition("csrfmiddlewaretoken=")[2]
    typed = "".join(f"{name}={value}&" for name, value in form.items())
    browser.submit(path, f"{typed}csrfmiddlewaretoken={token}")
    page = browser.submit(VERIFY, stale)
    refresh(account)
    browser.post(VERIFY, {"otp_code": account.code()})
    return name_of(browser) + strange([page])


def _signed_in_by_password(attacks: Attacks) -> tuple[Any, Browser]:
    from proof.accounts import plain

    user, browser = plain(), attacks.browser()
    attacks.log_in(user, browser)
    assert is_in(browser, _Of(user)) == "in"
    return user, browser


def _owing(attacks: Attacks) -> tuple[Any, Browser, Browser, str]:
    """Return a user who owes an enrollment, the browser, its twin, and what it will send."""
    from proof.accounts import plain

    user, browser = plain(is_superuser=True), attacks.browser()
    page = attacks.log_in(user, browser)
    assert page.location.startswith(SETUP), page
    return user, browser, browser.twin(), _typed(browser.get(SETUP))


def _typed(page: Page) -> str:
    """Return the form of a setup page, with the code of the app that has scanned it."""
    import pyotp

    secret = SECRET.search(page.text)
    assert secret, page
    return filled(page, {"otp_code": pyotp.TOTP(secret[1]).now(), "secret": secret[1]})


def _is_on(user: Any) -> bool:
    from django_totp.auth import is_totp_enabled

    return is_totp_enabled(user)


def _factor(user: Any) -> Any:
    """Return the enrollment and the digests of its codes."""
    from django_totp.models import BackupCode, Totp

    rows = Totp.objects.filter(user=user).values_list("pk", "secret_key", "confirmed_at")
    codes = BackupCode.objects.filter(totp__user=user, is_used=False)
    return [*rows], {*codes.values_list("pk", flat=True)}
