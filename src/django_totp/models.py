"""The tables, and the compare-and-swap that every change of an enrollment goes through.

Reads go to the database that is written (``router.db_for_write``), and past what caches
querysets: whether a code was used before is no question for what lags behind.
"""

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import DatabaseError, IntegrityError, models, router, transaction
from django.db.models.signals import post_delete, pre_delete
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from .conf import conf
from .encryption import made_at
from .moments import CLOCK_SKEW, MomentField, age

DUPLICATE = {"23505", 1062}  # a row is in the way: of PostgreSQL, of MariaDB
RECOVERY_WINDOW = timedelta(days=7)


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

    def drop_replacement(self, user: AbstractBaseUser) -> None:
        """Forget a replacement that a login of ``user`` has begun, in one UPDATE."""
        rows = self.filter(user_id=user.pk).exclude(replacement="")
        rows.update(replacement="", version=models.F("version") + 1)


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
    created_at = models.DateTimeField(pgettext_lazy("enrollment", "created at"), auto_now_add=True)
    confirmed_at = models.DateTimeField(_("confirmed at"), null=True, blank=True)
    last_verified_at = models.DateTimeField(_("last verified at"), null=True, blank=True)
    waiting_until = MomentField(null=True, blank=True)
    last_used_step = models.BigIntegerField(null=True, blank=True)
    # The defaults are the database's, too: processes of 1.1.x insert rows without these columns.
    version = models.PositiveBigIntegerField(default=0, db_default=0)
    verifications = models.PositiveBigIntegerField(_("right codes"), default=0, db_default=0)
    failures = models.PositiveBigIntegerField(_("wrong codes in a row"), default=0, db_default=0)
    digits = models.PositiveSmallIntegerField(_("digits"), default=6, db_default=6)
    period = models.PositiveSmallIntegerField(_("period in seconds"), default=30, db_default=30)
    algorithm = models.CharField(_("algorithm"), max_length=6, default="SHA1", db_default="SHA1")
    # The name of the login that confirmed the enrollment, if it had one: see ``assurance``.
    confirmed_sid = models.CharField(max_length=64, blank=True, default="", db_default="")
    # The secret that is to take the place of this one once it is confirmed, encrypted with its
    # parameters. The token that it is has an age of its own.
    replacement = models.CharField(max_length=255, blank=True, default="", db_default="")
    # When a mail about a recovery was asked for, and from when on there may be a new factor.
    recovery_asked_at = MomentField(null=True, blank=True)
    recovery_ready_at = MomentField(null=True, blank=True)
    is_recovery_allowed = models.BooleanField(default=False, db_default=False)  # by somebody else
    wait_told_at = MomentField(null=True, blank=True)
    # What a query may have told on the way, so that it need not be asked for.
    has_codes: bool | None = None
    has_undigested: bool | None = None

    objects = TotpManager()

    class Meta:
        verbose_name = _("TOTP enrollment")
        verbose_name_plural = _("TOTP enrollments")
        permissions = [
            ("reset_totp", "Can reset two-factor authentication"),
            ("allow_recovery", "Can let a user set up a new authenticator without a code"),
            ("unlock_totp", "Can end the wait after wrong TOTP codes"),
        ]

    def __str__(self) -> str:
        return f"{self._meta.verbose_name} {self.pk}"

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
    def is_being_replaced(self) -> bool:
        """Return whether a replacement was begun that still can be confirmed, by whomever."""
        age = time.time() - made_at(self.replacement)
        skew = CLOCK_SKEW.total_seconds()
        return self.is_enabled and -skew <= age < conf.TOTP_SETUP_MAX_AGE

    @property
    def is_recovery_pending(self) -> bool:
        """Return whether a recovery has been started, or allowed, that is not over yet."""
        begin = self.recovery_ready_at
        return begin is not None and datetime.now(UTC) < begin + RECOVERY_WINDOW

    @property
    def is_recovery_ready(self) -> bool:
        """Return whether its wait is over: there may be a new factor (``recovery``)."""
        return self.is_recovery_pending and self.recovery_ready_at <= datetime.now(UTC)  # type: ignore[operator,unused-ignore]

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
        return f"{self._meta.verbose_name} {self.pk}"


class AccountManager(PrimaryManager):
    def of(self, user: AbstractBaseUser) -> "Account":
        """Return the row of ``user`` as it stands in the database, or a new one, not stored."""
        rows = self.filter(user_id=user.pk)
        account: Account = next(fetch(rows), None) or Account(user_id=user.pk)
        account._state.db = rows.db
        return account


class Account(models.Model):
    """What outlives the enrollments of a user: which logins count, and who must enroll.

    There is a row once one of these is known. ``valid_from`` is when logins were ended last,
    ``required_since`` when the user was first found to owe a second factor, ``imported_at`` when
    the enrollment was taken over from another package, whatever became of it since.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="totp_account",
    )
    valid_from = MomentField(null=True, blank=True, verbose_name=_("logins count from"))
    required_since = MomentField(null=True, blank=True, verbose_name=_("must enroll since"))
    exempt_until = models.DateField(null=True, blank=True, verbose_name=_("exempt until"))
    exempt_reason = models.CharField(
        max_length=200, blank=True, default="", verbose_name=_("reason of the exemption")
    )
    imported_at = MomentField(null=True, editable=False)

    objects = AccountManager()

    class Meta:
        verbose_name = _("account")
        verbose_name_plural = _("accounts")
        permissions = [("end_sessions", "Can end all logins of a user")]

    def __str__(self) -> str:
        return f"{self._meta.verbose_name} {self.pk}"

    def end_logins(self) -> None:
        """Let none of the logins until now count, also one that was given the next second.

        It is one write. Raise Moved if somebody else has done so since the row was read.
        """
        begin, last = datetime.now(UTC), self.valid_from
        latest = begin + CLOCK_SKEW  # what is beyond it, a clock that was ahead has written
        if last is not None and last <= latest:
            begin = min(max(begin, last + timedelta(seconds=1)), latest)
        rows = type(self).objects.using(self._state.db)
        if self._state.adding:
            self._insert(rows, valid_from=begin)
        elif not rows.filter(pk=self.pk, valid_from=last).update(valid_from=begin):
            raise Moved
        self.valid_from = begin

    def exempt(self, until: date | None, reason: str = "") -> None:
        """Let the user do without a factor up to and on that day, or not any more if ``None``.

        Raise Moved if somebody else has decided so since the row was read.
        """
        values = {"exempt_until": until, "exempt_reason": reason}
        rows = type(self).objects.using(self._state.db)
        if self._state.adding:
            self._insert(rows, **values)
        elif not rows.filter(pk=self.pk, exempt_until=self.exempt_until).update(**values):
            raise Moved

    def _insert(self, rows: models.QuerySet[Any], **values: Any) -> None:
        try:
            with transaction.atomic(using=rows.db):
                rows.create(user_id=self.pk, **values)
        except IntegrityError as error:
            # At SERIALIZABLE, this transaction may not see the row that is in the way.
            if not codes_of(error) & DUPLICATE and not rows.filter(pk=self.pk).exists():
                raise
            raise Moved from None


class TrustedDevice(models.Model):
    """A browser or an app whose logins with the password need no code for a while.

    ``created_at`` is when the code was given that made it one. Nothing that is stored opens
    anything: ``series`` and ``digest`` are digests of what the device keeps, and ``fingerprint``
    of what it rests on (see ``devices``).
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="totp_devices",
    )
    name = models.CharField(
        max_length=100, blank=True, default="", verbose_name=pgettext_lazy("device", "name")
    )
    series = models.CharField(max_length=64, unique=True, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    fingerprint = models.CharField(max_length=64, editable=False)
    created_at = MomentField(verbose_name=_("trusted since"))
    last_used_at = MomentField(verbose_name=_("last used"))
    expires_at = MomentField(verbose_name=_("trusted until"))

    objects = PrimaryManager()

    class Meta:
        verbose_name = _("trusted device")
        verbose_name_plural = _("trusted devices")

    def __str__(self) -> str:
        return f"{self._meta.verbose_name} {self.pk}"


class Event(models.Model):
    """What happened to somebody's second factor, as ``trail`` has heard it from the log.

    Users are named by their keys as text: the record outlives them. ``actor_pk`` is who did it,
    and empty for a command.
    """

    at = MomentField(db_index=True, verbose_name=_("time"))
    event = models.CharField(max_length=40, verbose_name=_("event"))
    user_pk = models.CharField(max_length=255, blank=True, verbose_name=_("user"))
    actor_pk = models.CharField(max_length=255, blank=True, verbose_name=_("done by"))
    method = models.CharField(max_length=40, blank=True, verbose_name=_("method"))
    reason = models.CharField(max_length=255, blank=True, verbose_name=_("reason"))
    address = models.CharField(max_length=255, blank=True, verbose_name=_("address"))
    user_agent = models.CharField(max_length=255, blank=True, verbose_name=_("browser"))

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        indexes = [  # db_index would make two of each in PostgreSQL, one of them for LIKE
            models.Index(fields=["user_pk"], name="django_totp_event_user_pk"),
            models.Index(fields=["event"], name="django_totp_event_event"),
        ]

    def __str__(self) -> str:
        return f"{self._meta.verbose_name} {self.pk}"


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


def codes_of(error: DatabaseError) -> set[Any]:
    """Return what the database calls ``error``: its SQLSTATE, or the number of MariaDB."""
    cause = error.__cause__
    return {getattr(cause, "sqlstate", None), getattr(cause, "pgcode", None), *error.args[:1]}


def related(model: type[models.Model], user: AbstractBaseUser) -> Any:
    """Return the row of ``user`` in ``model``, or ``None``: as it was read with the user, if so."""
    relation: Any = model._meta.get_field("user").remote_field
    if relation.is_cached(user):
        return relation.get_cached_value(user)
    return next(fetch(model.objects.filter(user_id=user.pk)), None)  # type: ignore[attr-defined]


def relate(model: type[models.Model], user: AbstractBaseUser, row: Any) -> None:
    """Let ``row`` be the one of ``user`` in ``model``, as if it were read with the user."""
    relation: Any = model._meta.get_field("user").remote_field
    relation.set_cached_value(user, row)


def forget(model: type[models.Model], user: AbstractBaseUser) -> None:
    """Let the row of ``user`` in ``model`` be read from the database when it is asked for."""
    relation: Any = model._meta.get_field("user").remote_field
    if relation.is_cached(user):
        relation.delete_cached_value(user)


def fetch(rows: models.QuerySet[Any]) -> Iterator[Any]:
    """Yield ``rows`` from the database, where a package may have made QuerySet cache its own."""
    yield from iter(rows._iterable_class(rows))  # type: ignore[call-overload]


def _is_watched(model: type[models.Model]) -> bool:
    """Return whether others follow the end of rows of ``model``: by signals or foreign keys."""
    if any(signal.has_listeners(model) for signal in (pre_delete, post_delete)):
        return True
    relations = [one for one in model._meta.get_fields(include_hidden=True) if one.auto_created]
    return any(one.is_relation and one.related_model is not BackupCode for one in relations)
