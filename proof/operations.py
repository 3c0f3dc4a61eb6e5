"""The table of the interleavings: what can be done to an account, and what must hold whoever is
quicker. Imported once Django is set up.

A new operation is a line in ``OPERATIONS``: its name, the states of an account in which it has
something to do, and how it is called. A new promise is a line in ``PROMISES``. Each operation
is run against each other one that has something to do in the same state.
"""

import collections
import functools
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from cryptography.fernet import InvalidToken
from django.contrib.auth import get_user_model
from django.db import IntegrityError, connection
from django.test import RequestFactory, override_settings
from django.urls import resolve, reverse
from django.utils import timezone
from rest_framework_simplejwt.tokens import AccessToken

from django_totp.auth import generate_challenge_token, reset_totp
from django_totp.backup_code_utils import generate_backup_codes
from django_totp.encryption import decrypt, encrypt, keyed_digest, keyed_digests
from django_totp.exceptions import TotpError
from django_totp.models import BackupCode, Totp
from django_totp.operations.reencryption import reencrypt
from django_totp.totp import end_wait
from proof.accounts import PASSWORD, Account, pending
from proof.keys import NEW_KEY, NEW_KEY_FIRST

CODES = 2  # backup codes in a set: fewer rows to make anew for each order
FAILURES = 2  # wrong codes before
SETTINGS = {"TOTP_MAX_BACKUP_CODES": CODES}
ROW_ENDS = ("disable", "reset")
OLD_CONFIRM = "confirm of 1.1.x"


@dataclass(frozen=True)
class Answer:
    """What an operation came to. A ``code`` of ``crash`` is an error that is not ours."""

    status: int
    code: str = ""
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        return self.status < 300

    def __str__(self) -> str:
        return f"{self.status} {self.code}".strip()


@dataclass(frozen=True)
class Operation:
    """``offers``: the code that it gives. ``proof``: that code is right, and proves who calls.

    ``stands_for``: the name by which the promises know it.
    """

    name: str
    states: frozenset[str]
    call: Callable[["Subject"], Answer]
    offers: str = ""
    proof: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    stands_for: str = ""
    never_beside: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "stands_for", self.stands_for or self.name)


class Subject:
    """The account that all is done to. One for a process; its rows are made anew each time."""

    def __init__(self) -> None:
        account: Account = pending()
        self.account, self.user = account, account.user
        self.backup_codes = generate_backup_codes()[:CODES]
        token = AccessToken.for_user(account.user)
        token.set_exp(lifetime=timedelta(days=1))  # longer than all orders take
        self.token = f"Bearer {token}"
        self.secret_token = encrypt(account.secret)
        self.code_tokens = [(encrypt(code), _digest(code)) for code in self.backup_codes]
        self.challenge = ""
        self.code, self.next_code, self.wrong_code = "", "", ""

    def begin(self, state: str) -> None:
        """Bring the rows to ``state``."""
        _empty_tables()
        if state != "new":
            row = Totp._base_manager.create(
                user_id=self.user.pk, secret_key=self.secret_token, **_columns(state)
            )
            if state != "pending":
                BackupCode._base_manager.bulk_create(
                    BackupCode(totp_id=row.pk, code=code, digest=None if state == "old" else digest)
                    for code, digest in self.code_tokens
                )
        user = get_user_model()._base_manager.get(pk=self.user.pk)
        self.challenge = generate_challenge_token(user)
        account = self.account
        self.code, self.next_code = account.code(), account.code(1)
        self.wrong_code = account.wrong_code()
        if state == "old":  # that has read the row, and so perhaps changed it
            Totp._base_manager.update(confirmed_at=None, version=0)
            BackupCode._base_manager.update(digest=None)


def _empty_tables() -> None:
    """Delete all rows. On PostgreSQL the place of a row decides who locks it first, so there the
    tables are made anew: deleted rows leave places that are used again in any order."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {Totp._meta.db_table}, {BackupCode._meta.db_table}")
        return
    for model in (BackupCode, Totp):
        model._base_manager.all()._raw_delete("default")


@dataclass
class Story:
    """What came out of one order."""

    case: "Case"
    answers: list[Answer]
    row: dict[str, Any] | None
    codes: list["StoredCode"]
    secrets: dict[str, str]  # secret → who has it
    sets: dict[str, str]  # backup code → whose answer showed it
    late_writes: list[str] = field(default_factory=list)
    expected: set[Any] = field(default_factory=set)

    @property
    def state(self) -> str:
        return self.case.state

    @property
    def pairs(self) -> list[tuple[Operation, Answer]]:
        return list(zip(self.case.operations, self.answers, strict=True))

    def good(self, *names: str) -> list[Answer]:
        """Return the answers of those operations of these names that succeeded."""
        return [answer for one, answer in self.pairs if one.stands_for in names and answer.good]

    def refused(self, code: str) -> int:
        return sum(answer.code == code for answer in self.answers)

    def has(self, *names: str) -> bool:
        return any(one.stands_for in names for one in self.case.operations)

    @property
    def mixed(self) -> bool:
        """Whether codes of two answers may be left, all of them the owner's: a process of 1.1.x
        writes one by one, and has no version that could keep it from going on."""
        return self.has(OLD_CONFIRM) and bool(self.good("rotate"))

    @property
    def enabled(self) -> bool:
        return self.row is not None and self.row["confirmed_at"] is not None

    @property
    def outcome(self) -> Any:
        """Return all of it that may differ only as it does between the serial orders."""
        return tuple(map(str, self.answers)), self.told

    @property
    def told(self) -> str:
        if self.row is None:
            return "no row" + f", {len(self.codes)} codes" * bool(self.codes)
        codes = ", ".join(sorted(map(str, self.codes)))
        facts = {
            "secret": self.secrets.get(_read(self.row["secret_key"]), "unknown"),
            "failures": self.row["failures"],
            "waits": self.row["waiting_until"] is not None,
            "verifications": self.row["verifications"],
            "code used": self.row["last_used_step"] is not None,
        }
        listed = ", ".join(f"{name} {value}" for name, value in facts.items())
        return f"{'on' if self.enabled else 'pending'}, {listed}, codes: {codes or 'none'}"


@dataclass(frozen=True)
class StoredCode:
    owner: str
    used: bool
    found: bool

    def __str__(self) -> str:
        return self.owner + " used" * self.used + " UNFINDABLE" * (not self.found)


def look(subject: Subject, case: "Case", answers: list[Answer]) -> Story:
    """Return the story that the answers and the rows tell."""
    row = Totp._base_manager.filter(user_id=subject.user.pk).values().first()
    secrets, sets = {subject.account.secret: "the first"}, {}
    for number, code in enumerate(subject.backup_codes):
        sets[code] = f"old {number}"
    for who, answer in zip("ABC", answers, strict=False):
        if "secret" in answer.data:
            secrets[answer.data["secret"]] = f"that of {who}"
        sets |= dict.fromkeys(answer.data.get("backup_codes", ()), f"of {who}")
    stored = BackupCode._base_manager.values_list("code", "digest", "is_used")
    codes = [_stored_code(sets, *fields, lazy=case.has_old_codes) for fields in stored]
    return Story(case, answers, row, codes, secrets, sets)


def _stored_code(
    sets: dict[str, str], token: str, digest: str | None, used: bool, *, lazy: bool
) -> StoredCode:
    """``lazy``: one without a digest may get it when it is looked for."""
    plain = _read(token)
    found = bool(plain) and (digest in keyed_digests(_plain(plain)) or (lazy and not digest))
    return StoredCode(sets.get(plain, "unknown"), used, found)


# --- How they are called ---


@functools.cache
def _view(name: str) -> Any:
    return resolve(reverse(name))


def _post(subject: Subject, view: str, body: dict[str, str], *, signed_in: bool = True) -> Answer:
    match = _view(view)
    headers = {"HTTP_AUTHORIZATION": subject.token} if signed_in else {}
    request = RequestFactory().post(
        reverse(view), json.dumps(body), content_type="application/json", **headers
    )
    response = match.func(request, *match.args, **match.kwargs)
    data = response.data if isinstance(response.data, dict) else {}
    return Answer(response.status_code, str(data.get("code", "")), data)


def _signed_in(view: str, **body: str) -> Callable[[Subject], Answer]:
    """Return a request of somebody whose token says nothing of a second factor."""
    return lambda subject: _post(subject, view, _filled(subject, body))


def _login(**body: str) -> Callable[[Subject], Answer]:
    """Return a second step. All of a story have one challenge token."""

    def call(subject: Subject) -> Answer:
        filled = _filled(subject, {"totp_challenge_token": "challenge", **body})
        return _post(subject, "jwt-totp-verify", filled, signed_in=False)

    return call


def _password(subject: Subject) -> Answer:
    body = {"username": subject.user.get_username(), "password": PASSWORD}
    answer = _post(subject, "jwt-create", body, signed_in=False)
    told = "let in" if "access" in answer.data else "asked for a code"
    return Answer(answer.status, answer.code or told, answer.data)


def _filled(subject: Subject, body: dict[str, str]) -> dict[str, str]:
    """Return ``body`` with the values that its words stand for."""
    words = {
        "challenge": subject.challenge,
        "right": subject.code,
        "next": subject.next_code,
        "wrong": subject.wrong_code,
        "first": subject.backup_codes[0],
        "second": subject.backup_codes[1],
        "none": "0000-0000-0000-0000",
        "password": PASSWORD,
    }
    return {name: words[word] for name, word in body.items()}


def _service(call: Callable[..., Any], **options: Any) -> Callable[[Subject], Answer]:
    def answer(subject: Subject) -> Answer:
        try:
            call(subject.user, **options)
        except TotpError as error:
            return Answer(400, error.code)
        return Answer(200)

    return answer


def _reencrypt(subject: Subject) -> Answer:
    tallies = {tally.model: tally for tally in reencrypt()}.values()
    left = {name: sum(getattr(t, name) for t in tallies) for name in ("busy", "unreadable")}
    told = ", ".join(f"{count} {name}" for name, count in left.items() if count)
    return Answer(200, told)


def _confirm_as_1_1_does(subject: Subject) -> Answer:
    """Write the codes one by one, and know nothing of confirmations: there they mean it is on.

    Two that confirm at one moment leave two sets, which nothing here could prevent.
    """
    codes = generate_backup_codes()
    try:
        row = Totp._base_manager.get(user_id=subject.user.pk)
        for code in codes:
            BackupCode._base_manager.create(totp_id=row.pk, code=encrypt(code))
    except (Totp.DoesNotExist, IntegrityError):
        return Answer(400, "gone")
    return Answer(200, data={"backup_codes": codes})


def answered(operation: Operation, subject: Subject) -> Answer:
    """Call ``operation``; an error that is none of ours is an answer as well."""
    try:
        return operation.call(subject)
    except Exception as error:
        return Answer(500, f"crash: {type(error).__name__}: {error}".strip())


OLD, ON, PENDING, NEW, WAITING = (
    frozenset({state}) for state in ("old", "on", "pending", "new", "waiting")
)
STATES = ("on", "pending", "old", "waiting", "new")
ROWS = PENDING | ON | OLD

OPERATIONS = (
    Operation("password", NEW | ROWS, _password),
    Operation("code", ON | OLD | WAITING, _login(otp_code="right"), offers="code"),
    Operation("next code", ON, _login(otp_code="next"), "next", stands_for="code"),
    Operation("wrong code", ON | OLD | WAITING, _login(otp_code="wrong"), "wrong"),
    Operation("backup code", ON | OLD | WAITING, _login(backup_code="first"), offers="first"),
    Operation(
        "other backup code", ON, _login(backup_code="second"), "second", stands_for="backup code"
    ),
    Operation("wrong backup code", ON | OLD | WAITING, _login(backup_code="none"), "wrong"),
    Operation("create", NEW | ROWS, _signed_in("totp-create")),
    Operation("confirm", ROWS, _signed_in("totp-confirm", input_code="right"), offers="code"),
    Operation("wrong confirm", PENDING, _signed_in("totp-confirm", input_code="wrong"), "wrong"),
    Operation("rotate", ROWS, _signed_in("totp-rotate-backup-codes")),
    Operation("disable", ROWS, _signed_in("totp-disable")),
    Operation("reset", ROWS, _service(reset_totp, reason="a phone was lost")),
    Operation("unlock", ROWS | WAITING, _service(end_wait, reason="the owner called")),
    Operation(
        OLD_CONFIRM,
        PENDING,
        _confirm_as_1_1_does,
        never_beside=("confirm", "wrong confirm", OLD_CONFIRM),
    ),
    Operation("re-encryption", ROWS, _reencrypt, settings=NEW_KEY_FIRST),
)

# Only with TOTP_REAUTHENTICATE: there they stand for those without.
WITH_PROOF = (
    Operation(
        "rotate with a code",
        PENDING | ON | OLD,
        _signed_in("totp-rotate-backup-codes", otp_code="right"),
        offers="code",
        proof=True,
        stands_for="rotate",
    ),
    Operation(
        "rotate with a backup code",
        ON,
        _signed_in("totp-rotate-backup-codes", backup_code="first"),
        offers="first",
        proof=True,
        stands_for="rotate",
    ),
    Operation(
        "rotate with a wrong code",
        ON,
        _signed_in("totp-rotate-backup-codes", otp_code="wrong"),
        "wrong",
        stands_for="rotate",
    ),
    Operation(
        "disable with a code",
        PENDING | ON,
        _signed_in("totp-disable", otp_code="right"),
        offers="code",
        proof=True,
        stands_for="disable",
    ),
    Operation(
        "disable with a backup code",
        ON | OLD,
        _signed_in("totp-disable", backup_code="first"),
        offers="first",
        proof=True,
        stands_for="disable",
    ),
)
ASKED = ("rotate", "disable")  # what TOTP_REAUTHENTICATE is about
REFUSED = ("invalid_totp_code", "invalid_backup_code", "reauthentication_required")
ENDS_COUNT = ("code", "backup code", "create", "confirm", "unlock", *ASKED, *ROW_ENDS)


# --- What must hold ---


def no_crash(story: Story) -> bool:
    return not any(answer.status >= 500 for answer in story.answers)


def once(story: Story) -> bool:
    """A code, a backup code and a challenge are good for one success."""
    used = collections.Counter(one.offers for one, answer in story.pairs if answer.good)
    del used[""]
    logins = story.good("code", "backup code")
    return not used or (max(used.values()) == 1 and len(logins) <= 1)


def no_action_without_proof(story: Story) -> bool:
    """Who proves nothing rotates nothing, and removes only what was never on.

    No case holds all that it takes to remove and start what was on, and remove that.
    """
    if not story.case.reauthenticate:
        return True
    bare = {one.stands_for for one, answer in story.pairs if answer.good and not one.proof}
    if "rotate" in bare:
        return False
    was_on = story.state in ("on", "old") or story.good("confirm")
    return not ("disable" in bare and was_on)


def stays_on(story: Story) -> bool:
    """What is on is not enrolled anew unless somebody has removed it."""
    anew = story.good("create", "confirm")
    return story.state not in ("on", "old") or not anew or bool(story.good(*ROW_ENDS))


def not_by_the_password_alone(story: Story) -> bool:
    """Where TOTP is on, the password asks for a code unless somebody has switched it off."""
    let_in = any(answer.code == "let in" for answer in story.good("password"))
    return story.state not in ("on", "old") or not let_in or bool(story.good(*ROW_ENDS))


def all_counted(story: Story) -> bool:
    """Each code that was answered as a wrong one is in the count, if nothing has ended it."""
    if story.state not in ("on", "pending") or story.good(*ENDS_COUNT) or story.row is None:
        return True
    counted = sum(bool(one.offers) and answer.code in REFUSED for one, answer in story.pairs)
    before = FAILURES if story.state == "on" else 0
    failures: int = story.row["failures"]
    return failures == before + counted


def confirmed_is_on(story: Story) -> bool:
    """A confirmation that was answered has the secret that was shown on, with those codes."""
    confirmed = story.good("confirm")
    if len(confirmed) > 1:
        return bool(story.good(*ROW_ENDS))
    if not confirmed or story.good(*ROW_ENDS, "rotate"):
        return True
    secret = story.row and story.secrets.get(_read(story.row["secret_key"]))
    shown = [story.sets[code] for code in confirmed[0].data["backup_codes"]]
    return story.enabled and secret == "the first" and shown == _owners(story)


def gone_is_gone(story: Story) -> bool:
    """No code is left without its enrollment, and no enrollment after it was removed."""
    if story.good(*ROW_ENDS) and not story.has("create"):
        return story.row is None and not story.codes
    return story.row is not None or not story.codes


def one_set(story: Story) -> bool:
    """The codes are those of one answer, whole, or the old ones, and each can be found."""
    shown = [["old 0", "old 1"], [], *([f"of {who}"] * CODES for who in "ABC")]
    whole = _owners(story) in shown or story.mixed
    return whole and all(code.found for code in story.codes)


def all_under_the_new_key(story: Story) -> bool:
    """After a re-encryption the new key alone reads the secret, and reads and finds each code."""
    if not story.good("re-encryption") or story.row is None:
        return True
    with override_settings(**NEW_KEY, TOTP_ENCRYPTION_KEY_FALLBACKS=[]):
        stored = BackupCode._base_manager.values_list("code", "digest")
        plain = [(_read(token), digest) for token, digest in stored]
        late = {None} if story.has(OLD_CONFIRM) else set()  # it gets its digest when it is read
        found = all(
            code and digest in {keyed_digest(_plain(code)), *late} for code, digest in plain
        )
        return found and bool(_read(story.row["secret_key"]))


def writes_first(story: Story) -> bool:
    """No transaction begins with a read: on SQLite that ends in "database is locked"."""
    return not story.late_writes


def one_after_the_other(story: Story) -> bool:
    """Answers and rows are those of one of the orders without any interleaving."""
    return story.outcome in story.expected or story.mixed


PROMISES: dict[str, Callable[[Story], bool]] = {
    "no error but ours": no_crash,
    "a code and a challenge are good once": once,
    "no action without its proof": no_action_without_proof,
    "what is on is not opened by the password alone": not_by_the_password_alone,
    "what is on is not enrolled anew": stays_on,
    "the count loses nothing": all_counted,
    "confirmed is on, with that secret and those codes": confirmed_is_on,
    "disabled leaves nothing": gone_is_gone,
    "one whole set of codes, each can be found": one_set,
    "re-encryption loses nothing": all_under_the_new_key,
    "a transaction begins with its write": writes_first,
    "as if one had come after the other": one_after_the_other,
}


def broken(story: Story) -> list[str]:
    """Return the promises that the story breaks."""
    return [name for name, holds in PROMISES.items() if not holds(story)]


# --- What is run against what ---


@dataclass(frozen=True)
class Case:
    """Operations that run at one time on an account in one state, under some settings."""

    state: str
    operations: tuple[Operation, ...]
    reauthenticate: bool = False
    receivers: bool = False  # of post_delete, for every model

    @property
    def name(self) -> str:
        extras = [", reauthenticate" * self.reauthenticate, ", receivers" * self.receivers]
        return f"{self.state}{''.join(extras)}: {' | '.join(o.name for o in self.operations)}"

    @property
    def has_old_codes(self) -> bool:
        return self.state == "old" or any(one.name == OLD_CONFIRM for one in self.operations)

    @property
    def settings(self) -> dict[str, Any]:
        ours = {**SETTINGS, "TOTP_REAUTHENTICATE": self.reauthenticate}
        for operation in self.operations:
            ours |= operation.settings
        return ours


def cases(*, triples: bool) -> list[Case]:
    """Return all pairs, and all threes of what is short."""
    found = []
    for state, reauthenticate in itertools.product(STATES, (False, True)):
        operations = OPERATIONS + WITH_PROOF * reauthenticate
        here = [one for one in operations if state in one.states]
        found += [
            Case(state, pair, reauthenticate)
            for pair in itertools.combinations_with_replacement(here, 2)
            if (not reauthenticate or any(one.stands_for in ASKED for one in pair))
            and pair[1].name not in pair[0].never_beside
            and pair[0].name not in pair[1].never_beside
        ]
    deleting = [one for one in OPERATIONS if one.name in ("confirm", "rotate", *ROW_ENDS)]
    for state in ("on", "pending"):
        here = [one for one in deleting if one.name != "confirm" or state == "pending"]
        pairs = itertools.combinations_with_replacement(here, 2)
        found += [Case(state, pair, receivers=True) for pair in pairs]
    return found + _triples() * triples


def _triples() -> list[Case]:
    by_name = {one.name: one for one in OPERATIONS}
    short = ("code", "next code", "wrong code", "backup code", "wrong backup code", "unlock")
    threes = itertools.combinations_with_replacement([by_name[name] for name in short], 3)
    found = [Case("on", three) for three in threes]
    names = ("password", "create", "confirm", "wrong confirm")
    threes = itertools.combinations_with_replacement([by_name[name] for name in names], 3)
    return found + [Case("pending", three) for three in threes]


def _columns(state: str) -> dict[str, Any]:
    """Return what an enrollment has beside its secret."""
    now = timezone.now()
    if state == "on":
        return {"confirmed_at": now, "failures": FAILURES}
    if state == "waiting":
        waiting_until = now + timedelta(hours=1)
        return {"confirmed_at": now, "failures": 7, "waiting_until": waiting_until}
    return {}


def _owners(story: Story) -> list[str]:
    return sorted(code.owner for code in story.codes)


def _digest(code: str) -> str:
    return keyed_digest(_plain(code))


def _plain(code: str) -> str:
    """Return a code of ours as its digest is made of it."""
    return code.replace("-", "")


def _read(token: str) -> str:
    """Return what ``token`` holds, or nothing if no key reads it."""
    try:
        return decrypt(token)
    except InvalidToken:
        return ""
