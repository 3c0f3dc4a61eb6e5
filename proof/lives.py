"""Races in the life of a factor: another phone, trusted devices, recovery. See ``scenarios``."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connections
from django.test import override_settings

from django_totp import challenges, devices
from django_totp.accounts import accounts
from django_totp.assurance import Standing, new_login
from django_totp.auth import end_sessions
from django_totp.encryption import decrypt
from django_totp.models import Totp, TrustedDevice
from django_totp.totp import start_totp_replacement
from proof.accounts import PASSWORD, Account, enrolled
from proof.client import Answer, Call
from proof.scenarios import (
    NO_WAIT,
    WIDTH,
    Race,
    login,
    managed,
    signed_in,
    standing_of,
    statuses,
    stored_codes,
)

DAYS = 86400
TRUST = {"TOTP_TRUSTED_DEVICE_MAX_AGE": 30 * DAYS}
RECOVERY = {
    "TOTP_RECOVERY_DELAY": DAYS,
    "TOTP_RECOVERY_URL": "https://app.example/{action}/{token}",
    "EMAIL_BACKEND": "django.core.mail.backends.dummy.EmailBackend",
    "TEMPLATES": [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
}
LIFE = {**NO_WAIT, **TRUST, **RECOVERY}


def joined(account: Account) -> Any:
    """Return the user with all that judges a login."""
    return accounts().get(pk=account.user.pk)


def change(account: Account, **fields: Any) -> None:
    Totp.objects.filter(user=account.user).update(**fields)


# --- Another phone ---


def replacing() -> Account:
    """Make an enrollment whose owner has scanned a new secret: ``here`` has it."""
    account = signed_in()
    setup = start_totp_replacement(account.user)
    return replace(account, here={**account.here, "new": setup.secret})


def with_new_phone(account: Account) -> Account:
    return replace(account, secret=account.here["new"])


def confirms(account: Account, times: int = WIDTH) -> list[Call]:
    code = with_new_phone(account).code()
    bearer = {"Authorization": f"Bearer {account.here['access']}"}
    return [Call("totp/confirm/", {"input_code": code}, bearer) for _ in range(times)]


def confirms_beside_logins(account: Account) -> list[Call]:
    logins = [login(account, otp_code=account.code(away)) for away in (-1, 0, 1)]
    logins.append(login(account, backup_code=account.backup_codes[0]))
    return alternating(confirms(account, WIDTH // 2), logins)


def confirms_beside_disables(account: Account) -> list[Call]:
    disables = [managed(account, "totp/disable/") for _ in range(WIDTH // 2)]
    return alternating(confirms(account, WIDTH // 2), disables)


def alternating(some: list[Call], others: list[Call]) -> list[Call]:
    return [call for pair in zip(some, others, strict=True) for call in pair]


def given(answers: list[Answer], name: str) -> list[Any]:
    """Return what answers have given under ``name``."""
    bodies = [answer.body for answer in answers if isinstance(answer.body, dict)]
    return [body[name] for body in bodies if name in body]


def swapped(account: Account, answers: list[Answer], secret: str) -> str:
    """Return what is wrong with a swap of the factor for that with ``secret``, or nothing."""
    row, shown = account.row(), given(answers, "backup_codes")
    if row is None or not row.is_enabled or decrypt(row.secret_key) != secret:
        return "THE OLD SECRET IS ON"
    if len(shown) != 1 or stored_codes(account) != {*shown[0]}:
        return f"{len(shown)} CONFIRMED, {len(stored_codes(account))} CODES"
    return "A REPLACEMENT IS LEFT" if row.replacement else ""


def replaced(account: Account, answers: list[Answer]) -> str:
    """One set of codes; other logins owe a code, and the one that confirmed does not."""
    wrong = swapped(account, answers, account.here["new"])
    if wrong:
        return wrong
    here, there = (
        standing_of(account, tokens["access"]) for tokens in (account.here, account.there)
    )
    if (here, there) != (Standing.GOOD, Standing.SECOND_FACTOR):
        return f"HERE {here}, THERE {there}"
    return "one set of codes"


def replaced_or_login(account: Account, answers: list[Answer]) -> str:
    """The new secret is on. A login that the old one has given owes a code of the new one."""
    wrong = swapped(account, answers, account.here["new"])
    if wrong:
        return wrong
    got = given(answers, "access")
    if any(standing_of(account, token) is Standing.GOOD for token in got):
        return "A LOGIN BY THE OLD PHONE STAYED IN"
    row = account.row()
    if row is None or row.verifications != 1 + len(got):
        return f"{len(got)} LOGINS, ROW SAYS {row and row.verifications}"
    return "replaced, no login" if not got else "replaced, others owe a code"


def replaced_or_gone(account: Account, answers: list[Answer]) -> str:
    """Nothing is half there: the new factor with its codes, or nothing at all."""
    row = account.row()
    if row is None:
        return "disabled"
    return swapped(account, answers, account.here["new"]) or "replaced"


# --- Trusted devices ---


def trusting() -> Account:
    """Make an enrollment whose owner trusts a device: ``here`` has what that keeps."""
    account = enrolled()
    with override_settings(**TRUST):
        user = joined(account)
        value = devices.trust(user, new_login(user, "pwd", "otp", "mfa"), "laptop")
    return replace(account, here={"device": value})


def trusting_alone() -> Account:
    Totp.objects.all().delete()
    return trusting()


def device_logins(account: Account) -> list[Call]:
    body = {"username": account.user.get_username(), "password": PASSWORD}
    return [Call("jwt/create/", {**body, "trusted_device": account.here["device"]})] * WIDTH


def device_login(account: Account) -> list[Call]:
    return device_logins(account)[:1]


def one_device_login(account: Account, answers: list[Answer]) -> str:
    """One gets tokens. The others have a value that was used: they owe a code, and end it."""
    logins = len(given(answers, "access"))
    asked_for_code = len(given(answers, "totp_challenge_token"))
    if (logins, asked_for_code) != (1, WIDTH - 1):
        return f"{logins} LOGINS, {asked_for_code} ASKED"
    is_left = TrustedDevice.objects.filter(user=account.user).exists()
    return "THE DEVICE IS LEFT" if is_left else "one login, and the device ended"


def no_device_login_is_left(account: Account, answers: list[Answer]) -> str:
    """Whatever they got meanwhile, it is worth nothing, and the device spares no code."""
    tokens = given(answers, "access")
    if len(tokens) > 1:
        return f"{len(tokens)} LOGINS"
    if any(standing_of(account, token) is not Standing.OUTDATED for token in tokens):
        return "A LOGIN STAYED IN"
    with override_settings(**TRUST):
        values = given(answers, "trusted_device")
        user = joined(account)
        if any(devices.use(user, value) for value in [*values, account.here["device"]]):
            return "THE DEVICE IS LEFT"
    return "all are out"


def end_all() -> None:
    for totp in Totp.objects.all():
        end_sessions(totp.user)
    connections.close_all()


# --- Recovery ---


def with_mailbox(account: Account) -> Account:
    account.user.email = f"{account.user.get_username()}@example.com"
    account.user.save(update_fields=["email"])
    return account


def asked() -> Account:
    """Make an enrollment whose owner has been mailed a link: ``here`` has its token."""
    account = with_mailbox(signed_in())
    change(account, recovery_asked_at=datetime.now(UTC))
    token = challenges.make(joined(account), challenges.RECOVER)
    return replace(account, here={**account.here, "token": token})


def about_to_ask() -> Account:
    return with_mailbox(signed_in())


def recovering() -> Account:
    """Make one whose wait is over, and who has scanned a new secret."""
    account = with_mailbox(signed_in())
    change(account, recovery_ready_at=datetime.now(UTC) - timedelta(seconds=1))
    setup = start_totp_replacement(account.user, in_recovery=True)
    token = challenges.make(joined(account), challenges.ENROLL)
    return replace(account, here={**account.here, "new": setup.secret, "token": token})


def finishes(account: Account, times: int = WIDTH) -> list[Call]:
    code = with_new_phone(account).code()
    body = {"totp_challenge_token": account.here["token"], "input_code": code}
    return [Call("jwt/totp/confirm/", body) for _ in range(times)]


def finishes_beside_codes(account: Account) -> list[Call]:
    """Have the new app confirmed while the owner of the old one logs in."""
    code = login(account, backup_code=account.backup_codes[0])
    return [*finishes(account, WIDTH - 1), code]  # there is less to do for it: about half win


def finishes_beside_cancels(account: Account) -> list[Call]:
    cancels = [managed(account, "totp/recovery_cancel/") for _ in range(WIDTH // 2)]
    return alternating(finishes(account, WIDTH // 2), cancels)


def recovered(account: Account, answers: list[Answer]) -> str:
    """One set of codes, one login, and all other logins are over."""
    wrong = swapped(account, answers, account.here["new"])
    if wrong:
        return wrong
    got = given(answers, "access")
    worth = [standing_of(account, token) for token in got]
    if worth != [Standing.GOOD]:
        return f"LOGINS ARE WORTH {worth}"
    others = {standing_of(account, tokens["access"]) for tokens in (account.here, account.there)}
    return "recovered, all others out" if others == {Standing.OUTDATED} else f"OTHERS ARE {others}"


def recovered_or_stopped(account: Account, answers: list[Answer]) -> str:
    """Either it is done, or a right code has stopped it: never both."""
    row, finished = account.row(), len(given(answers, "backup_codes"))
    by_code = len(given(answers, "access")) - finished  # the new app's answer has both
    if row is None or finished + by_code != 1:
        return f"{finished} RECOVERED, {by_code} LOGINS BY THE OLD PHONE"
    if finished:
        return recovered(account, answers)
    if decrypt(row.secret_key) != account.secret or row.is_recovery_pending:
        return "STOPPED, AND YET GOING ON"
    return "stopped by a right code"


def recovered_or_cancelled(account: Account, answers: list[Answer]) -> str:
    if given(answers, "backup_codes"):
        return recovered(account, answers)
    row = account.row()
    if row is None or decrypt(row.secret_key) != account.secret or row.is_recovery_pending:
        return "CANCELLED, AND YET GOING ON"
    return "cancelled"


def starts(account: Account, times: int = WIDTH) -> list[Call]:
    return [Call("totp/recovery_confirm/", {"token": account.here["token"]}) for _ in range(times)]


def starts_beside_codes(account: Account) -> list[Call]:
    codes = [login(account, backup_code=code) for code in account.backup_codes[: WIDTH // 2]]
    return alternating(starts(account, WIDTH // 2), codes)


def starts_beside_cancels(account: Account) -> list[Call]:
    cancels = [managed(account, "totp/recovery_cancel/") for _ in range(WIDTH // 2)]
    return alternating(starts(account, WIDTH // 2), cancels)


def one_start(account: Account, answers: list[Answer]) -> str:
    """All are told one and the same moment."""
    moments = {*given(answers, "ready_at")}
    row = account.row()
    if statuses(answers) != {202: WIDTH} or len(moments) != 1:
        return f"{dict(statuses(answers))}, {len(moments)} MOMENTS"
    return "one moment" if row and row.is_recovery_pending else "NOT STARTED"


def nothing_goes_on(account: Account, answers: list[Answer]) -> str:
    """Whoever was first: a right code, or who is signed in, has stopped it."""
    row = account.row()
    if row is None or row.is_recovery_pending:
        return "IT GOES ON"
    token = challenges.challenge_subject(account.here["token"], challenges.RECOVER)
    try:
        challenges.challenged(account.here["token"], challenges.RECOVER, lambda user: True)
    except challenges.InvalidChallenge:
        is_begun = 202 in statuses(answers)
        return f"stopped, {'begun' if is_begun else 'not begun'} before" if token else "FORGED"
    return "THE LINK IS STILL GOOD"


def requests(account: Account) -> list[Call]:
    challenge = challenges.make(joined(account), challenges.VERIFY)
    return [Call("totp/recovery/", {"totp_challenge_token": challenge}) for _ in range(WIDTH)]


def one_mail(account: Account, answers: list[Answer]) -> str:
    """Each is told the same; the row was moved once, so one mail was written."""
    row = account.row()
    if statuses(answers) != {202: WIDTH} or row is None:
        return f"{dict(statuses(answers))}"
    return "one mail" if row.version == 1 else f"{row.version} MAILS"


STOPPED = frozenset({"stopped, begun before", "stopped, not begun before"})
RACES = (
    Race(
        "replace: confirm, 8 times",
        replacing,
        confirms,
        replaced,
        frozenset({"one set of codes"}),
        LIFE,
    ),
    Race(
        "replace: confirm against the old phone",
        replacing,
        confirms_beside_logins,
        replaced_or_login,
        frozenset({"replaced, no login", "replaced, others owe a code"}),
        LIFE,
    ),
    Race(
        "replace: confirm against disable",
        replacing,
        confirms_beside_disables,
        replaced_or_gone,
        frozenset({"replaced", "disabled"}),
        LIFE,
    ),
    Race(
        "device: one value, 8 times",
        trusting,
        device_logins,
        one_device_login,
        frozenset({"one login, and the device ended"}),
        LIFE,
    ),
    Race(
        "device: one value against end_sessions",
        trusting_alone,
        device_login,
        no_device_login_is_left,
        frozenset({"all are out"}),
        LIFE,
        end_all,
    ),
    Race("recovery: ask, 8 times", about_to_ask, requests, one_mail, frozenset({"one mail"}), LIFE),
    Race("recovery: begin, 8 times", asked, starts, one_start, frozenset({"one moment"}), LIFE),
    Race(
        "recovery: begin against right codes",
        asked,
        starts_beside_codes,
        nothing_goes_on,
        STOPPED,
        LIFE,
    ),
    Race(
        "recovery: begin against cancel",
        asked,
        starts_beside_cancels,
        nothing_goes_on,
        STOPPED,
        LIFE,
    ),
    Race(
        "recovery: confirm, 8 times",
        recovering,
        finishes,
        recovered,
        frozenset({"recovered, all others out"}),
        LIFE,
    ),
    Race(
        "recovery: confirm against right codes",
        recovering,
        finishes_beside_codes,
        recovered_or_stopped,
        frozenset({"recovered, all others out", "stopped by a right code"}),
        LIFE,
    ),
    Race(
        "recovery: confirm against cancel",
        recovering,
        finishes_beside_cancels,
        recovered_or_cancelled,
        frozenset({"recovered, all others out", "cancelled"}),
        LIFE,
    ),
)
