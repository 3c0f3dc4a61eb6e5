"""Rows as django-totp 1.1.x writes them, by whatever way they came: what is on there is on here.

There an enrollment is on once it has backup codes, and a code is found by decrypting them all.
Processes of 1.1.x run on while a project is upgraded, and their rows live on in dumps, so the
migration does not see them all. An enrollment is adopted when it is read: a compare-and-swap
confirms it. A code gets its digest then, or when a code is looked for and not found.
"""

import contextlib

from cryptography.fernet import InvalidToken
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q

from . import spelling
from .encryption import decrypt, keyed_digest
from .models import BackupCode, HasCodes, Moved, Totp, fetch
from .retrying import retried

UNDIGESTED = Q(digest=None, is_used=False)


@retried
def adopted(totp: Totp | None) -> Totp | None:
    """Return ``totp``, confirmed if it is an enrollment that 1.1.x has switched on.

    A row without a confirmation costs one query, unless the one that read it told of its codes.
    """
    if totp is None or totp.is_enabled or not _has_codes(totp):
        return totp
    totp.has_codes = True
    try:
        totp.move(confirmed_at=totp.created_at)
    except Moved:
        totp.confirmed_at = totp.created_at  # who wants to move it as well will read it again
    else:
        give_digests(totp)
    return totp


def give_digests(totp: Totp) -> None:
    """Give the unused codes of ``totp`` that have none their digests.

    A code that no configured key reads stays without one, and so does the double of another.
    """
    for code in fetch(totp.codes.filter(UNDIGESTED).order_by("pk")):
        _give_digest(code)


def has_codes() -> HasCodes:
    """Return the condition that an enrollment has codes: confirmed or not, it is on."""
    return HasCodes("pk")


def lacks_digests() -> Exists:
    """Return the condition that an unused code of an enrollment has no digest."""
    return Exists(BackupCode.objects.filter(UNDIGESTED, totp=OuterRef("pk")))


def digest_of(token: str) -> str | None:
    """Return the digest of the code in a Fernet token, or ``None`` if none can be read there."""
    try:
        code = spelling.backup_code(decrypt(token))
    except InvalidToken:
        return None
    return None if code is None else keyed_digest(code)


def _has_codes(totp: Totp) -> bool:
    if totp.has_codes is not None:
        return totp.has_codes
    return any(fetch(totp.codes.only("pk")[:1]))


def _give_digest(code: BackupCode) -> None:
    digest = digest_of(code.code)
    if digest is None:
        return
    rows = BackupCode.objects.using(code._state.db).filter(pk=code.pk, code=code.code)
    with contextlib.suppress(IntegrityError), transaction.atomic(using=rows.db):
        rows.update(digest=digest)  # or it is the same code twice: the first of them stands
