"""Moments as people read them."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from django_totp.moments import here, in_words, whole_minute

NOON = datetime(2031, 5, 4, 12, 0, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("use_tz", "zone"), [(True, "Europe/Berlin"), (False, "Asia/Kolkata")], ids=["on", "off"]
)
def test_here_is_where_django_is(settings, use_tz, zone):
    settings.USE_TZ, settings.TIME_ZONE = use_tz, "Asia/Kolkata"
    with timezone.override("Europe/Berlin"):
        assert here(NOON) == NOON
        assert str(here(NOON).tzinfo) == zone


def test_words_are_of_the_moments_own_zone(settings):
    settings.TIME_ZONE = "Asia/Kolkata"
    assert in_words(here(NOON)) == "May 4, 2031, 5:30 p.m. (Asia/Kolkata)"
    assert in_words(NOON) == "May 4, 2031, noon (UTC)"


def test_words_are_never_too_early():
    moment = datetime(2031, 5, 4, 12, 0, tzinfo=UTC)
    assert whole_minute(moment) == moment
    assert whole_minute(moment + timedelta(seconds=1)) == moment + timedelta(minutes=1)
    assert whole_minute(moment + timedelta(minutes=1)) == moment + timedelta(minutes=1)
