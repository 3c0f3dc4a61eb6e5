"""Throttles that count each endpoint by itself, and a burst as exactly as single requests.

A cache that fails in whatever way lets requests pass: nobody is locked out by it.
"""

import re
import uuid
from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.cache import cache, caches
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.management import call_command
from django.db import connection
from rest_framework.decorators import api_view, throttle_classes
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.throttling import UserRateThrottle
from rest_framework.views import APIView

from django_totp.throttle import (
    Subject,
    TotpAddressThrottle,
    TotpAnonThrottle,
    TotpThrottle,
    TotpUserThrottle,
)
from tests import services

from .rivals import at_once

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
BURST = 40


class View(APIView):
    pass


class OtherView(APIView):
    pass


def about(name, *, is_proven=False):
    """Return a view whose request is about somebody."""
    return type("AboutView", (View,), {"throttle_subject": Subject(name, is_proven)})


class ProjectThrottle(UserRateThrottle):
    """A throttle of the project, with the rate and the scope that DRF's own has."""

    rate = "3/minute"


class DownCache(BaseCache):
    """A cache that cannot be reached."""

    def __init__(self, location, params):
        super().__init__(params)

    def get_many(self, *arguments, **options):
        raise ConnectionError("refused")

    add = get = delete = get_many


class SilentCache(LocMemCache):
    """A cache that cannot be reached, behind a client that swallows its errors."""

    answer = None

    def add(self, *arguments, **options):
        return self.answer

    get_many = touch = add


class RefusingCache(SilentCache):
    answer = False


class HalfCache(LocMemCache):
    """Several servers, some of them down, behind such a client: a key in five is kept."""

    def add(self, key, value, **options):
        return key.endswith(("3", "7")) and super().add(key, value, **options)


class StaleCache(SilentCache):
    """A cache that lets nothing go that it was once given."""

    at = NOON.timestamp()

    def get_many(self, keys, *arguments, **options):
        return dict.fromkeys(keys, self.at)


class OddCache(StaleCache):
    """A cache that gives back what nobody gave to it."""

    at = None


class LaggingCache(LocMemCache):
    """A cache that reads from a replica, which has not heard of anything yet."""

    def get_many(self, keys, *arguments, **options):
        return {}


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


def request(user=None, address="203.0.113.1", **headers):
    made = Request(APIRequestFactory().post("/", REMOTE_ADDR=address, **headers))
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


@pytest.mark.parametrize(
    ("throttle", "user"),
    [(TotpUserThrottle, None), (TotpAnonThrottle, ADA), (TotpAddressThrottle, ADA)],
)
def test_a_throttle_leaves_the_others_requests_alone(clock, throttle, user):
    address = {"address": "203.0.113.1"}
    assert count_allowed(99, throttle=throttle, user=user, **address) == 99


def test_a_request_without_a_user_is_an_anonymous_one(clock):
    nobody = request()
    nobody.user = None
    assert TotpUserThrottle().get_client(nobody, View()) is None
    assert TotpAnonThrottle().get_client(nobody, View()) == "address 203.0.113.1"
    assert TotpThrottle().get_client(nobody, View()) == "address 203.0.113.1"


def test_strangers_are_counted_by_address(clock):
    assert count_allowed(12, throttle=TotpAnonThrottle, address="203.0.113.1") == 10
    assert count_allowed(12, throttle=TotpAnonThrottle, address="203.0.113.2") == 10


def test_a_user_is_not_taken_for_an_address_or_an_account(clock):
    """A user name may look like an address: the keys say what they count."""
    keys = {
        TotpUserThrottle().get_cache_key(request(Person("203.0.113.1")), View()),
        TotpAnonThrottle().get_cache_key(request(address="203.0.113.1"), View()),
        TotpAnonThrottle().get_cache_key(request(), about("203.0.113.1")()),
        TotpAddressThrottle().get_cache_key(request(address="203.0.113.1"), View()),
    }
    assert len(keys) == 4


def test_keys_show_nobody(clock):
    key = TotpAnonThrottle().get_cache_key(request(address="203.0.113.1"), View())
    assert re.fullmatch(r"django_totp\.throttle\.[0-9a-f]{64}", key)


def test_a_base_throttle_counts_users_and_else_addresses(clock):
    """As it did in 1.1, where a project used it for views of its own."""
    assert count_allowed(12, throttle=TotpThrottle, user=ADA) == 10
    assert count_allowed(12, throttle=TotpThrottle, user=GRACE) == 10
    assert count_allowed(12, throttle=TotpThrottle, address="203.0.113.1") == 10
    assert count_allowed(12, throttle=TotpThrottle, address="203.0.113.2") == 10


def test_a_view_of_the_project_uses_a_throttle(clock):
    view = type("ReportView", (APIView,), {"throttle_classes": [TotpThrottle]}).as_view()
    answers = [view(APIRequestFactory().options("/")) for _ in range(11)]
    assert [answer.status_code for answer in answers] == [200] * 10 + [429]
    assert answers[-1]["Retry-After"] == "60"


def test_a_throttle_of_the_project_counts_whom_it_likes(clock):
    class Tenants(TotpThrottle):
        rate = "3/minute"

        def get_client(self, request, view):
            return "tenant 1"

    assert count_allowed(12, throttle=Tenants) == 3


def test_a_throttle_of_the_project_counts_where_it_likes(settings, clock):
    locmem = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "elsewhere"}
    settings.CACHES = {**settings.CACHES, "elsewhere": locmem}
    throttle = type("Elsewhere", (TotpUserThrottle,), {"cache": caches["elsewhere"]})
    assert count_allowed(12, throttle=throttle) == 10
    assert count_allowed(12) == 10


# --- Addresses ---


@pytest.mark.parametrize(
    "written",
    [
        ["203.0.113.7", "203.0.113.7:50001", "::ffff:203.0.113.7", "[::ffff:203.0.113.7]:50002"],
        ["2001:db8:1:2::1", "2001:DB8:1:2:3::9", "[2001:db8:1:2::5]:443", "2001:db8:1:2:f::"],
    ],
)
def test_one_client_has_one_address(settings, clock, written):
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "NUM_PROXIES": 1}
    for throttle, number in ((TotpAnonThrottle, 10), (TotpAddressThrottle, 60)):
        passed = [
            allows(throttle, HTTP_X_FORWARDED_FOR=f"10.0.0.{turn}, {written[turn % len(written)]}")
            for turn in range(number + 5)
        ]
        assert sum(passed) == number


def test_all_requests_of_an_address_are_counted(settings, clock):
    settings.TOTP_ADDRESS_THROTTLE_RATE = "20/hour"
    names = [about(f"account {number}") for number in range(25)]
    for cls in names:  # which are one view
        cls.__qualname__ = "AboutView"
    assert sum(allows(TotpAnonThrottle, view, address="192.0.2.1") for view in names) == 25
    assert sum(allows(TotpAddressThrottle, view, address="192.0.2.1") for view in names) == 20
    assert allows(TotpAddressThrottle, names[0], address="192.0.2.2")


def test_the_rate_of_an_address_can_be_switched_off(settings, clock):
    settings.TOTP_ADDRESS_THROTTLE_RATE = None
    assert count_allowed(99, throttle=TotpAddressThrottle, address="192.0.2.1") == 99


@pytest.mark.parametrize("address", ["", None])
def test_a_server_that_tells_no_addresses_does_not_make_the_world_one_client(clock, address):
    assert count_allowed(99, throttle=TotpAddressThrottle, address=address) == 99


def test_a_header_that_is_no_text_is_counted(clock):
    assert count_allowed(12, throttle=TotpAnonThrottle, address="\ud800\x00") == 10


# --- Whom a request is about ---


def test_an_account_is_counted_together_with_the_address(clock):
    """Who has the name, or even the password, does not use up the requests of the owner."""
    for address in ("203.0.113.1", "203.0.113.2"):
        assert count_allowed(12, throttle=TotpAnonThrottle, view=about("1"), address=address) == 10
    for view in (about("2"), View):  # a neighbour, and who forges names
        view.__qualname__ = "AboutView"
        assert count_allowed(12, throttle=TotpAnonThrottle, view=view, address="203.0.113.1") == 10


def test_whom_a_signed_token_names_is_counted_as_if_signed_in(clock):
    view = about("1", is_proven=True)
    who = [{"address": f"203.0.113.{number}"} for number in range(12)]
    assert sum(allows(TotpUserThrottle, view, **one) for one in who) == 10
    assert not allows(TotpUserThrottle, view, user=ADA)
    for throttle in (TotpAnonThrottle, TotpAddressThrottle):
        assert count_allowed(99, throttle=throttle, view=view, address="203.0.113.1") == 99


def test_a_view_of_the_project_may_use_the_name_for_something_else(clock):
    view = type("View", (View,), {"throttle_subject": "mathematics"})
    assert TotpAnonThrottle().get_client(request(), view()) == "address 203.0.113.1"


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
    # On SQLite Django's cache, which reads before it writes, finds its table locked, silently.
    assert passed == 10 or connection.vendor == "sqlite"


def test_a_cache_that_is_down_lets_requests_pass_and_the_log_says_so(settings, caplog):
    use_cache(settings, "tests.test_throttle.DownCache", "")
    assert count_allowed(3) == 3
    assert {(record.name, record.levelname) for record in caplog.records} == {
        ("django_totp", "ERROR")
    }
    assert "not throttled" in caplog.text


@pytest.mark.parametrize("kind", ["SilentCache", "RefusingCache", "OddCache"])
@pytest.mark.parametrize("throttle", [TotpUserThrottle, TotpAnonThrottle, TotpAddressThrottle])
def test_a_cache_that_is_silent_lets_requests_pass_and_the_log_says_so(
    settings, caplog, kind, throttle
):
    use_cache(settings, f"tests.test_throttle.{kind}", "")
    user = ADA if throttle is TotpUserThrottle else None
    assert count_allowed(12, throttle=throttle, user=user, address="203.0.113.1") == 12
    assert [(record.name, record.levelname) for record in caplog.records] == [
        ("django_totp", "ERROR")
    ] * 12
    assert "not throttled" in caplog.text


def test_a_cache_that_keeps_some_keys_locks_nobody_out(settings, time_machine):
    time_machine.move_to(NOON, tick=False)
    use_cache(settings, "tests.test_throttle.HalfCache", str(uuid.uuid4()))
    assert count_allowed(99) >= 2
    assert not allows()
    time_machine.shift(60)
    assert allows()


def test_a_cache_that_keeps_all_for_ever_locks_nobody_out(settings, time_machine, caplog):
    time_machine.move_to(NOON, tick=False)
    use_cache(settings, "tests.test_throttle.StaleCache", "")
    throttle = TotpUserThrottle()
    for passed, wait in ((0, 60), (59, 1), (60, 1), (119, 1)):
        time_machine.move_to(NOON.timestamp() + passed, tick=False)
        assert not throttle.allow_request(request(ADA), View())
        assert throttle.wait() == wait
    assert caplog.records == []
    time_machine.move_to(NOON.timestamp() + 120, tick=False)
    assert allows()
    assert "not throttled" in caplog.text


def test_no_wait_is_longer_than_the_period(settings, time_machine):
    """Another server, whose clock is ahead, has taken the slots."""
    time_machine.move_to(NOON.timestamp() - 86400, tick=False)
    use_cache(settings, "tests.test_throttle.StaleCache", "")
    throttle = TotpUserThrottle()
    assert not throttle.allow_request(request(ADA), View())
    assert throttle.wait() == 60


def test_a_cache_that_shows_late_what_it_was_given_lets_no_more_pass(settings, caplog):
    use_cache(settings, "tests.test_throttle.LaggingCache", str(uuid.uuid4()))
    assert count_allowed(12) == 10
    throttle = TotpUserThrottle()
    assert not throttle.allow_request(request(ADA), View())
    assert throttle.wait() == 60
    assert caplog.records == []


def test_slots_of_one_client_stay_together_in_a_cluster(clock):
    """Redis hashes what stands in the first pair of braces, whatever prefix goes before it."""
    count_allowed(12)
    keys = list(cache._cache)
    assert len(keys) == 10
    assert len({re.search("{(.+?)}", key).group() for key in keys}) == 1


def test_a_slot_is_given_back(clock):
    throttle = TotpUserThrottle()
    for _ in range(12):
        assert throttle.allow_request(request(ADA), View())
        throttle.give_back()
    assert count_allowed(12) == 10


def test_nothing_is_given_back_where_nothing_was_taken(settings, clock):
    settings.TOTP_THROTTLE_RATE = None
    TotpUserThrottle().give_back()


def test_a_cache_that_is_down_keeps_a_slot_and_the_log_says_so(settings, clock, caplog):
    throttle = TotpUserThrottle()
    throttle.allow_request(request(ADA), View())
    use_cache(settings, "tests.test_throttle.DownCache", "")
    throttle.give_back()
    assert "stays taken" in caplog.text


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
    throttle = TotpUserThrottle()
    throttle.allow_request(request(ADA), View())
    assert cache.get(throttle.slots.slot) == NOON.timestamp()
    clock.shift(60)
    assert cache.get(throttle.slots.slot) is None


def test_function_views_are_counted_each_by_itself(settings):
    settings.TOTP_THROTTLE_RATE = "1/minute"

    def one(request):
        return Response()

    def other(request):
        return Response()

    views = [api_view(["GET"])(throttle_classes([TotpThrottle])(view)) for view in (one, other)]
    request = APIRequestFactory().get("/")
    assert [view(request).status_code for view in (*views, *views)] == [200, 200, 429, 429]
