"""Moments: aware, whatever the project's ``USE_TZ``; and how far clocks may differ."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import models
from django.utils import formats, timezone

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
AS_DATETIME: Any = models.DateTimeField()  # which reads what people write
CLOCK_SKEW = timedelta(seconds=5)  # by which the clocks of one project's servers may differ


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
        moment = AS_DATETIME.to_python(value)
        return moment and aware(moment)

    def value_to_string(self, obj: models.Model) -> str:
        value = self.value_from_object(obj)
        return "" if value is None else str(value.isoformat())


def aware(moment: datetime) -> datetime:
    """Return ``moment`` as an aware one: naive ones are local time, where ``USE_TZ`` is off."""
    if timezone.is_aware(moment):
        return moment
    if not settings.TIME_ZONE:  # then it is the system's
        return moment.astimezone()
    return timezone.make_aware(moment, timezone.get_default_timezone())


def local(moment: datetime) -> datetime:
    """Return ``moment`` in the time zone of the project, or the system's if it names none."""
    return moment.astimezone(timezone.get_default_timezone() if settings.TIME_ZONE else None)


def here(moment: datetime) -> datetime:
    """Return ``moment`` in the time zone of whoever is served now, or else as ``local`` does."""
    return timezone.localtime(moment) if settings.USE_TZ else local(moment)


def whole_minute(moment: datetime) -> datetime:
    """Return the first whole minute from ``moment`` on: words leave the seconds out."""
    whole = moment.replace(second=0, microsecond=0)
    return whole if whole == moment else whole + timedelta(minutes=1)


def in_words(moment: datetime) -> str:
    """Return ``moment``, which has its time zone, in words and with the name of that."""
    return f"{formats.date_format(moment, 'DATETIME_FORMAT')} ({moment.tzinfo})"


def today() -> date:
    """Return the date in the time zone of the project, or the system's if it names none."""
    return local(datetime.now(UTC)).date()


def past(moment: datetime) -> datetime:
    """Return ``moment``, which has been, as an aware one.

    Local time that the end of summer time lets come twice is taken for the later one, unless
    that is still to come.
    """
    later = aware(moment.replace(fold=1))
    is_past = later <= datetime.now(UTC) + CLOCK_SKEW
    return later if is_past else aware(moment.replace(fold=0))


def next_second(moment: datetime) -> datetime:
    """Return the first whole second after ``moment``."""
    return moment.replace(microsecond=0) + timedelta(seconds=1)


def age(moment: datetime) -> timedelta:
    """Return how long ago ``moment`` was."""
    return datetime.now(UTC) - past(moment)


def as_configured(moment: datetime) -> datetime:
    """Return an aware ``moment`` as the project has its own: naive if ``USE_TZ`` is off."""
    return moment if settings.USE_TZ else timezone.make_naive(moment)
