"""The two tables, and the compare-and-swap that every change of an enrollment goes through.

Reads go to the database that is written (``router.db_for_write``): whether a code was used
before is no question for a replica that lags behind.
"""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models, router
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .conf import conf
from .exceptions import TotpNotEnrolled


class Moved(Exception):
    """Somebody else changed the enrollment since it was read: read again, decide again."""


class PrimaryManager(models.Manager[Any]):
    """A manager that reads where it would write, unless told which database to use."""

    def get_queryset(self) -> models.QuerySet[Any]:
        queryset = super().get_queryset()
        queryset._for_write = True  # type: ignore[attr-defined]  # so the router is asked
        return queryset


class TotpManager(PrimaryManager):
    def find(self, user: AbstractBaseUser) -> "Totp | None":
        """Return the enrollment of ``user``, pending or confirmed, or ``None``."""
        return next(iter(self.filter(user_id=user.pk)), None)

    def of(self, user: AbstractBaseUser) -> "Totp":
        """Return the enrollment of ``user``, pending or confirmed. Raise TotpNotEnrolled."""
        totp = self.find(user)
        if totp is None:
            raise TotpNotEnrolled
        return totp


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
    waiting_until = models.DateTimeField(null=True, blank=True)
    last_used_step = models.BigIntegerField(null=True, blank=True)
    version = models.PositiveIntegerField(default=0)
    verifications = models.PositiveIntegerField(default=0)
    failures = models.PositiveIntegerField(default=0)
    digits = models.PositiveSmallIntegerField(default=6)
    period = models.PositiveSmallIntegerField(default=30)
    algorithm = models.CharField(max_length=6, default="SHA1")

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
        age = timezone.now() - self.created_at
        return not self.is_enabled and age < timedelta(seconds=conf.TOTP_SETUP_MAX_AGE)

    @property
    def database(self) -> str:
        """Return the alias of the database that the row was read from."""
        return self._state.db or router.db_for_write(type(self), instance=self)

    @property
    def as_read(self) -> models.QuerySet[Any]:
        """Return the row as a query that is empty once anybody has moved it."""
        return type(self).objects.using(self.database).filter(pk=self.pk, version=self.version)

    def move(self, **changes: Any) -> None:
        """Write ``changes`` in one UPDATE if the row is still as it was read, or raise Moved.

        What the row already holds is not written again: a column costs as much as a comparison
        of codes.
        """
        new = {name: value for name, value in changes.items() if value != getattr(self, name)}
        if not self.as_read.update(version=self.version + 1, **new):
            raise Moved

    def remove(self) -> None:
        """Delete the row in one DELETE if it is still as it was read, or raise Moved.

        A plain ``delete()`` has no such condition. The codes must have gone before.
        """
        if not self.as_read._raw_delete(self.database):
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
