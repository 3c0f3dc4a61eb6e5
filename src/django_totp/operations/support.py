"""What support needs to know: who a user is, how an enrollment stands, how far adoption goes.

Nothing here reads a secret or a code.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import (
    FieldDoesNotExist,
    MultipleObjectsReturned,
    ObjectDoesNotExist,
    ValidationError,
)
from django.db import models, router
from django.db.models import Count, Exists, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from django_totp.attempts import read_enrolled
from django_totp.conf import conf
from django_totp.exceptions import TotpError
from django_totp.models import BackupCode, Totp

FEW_CODES = 3  # fewer than this are reported as low
FLAGS = ("is_active", "is_staff", "is_superuser")
USABLE = Q(is_used=False, digest__isnull=False)  # without a digest a code is found by nobody


class UserNotFound(TotpError):
    """No user goes by the given name or primary key, or more than one by the name."""

    code = "user_not_found"

    def __init__(self, field: str, value: object) -> None:
        super().__init__(field, value)
        self.field, self.value = field, value

    def __str__(self) -> str:
        return str(_("No single user has the %(field)s %(value)r.")) % vars(self)


class State(models.TextChoices):
    """What an enrollment is. One that waits is enabled or pending as well."""

    ENABLED = "enabled", _("Enabled")
    PENDING = "pending", _("Pending")
    EXPIRED = "expired", _("Expired")
    WAITING = "waiting", _("Waiting")


class CodeCount(NamedTuple):
    """The backup codes of one enrollment, in numbers."""

    left: int = 0
    total: int = 0


@dataclass(frozen=True)
class Status:
    """One enrollment as support may see it."""

    state: State
    created_at: datetime
    enabled_since: datetime | None
    last_verified_at: datetime | None
    waiting_until: datetime | None
    is_capped: bool
    failures: int
    codes: CodeCount


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


def find_user(
    name: str | None = None, *, pk: str | None = None, using: str | None = None
) -> AbstractBaseUser:
    """Return the user whose ``USERNAME_FIELD`` is ``name``, or whose primary key reads ``pk``.

    Raise UserNotFound.
    """
    model = get_user_model()
    users: Any = model._default_manager.db_manager(using or router.db_for_write(Totp))
    try:
        if pk is None:
            user: AbstractBaseUser = users.get_by_natural_key(name)
        else:
            user = users.get(pk=model._meta.pk.to_python(pk))
    except (ObjectDoesNotExist, MultipleObjectsReturned, ValidationError, ValueError):
        field, value = (model.USERNAME_FIELD, name) if pk is None else ("primary key", pk)
        raise UserNotFound(field, value) from None
    return user


def search_users(text: str, *, limit: int, using: str | None = None) -> list[Any] | None:
    """Return the primary keys of the users whose name is ``text``, or else contains it.

    An index knows whole names; a part of one is looked for in all of them, once. Return
    ``None`` if more than ``limit`` users have it.
    """
    name = get_user_model().USERNAME_FIELD
    pks = get_user_model()._base_manager.using(using).order_by().values_list("pk", flat=True)
    try:
        found = list(pks.filter(**{name: text})[:limit])
    except (ValidationError, ValueError):  # names are numbers in this project, say
        found = []
    found = found or list(pks.filter(**{f"{name}__icontains": text})[: limit + 1])
    return found if len(found) <= limit else None


def status_of(user: AbstractBaseUser, *, using: str | None = None) -> Status:
    """Return how the enrollment of ``user`` stands. Raise TotpNotEnrolled if there is none."""
    totp = read_enrolled(user, using)
    return Status(
        state=state_of(totp),
        created_at=totp.created_at,
        enabled_since=totp.confirmed_at,
        last_verified_at=totp.last_verified_at,
        waiting_until=waiting_until(totp),
        is_capped=is_capped(totp),
        failures=totp.failures,
        codes=count_codes([totp], using=totp.database)[totp.pk],
    )


def state_of(totp: Totp) -> State:
    """Return whether ``totp`` is enabled, pending or expired."""
    if totp.is_enabled:
        return State.ENABLED
    return State.PENDING if totp.is_pending else State.EXPIRED


def waiting_until(totp: Totp) -> datetime | None:
    """Return when TOTP codes of ``totp`` are accepted again, or ``None`` if they are now."""
    until = totp.waiting_until
    return until if until is not None and until > timezone.now() else None


def is_capped(totp: Totp) -> bool:
    """Return whether TOTP codes of ``totp`` are off, however long anybody waits."""
    cap = conf.TOTP_FAILURE_CAP
    return cap is not None and totp.failures >= cap


def in_state(state: State) -> Q:
    """Return the condition that enrollments in ``state`` meet."""
    now = timezone.now()
    oldest = now - timedelta(seconds=conf.TOTP_SETUP_MAX_AGE)
    if state == State.ENABLED:
        return Q(confirmed_at__isnull=False)
    if state == State.PENDING:
        return Q(confirmed_at=None, created_at__gt=oldest)
    if state == State.EXPIRED:
        return Q(confirmed_at=None, created_at__lte=oldest)
    capped = Q() if conf.TOTP_FAILURE_CAP is None else Q(failures__gte=conf.TOTP_FAILURE_CAP)
    return capped | Q(waiting_until__gt=now)


def count_codes(totps: Iterable[Totp], *, using: str | None = None) -> dict[int, CodeCount]:
    """Return the numbers of backup codes of each of ``totps`` by its key: one query for all."""
    pks = [totp.pk for totp in totps]
    rows = BackupCode.objects.using(using).filter(totp__in=pks).values_list("totp")
    counted = rows.annotate(left=Count("pk", filter=USABLE), total=Count("pk"))
    return dict.fromkeys(pks, CodeCount()) | {pk: CodeCount(*count) for pk, *count in counted}


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
    the last one their codes: with millions of them no page should wait for it.
    """
    alias = using or router.db_for_write(Totp)
    totps = Totp.objects.using(alias)
    facts = {
        "users": get_user_model()._base_manager.using(alias),
        "enabled": totps.filter(in_state(State.ENABLED)),
        "pending": totps.filter(in_state(State.PENDING)),
        "waiting": totps.filter(in_state(State.WAITING)),
        "low_on_codes": totps.filter(in_state(State.ENABLED)).exclude(_has_enough_codes()),
    }
    counts = {fact: _count_by_group(rows) for fact, rows in facts.items()}
    return [
        Adoption(group, **{fact: counts[fact][group] for fact in facts})
        for group in counts["users"]
    ]


def _has_enough_codes() -> Exists:
    """Return the condition that ``FEW_CODES`` codes are left. Counting would read the others."""
    usable = BackupCode.objects.filter(USABLE, totp=OuterRef("pk"))
    return Exists(usable[FEW_CODES - 1 : FEW_CODES])


def _count_by_group(rows: models.QuerySet[Any]) -> dict[str, int]:
    path = "user__" if rows.model is Totp else ""
    groups = {flag.removeprefix("is_"): Q(**{path + flag: True}) for flag in _flags()}
    counts = {group: Count("pk", filter=flagged) for group, flagged in groups.items()}
    return rows.aggregate(all=Count("pk"), **counts)


def _flags() -> list[str]:
    """Return those of ``FLAGS`` that are columns of the user model."""
    return [flag for flag in FLAGS if _is_column(flag)]


def _is_column(name: str) -> bool:
    try:
        return isinstance(get_user_model()._meta.get_field(name), models.BooleanField)
    except FieldDoesNotExist:
        return False
