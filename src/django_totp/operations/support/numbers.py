"""How far adoption goes, in numbers."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import FieldDoesNotExist
from django.db import models, router
from django.db.models import Count, Exists, OuterRef, Q

from django_totp.models import BackupCode, Totp

from .codes import USABLE, count_readable
from .states import State, in_state

FEW_CODES = 3  # fewer than this are reported as low
FLAGS = ("is_active", "is_staff", "is_superuser")
BATCH = 500  # primary keys in one query


@dataclass(frozen=True)
class Adoption:
    """The enrollments of one group of users, in numbers."""

    group: str
    users: int
    enabled: int
    pending: int
    waiting: int
    low_on_codes: int

    @property
    def percent_enabled(self) -> float:
        """Return the share of the users who have TOTP on."""
        return round(100 * self.enabled / self.users, 1) if self.users else 0.0


def count_at_most(limit: int, *, using: str | None = None) -> tuple[int, int]:
    """Return how many users have TOTP on and how many users there are, each up to ``limit``.

    The database stops counting there, so this stays cheap however many there are.
    """
    enabled = Totp.objects.using(using).filter(in_state(State.ENABLED))
    users = get_user_model()._base_manager.using(using)
    return enabled.order_by()[:limit].count(), users.order_by()[:limit].count()


def adoption(*, using: str | None = None) -> list[Adoption]:
    """Return the numbers for all users, then for each group that the user model knows.

    One query for each number, in which the database reads all users or enrollments, and for
    the last one their codes: with millions of them no page should wait for it. Codes without a
    digest are decrypted.
    """
    alias = using or router.db_for_write(Totp)
    totps = Totp.objects.using(alias)
    low_on_codes = totps.filter(in_state(State.ENABLED)).exclude(_has_enough_codes())
    facts = {
        "users": get_user_model()._base_manager.using(alias),
        "enabled": totps.filter(in_state(State.ENABLED)),
        "pending": totps.filter(in_state(State.PENDING)),
        "waiting": totps.filter(in_state(State.WAITING)),
        "low_on_codes": low_on_codes,
    }
    counts = {fact: _count_by_group(rows) for fact, rows in facts.items()}
    for pks in _with_enough_after_all(low_on_codes):
        counts["low_on_codes"].subtract(_count_by_group(totps.filter(pk__in=pks)))
    return [
        Adoption(group, **{fact: counts[fact][group] for fact in facts})
        for group in counts["users"]
    ]


def _with_enough_after_all(totps: models.QuerySet[Any]) -> Iterator[list[int]]:
    """Yield those of ``totps`` that have ``FEW_CODES`` if codes without a digest are counted."""
    codes = BackupCode.objects.using(totps.db).order_by()
    more = count_readable(codes.filter(totp__in=totps.order_by()))
    pks = sorted(more)
    for batch in (pks[at : at + BATCH] for at in range(0, len(pks), BATCH)):
        counts = codes.filter(USABLE, totp__in=batch).values_list("totp")
        usable = dict(counts.annotate(Count("pk")))
        yield [pk for pk in batch if usable.get(pk, 0) + more[pk] >= FEW_CODES]


def _has_enough_codes() -> Exists:
    """Return the condition that ``FEW_CODES`` codes are left. Counting would read the others."""
    usable = BackupCode.objects.filter(USABLE, totp=OuterRef("pk"))
    return Exists(usable[FEW_CODES - 1 : FEW_CODES])


def _count_by_group(rows: models.QuerySet[Any]) -> "Counter[str]":
    path = "user__" if rows.model is Totp else ""
    groups = {group_of(flag): Q(**{path + flag: True}) for flag in flags()}
    counts = {group: Count("pk", filter=flagged) for group, flagged in groups.items()}
    return Counter(rows.aggregate(all=Count("pk"), **counts))


def flags() -> list[str]:
    """Return those of ``FLAGS`` that are columns of the user model."""
    return [flag for flag in FLAGS if is_column(flag)]


def group_of(flag: str) -> str:
    """Return what the group of users is called who have ``flag``."""
    return flag.removeprefix("is_")


def is_column(name: str) -> bool:
    """Return whether ``name`` is a flag in the table of users."""
    try:
        return isinstance(get_user_model()._meta.get_field(name), models.BooleanField)
    except FieldDoesNotExist:
        return False
