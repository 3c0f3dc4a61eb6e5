"""What is tried with what was stolen, and what it comes to. Imported once Django is set up.

Somebody has the password, the mailbox, the cookie of a trusted device, or two of them. The owner
comes by afterwards: what was not stolen must still serve, and what was found out must be over.
"""

import email
import re
import secrets
from datetime import timedelta
from email.message import Message
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.tokens import default_token_generator
from django.core import signing
from django.test import override_settings
from django.utils import timezone

from django_totp import challenges, devices
from django_totp.auth import end_sessions, reset_totp
from django_totp.models import Totp, TrustedDevice
from proof.accounts import PASSWORD, Account, enroll, enrolled
from proof.attacks import Attacks, Promises, is_in, name_of, refresh
from proof.browsers import LOGIN, VERIFY, Browser, Page, filled
from proof.client import Answer, Volley
from proof.doors import CODES, DISABLE, SETUP, STATE
from proof.lives import joined, recovering, replacing, with_mailbox, with_new_phone

COOKIE = "totp_device"
RESET = "/reset/"
NEW_PASSWORD = "the password of a thief"
BETWEEN = "-" * 79  # mails in one file, as Django's file backend has them
CHANGES = ("disable", "rotate_backup_codes", "replace")
GUESSES = 20
TRUST = {"trust_device": "on"}


# --- The steps of people ---


def ask(attacks: Attacks, path: str, body: dict[str, Any], **headers: str) -> Answer:
    """Send a request to the API."""
    with Volley(attacks.server.port, 1) as volley:
        return volley.send(path, body, **headers)


def give_password(attacks: Attacks, account: Any, **more: str) -> Any:
    """Return the answer to the password of ``account``, over the API."""
    body = {"username": account.user.get_username(), "password": PASSWORD, **more}
    return ask(attacks, "jwt/create/", body).body


def trusted_browser(attacks: Attacks, account: Any) -> Browser:
    """Return a browser that is signed in and a trusted device; the code of now is unused."""
    browser = attacks.half(account)
    browser.post(VERIFY, {"otp_code": account.code(), **TRUST})
    assert COOKIE in browser.cookies, browser.shows(STATE)
    refresh(account)
    return browser


def trusted_app(attacks: Attacks, account: Any) -> Any:
    """Return the answer that an app gets which is now a trusted device."""
    challenge = give_password(attacks, account)["totp_challenge_token"]
    proof = {"otp_code": account.code(), "trust_device": True, "device_name": "phone"}
    answer = ask(attacks, "jwt/totp/verify/", {"totp_challenge_token": challenge, **proof})
    assert "trusted_device" in answer.body, answer
    refresh(account)
    return answer.body


def with_device_of(attacks: Attacks, browser: Browser) -> Browser:
    """Return another browser that has the cookie of the device and nothing else."""
    other = attacks.browser()
    other.cookies[COOKIE] = browser.cookies[COOKIE]
    return other


def mails_to(user: Any) -> list[str]:
    """Return the texts of all mails to ``user``, the oldest first."""
    return [text_of(mail) for mail in all_mails() if mail["To"] == user.email]


def all_mails() -> list[Message]:
    files = sorted(
        Path(settings.EMAIL_FILE_PATH).iterdir(), key=lambda file: file.stat().st_mtime_ns
    )
    texts = [text for file in files for text in file.read_text().split(BETWEEN) if text.strip()]
    return [email.message_from_string(text.strip()) for text in texts]


def text_of(mail: Message) -> str:
    payload = mail.get_payload(decode=True)
    return payload.decode() if isinstance(payload, bytes) else str(payload)


def link_to(user: Any, page: str) -> str:
    """Return the path of the last link to such a page that was mailed to ``user``."""
    links = re.findall(rf"https?://[^/\s]+({page}[^\s]+)", "\n".join(mails_to(user)))
    return str(links[-1]) if links else ""


def recovery_link(account: Any) -> str:
    return link_to(account.user, f"{STATE}recovery/")


def token_in(link: str) -> str:
    return link.rstrip("/").rpartition("/")[2]


def take_password(attacks: Attacks, account: Any) -> Browser:
    """Set a new password by the mailbox of ``account``, and log in with it."""
    thief = attacks.browser()
    thief.post(RESET, {"email": account.user.email})
    form = thief.get(link_to(account.user, RESET)).location
    passwords = {"new_password1": NEW_PASSWORD, "new_password2": NEW_PASSWORD}
    thief.post(form, passwords)
    return log_in_as_thief(attacks, account)


def log_in_as_thief(attacks: Attacks, account: Any) -> Browser:
    thief = attacks.browser()
    form = {"username": account.user.get_username(), "password": NEW_PASSWORD}
    page = thief.post(LOGIN, form)
    assert page.location.startswith(VERIFY), page
    return thief


def begin_recovery(thief: Browser, account: Any) -> Page:
    """Ask for a mail, and press the button of the page that it leads to."""
    thief.post(VERIFY, {"recovery": "1"})
    return thief.post(recovery_link(account), {})


def let_wait_end(account: Any) -> None:
    before = timezone.now() - timedelta(seconds=1)
    Totp.objects.filter(user=account.user, recovery_ready_at__isnull=False).update(
        recovery_ready_at=before
    )


def set_up_anew(thief: Browser, account: Any) -> str:
    """Try to enroll a new app in the login of ``thief``, and return who is in."""
    thief.post(VERIFY, {"recovery": "1"})
    page = thief.get(SETUP)
    shown = re.search(r'name="secret" value="([^"]+)"', page.text)
    if shown:
        code = Account(account.user, shown[1], []).code()
        thief.submit(SETUP, filled(page, {"otp_code": code, "secret": shown[1]}))
    return is_in(thief, account)


def row_of(account: Any) -> Totp:
    return Totp.objects.get(user=account.user)


# --- The password alone ---


def passwords(attacks: Attacks) -> Promises:
    """Yield attacks with the password and nothing else."""

    def over_api(account: Any) -> str:
        with_mailbox(account)
        told = give_password(attacks, account)
        token = told["totp_challenge_token"]
        ask(attacks, "totp/recovery/", {"totp_challenge_token": token})
        statuses = {
            ask(attacks, "totp/recovery_confirm/", {"token": token}).status,
            ask(attacks, "totp/recovery_cancel/", {"token": token}).status,
            ask(attacks, "jwt/totp/create/", {"totp_challenge_token": token}).status,
            ask(attacks, "jwt/refresh/", {"refresh": token}).status - 1,  # a 401
        }
        told |= give_password(attacks, account)
        opened = {*told} - {"is_totp_enabled", "totp_challenge_token"}
        return "nobody" if not opened and statuses == {400} else f"{opened}, {statuses}"

    def by_pages(account: Any) -> str:
        thief = attacks.half(with_mailbox(account))
        thief.post(VERIFY, {"recovery": "1"})
        return set_up_anew(thief, account) + _standing_recovery(account)

    def many_mails(account: Any) -> str:
        with_mailbox(account)
        for _ in range(GUESSES):
            token = give_password(attacks, account)["totp_challenge_token"]
            ask(attacks, "totp/recovery/", {"totp_challenge_token": token})
        return f"{len(mails_to(account.user))} mail"

    yield "the password alone, over the API", over_api, "nobody"
    yield "the password alone, by pages", by_pages, "nobody"
    yield f"the password alone, a recovery asked for {GUESSES} times", many_mails, "1 mail"


def _standing_recovery(account: Any) -> str:
    return ", A RECOVERY IS ON" if row_of(account).is_recovery_pending else ""


# --- The mailbox ---


def mailboxes(attacks: Attacks) -> Promises:
    """Yield attacks with the mailbox, where a new password can be had as well."""

    def new_password(account: Any) -> str:
        return name_of(take_password(attacks, with_mailbox(account)))

    def other_tokens(account: Any) -> str:
        with_mailbox(account)
        owner = attacks.half(account)
        owner.post(VERIFY, {"recovery": "1"})
        mailed = token_in(recovery_link(account))
        reset = default_token_generator.make_token(joined(account))
        key = link_key(attacks, account)
        thief = attacks.browser()
        opened = thief.get(f"{RESET}{key}/{mailed}/").location
        status = ask(attacks, "totp/recovery_confirm/", {"token": reset}).status
        return "nothing" if (opened, status) == ("", 400) else f"{opened}, {status}"

    def old_link(account: Any) -> str:
        attacks.half(with_mailbox(account)).post(VERIFY, {"recovery": "1"})
        link = recovery_link(account)
        assert attacks.browser().get(link).status == 200
        thief = take_password(attacks, account)
        shown = thief.get(link).status
        begun = ask(attacks, "totp/recovery_confirm/", {"token": token_in(link)}).status
        return f"{shown}, {begun}{_standing_recovery(account)}"

    def within(account: Any) -> str:
        thief = take_password(attacks, with_mailbox(account))
        begin_recovery(thief, account)
        assert row_of(account).is_recovery_pending
        return set_up_anew(log_in_as_thief(attacks, account), account)

    def stopped_by_link(account: Any) -> str:
        thief = take_password(attacks, with_mailbox(account))
        begin_recovery(thief, account)
        attacks.browser().post(recovery_link(account), {})  # the last mail has the link that stops
        let_wait_end(account)
        return set_up_anew(log_in_as_thief(attacks, account), account) + _standing_recovery(account)

    def stopped_by_code(account: Any) -> str:
        thief = take_password(attacks, with_mailbox(account))
        begin_recovery(thief, account)
        let_wait_end(account)
        late = log_in_as_thief(attacks, account)
        owner = log_in_as_thief(attacks, account)  # who has set a new password just like that
        owner.post(VERIFY, {"otp_code": account.code()})
        assert is_in(owner, account) == "in"
        nobody = set_up_anew(late, account)
        again = log_in_as_thief(attacks, account)
        return f"{set_up_anew(again, account)}{'' if nobody == 'nobody' else ', ' + nobody}"

    def unopposed(account: Any) -> str:
        thief = take_password(attacks, with_mailbox(account))
        begin_recovery(thief, account)
        let_wait_end(account)
        name = set_up_anew(log_in_as_thief(attacks, account), account)
        return f"{name} ({len(mails_to(account.user))} mails)"

    yield "the mailbox and a new password", new_password, "nobody"
    yield "a recovery token as a reset token, and the reverse", other_tokens, "nothing"
    yield "a link from before a new password", old_link, "400, 400"
    yield "mailbox, new password, recovery: within the wait", within, "nobody"
    yield "the same, stopped by the link in the mail", stopped_by_link, "nobody"
    yield "the same, wait over, then a right code of the owner", stopped_by_code, "nobody"
    yield "the same, nobody has stopped it: this opens the account", unopposed, "in"


def link_key(attacks: Attacks, account: Any) -> str:
    """Return what Django's link to a new password names the user by."""
    attacks.browser().post(RESET, {"email": account.user.email})
    return link_to(account.user, RESET).split("/")[2]


# --- The device ---


def cookies(attacks: Attacks) -> Promises:
    """Yield attacks with what a trusted device keeps."""

    def alone(account: Any) -> str:
        owner = trusted_browser(attacks, account)
        thief = with_device_of(attacks, owner)
        form = {"username": account.user.get_username(), "password": "a wrong one"}
        thief.post(LOGIN, form)
        ask(attacks, "jwt/create/", {**form, "trusted_device": owner.cookies[COOKIE]})
        nobody = name_of(thief)
        again = with_device_of(attacks, owner)
        attacks.log_in(account.user, again)
        return f"{nobody}, its owner {is_in(again, account)}"

    def beside_another(account: Any) -> str:
        owner, other = trusted_browser(attacks, account), enrolled()
        thief = with_device_of(attacks, owner)
        attacks.half(other, thief)
        value = owner.cookies[COOKIE]
        told = give_password(attacks, other, trusted_device=value)
        again = with_device_of(attacks, owner)
        attacks.log_in(account.user, again)
        names = name_of(thief) if "access" not in told else "IN"
        return f"{names}, its owner {is_in(again, account)}"

    def with_password(account: Any) -> str:
        owner = trusted_browser(attacks, account)
        thief = with_device_of(attacks, owner)
        attacks.log_in(account.user, thief)
        name = is_in(thief, account)
        return f"{name}, {_changed(thief, account)}, {_found_out(attacks, owner, thief, account)}"

    def with_password_over_api(account: Any) -> str:
        value = trusted_app(attacks, account)["trusted_device"]
        stolen = give_password(attacks, account, trusted_device=value)
        bearer = {"Authorization": f"Bearer {stolen.get('access')}"}
        answers = [
            ask(attacks, f"totp/{name}/", body, **bearer)
            for name in CHANGES
            for body in ({}, {"password": PASSWORD}, {"otp_code": account.wrong_code()})
        ]
        step = {"refresh": stolen.get("refresh"), "backup_code": "a wrong one"}
        answers.append(ask(attacks, "jwt/step_up/", step))
        done = [answer.status for answer in answers if answer.status not in (400, 401, 403)]
        owner = give_password(attacks, account, trusted_device=value)
        thief = give_password(attacks, account, trusted_device=stolen["trusted_device"])
        found = "access" not in owner and "access" not in thief
        told = f"CHANGED {done}" if done else "changes nothing"
        return f"{'in' if 'access' in stolen else 'nobody'}, {told}, {_word(found)}"

    def too_late(account: Any) -> str:
        owner = trusted_browser(attacks, account)
        thief = with_device_of(attacks, owner)
        attacks.log_in(account.user, with_device_of(attacks, owner))
        attacks.log_in(account.user, thief)
        is_left = TrustedDevice.objects.filter(user=account.user).exists()
        return name_of(thief) + (", THE DEVICE IS LEFT" if is_left else "")

    yield "a device cookie alone", alone, "nobody, its owner in"
    yield "a device cookie, and the password of another", beside_another, "nobody, its owner in"
    found = "in, changes nothing, found out"
    yield "a copied cookie and the password, by pages", with_password, found
    yield "a copied value and the password, over the API", with_password_over_api, found
    yield "the same, after its owner has been there", too_late, "nobody"
    yield from _ended(attacks)


def _ended(attacks: Attacks) -> Promises:
    """Yield what ends a device, each with the cookie from before and the password."""

    def new_password(user: Any) -> None:
        user.set_password(PASSWORD)  # even the same one again
        user.save(update_fields=["password"])

    def new_factor(user: Any) -> None:
        reset_totp(user)
        enroll(user)

    def removed(user: Any) -> None:
        devices.remove_all(user)

    def after(end: Any) -> Any:
        def tried(account: Any) -> str:
            owner = trusted_browser(attacks, account)
            end(joined(account))
            thief = with_device_of(attacks, owner)
            attacks.log_in(account.user, thief)
            return name_of(thief)

        return tried

    ways = {
        "a new password": new_password,
        "end_sessions": end_sessions,
        "a reset and a new enrollment": new_factor,
        "its removal": removed,
    }
    for name, end in ways.items():
        yield f"cookie and password from before {name}", after(end), "nobody"


def _changed(thief: Browser, account: Any) -> str:
    """Return what ``thief`` can change without a code."""
    before = row_of(account)
    for page in (DISABLE, CODES, SETUP):
        shown = thief.get(page)
        if not shown.location.startswith(VERIFY):
            return f"SHOWN {page} {shown.status}"
        thief.post(page, {"password": PASSWORD})
    for name in CHANGES:
        for form in ({}, {"password": PASSWORD}):
            body = thief.fill(STATE, form)
            page = thief.submit(f"/api/totp/{name}/", body, **_csrf(thief))
            if page.status != 403 or "reauthentication_required" not in page.text:
                return f"{name} GAVE {page.status}"
    after = row_of(account)
    is_same = (before.version, before.secret_key) == (after.version, after.secret_key)
    return "changes nothing" if is_same else "THE ROW HAS CHANGED"


def _csrf(browser: Browser) -> dict[str, str]:
    return {"X-CSRFToken": browser.cookies.get("csrftoken", ""), "Accept": "application/json"}


def _found_out(attacks: Attacks, owner: Browser, thief: Browser, account: Any) -> str:
    """Let the owner come with the old cookie: a code is asked for, and of the thief as well."""
    again = with_device_of(attacks, owner)
    attacks.log_in(account.user, again)
    later = with_device_of(attacks, thief)
    attacks.log_in(account.user, later)
    return _word({name_of(again), name_of(later)} == {"nobody"})


def _word(found: bool) -> str:
    return "found out" if found else "NOT FOUND OUT"


# --- Guesses ---


def guesses(attacks: Attacks) -> Promises:
    """Yield guesses at each of the new doors."""

    def replacement(account: Any) -> str:
        account = replacing()
        told = _guess(attacks, account, lambda number: _confirm(account, number))
        Totp.objects.filter(user=account.user).update(failures=0, waiting_until=None)
        path, body, bearer = _confirm(account, 0)
        right = ask(attacks, path, {**body, "input_code": with_new_phone(account).code()}, **bearer)
        return told if right.status == 200 else f"BURNT: {right}"

    def from_before(account: Any) -> str:
        account = replacing()
        path, _, bearer = _confirm(account, 0)
        right = {"input_code": with_new_phone(account).code()}
        assert ask(attacks, path, right, **bearer).status == 200
        stale = {"Authorization": f"Bearer {account.there['access']}"}
        proofs = ({}, {"password": PASSWORD}, {"backup_code": account.backup_codes[0]})
        tried = [(f"totp/{name}/", proof) for name in CHANGES for proof in proofs]
        done = [path for path, proof in tried if ask(attacks, path, proof, **stale).status < 300]
        refreshed = ask(attacks, "jwt/refresh/", {"refresh": account.there["refresh"]}).status
        return f"{done or 'nothing'}, {refreshed}"

    def by_turns(account: Any) -> str:
        account = replacing()
        bearer = {"Authorization": f"Bearer {account.here['access']}"}

        def call(number: int) -> Any:
            wrong = {"otp_code": account.wrong_code(number)}
            challenge = {"totp_challenge_token": account.challenge(), **wrong}
            doors = [
                _confirm(account, number),
                ("jwt/totp/verify/", challenge, {}),
                ("jwt/step_up/", {"refresh": account.here["refresh"], **wrong}, bearer),
            ]
            return doors[number % len(doors)]

        return _guess(attacks, account, call)

    def recovery(account: Any) -> str:
        """Let somebody guess who would see the secret, if the challenge were his."""
        account = recovering()
        body = {"totp_challenge_token": account.here["token"]}
        for number in range(GUESSES):
            code = {"input_code": _wrong_of_both(account, number)}
            answer = ask(attacks, "jwt/totp/confirm/", {**body, **code})
            if answer.status not in (400, 429):
                return f"GUESS {number}: {answer}"
        return f"nobody, {row_of(account).failures} counted"

    def values(account: Any) -> str:
        kept = devices.parsed(trusted_app(attacks, account)["trusted_device"])
        assert kept is not None
        for _ in range(GUESSES):
            series, secret = secrets.token_urlsafe(16), secrets.token_urlsafe(24)
            guess = f"{kept.tag}.{kept.at}.{kept.key}.{series}.{secret}"
            if "access" in give_password(attacks, account, trusted_device=guess):
                return "IN BY A GUESS"
        left = give_password(attacks, account, trusted_device=kept.text)
        told = "the device is left" if "access" in left else "THE DEVICE IS GONE"
        return f"nobody, {row_of(account).failures} counted, {told}"

    def tokens(account: Any) -> str:
        account = replacing()
        with_mailbox(account)
        before = row_of(account).version
        opened = [
            f"{path} BY {name}"
            for name, token in _foreign_tokens(account).items()
            for path, field, own in TOKEN_DOORS
            if own != name
            and ask(attacks, path, {field: token, **MORE.get(path, {})}).status != 400
        ]
        is_same = before == row_of(account).version
        return "nothing" if not opened and is_same else f"{opened}, ROW CHANGED: {not is_same}"

    counted = "6 evaluated, 6 counted, 14 refused unseen"
    yield "20 wrong codes at the confirmation of a replacement", replacement, counted
    yield "a login from before a replacement: changes, refresh", from_before, "nothing, 401"
    yield "replacement, login and step-up by turns", by_turns, counted
    yield "20 wrong codes at the end of a recovery", recovery, "nobody, 6 counted"
    yield (
        "20 values of a device, all known but its secrets",
        values,
        ("nobody, 0 counted, the device is left"),
    )
    yield "forged tokens, and those of other purposes, at each door", tokens, "nothing"


TOKEN_DOORS = (  # path, field, the token that belongs there
    ("totp/recovery/", "totp_challenge_token", challenges.VERIFY),
    ("totp/recovery_confirm/", "token", challenges.RECOVER),
    ("totp/recovery_cancel/", "token", challenges.CANCEL),
    ("jwt/totp/verify/", "totp_challenge_token", challenges.VERIFY),
    ("jwt/totp/create/", "totp_challenge_token", challenges.ENROLL),
    ("jwt/totp/confirm/", "totp_challenge_token", challenges.ENROLL),
)
MORE = {"jwt/totp/verify/": {"otp_code": "000000"}, "jwt/totp/confirm/": {"input_code": "000000"}}
PURPOSES = (challenges.VERIFY, challenges.ENROLL, challenges.RECOVER, challenges.CANCEL)


def _foreign_tokens(account: Account) -> dict[str, str]:
    """Return tokens by their purpose, and such as are good for nothing."""
    user = joined(account)
    made = {purpose: challenges.make(user, purpose) for purpose in PURPOSES}
    with override_settings(SECRET_KEY=secrets.token_urlsafe(50)):
        forged = {f"{name}, forged": challenges.make(user, name) for name in PURPOSES}
    cut = {f"{name}, changed": f"{token[:-2]}xx" for name, token in made.items()}
    claims = {"user_id": str(user.pk), "purpose": challenges.RECOVER, "fingerprint": ""}
    others = {
        "the access token": account.here["access"],
        "the refresh token": account.here["refresh"],
        "a reset token": default_token_generator.make_token(user),
        "without a fingerprint": signing.dumps(claims, salt="another salt"),
        "not even a token": "x",
    }
    return {**made, **forged, **cut, **others}


def _guess(attacks: Attacks, account: Account, call: Any) -> str:
    """Send wrong codes, and return how many were answered, how many counted."""
    refused = 0
    for number in range(GUESSES):
        path, body, headers = call(number)
        answer = ask(attacks, path, body, **headers)
        if answer.status not in (400, 429):
            return f"GUESS {number}: {answer}"
        refused += answer.body.get("code") == "too_many_attempts"
    counted = row_of(account).failures
    return f"{GUESSES - refused} evaluated, {counted} counted, {refused} refused unseen"


def _confirm(account: Account, number: int) -> Any:
    bearer = {"Authorization": f"Bearer {account.here['access']}"}
    return "totp/confirm/", {"input_code": _wrong_of_both(account, number)}, bearer


def _wrong_of_both(account: Account, number: int) -> str:
    """Return a code that is wrong for the old app and for the new one."""
    new = with_new_phone(account)
    right = {new.code(away) for away in range(-2, 3)}
    return next(
        code
        for tried in range(number, number + 9)
        if (code := account.wrong_code(tried)) not in right
    )


KINDS = (passwords, mailboxes, cookies, guesses)
