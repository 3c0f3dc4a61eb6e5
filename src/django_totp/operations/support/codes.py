"""Backup codes in numbers."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from django.core.exceptions import ImproperlyConfigured
from django.db.models import Count, Q, QuerySet

from django_totp.adoption import UNDIGESTED, digest_of
from django_totp.models import BackupCode, Totp, fetch

USABLE = Q(is_used=False, digest__isnull=False)  # and what is UNDIGESTED and can be read


class CodeCount(NamedTuple):
    """The backup codes of one enrollment, in numbers."""

    left: int = 0
    total: int = 0


def count_codes(totps: Iterable[Totp], *, using: str | None = None) -> dict[int, CodeCount]:
    """Return the numbers of backup codes of each of ``totps`` by its key: one query for all.

    And another one for codes without a digest, where there are any.
    """
    pks = [totp.pk for totp in totps]
    codes = BackupCode.objects.using(using).order_by()
    rows = codes.filter(totp__in=pks).values_list("totp")
    counts = rows.annotate(
        left=Count("pk", filter=USABLE),
        undigested=Count("pk", filter=UNDIGESTED),
        total=Count("pk"),
    )
    counted = {pk: count for pk, *count in counts}
    more = count_readable(codes.filter(totp__in=[pk for pk in counted if counted[pk][1]]))
    return dict.fromkeys(pks, CodeCount()) | {
        pk: CodeCount(left + more[pk], total) for pk, (left, _, total) in counted.items()
    }


def count_readable(codes: QuerySet[Any]) -> "Counter[int]":
    """Return how many unused ``codes`` without a digest can be read, by enrollment."""
    rows = codes.filter(UNDIGESTED).values_list("totp_id", "code")
    return Counter(totp_id for totp_id, token in fetch(rows) if _is_code(token))


def _is_code(token: str) -> bool:
    try:
        return digest_of(token) is not None
    except ImproperlyConfigured:
        return False
