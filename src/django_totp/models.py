"""The two tables, and the compare-and-swap that every change of an enrollment goes through.

Reads go to the database that is written (``router.db_for_write``), and past what caches
querysets: whether a code was used before is no question for what lags behind.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models, router, transaction
from django.db.models.signals import post_delete, pre_delete
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .conf import conf

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
CLOCK_SKEW = timedelta(seconds=5)  # by which the clocks of one project's servers may differ


class Moved(Exception):
    """Somebody else changed the enrollment since it was read: read again, decide again."""


class PrimaryManager(models.Manager[Any]):
    """A manager that reads where it would write, unless told which database to use."""

    def get_queryset(self) -> models.QuerySet[Any]:
        queryset = super().get_queryset()
        queryset._for_write = True  # type: ignore[attr-defined]  # so the router is asked
        return queryset


class TotpManager(PrimaryManager):
    def find(self, user: AbstractBaseUser, **told: Any) -> "Totp | None":
        """Return the row of ``user`` as it stands in the database, or ``None``.

        ``attempts.read`` is for all that decides: a row of 1.1.x says less than it means. The
        query annotates the row with what is to be ``told``.
        """
        rows = self.filter(user_id=user.pk)
        return next(fetch(rows.annotate(**told) if told else rows), None)


class MomentField(models.Field):  # type: ignore[type-arg]  # no generic at run time
    """A moment, stored as microseconds since the epoch: an aware ``datetime`` in UTC.

    A ``DateTimeField`` holds local time where ``USE_TZ`` is off, which stands still or leaps
    when summer time ends or begins.
    """

    def get_internal_type(self) -> str:
        return "BigIntegerField"

    def get_prep_value(self, value: Any) -> Any:
        moment = self.to_python(super().get_prep_value(value))
        return moment and (moment - EPOCH) // MICROSECOND

    def from_db_value(self, value: int | None, *args: Any) -> datetime | None:
        return None if value is None else EPOCH + value * MICROSECOND

    def to_python(self, value: Any) -> datetime | None:
        moment = models.DateTimeField().to_python(value)
        return moment and aware(moment)

    def value_to_string(self, obj: models.Model) -> str:
        value = self.value_from_object(obj)
        return "" if value is None else str(value.isoformat())


class Totp(models.Model):
    """The enrollment of one user: pending until ``confirmed_at`` is set.

    ``version`` counts the changes of the row; ``move`` is how it is changed.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="totp",
    )
    secret_key = models.CharField(max_length=255)
    created_at = models.DateTimeField(auto_now_add=True)
    confirmed_at = models.DateTimeField(null=True, blank=True)
    last_verified_at = models.DateTimeField(null=True, blank=True)
    waiting_until = MomentField(null=True, blank=True)
    last_used_step = models.BigIntegerField(null=True, blank=True)
    # The defaults are the database's, too: processes of 1.1.x insert rows without these columns.
    version = models.PositiveBigIntegerField(default=0, db_default=0)
    verifications = models.PositiveBigIntegerField(default=0, db_default=0)
    failures = models.PositiveBigIntegerField(default=0, db_default=0)
    digits = models.PositiveSmallIntegerField(default=6, db_default=6)
    period = models.PositiveSmallIntegerField(default=30, db_default=30)
    algorithm = models.CharField(max_length=6, default="SHA1", db_default="SHA1")
    # What a query may have told on the way, so that it need not be asked for.
    has_codes: bool | None = None
    has_undigested: bool | None = None

    objects = TotpManager()

    class Meta:
        verbose_name = _("TOTP enrollment")
        verbose_name_plural = _("TOTP enrollments")
        permissions = [
            ("reset_totp", "Can reset two-factor authentication"),
            ("unlock_totp", "Can end the wait after wrong TOTP codes"),
        ]

    def __str__(self) -> str:
        return f"TOTP enrollment {self.pk}"

    @property
    def is_enabled(self) -> bool:
        """Return whether the enrollment is confirmed: logins ask for a code."""
        return self.confirmed_at is not None

    @property
    def is_pending(self) -> bool:
        """Return whether the enrollment still can be confirmed."""
        longest = timedelta(seconds=conf.TOTP_SETUP_MAX_AGE)
        return not self.is_enabled and -CLOCK_SKEW <= age(self.created_at) < longest

    @property
    def database(self) -> str:
        """Return the alias of the database that the row was read from."""
        return self._state.db or router.db_for_write(type(self), instance=self)

    @property
    def as_read(self) -> models.QuerySet[Any]:
        """Return the row as a query that is empty once anybody has moved it.

        A process of 1.1.x, which knows no version, moves a row by giving it its first codes.
        """
        rows = type(self).objects.using(self.database).filter(pk=self.pk, version=self.version)
        if self.is_enabled or self.has_codes:
            return rows
        return rows.exclude(HasCodes("pk"))

    @property
    def codes(self) -> models.QuerySet[Any]:
        """Return the backup codes, in the database that the row was read from."""
        return BackupCode.objects.using(self.database).filter(totp_id=self.pk)

    def move(self, **changes: Any) -> None:
        """Write ``changes`` in one UPDATE if the row is still as it was read, or raise Moved.

        What the row already holds is not written again: a column costs as much as a comparison
        of codes.
        """
        new = {name: value for name, value in changes.items() if value != getattr(self, name)}
        new["version"] = self.version + 1
        if not self.as_read.update(**new):
            raise Moved
        vars(self).update(new)

    def drop_codes(self) -> None:
        """Delete the backup codes, as the first statement of a transaction of the caller's.

        Where others watch, the ORM reads before it deletes, and a transaction that begins with
        a read ends in "database is locked" on SQLite: there the row is moved first.
        """
        if _is_watched(BackupCode):
            self.move()
        deleted, _rows = self.codes.delete()
        if deleted and not self.is_enabled and not self.has_codes:
            raise Moved

    def remove(self) -> None:
        """Delete the row and its codes if it is still as it was read, or raise Moved.

        A plain ``delete()`` has no such condition.
        """
        with transaction.atomic(using=self.database):
            self.drop_codes()
            if _is_watched(Totp):
                self.move()
                self.delete(using=self.database)  # whatever the router says now
            elif not self.as_read._raw_delete(self.database):
                raise Moved


class BackupCode(models.Model):
    """A code that stands in for the authenticator once.

    ``digest`` is what it is found by; ``NULL`` where no configured key could read the code.
    """

    totp = models.ForeignKey(
        Totp,
        on_delete=models.CASCADE,
        related_name="backup_codes",
        db_index=False,  # the unique constraint serves
    )
    code = models.CharField(max_length=255)
    digest = models.CharField(max_length=16, null=True, editable=False)  # noqa: DJ001
    is_used = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = PrimaryManager()

    class Meta:
        verbose_name = _("backup code")
        verbose_name_plural = _("backup codes")
        constraints = [
            models.UniqueConstraint(
                fields=["totp", "digest"], name="django_totp_backupcode_digest_unique"
            )
        ]

    def __str__(self) -> str:
        return f"backup code {self.pk}"


class HasCodes(models.Func):
    """Whether the enrollment of a primary key has codes, used or not.

    PostgreSQL may answer an EXISTS by reading all codes first; it never does that for a value.
    The SQL is written out: to have it made takes as long as all the rest of a statement.
    """

    template = (
        "((SELECT totp_id FROM django_totp_backupcode WHERE totp_id = %(expressions)s LIMIT 1) "
        "IS NOT NULL)"
    )
    output_field = models.BooleanField()


def fetch(rows: models.QuerySet[Any]) -> Iterator[Any]:
    """Yield ``rows`` from the database, where a package may have made QuerySet cache its own."""
    yield from iter(rows._iterable_class(rows))  # type: ignore[call-overload]


def aware(moment: datetime) -> datetime:
    """Return ``moment`` as an aware one: naive ones are local time, where ``USE_TZ`` is off."""
    if timezone.is_aware(moment):
        return moment
    if not settings.TIME_ZONE:  # then it is the system's
        return moment.astimezone()
    return timezone.make_aware(moment, timezone.get_default_timezone())


def age(moment: datetime) -> timedelta:
    """Return how long ago ``moment`` was.

    Local time that the end of summer time lets come twice is taken for the later one, unless
    that is still to come.
    """
    now = datetime.now(UTC)
    later = now - aware(moment.replace(fold=1))
    return later if later >= -CLOCK_SKEW else now - aware(moment.replace(fold=0))


def _is_watched(model: type[models.Model]) -> bool:
    """Return whether others follow the end of rows of ``model``: by signals or foreign keys."""
    if any(signal.has_listeners(model) for signal in (pre_delete, post_delete)):
        return True
    relations = [one for one in model._meta.get_fields(include_hidden=True) if one.auto_created]
    return any(one.is_relation and one.related_model is not BackupCode for one in relations)
