"""Who must have a second factor and has none, in numbers.

Words that are columns are counted by the database. What else a word is, is Python and has to be
asked for each user.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import router
from django.db.models import Case, Count, Exists, OuterRef, Q, QuerySet, Value, When
from django.utils.translation import gettext_lazy as _

from django_totp import policy
from django_totp.conf import conf
from django_totp.exceptions import TotpError
from django_totp.models import Totp
from django_totp.moments import today

from .numbers import BATCH, flags, group_of, is_column
from .states import State, in_state

ALL, NOBODY = Q(pk__isnull=False), Q(pk__in=[])
ENROLLED, EXEMPT, IN_GRACE, OVERDUE = KINDS = ("enrolled", "exempt", "in_grace", "overdue")


class WordUnanswered(TotpError):
    """A word of ``TOTP_REQUIRED_FOR`` does not tell whether it names a user."""

    code = "word_unanswered"

    def __init__(self, word: str, pk: object, error: Exception) -> None:
        super().__init__(word, pk, error)
        self.word, self.pk, self.error = word, str(pk), f"{type(error).__name__}: {error}"

    def __str__(self) -> str:
        text = _("TOTP_REQUIRED_FOR: %(word)r cannot tell about the user %(pk)r. %(error)s")
        return str(text) % vars(self)


@dataclass(frozen=True)
class Duty:
    """How many of a group of users must have a second factor.

    And how many of these have none: those in grace, those overdue, and those who are exempt.
    """

    required: int = 0
    in_grace: int = 0
    overdue: int = 0
    exempt: int = 0


def duties(*, using: str | None = None) -> dict[str, Duty]:
    """Return the numbers for each group of ``adoption``, or none without ``TOTP_REQUIRED_FOR``.

    One query, and where a word is Python one more for all the others and for every ``BATCH`` of
    those whom it names. Raise WordUnanswered.
    """
    if not conf.TOTP_REQUIRED_FOR:
        return {}
    users = get_user_model()._base_manager.using(using or router.db_for_write(Totp)).order_by()
    counts: Counter[tuple[str, str]] = Counter()
    for named in _named(users):
        counts.update(_count(named))
    return {group: _duty(counts, group) for group in ("all", *map(group_of, flags()))}


def _named(users: QuerySet[Any]) -> Iterator[QuerySet[Any]]:
    """Yield those of ``users`` whom the policy names, each in one of the querysets."""
    conditions = {word: _condition(word) for word in conf.TOTP_REQUIRED_FOR}
    known = [condition for condition in conditions.values() if condition is not None]
    by_column = Q(NOBODY, *known, _connector=Q.OR)
    yield users.filter(by_column)
    asked = [word for word, condition in conditions.items() if condition is None]
    if asked:
        for pks in _batches(_pks_named_by(asked, users.exclude(by_column))):
            yield users.filter(pk__in=pks)


def _condition(word: str) -> Q | None:
    """Return the condition that those meet whom ``word`` names, or ``None`` if it is Python."""
    if word == policy.EVERYONE:
        return ALL
    if policy.is_group(word) and policy.has_groups():
        same = get_user_model()._base_manager.filter(pk=OuterRef("pk"))
        return Q(Exists(same.filter(groups__name=word.removeprefix(policy.GROUP))))
    column = policy.COLUMNS.get(word, "")
    return Q(**{column: True}) if is_column(column) else None


def _pks_named_by(words: list[str], users: QuerySet[Any]) -> Iterator[Any]:
    rows: Any = users.iterator(chunk_size=BATCH)
    with closing(rows):  # else a cursor of the database lives as long as an error is looked at
        for user in rows:
            if any(_answer(word, user) for word in words):
                yield user.pk


def _answer(word: str, user: AbstractBaseUser) -> bool:
    try:
        return policy.names(word, user)
    except Exception as error:
        raise WordUnanswered(word, user.pk, error) from error


def _batches(pks: Iterator[Any]) -> Iterator[list[Any]]:
    while batch := list(islice(pks, BATCH)):
        yield batch


def _count(users: QuerySet[Any]) -> "Counter[tuple[str, str]]":
    """Return how many of ``users`` there are of each kind in each group: one query."""
    rows = users.annotate(kind=_kind()).values_list("kind", *flags())
    counts: Counter[tuple[str, str]] = Counter()
    for kind, *flagged, count in rows.annotate(Count("pk")):
        groups = [group_of(flag) for flag, is_set in zip(flags(), flagged, strict=True) if is_set]
        counts.update(dict.fromkeys([(kind, group) for group in ("all", *groups)], count))
    return counts


def _kind() -> Case:
    """Return which of ``KINDS`` a user is who must have a second factor."""
    enrolled = Totp.objects.filter(in_state(State.ENABLED), user=OuterRef("pk"))
    begin = datetime.now(UTC) - timedelta(seconds=conf.TOTP_GRACE_PERIOD)
    in_grace = Q(totp_account__required_since__gt=begin)
    if conf.TOTP_GRACE_PERIOD > 0:
        in_grace |= Q(totp_account__required_since=None)
    return Case(
        When(Exists(enrolled), then=Value(ENROLLED)),
        When(totp_account__exempt_until__gte=today(), then=Value(EXEMPT)),
        When(in_grace, then=Value(IN_GRACE)),
        default=Value(OVERDUE),
    )


def _duty(counts: "Counter[tuple[str, str]]", group: str) -> Duty:
    required = sum(counts[kind, group] for kind in KINDS)
    return Duty(required, *(counts[kind, group] for kind in (IN_GRACE, OVERDUE, EXEMPT)))
