"""Throttles that count each endpoint by itself, and a burst as exactly as single requests."""

import re
import uuid
from datetime import UTC, datetime
from functools import partial

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.cache import cache
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.management import call_command
from django.db import connection
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory
from rest_framework.throttling import UserRateThrottle
from rest_framework.views import APIView

from django_totp.auth import finish_login, generate_challenge_token
from django_totp.throttle import TotpAnonThrottle, TotpThrottle, TotpUserThrottle
from tests import services

from .rivals import at_once

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
BURST = 40


class View(APIView):
    pass


class OtherView(APIView):
    pass


class ChallengeView(APIView):
    challenge_field = "challenge"


class ProjectThrottle(UserRateThrottle):
    """A throttle of the project, with the rate and the scope that DRF's own has."""

    rate = "3/minute"


class DownCache(BaseCache):
    """A cache that cannot be reached."""

    def __init__(self, location, params):
        super().__init__(params)

    def get_many(self, *arguments, **options):
        raise ConnectionError("refused")

    add = get = get_many


class FullCache(LocMemCache):
    """A cache that takes nothing in."""

    def add(self, *arguments, **options):
        return False


class SlowCache(FullCache):
    """A cache that answers when what it answers is over."""

    def get_many(self, keys, *arguments, **options):
        return dict.fromkeys(keys, NOON.timestamp() - 60)


class Person:
    is_authenticated = True

    def __init__(self, pk):
        self.pk = pk


ADA, GRACE = Person(1), Person(2)


@pytest.fixture
def clock(settings, time_machine):
    """Return a clock that Redis would not follow: the cache is in local memory."""
    use_cache(settings, "django.core.cache.backends.locmem.LocMemCache", str(uuid.uuid4()))
    time_machine.move_to(NOON, tick=False)
    return time_machine


@pytest.fixture
def locmem(settings):
    use_cache(settings, "django.core.cache.backends.locmem.LocMemCache", str(uuid.uuid4()))


@pytest.fixture
def redis(settings):
    """Use Redis, or leave the test out where it is missing, aloud as ``services`` has it."""
    reason = services.missing("redis")
    if reason:
        services.left_out["redis"] = reason
        (pytest.fail if services.CI else pytest.skip)(reason)
    use_cache(settings, "django.core.cache.backends.redis.RedisCache", services.REDIS_URL)


@pytest.fixture
def database_cache(settings):
    use_cache(settings, "django.core.cache.backends.db.DatabaseCache", "throttle_cache")
    call_command("createcachetable")
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE throttle_cache")


def use_cache(settings, backend, location):
    key_prefix = uuid.uuid4().hex
    settings.CACHES = {
        "default": {"BACKEND": backend, "LOCATION": location, "KEY_PREFIX": key_prefix}
    }


def request(user=None, address="203.0.113.1", data=None):
    made = APIRequestFactory().post("/", data or {}, format="json", REMOTE_ADDR=address)
    made = Request(made, parsers=[JSONParser()])
    made.user = user or AnonymousUser()
    return made


def allows(throttle=TotpUserThrottle, view=View, **who):
    who = who or {"user": ADA}
    return throttle().allow_request(request(**who), view())


def count_allowed(number, **arguments):
    return sum(allows(**arguments) for _ in range(number))


def allows_and_hangs_up():
    """Ask like ``allows``, and close the connections of this thread to Redis: Django does not."""
    try:
        return allows()
    finally:
        for pool in getattr(getattr(cache, "_cache", None), "_pools", {}).values():
            pool.disconnect()


# --- The rate ---


def test_ten_requests_a_minute_pass(clock):
    assert count_allowed(12) == 10
    clock.shift(59)
    assert count_allowed(12) == 0
    clock.shift(1)
    assert count_allowed(12) == 10


@pytest.mark.parametrize(
    ("rate", "number"), [("0/minute", 0), ("1/second", 1), ("3/hour", 3), ("20/day", 20)]
)
def test_the_rate_is_a_setting(settings, clock, rate, number):
    settings.TOTP_THROTTLE_RATE = rate
    assert count_allowed(25) == number


def test_no_rate_is_no_throttle(settings, clock):
    settings.TOTP_THROTTLE_RATE = None
    assert count_allowed(50) == 50


def test_a_slot_is_free_a_period_after_it_was_taken(clock):
    for _ in range(10):
        assert allows()
        clock.shift(5)
    assert not allows()
    clock.shift(10)
    assert count_allowed(5) == 1
    clock.shift(5)
    assert count_allowed(5) == 1


@pytest.mark.parametrize(("passed", "wait"), [(0, 60), (10, 50), (10.5, 50), (59.9, 1)])
def test_the_wait_lasts_until_the_next_slot_is_free(clock, passed, wait):
    throttle = TotpUserThrottle()
    for _ in range(10):
        throttle.allow_request(request(ADA), View())
    clock.shift(passed)
    assert not throttle.allow_request(request(ADA), View())
    assert throttle.wait() == wait


def test_the_wait_is_for_the_oldest_slot(clock):
    count_allowed(1)
    clock.shift(20)
    count_allowed(9)
    throttle = TotpUserThrottle()
    assert not throttle.allow_request(request(ADA), View())
    assert throttle.wait() == 40


# --- Who is counted ---


def test_users_are_counted_apart(clock):
    assert count_allowed(12, user=ADA) == 10
    assert count_allowed(12, user=GRACE, address="203.0.113.1") == 10


def test_a_user_is_counted_over_all_addresses(clock):
    allowed = [allows(user=ADA, address=f"203.0.113.{number}") for number in range(12)]
    assert sum(allowed) == 10


def test_endpoints_are_counted_apart(clock):
    assert count_allowed(12, view=View, user=ADA) == 10
    assert count_allowed(12, view=OtherView, user=ADA) == 10


@pytest.mark.parametrize(("throttle", "user"), [(TotpUserThrottle, None), (TotpAnonThrottle, ADA)])
def test_a_throttle_leaves_the_others_requests_alone(clock, throttle, user):
    address = {"address": "203.0.113.1"}
    assert count_allowed(50, throttle=throttle, user=user, **address) == 50


def test_a_request_without_a_user_is_an_anonymous_one(clock):
    nobody = request()
    nobody.user = None
    assert TotpUserThrottle().get_client(nobody, View()) is None
    assert TotpAnonThrottle().get_client(nobody, View()) == "address 203.0.113.1"


def test_strangers_are_counted_by_address(clock):
    assert count_allowed(12, throttle=TotpAnonThrottle, address="203.0.113.1") == 10
    assert count_allowed(12, throttle=TotpAnonThrottle, address="203.0.113.2") == 10


def test_a_user_is_not_taken_for_an_address_or_an_account(clock):
    """A user name may look like an address: the keys say what they count."""
    keys = {
        TotpUserThrottle().get_cache_key(request(Person("203.0.113.1")), View()),
        TotpAnonThrottle().get_cache_key(request(address="203.0.113.1"), View()),
    }
    assert len(keys) == 2


def test_keys_show_nobody(clock):
    key = TotpAnonThrottle().get_cache_key(request(address="203.0.113.1"), View())
    assert re.fullmatch(r"django_totp\.throttle\.[0-9a-f]{64}", key)


def test_a_base_throttle_does_not_know_whom_it_counts(clock):
    with pytest.raises(NotImplementedError):
        TotpThrottle().allow_request(request(ADA), View())


# --- The second step of a login ---


@pytest.fixture
def challenge(enrolled_user):
    return generate_challenge_token(enrolled_user)


def test_a_challenged_account_is_counted_over_all_addresses(enrolled_user, locmem):
    allowed = [
        allows(
            TotpAnonThrottle,
            ChallengeView,
            address=f"203.0.113.{number}",
            data={"challenge": generate_challenge_token(enrolled_user)},
        )
        for number in range(12)
    ]
    assert sum(allowed) == 10


def test_neighbours_behind_one_address_do_not_hold_each_other_up(challenge, make_user, locmem):
    strangers = generate_challenge_token(make_user("grace"))
    count = partial(count_allowed, 12, throttle=TotpAnonThrottle, view=ChallengeView)
    assert count(data={"challenge": strangers}) == 10
    assert count(data={"challenge": challenge}) == 10


def test_a_used_challenge_is_counted_for_its_account(challenge, secret, otp, locmem):
    finish_login(challenge, otp_code=otp(secret))
    client = TotpAnonThrottle().get_client(request(data={"challenge": challenge}), ChallengeView())
    assert client.startswith("account ")


@pytest.mark.parametrize(
    "data",
    [{"challenge": "forged"}, {"challenge": None}, {"challenge": ["a"]}, {}, ["challenge"], "text"],
)
def test_a_forged_challenge_is_counted_by_address(db, data):
    client = TotpAnonThrottle().get_client(request(data=data), ChallengeView())
    assert client == "address 203.0.113.1"


def test_a_challenge_is_read_only_where_it_is_asked_for(challenge):
    client = TotpAnonThrottle().get_client(request(data={"challenge": challenge}), View())
    assert client == "address 203.0.113.1"


# --- Caches ---


@pytest.mark.parametrize("kind", ["locmem", "redis"])
def test_of_a_burst_exactly_as_many_pass_as_the_rate_says(kind, request):
    request.getfixturevalue(kind)
    answers = at_once(*[allows_and_hangs_up] * BURST)
    assert (answers.count(True), answers.count(False)) == (10, BURST - 10)


@pytest.mark.django_db(transaction=True)
def test_of_a_burst_no_more_pass_with_a_cache_in_the_database(database_cache):
    answers = at_once(*[allows_and_hangs_up] * BURST)
    passed = answers.count(True)
    assert passed + answers.count(False) == BURST
    # On SQLite Django's cache, which reads before it writes, now and then finds its table locked.
    assert passed <= 10 if connection.vendor == "sqlite" else passed == 10


def test_a_cache_that_is_down_lets_requests_pass_and_the_log_says_so(settings, caplog):
    use_cache(settings, "tests.test_throttle.DownCache", "")
    assert count_allowed(3) == 3
    assert {(record.name, record.levelname) for record in caplog.records} == {
        ("django_totp", "ERROR")
    }
    assert "not throttled" in caplog.text


@pytest.mark.parametrize(("kind", "wait"), [("FullCache", 60), ("SlowCache", 1)])
def test_a_cache_that_takes_nothing_in_lets_nothing_pass(settings, time_machine, kind, wait):
    time_machine.move_to(NOON, tick=False)
    use_cache(settings, f"tests.test_throttle.{kind}", "")
    throttle = TotpUserThrottle()
    assert not throttle.allow_request(request(ADA), View())
    assert throttle.wait() == wait


def test_of_thousands_of_slots_a_few_are_tried(settings, clock, monkeypatch):
    settings.TOTP_THROTTLE_RATE = "80000/day"
    monkeypatch.setattr(LocMemCache, "get_many", lambda *_: pytest.fail("It looked at all."))
    assert all(allows() for _ in range(50))


def test_a_dummy_cache_counts_nothing(settings):
    use_cache(settings, "django.core.cache.backends.dummy.DummyCache", "")
    assert count_allowed(50) == 50


# --- Beside the throttles of the project ---


def test_the_throttles_of_the_project_are_untouched(clock):
    assert count_allowed(12) == 10
    assert count_allowed(5, throttle=ProjectThrottle) == 3
    assert count_allowed(12, view=OtherView) == 10


def test_the_rates_of_the_project_are_not_asked(settings, clock):
    settings.REST_FRAMEWORK = {
        **settings.REST_FRAMEWORK,
        "DEFAULT_THROTTLE_RATES": {"totp_user": "1/day", "totp_anon": "1/day", "user": "1/day"},
    }
    assert count_allowed(12) == 10


def test_slots_expire_with_their_period(clock):
    allows()
    key = TotpUserThrottle().get_cache_key(request(ADA), View())
    slots = [f"{key}.{number}" for number in range(10)]
    assert len(cache.get_many(slots)) == 1
    clock.shift(60)
    assert cache.get_many(slots) == {}
