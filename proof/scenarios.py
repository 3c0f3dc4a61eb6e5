"""What is raced, and what may come out of it. Imported once Django is set up."""

import collections
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from cryptography.fernet import InvalidToken
from django.db import connections
from django.test import override_settings
from rest_framework_simplejwt.tokens import UntypedToken

from django_totp import spelling
from django_totp.accounts import accounts
from django_totp.assurance import Standing, new_login, of_claims, standing
from django_totp.auth import reset_totp
from django_totp.encryption import decrypt, keyed_digest
from django_totp.models import BackupCode, Totp
from django_totp.operations.reencryption import reencrypt
from django_totp.tokens import pair
from proof.accounts import Account, enrolled, pending
from proof.client import Answer, Call
from proof.keys import NEW_KEY, NEW_KEY_FIRST

WIDTH = 8  # requests in a volley
ROTATION = {"SIMPLE_JWT": {"ROTATE_REFRESH_TOKENS": True, "BLACKLIST_AFTER_ROTATION": True}}
NO_WAIT = {"TOTP_FAILURE_LIMIT": 10_000, "TOTP_FAILURE_CAP": None}


@dataclass(frozen=True)
class Race:
    """Simultaneous ``calls`` at an account, and ``judge``, which names what came out."""

    name: str
    prepare: Callable[[], Account]
    calls: Callable[[Account], list[Call]]
    judge: Callable[[Account, list[Answer]], str]
    fine: frozenset[str]
    settings: dict[str, Any] = field(default_factory=dict)
    meanwhile: Callable[[], None] = lambda: None  # in this process, beside the calls


def statuses(answers: list[Answer]) -> "collections.Counter[int]":
    return collections.Counter(answer.status for answer in answers)


def login(account: Account, **proof: str) -> Call:
    return Call("jwt/totp/verify/", {"totp_challenge_token": account.challenge(), **proof})


def managed(account: Account, path: str, **body: str) -> Call:
    return Call(path, body, account.authorization())


def one_login(account: Account, answers: list[Answer]) -> str:
    """One answer gives tokens, the row says so once, and no code was spent for nothing."""
    row = account.row()
    spent = 10 - account.unused()
    if statuses(answers)[200] != 1:
        return f"{statuses(answers)[200]} LOGINS"
    if row is None or row.verifications != 1 or spent > 1:
        return f"ROW SAYS {row and row.verifications}, {spent} CODES SPENT"
    return "one login"


def all_counted(account: Account, answers: list[Answer]) -> str:
    row = account.row()
    failures = row.failures if row else -1
    answered = statuses(answers)[400]
    return "all counted" if failures == answered else f"{answered} ANSWERED, {failures} COUNTED"


def six_answered(account: Account, answers: list[Answer]) -> str:
    """Five wrong codes are free, the sixth starts the wait: no seventh is evaluated."""
    row = account.row()
    if row is None or row.failures != 6 or statuses(answers) != {400: 6, 429: len(answers) - 6}:
        return f"{dict(statuses(answers))}, {row and row.failures} COUNTED"
    return "six answered, the rest told to wait"


def mixed(account: Account, answers: list[Answer]) -> str:
    row = account.row()
    if statuses(answers)[200] != 1 or row is None or row.verifications != 1:
        return f"{statuses(answers)[200]} LOGINS"
    if row.failures > statuses(answers)[400]:
        return f"{row.failures} COUNTED OF {statuses(answers)[400]}"
    return "one login"


def confirmed_once(account: Account, answers: list[Answer]) -> str:
    won = [answer for answer in answers if answer.status == 200]
    if len(won) != 1 or stored_codes(account) != set(won[0].body["backup_codes"]):
        return f"{len(won)} CONFIRMED, {len(stored_codes(account))} CODES"
    return "one set of codes"


def create_or_confirm(account: Account, answers: list[Answer]) -> str:
    """A confirmation that was answered means that this very secret is on."""
    row = account.row()
    if row is None:
        return "ENROLLMENT LOST"
    confirmed = any("backup_codes" in answer.body for answer in answers)
    if confirmed != row.is_enabled:
        return "ANSWER AND ROW DISAGREE"
    if not confirmed:
        return "replaced"
    return "confirmed" if decrypt(row.secret_key) == account.secret else "ANOTHER SECRET IS ON"


def rotate_or_login(account: Account, answers: list[Answer]) -> str:
    """The set that is left is one that an answer has shown, whole; the old codes are gone."""
    shown = [set(a.body["backup_codes"]) for a in answers if "backup_codes" in a.body]
    left = stored_codes(account)
    if left not in shown:
        return f"{len(left)} CODES LEFT OF NO SET"
    if account.unused() != 10:
        return "A NEW CODE IS SPENT"
    logins = sum("access" in answer.body for answer in answers)
    return ("rotated, no login", "rotated after a login", "LOGINS")[min(logins, 2)]


def disabled(account: Account, answers: list[Answer]) -> str:
    if account.row() is not None or BackupCode.objects.filter(totp__user=account.user).exists():
        return "SOMETHING IS LEFT"
    logins = sum(isinstance(a.body, dict) and "access" in a.body for a in answers)
    return "disabled" if logins <= 1 else f"{logins} LOGINS"


def moved_and_one_login(account: Account, answers: list[Answer]) -> str:
    """One login, and the new key alone reads the secret and reads and finds every code."""
    row = account.row()
    codes = BackupCode.objects.filter(totp__user=account.user).values_list("code", "digest")
    with override_settings(**NEW_KEY):
        try:
            found = {decrypt(code): digest for code, digest in codes}
            secret = decrypt(row.secret_key) if row else ""
        except InvalidToken:
            return "LEFT UNDER THE OLD KEY"
        digests = {
            code: keyed_digest(str(spelling.backup_code(code))) for code in account.backup_codes
        }
    if (secret, found) != (account.secret, digests):
        return "SECRET OR CODES LOST"
    return one_login(account, answers)


def stored_codes(account: Account) -> set[str]:
    rows = BackupCode.objects.filter(totp__user=account.user)
    try:
        return {decrypt(row.code) for row in rows}
    except InvalidToken:
        return set()


def enrolled_alone() -> Account:
    """Make an enrollment that a re-encryption comes to at once."""
    Totp.objects.all().delete()
    return enrolled()


def rotate_key() -> None:
    """Move every row by itself, so that there are many moments to meet a login in."""
    with override_settings(**NEW_KEY_FIRST):
        try:
            collections.deque(reencrypt(batch_size=1), maxlen=0)
        finally:
            connections.close_all()


def signed_in() -> Account:
    """Make an enrollment whose owner has logged in with a code."""
    return _with_tokens(enrolled(), "pwd", "otp")


def about_to_enroll() -> Account:
    """Make a pending enrollment whose owner has logged in with the password, on two devices."""
    return _with_tokens(pending(), "pwd")


def signed_in_alone() -> Account:
    Totp.objects.all().delete()
    return signed_in()


def _with_tokens(account: Account, *methods: str) -> Account:
    here, there = (pair(account.user, new_login(account.user, *methods)) for _ in range(2))
    return replace(account, here=here, there=there)


def reset_all() -> None:
    for totp in Totp.objects.all():
        reset_totp(totp.user, reason="the phone was lost")
    connections.close_all()


def standing_of(account: Account, token: str) -> Standing:
    user = accounts().get(pk=account.user.pk)
    return standing(user, of_claims(UntypedToken(token, verify=False).payload))


def refreshes(account: Account) -> list[Call]:
    return [Call("jwt/refresh/", {"refresh": account.there["refresh"]}) for _ in range(WIDTH)]


def one_refresh(account: Account, answers: list[Answer]) -> str:
    given = statuses(answers)
    return "one pair" if given == {200: 1, 401: WIDTH - 1} else f"{dict(given)}"


def steps_up_with_one_code(account: Account) -> list[Call]:
    body = {"refresh": account.there["refresh"], "otp_code": account.code()}
    return [Call("jwt/step_up/", body) for _ in range(WIDTH)]


def steps_up_with_many_codes(account: Account) -> list[Call]:
    proofs = [{"backup_code": code} for code in account.backup_codes[:WIDTH]]
    return [Call("jwt/step_up/", {"refresh": account.there["refresh"], **p}) for p in proofs]


def one_step_up(account: Account, answers: list[Answer]) -> str:
    """One pair of tokens, and no code that was right is counted as wrong."""
    row, given = account.row(), statuses(answers)
    if given[200] != 1 or row is None or row.verifications < 1:
        return f"{dict(given)}, ROW SAYS {row and row.verifications}"
    [won] = [answer.body for answer in answers if answer.status == 200]
    is_good = standing_of(account, won["refresh"]) is Standing.GOOD
    return "one pair" if is_good else "A PAIR THAT IS WORTH NOTHING"


def confirms_beside_refreshes(account: Account) -> list[Call]:
    here = {"Authorization": f"Bearer {account.here['access']}"}
    confirm = Call("totp/confirm/", {"input_code": account.code()}, here)
    return [call for refresh in refreshes(account)[: WIDTH // 2] for call in (confirm, refresh)]


def others_are_outdated(account: Account, answers: list[Answer]) -> str:
    """The device that confirmed goes on. What the other one got meanwhile is worth nothing now."""
    row = account.row()
    if row is None or not row.is_enabled:
        return "NOT CONFIRMED"
    if standing_of(account, account.here["refresh"]) is not Standing.GOOD:
        return "THE DEVICE THAT CONFIRMED IS OUT"
    got = [a.body["access"] for a in answers if "access" in a.body]
    if any(standing_of(account, token) is Standing.GOOD for token in got):
        return "ANOTHER DEVICE STAYED IN"
    return "others owe a code"


def all_are_outdated(account: Account, answers: list[Answer]) -> str:
    got = [a.body["refresh"] for a in answers if "refresh" in a.body]
    worth = {standing_of(account, token) for token in [account.here["refresh"], *got]}
    if account.row() is not None or worth != {Standing.OUTDATED}:
        return f"AFTER A RESET: {worth}"
    return "all are out"


def replay(account: Account) -> list[Call]:
    code = account.code()
    return [login(account, otp_code=code) for _ in range(WIDTH)]


def one_challenge(account: Account) -> list[Call]:
    proofs = [{"otp_code": account.code(away)} for away in (-1, 0, 1)]
    proofs += [{"backup_code": code} for code in account.backup_codes[: WIDTH - 3]]
    return [login(account, **proof) for proof in proofs]


def one_backup_code(account: Account) -> list[Call]:
    return [login(account, backup_code=account.backup_codes[0]) for _ in range(WIDTH)]


def wrong_codes(account: Account) -> list[Call]:
    return [login(account, otp_code=account.wrong_code(n)) for n in range(WIDTH)]


def wrong_of_both_kinds(account: Account) -> list[Call]:
    wrong = [login(account, backup_code=f"wrong-{n}") for n in range(WIDTH // 2)]
    return wrong + wrong_codes(account)[: WIDTH // 2]


def right_and_wrong(account: Account) -> list[Call]:
    calls = wrong_codes(account)
    calls[WIDTH // 2] = login(account, otp_code=account.code())
    return calls


def confirms(account: Account) -> list[Call]:
    return [managed(account, "totp/confirm/", input_code=account.code()) for _ in range(WIDTH)]


def creates_and_confirms(account: Account) -> list[Call]:
    creates = [managed(account, "totp/create/") for _ in range(WIDTH // 2)]
    return [call for pair in zip(creates, confirms(account), strict=False) for call in pair]


def rotations_and_login(account: Account) -> list[Call]:
    rotations = [managed(account, "totp/rotate_backup_codes/") for _ in range(3)]
    logins = [login(account, backup_code=code) for code in account.backup_codes[:3]]
    return [call for pair in zip(rotations, logins, strict=True) for call in pair]


def disables_and_all(account: Account) -> list[Call]:
    calls = [managed(account, "totp/disable/") for _ in range(2)]
    calls += [managed(account, "totp/rotate_backup_codes/") for _ in range(2)]
    calls += [login(account, backup_code=code) for code in account.backup_codes[:2]]
    return [*calls, login(account, otp_code=account.code())]


def confirms_and_disables(account: Account) -> list[Call]:
    disables = [managed(account, "totp/disable/") for _ in range(WIDTH // 2)]
    return [call for pair in zip(confirms(account), disables, strict=False) for call in pair]


def gone_or_confirmed(account: Account, answers: list[Answer]) -> str:
    """The last word counts, and no code is left without an enrollment."""
    row = account.row()
    if row is None:
        return "disabled"
    return "confirmed" if row.is_enabled and account.unused() == 10 else "HALF CONFIRMED"


RACES = (
    Race("one TOTP code, 8 times", enrolled, replay, one_login, frozenset({"one login"})),
    Race(
        "one challenge token, 8 right codes",
        enrolled,
        one_challenge,
        one_login,
        frozenset({"one login"}),
    ),
    Race(
        "one backup code, 8 times", enrolled, one_backup_code, one_login, frozenset({"one login"})
    ),
    Race(
        "8 wrong codes, no limit",
        enrolled,
        wrong_codes,
        all_counted,
        frozenset({"all counted"}),
        NO_WAIT,
    ),
    Race(
        "4 wrong codes, 4 wrong backup codes",
        enrolled,
        wrong_of_both_kinds,
        all_counted,
        frozenset({"all counted"}),
        NO_WAIT,
    ),
    Race(
        "8 wrong codes, the default limit",
        enrolled,
        wrong_codes,
        six_answered,
        frozenset({"six answered, the rest told to wait"}),
    ),
    Race(
        "7 wrong codes, 1 right",
        enrolled,
        right_and_wrong,
        mixed,
        frozenset({"one login"}),
        NO_WAIT,
    ),
    Race("confirm, 8 times", pending, confirms, confirmed_once, frozenset({"one set of codes"})),
    Race(
        "create against confirm",
        pending,
        creates_and_confirms,
        create_or_confirm,
        frozenset({"confirmed", "replaced"}),
        NO_WAIT,
    ),
    Race(
        "rotate against backup codes",
        enrolled,
        rotations_and_login,
        rotate_or_login,
        frozenset({"rotated, no login", "rotated after a login"}),
    ),
    Race(
        "disable against rotate and logins",
        enrolled,
        disables_and_all,
        disabled,
        frozenset({"disabled"}),
        NO_WAIT,
    ),
    Race(
        "confirm against disable",
        pending,
        confirms_and_disables,
        gone_or_confirmed,
        frozenset({"disabled", "confirmed"}),
        NO_WAIT,
    ),
    Race("refresh, 8 times", signed_in, refreshes, one_refresh, frozenset({"one pair"}), ROTATION),
    Race(
        "step-up, one code 8 times",
        signed_in,
        steps_up_with_one_code,
        one_step_up,
        frozenset({"one pair"}),
    ),
    Race(
        "step-up, one token with 8 right codes",
        signed_in,
        steps_up_with_many_codes,
        one_step_up,
        frozenset({"one pair"}),
    ),
    Race(
        "confirm against refresh",
        about_to_enroll,
        confirms_beside_refreshes,
        others_are_outdated,
        frozenset({"others owe a code"}),
    ),
    Race(
        "reset against refresh",
        signed_in_alone,
        refreshes,
        all_are_outdated,
        frozenset({"all are out"}),
        ROTATION,
        reset_all,
    ),
    Race(
        "re-encryption against 8 right codes",
        enrolled_alone,
        one_challenge,
        moved_and_one_login,
        frozenset({"one login"}),
        NEW_KEY_FIRST,
        rotate_key,
    ),
)
