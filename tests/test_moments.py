"""Moments as people read them."""

from datetime import UTC, datetime

import pytest
from django.utils import timezone

from django_totp.moments import here, in_words

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
