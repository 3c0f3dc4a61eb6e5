"""One-time backup codes: generate, store, verify, rotate."""

import base64
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from . import events, signals, spelling, threads
from .adoption import give_digests
from .attempts import Proof, Verdict, answer, read_enrolled, read_secret, right, trusted
from .conf import conf
from .encryption import encrypt, keyed_digest, keyed_digests
from .exceptions import ReauthenticationRequired, TotpNotEnrolled
from .models import BackupCode, Totp, fetch
from .retrying import retried

CODE_BYTES, GROUP = 10, 4  # 80 bits are 16 symbols of base32, in groups of four
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base32
CROCKFORD = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", ALPHABET)  # from RFC 4648's
MAX_LENGTH = 127  # of a code that is given to us: encrypted, it fits into 255 characters


@dataclass(frozen=True)
class BackupCodeGuess:
    """A backup code that somebody has sent. It is accepted while TOTP codes wait.

    It is spent to be evaluated: one UPDATE, in the transaction that moves the row. The code is
    always spent before the row is moved, and codes are deleted before: one order of locks.
    """

    input_code: str = field(repr=False)
    method = "backup_code"
    success = "verified"
    waits = False
    writes = True

    @sensitive_variables()
    def evaluate(self, totp: Totp) -> Verdict:
        """Return what came of it. A code that has no digest yet is found all the same."""
        code = spelling.backup_code(self.input_code)
        if code is not None and (_spend(totp, code) or _spend_undigested(totp, code)):
            return Verdict(changes=right(totp))
        return Verdict("wrong", counts=read_secret(totp) is not None)


def generate_backup_codes() -> list[str]:
    """Return ``TOTP_MAX_BACKUP_CODES`` new codes of 80 bits, such as ``abcd-efgh-jkmn-pqrs``."""
    return [_generate() for _ in range(conf.TOTP_MAX_BACKUP_CODES)]


@retried
@sensitive_variables("codes")
def store_backup_codes(user: AbstractBaseUser, codes: Sequence[str]) -> list[str]:
    """Replace the backup codes of ``user`` by ``codes`` and return them.

    On a pending enrollment this is what confirms it. Raise TotpNotEnrolled, and ValueError if
    one of the codes is not made of ASCII letters, digits and punctuation, 127 at the most.
    """
    totp = read_enrolled(user)
    _replace_codes(totp, {"confirmed_at": totp.confirmed_at or timezone.now()}, codes)
    return list(codes)


@retried
@sensitive_variables("input_code")
def verify_backup_code(user: AbstractBaseUser, input_code: str, *, request: Any = None) -> bool:
    """Return whether ``input_code`` is an unused backup code of ``user``, and use it up.

    It is accepted while TOTP codes wait, and ends the wait. A wrong one is counted, unless they
    wait already. Raise TotpNotEnrolled if the user has no enrollment.
    """
    totp = read_enrolled(user)
    return totp.is_enabled and answer(totp, BackupCodeGuess(input_code), user, request)


@sensitive_variables("input_code")
async def averify_backup_code(
    user: AbstractBaseUser, input_code: str, *, request: Any = None
) -> bool:
    """See ``verify_backup_code()``."""
    return await threads.run(lambda: verify_backup_code(user, input_code, request=request))


@sensitive_variables("codes")
def rotate_backup_codes(
    user: AbstractBaseUser, *, request: Any = None, proof: Proof | None = None
) -> list[str]:
    """Return a new set of backup codes for ``user``; the old ones stop working.

    ``proof`` decides whether the row may be changed. Raise TotpNotEnrolled if the user has no
    confirmed enrollment, and ReauthenticationRequired.
    """
    codes = _rotate(user, proof or trusted)
    events.record("backup_codes_rotated", user, request, method="backup_code")
    events.send(signals.backup_codes_rotated, user, request)
    return codes


@sensitive_variables("codes", "code", "by_digest", "value", "key")
def insert_codes(totp: Totp, codes: Sequence[str]) -> None:
    """Insert ``codes`` for ``totp`` in one statement. Two spellings of one code are one code."""
    by_digest = {keyed_digest(_normalized(code)): code for code in codes}
    rows = [
        BackupCode(totp_id=totp.pk, code=encrypt(code), digest=digest)
        for digest, code in by_digest.items()
    ]
    BackupCode.objects.using(totp.database).bulk_create(rows)


def _generate() -> str:
    symbols = base64.b32encode(secrets.token_bytes(CODE_BYTES)).decode().translate(CROCKFORD)
    return "-".join(symbols[at : at + GROUP] for at in range(0, len(symbols), GROUP))


def _normalized(value: str) -> str:
    code = spelling.backup_code(value)
    if code is None or len(value) > MAX_LENGTH or not value.isascii():
        raise ValueError(
            "A backup code is made of ASCII letters, digits and punctuation, "
            f"{MAX_LENGTH} at the most."
        )
    return code


@sensitive_variables("code", "value", "key")
def _spend(totp: Totp, code: str) -> bool:
    unused = totp.codes.filter(digest__in=keyed_digests(code), is_used=False)
    return bool(unused.update(is_used=True))


@sensitive_variables("code", "by_now")
def _spend_undigested(totp: Totp, code: str) -> bool:
    """Give digests to the codes that processes of 1.1.x have made, and look again.

    Somebody else may have given them since the first look. It costs a wrong code one statement
    more, and a right one nothing.
    """
    by_now = Q(digest=None) | Q(digest__in=keyed_digests(code))
    if not any(fetch(totp.codes.filter(by_now, is_used=False).only("pk")[:1])):
        return False
    give_digests(totp)
    return _spend(totp, code)


@retried
@sensitive_variables("codes")
def _rotate(user: AbstractBaseUser, proof: Proof) -> list[str]:
    totp = read_enrolled(user)
    if not totp.is_enabled:
        raise TotpNotEnrolled
    codes = generate_backup_codes()
    if not proof(totp, lambda totp, changes: _replace_codes(totp, changes, codes)):
        raise ReauthenticationRequired
    return codes


@sensitive_variables("codes")
def _replace_codes(totp: Totp, changes: Mapping[str, Any], codes: Sequence[str]) -> None:
    """Replace all codes of ``totp`` and move it. Raise Moved."""
    with transaction.atomic(using=totp.database):
        totp.drop_codes()
        totp.move(**changes)
        insert_codes(totp, codes)
