"""What the life of a factor leaves behind: in mails, in each table, in the log of the server.

Everything secret that somebody sees or sends on the way is searched for afterwards. The links in
two of the mails are the exceptions, and show that the search finds. Imported once Django is set
up.
"""

import html
import json
import re
from typing import Any
from urllib.parse import quote, unquote

from django.contrib.sessions.models import Session
from django.db import connection

from django_totp import challenges, devices
from django_totp.models import Event, TrustedDevice
from proof.accounts import PASSWORD, Account
from proof.attacks import Attacks, Promises
from proof.browsers import VERIFY
from proof.lives import joined, with_mailbox
from proof.thefts import (
    COOKIE,
    ask,
    give_password,
    let_wait_end,
    mails_to,
    recovery_link,
    refresh,
    token_in,
    trusted_app,
    trusted_browser,
)

ASKED, STARTED = "the link that begins", "the link that stops"
LINKS = (ASKED, STARTED)


class Seen:
    """What somebody has seen or sent that nobody else shall, by name."""

    def __init__(self) -> None:
        self.secrets: dict[str, str] = {}
        self.codes: dict[str, str] = {}  # six digits stand anywhere, so whole words are looked for

    def add(self, **secrets: Any) -> None:
        self.secrets |= {name: str(value) for name, value in secrets.items()}

    def add_all(self, name: str, values: Any) -> None:
        self.secrets |= {f"{name} {number}": str(one) for number, one in enumerate(values)}

    def add_device(self, name: str, text: str) -> None:
        kept = devices.parsed(text)
        assert kept is not None, text
        self.add(**{name: text, f"{name}: series": kept.series, f"{name}: secret": kept.secret})

    def add_code(self, name: str, code: str) -> str:
        self.codes[name] = code
        return code

    def found_in(self, text: str) -> set[str]:
        """Return the names of what stands in ``text``, in any usual spelling."""
        spellings = text + html.unescape(text) + unquote(text)
        plain = re.sub(r"[\s-]", "", spellings).lower()
        return {
            name
            for name, secret in self.secrets.items()
            if secret in spellings
            or json.dumps(secret)[1:-1] in spellings
            or quote(secret) in spellings
            or re.sub(r"[\s-]", "", secret).lower() in plain
        }

    def codes_in(self, text: str) -> set[str]:
        words = {*re.findall(r"\w+", text)}
        return {name for name, code in self.codes.items() if code in words}


def leaks(attacks: Attacks) -> Promises:
    """Yield a life, and what is found of it afterwards."""

    def left_behind(account: Any) -> str:
        seen = Seen()
        _live(attacks, with_mailbox(account), seen)
        mails = mails_to(account.user)
        found = [
            *_in_mails(seen, mails),
            *_in_tables(seen),
            *(f"{name} in the log" for name in seen.found_in(attacks.server.log.read_text())),
        ]
        told = Event.objects.filter(user_pk=account.user.pk).count()
        return f"FOUND: {found}" if found else _told(mails, told)

    yield "a whole life: in mails, tables and log there are", left_behind, "the two links"


def _told(mails: list[str], events: int) -> str:
    if not mails or not events:
        return f"{len(mails)} MAILS, {events} EVENTS"
    return f"the two links ({len(mails)} mails, {events} events)"


def _live(attacks: Attacks, account: Account, seen: Seen) -> None:
    """Go through all of it by pages and API: devices, another phone, recovery."""
    seen.add(password=PASSWORD, secret=account.secret)
    seen.add_all("backup code", account.backup_codes)
    seen.add_code("first code", account.code())
    browser = trusted_browser(attacks, account)
    seen.add_device("cookie", browser.cookies[COOKIE])
    attacks.log_in(account.user, browser)
    seen.add_device("next cookie", browser.cookies[COOKIE])
    app = trusted_app(attacks, account)
    seen.add_device("value", app["trusted_device"])
    again = give_password(attacks, account, trusted_device=app["trusted_device"])
    seen.add_device("next value", again["trusted_device"])
    seen.add(**{f"{name} of an app": app[name] for name in ("access", "refresh")})
    give_password(attacks, account, trusted_device=app["trusted_device"])  # refused, and told
    account = _replace(attacks, account, app, seen)
    _recover(attacks, account, seen)


def _replace(attacks: Attacks, account: Account, app: Any, seen: Seen) -> Account:
    bearer = {"Authorization": f"Bearer {app['access']}"}
    new = ask(attacks, "totp/replace/", {}, **bearer).body
    seen.add(**{"new secret": new["secret"], "new URI": new["otpauth_uri"]})
    account = Account(account.user, new["secret"], [])
    code = seen.add_code("code of the new phone", account.code())
    shown = ask(attacks, "totp/confirm/", {"input_code": code}, **bearer).body
    seen.add_all("new backup code", shown["backup_codes"])
    return Account(account.user, account.secret, shown["backup_codes"])


def _recover(attacks: Attacks, account: Account, seen: Seen) -> None:
    half = attacks.half(account)
    seen.add_code("wrong code", account.wrong_code())
    half.post(VERIFY, {"otp_code": account.wrong_code()})
    half.post(VERIFY, {"recovery": "1"})
    link = recovery_link(account)
    seen.add(**{ASKED: token_in(link)})
    half.post(link, {})
    seen.add(**{STARTED: token_in(recovery_link(account))})
    let_wait_end(account)
    told = give_password(attacks, account)
    seen.add(challenge=told["totp_challenge_token"], enroll=told["totp_recovery_challenge_token"])
    body = {"totp_challenge_token": told["totp_recovery_challenge_token"]}
    setup = ask(attacks, "jwt/totp/create/", body).body
    seen.add(**{"last secret": setup["secret"], "last URI": setup["otpauth_uri"]})
    last = Account(account.user, setup["secret"], [])
    code = seen.add_code("code of the last phone", last.code())
    done = ask(attacks, "jwt/totp/confirm/", {**body, "input_code": code}).body
    seen.add_all("last backup code", done["backup_codes"])
    seen.add(access=done["access"], refresh=done["refresh"])
    refresh(last)
    _use_backup_code(attacks, last, done["backup_codes"][0])


def _use_backup_code(attacks: Attacks, account: Account, code: str) -> None:
    token = challenges.make(joined(account), challenges.VERIFY)
    body = {"totp_challenge_token": token, "backup_code": code}
    answer = ask(attacks, "jwt/totp/verify/", body)
    assert answer.status == 200, answer


def _in_mails(seen: Seen, mails: list[str]) -> list[str]:
    """Return what stands in mails beside the two links, of which each must stand in one."""
    found = [(name, number) for number, mail in enumerate(mails) for name in seen.found_in(mail)]
    wrong = [f"{name} in mail {number}" for name, number in found if name not in LINKS]
    names = [name for name, _ in found]
    wrong += [f"{name} in {names.count(name)} mails" for name in LINKS if names.count(name) != 1]
    return wrong + [f"{name} in a mail" for name in seen.codes_in("\n".join(mails))]


def _in_tables(seen: Seen) -> list[str]:
    """Return what stands in a table, or in a session that is stored there."""
    found = []
    for table, text in _tables().items():
        found += [f"{name} in {table}" for name in seen.found_in(text)]
    # A half-login keeps its challenge there, which is where it belongs: it opens nothing alone.
    sessions = "\n".join(str(session.get_decoded()) for session in Session.objects.all())
    found += [f"{name} in a session" for name in seen.found_in(sessions) - {"challenge"}]
    words = " ".join(str(one) for row in Event.objects.values_list(*TEXTS) for one in row)
    names = " ".join(TrustedDevice.objects.values_list("name", flat=True))
    return found + [f"{name} in the events" for name in seen.codes_in(f"{words} {names}")]


TEXTS = ("event", "method", "reason", "address", "user_agent")


def _tables() -> dict[str, str]:
    """Return all rows of each table, as text."""
    texts = {}
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608
            texts[table] = "\n".join(str(value) for row in cursor.fetchall() for value in row)
    return texts
