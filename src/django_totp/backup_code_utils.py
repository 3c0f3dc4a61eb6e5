"""One-time backup codes: generate, store, verify, rotate."""

import base64
import re
import secrets
from collections.abc import Sequence
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import transaction
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from . import events, signals
from .attempts import read_secret, retried, right, wrong
from .conf import conf
from .encryption import encrypt, keyed_digest, keyed_digests
from .exceptions import TotpNotEnrolled
from .models import BackupCode, Totp

CODE_BYTES, GROUP = 10, 4  # 80 bits are 16 symbols of base32, in groups of four
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base32
CROCKFORD = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", ALPHABET)  # from RFC 4648's
LOOK_ALIKES = str.maketrans({"i": "1", "l": "1", "o": "0"})


def generate_backup_codes() -> list[str]:
    """Return ``TOTP_MAX_BACKUP_CODES`` new codes of 80 bits, such as ``abcd-efgh-jkmn-pqrs``."""
    return [_generate() for _ in range(conf.TOTP_MAX_BACKUP_CODES)]


@retried
@sensitive_variables("codes")
def store_backup_codes(user: AbstractBaseUser, codes: Sequence[str]) -> list[str]:
    """Replace the backup codes of ``user`` by ``codes`` and return them.

    On a pending enrollment this is what confirms it. Raise TotpNotEnrolled, and ValueError if
    one of the codes is not made of ASCII letters, digits and punctuation.
    """
    totp = Totp.objects.of(user)
    with transaction.atomic(using=totp.database):
        replace_codes(totp, codes, confirmed_at=totp.confirmed_at or timezone.now())
    return list(codes)


@retried
@sensitive_variables("input_code")
def verify_backup_code(user: AbstractBaseUser, input_code: str, *, request: Any = None) -> bool:
    """Return whether ``input_code`` is an unused backup code of ``user``, and use it up.

    It is accepted while TOTP codes wait, and ends the wait. A wrong one is counted. Raise
    TotpNotEnrolled if the user has no enrollment.
    """
    return answer_backup_code(Totp.objects.of(user), user, input_code, request)


@sensitive_variables("codes")
def rotate_backup_codes(user: AbstractBaseUser, *, request: Any = None) -> list[str]:
    """Return a new set of backup codes for ``user``; the old ones stop working.

    Raise TotpNotEnrolled if the user has no confirmed enrollment.
    """
    codes = _rotate(user)
    events.record("backup_codes_rotated", user, request, method="backup_code")
    events.send(signals.backup_codes_rotated, user, request)
    return codes


@sensitive_variables("input_code", "code", "value")
def answer_backup_code(
    totp: Totp, user: AbstractBaseUser, input_code: str, request: Any = None
) -> bool:
    """Return whether ``input_code`` is an unused code of ``totp``, use it up, and count it.

    Raise Moved. The code is spent before the row is moved, here as in every transaction that
    touches both tables: one order of locks, no deadlock.
    """
    if not totp.is_enabled:
        return False
    code = normalize(input_code)
    with transaction.atomic(using=totp.database):
        accepted = code is not None and _spend(totp, code)
        if accepted:
            right(totp)
        elif read_secret(totp) is not None:
            wrong(totp)
    events.verified(user, request, method="backup_code", refused="" if accepted else "wrong")
    return accepted


def replace_codes(totp: Totp, codes: Sequence[str], **changes: Any) -> None:
    """Replace all codes of ``totp`` and move it. Call it in a transaction. Raise Moved."""
    BackupCode.objects.using(totp.database).filter(totp_id=totp.pk).delete()
    totp.move(**changes)
    insert_codes(totp, codes)


@sensitive_variables("codes", "code", "by_digest", "value", "key")
def insert_codes(totp: Totp, codes: Sequence[str]) -> None:
    """Insert ``codes`` for ``totp`` in one statement. Two spellings of one code are one code."""
    by_digest = {keyed_digest(_normalized(code)): code for code in codes}
    rows = [
        BackupCode(totp_id=totp.pk, code=encrypt(code), digest=digest)
        for digest, code in by_digest.items()
    ]
    BackupCode.objects.using(totp.database).bulk_create(rows)


def normalize(value: object) -> str | None:
    """Return the one spelling that a backup code is looked up by, or ``None`` if it is no code.

    Spaces, dashes and case do not matter, nor does o for 0, or i and l for 1.
    """
    if not isinstance(value, str) or not value.isascii():
        return None
    code = re.sub(r"[\s-]", "", value).lower().translate(LOOK_ALIKES)
    return code if re.fullmatch(r"[!-~]+", code) else None


def _generate() -> str:
    symbols = base64.b32encode(secrets.token_bytes(CODE_BYTES)).decode().translate(CROCKFORD)
    return "-".join(symbols[at : at + GROUP] for at in range(0, len(symbols), GROUP))


def _normalized(value: str) -> str:
    code = normalize(value)
    if code is None:
        raise ValueError("A backup code is made of ASCII letters, digits and punctuation.")
    return code


@sensitive_variables("code", "value", "key")
def _spend(totp: Totp, code: str) -> bool:
    unused = BackupCode.objects.using(totp.database).filter(
        totp_id=totp.pk, digest__in=keyed_digests(code), is_used=False
    )
    return bool(unused.update(is_used=True))


@retried
@sensitive_variables("codes")
def _rotate(user: AbstractBaseUser) -> list[str]:
    totp = Totp.objects.of(user)
    if not totp.is_enabled:
        raise TotpNotEnrolled
    codes = generate_backup_codes()
    with transaction.atomic(using=totp.database):
        replace_codes(totp, codes)
    return codes
