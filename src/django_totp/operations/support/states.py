"""How one enrollment stands, and the conditions that ask the database for the same."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from django_totp.adoption import has_codes
from django_totp.attempts import read_enrolled
from django_totp.conf import conf
from django_totp.factor import clock_was_ahead
from django_totp.models import Totp, fetch
from django_totp.moments import as_configured

from .codes import CodeCount, count_codes

NEVER = datetime(9999, 1, 1, tzinfo=UTC)


class State(models.TextChoices):
    """What an enrollment is. One that waits is enabled or pending as well."""

    ENABLED = "enabled", pgettext_lazy("enrollment", "Enabled")
    PENDING = "pending", _("Pending")
    EXPIRED = "expired", _("Expired")
    WAITING = "waiting", _("Waiting")


@dataclass(frozen=True)
class Status:
    """One enrollment as support may see it."""

    state: State
    created_at: datetime
    enabled_since: datetime | None
    last_verified_at: datetime | None
    waiting_until: datetime | None
    refused_until: datetime | None
    is_capped: bool
    failures: int
    codes: CodeCount
    recovery_ready_at: datetime | None
    is_recovery_allowed: bool
    is_being_replaced: bool


def enrollment_of(user: AbstractBaseUser, *, using: str | None = None) -> Totp:
    """Return the enrollment of ``user``. Raise TotpNotEnrolled if there is none."""
    return read_enrolled(user, using)


def identity_of(totp: Totp) -> tuple[Any, datetime, datetime | None]:
    """Return what no other enrollment of the same user has."""
    return totp.pk, totp.created_at, enabled_since(totp)


def act_upon(
    seen: Totp, service: Callable[..., None], *, user: AbstractBaseUser, **facts: Any
) -> None:
    """Call ``service`` for ``user`` if the enrollment is still the one that was ``seen``.

    Raise TotpNotEnrolled if it is not: what somebody has agreed to was about another one.
    """
    service(user, using=seen.database, seen=seen, **facts)


def status_of(user: AbstractBaseUser, *, using: str | None = None) -> Status:
    """Return how the enrollment of ``user`` stands. Raise TotpNotEnrolled if there is none."""
    totp = enrollment_of(user, using=using)
    codes = count_codes([totp], using=totp.database)[totp.pk]
    return Status(
        state=state_of(totp, codes),
        created_at=totp.created_at,
        enabled_since=enabled_since(totp, codes),
        last_verified_at=totp.last_verified_at,
        waiting_until=waiting_until(totp),
        refused_until=refused_until(totp),
        is_capped=is_capped(totp),
        failures=totp.failures,
        codes=codes,
        recovery_ready_at=recovery_ready_at(totp),
        is_recovery_allowed=totp.is_recovery_allowed,
        is_being_replaced=totp.is_being_replaced,
    )


def recovery_ready_at(totp: Totp) -> datetime | None:
    """Return from when on a login may set up another authenticator, if a recovery has begun."""
    begin = totp.recovery_ready_at
    return as_configured(begin) if begin is not None and totp.is_recovery_pending else None


def state_of(totp: Totp, codes: CodeCount | None = None) -> State:
    """Return whether ``totp`` is enabled, pending or expired.

    It takes a query to know it of an unconfirmed one, unless its ``codes`` are given.
    """
    if enabled_since(totp, codes) is not None:
        return State.ENABLED
    return State.PENDING if totp.is_pending else State.EXPIRED


def enabled_since(totp: Totp, codes: CodeCount | None = None) -> datetime | None:
    """Return since when ``totp`` is on, or ``None`` if it is not.

    In django-totp 1.1 an enrollment was on once it had backup codes, and nothing confirmed it.
    """
    if totp.confirmed_at is not None:
        return totp.confirmed_at
    is_on = any(fetch(totp.codes[:1])) if codes is None else codes.total
    return totp.created_at if is_on else None


def waiting_until(totp: Totp) -> datetime | None:
    """Return when TOTP codes of ``totp`` are accepted again, or ``None`` if they are now.

    However far a wait goes that a wrong clock has begun, none lasts longer than the longest.
    """
    if totp.waiting_until is None:
        return None
    until, now = totp.waiting_until, datetime.now(UTC)
    longest = now + timedelta(seconds=conf.TOTP_LOCKOUT_MAX_SECONDS)
    return as_configured(min(until, longest)) if until > now else None


def refused_until(totp: Totp) -> datetime | None:
    """Return when TOTP codes of ``totp`` are newer than the last used one, if that is to come.

    The server's clock was ahead when that one was accepted. ``None`` if it was not.
    """
    if totp.last_used_step is None or not clock_was_ahead(totp):
        return None
    first = totp.last_used_step + 1 - conf.TOTP_VALID_WINDOW  # the step in which a code is new
    seconds = min(first * totp.period, NEVER.timestamp())
    return as_configured(datetime.fromtimestamp(seconds, UTC))


def is_capped(totp: Totp) -> bool:
    """Return whether TOTP codes of ``totp`` are off, however long anybody waits."""
    cap = conf.TOTP_FAILURE_CAP
    return cap is not None and totp.failures >= cap


def in_state(state: State) -> Q:
    """Return the condition that enrollments in ``state`` meet."""
    now = timezone.now()
    oldest = now - timedelta(seconds=conf.TOTP_SETUP_MAX_AGE)
    if state == State.ENABLED:
        return Q(confirmed_at__isnull=False) | Q(has_codes())
    if state == State.PENDING:
        return Q(confirmed_at=None, created_at__gt=oldest) & ~Q(has_codes())
    if state == State.EXPIRED:
        return Q(confirmed_at=None, created_at__lte=oldest) & ~Q(has_codes())
    capped = Q() if conf.TOTP_FAILURE_CAP is None else Q(failures__gte=conf.TOTP_FAILURE_CAP)
    return capped | Q(waiting_until__gt=now)
