import time
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import BaseUserManager
from django.db.models import F
from django.utils import timezone

from django_totp.auth import reset_totp
from django_totp.backup_code_utils import verify_backup_code
from django_totp.encryption import encrypt
from django_totp.exceptions import TotpNotEnrolled
from django_totp.models import BackupCode, Totp
from django_totp.operations import support
from django_totp.operations.support import (
    CodeCount,
    State,
    UserNotFound,
    adoption,
    find_user,
    numbers,
    people,
    status_of,
)
from django_totp.totp import verify_totp_code

pytestmark = pytest.mark.django_db


@pytest.fixture
def enroll(make_user):
    """Return a function that makes an enabled enrollment with ``left`` of ``total`` codes."""

    def enroll(name, *, left: int = 0, total: int = 0, user=None, **fields):
        fields = {"confirmed_at": timezone.now(), **fields}
        user = make_user(name, **(user or {}))
        totp = Totp.objects.create(user=user, secret_key=encrypt("S"), **fields)
        BackupCode.objects.bulk_create(
            BackupCode(totp=totp, code="x", digest=str(number), is_used=number >= left)
            for number in range(total)
        )
        return totp

    return enroll


def soon():
    return timezone.now() + timedelta(minutes=5)


class TestFindUser:
    def test_by_name(self, user):
        assert find_user(user.get_username()) == user

    def test_by_primary_key_as_text(self, user):
        assert find_user(pk=str(user.pk)) == user

    def test_a_name_is_no_primary_key(self, user):
        with pytest.raises(UserNotFound):
            find_user(str(user.pk))

    @pytest.mark.parametrize("pk", ["0", "10" * 40, "no key", "", "6ba7b810-9dad-11d1-80b4"])
    def test_a_key_that_nobody_has(self, user, pk):
        with pytest.raises(UserNotFound, match="No single user has the primary key"):
            find_user(pk=pk)

    def test_a_name_that_nobody_has(self, user):
        with pytest.raises(UserNotFound) as caught:
            find_user("nobody")
        field = get_user_model().USERNAME_FIELD
        assert str(caught.value) == f"No single user has the {field} 'nobody'."
        assert caught.value.code == "user_not_found"

    @pytest.mark.parametrize("name", ["ada\0", "ada\udc80"])
    def test_a_name_that_the_database_cannot_hold(self, user, name):
        with pytest.raises(UserNotFound) as caught:
            find_user(name)
        assert str(caught.value).isprintable()

    def test_a_manager_that_is_not_djangos(self, user, monkeypatch):
        monkeypatch.delattr(BaseUserManager, "get_by_natural_key")
        assert find_user(user.get_username()) == user
        with pytest.raises(UserNotFound):
            find_user("nobody")

    def test_a_name_that_two_have(self, make_user, monkeypatch):
        monkeypatch.setattr(get_user_model(), "USERNAME_FIELD", "is_staff")
        for name in ("ada", "grace"):
            get_user_model().objects.create(**{_name_field(): name})
        with pytest.raises(UserNotFound):
            find_user("False")


def _name_field():
    names = {field.name for field in get_user_model()._meta.fields}
    return "username" if "username" in names else "email"


class TestSearchUsers:
    @pytest.fixture
    def address(self, monkeypatch):
        """Return a column of texts that is called the one for e-mail addresses."""
        name = "email" if get_user_model().USERNAME_FIELD != "email" else "password"
        monkeypatch.setattr(get_user_model(), "EMAIL_FIELD", name)
        return name

    @pytest.fixture
    def users(self, make_user):
        return {name: make_user(name).pk for name in ("ada", "adam", "grace")}

    def test_a_whole_name(self, users, django_assert_num_queries):
        with django_assert_num_queries(1):
            assert support.search_users("ada@example.com", limit=9) == [users["ada"]]

    def test_a_part_of_a_name(self, users):
        assert set(support.search_users("ADA", limit=2)) == {users["ada"], users["adam"]}

    def test_a_part_of_too_many_names(self, users):
        assert support.search_users("ada", limit=1) is None

    def test_nobody(self, users):
        assert support.search_users("emmy", limit=1) == []

    def test_an_address_that_is_not_the_name(self, users, address):
        get_user_model().objects.filter(pk=users["ada"]).update(**{address: "Post@Lovelace.org"})
        assert support.search_users("post@lovelace.org", limit=1) == [users["ada"]]
        assert support.search_users("LOVELACE", limit=1) == [users["ada"]]

    def test_an_address_without_an_index_is_not_read_for_a_whole_name(
        self, users, address, django_assert_num_queries
    ):
        with django_assert_num_queries(1) as queries:
            support.search_users("ada@example.com", limit=1)
        assert f'"{address}"' not in queries.captured_queries[0]["sql"].replace("`", '"')

    def test_an_address_with_an_index(self, users, address, monkeypatch, django_assert_num_queries):
        monkeypatch.setattr(get_user_model()._meta.get_field(address), "db_index", True)
        get_user_model().objects.filter(pk=users["ada"]).update(**{address: "post@lovelace.org"})
        with django_assert_num_queries(1):
            assert support.search_users("post@lovelace.org", limit=1) == [users["ada"]]

    @pytest.mark.parametrize("name", ["nothing", "is_authenticated"])
    def test_a_model_that_has_no_column_for_addresses(self, users, monkeypatch, name):
        monkeypatch.setattr(get_user_model(), "EMAIL_FIELD", name)
        assert support.search_fields() == [get_user_model().USERNAME_FIELD]
        assert support.search_users("grace", limit=1) == [users["grace"]]

    def test_names_that_are_no_text(self, users, monkeypatch):
        monkeypatch.setattr(get_user_model(), "USERNAME_FIELD", get_user_model()._meta.pk.name)
        assert support.search_users("no key", limit=1) == []


@pytest.mark.parametrize("error", [OverflowError, ValueError])
def test_keys_that_a_database_refuses_are_nobodys(user, monkeypatch, error):
    """As SQLite does with a number that is too large for it."""

    def refuse(rows):
        raise error

    assert support.users_by_key([str(user.pk)]) == {str(user.pk): user}
    monkeypatch.setattr("django_totp.operations.support.people.fetch", refuse)
    assert support.users_by_key([str(user.pk)]) == {}


class TestStatus:
    def test_of_an_enabled_enrollment(self, enrolled_user, backup_codes):
        verify_backup_code(enrolled_user, backup_codes[0])
        status = status_of(enrolled_user)
        totp = enrolled_user.totp
        totp.refresh_from_db()
        assert status.state is State.ENABLED
        assert status.created_at == totp.created_at
        assert status.enabled_since == totp.confirmed_at
        assert status.last_verified_at == totp.last_verified_at is not None
        assert status.codes == CodeCount(9, 10)
        assert (status.waiting_until, status.is_capped, status.failures) == (None, False, 0)

    def test_of_a_pending_enrollment(self, pending_user):
        status = status_of(pending_user)
        assert (status.state, status.enabled_since) == (State.PENDING, None)
        assert status.codes == CodeCount(0, 0)

    def test_of_one_that_was_never_confirmed(self, pending_user):
        Totp.objects.update(created_at=timezone.now() - timedelta(hours=2))
        assert status_of(pending_user).state is State.EXPIRED

    def test_while_waiting(self, enrolled_user):
        until = soon()
        Totp.objects.update(failures=7, waiting_until=until)
        status = status_of(enrolled_user)
        assert (status.waiting_until, status.failures, status.is_capped) == (until, 7, False)

    def test_after_a_wait(self, enrolled_user):
        Totp.objects.update(failures=7, waiting_until=timezone.now() - timedelta(seconds=1))
        assert status_of(enrolled_user).waiting_until is None

    def test_after_a_hundred_wrong_codes(self, enrolled_user, settings):
        Totp.objects.update(failures=100)
        assert status_of(enrolled_user).is_capped
        settings.TOTP_FAILURE_CAP = None
        assert not status_of(enrolled_user).is_capped

    def test_of_an_enrollment_of_1_1(self, enrolled_user, django_assert_num_queries):
        Totp.objects.update(confirmed_at=None)
        totp = Totp.objects.get()
        status = status_of(enrolled_user)
        assert (status.state, status.enabled_since) == (State.ENABLED, totp.created_at)
        with django_assert_num_queries(1):
            assert support.state_of(totp) is State.ENABLED
        with django_assert_num_queries(0):
            assert support.state_of(totp, CodeCount(0, 10)) is State.ENABLED
            assert support.state_of(totp, CodeCount(0, 0)) is State.PENDING

    def test_without_an_enrollment(self, user):
        with pytest.raises(TotpNotEnrolled):
            status_of(user)


class TestClocks:
    """What a server wrote whose clock was ahead."""

    def test_a_wait(self, enrolled_user, settings):
        settings.TOTP_LOCKOUT_MAX_SECONDS = 600
        Totp.objects.update(failures=7, waiting_until=timezone.now() + timedelta(days=365))
        left = status_of(enrolled_user).waiting_until - timezone.now()
        assert timedelta(minutes=9) < left <= timedelta(minutes=10)

    @pytest.mark.parametrize("window", [0, 1, 3])
    def test_a_used_step(self, enrolled_user, settings, secret, otp, window):
        settings.TOTP_VALID_WINDOW = window
        with time_machine.travel(datetime(2031, 1, 1, tzinfo=UTC), tick=False):
            assert verify_totp_code(enrolled_user, otp(secret, offset=window))
        with time_machine.travel(datetime(2030, 1, 1, tzinfo=UTC), tick=False):
            until = status_of(enrolled_user).refused_until
        assert until == datetime(2031, 1, 1, tzinfo=UTC) + timedelta(seconds=30)
        for seconds, accepted in ((-1, False), (0, True)):
            with time_machine.travel(until + timedelta(seconds=seconds), tick=False):
                assert verify_totp_code(enrolled_user, otp(secret, offset=window)) is accepted

    def test_a_step_of_another_server_is_no_news(self, enrolled_user):
        with time_machine.travel(datetime(2030, 1, 1, tzinfo=UTC), tick=False):
            now = int(time.time()) // 30
            for step, is_ahead in ((None, False), (now, False), (now + 2, False), (now + 3, True)):
                Totp.objects.update(last_used_step=step)
                assert bool(status_of(enrolled_user).refused_until) is is_ahead

    def test_a_step_beyond_all_calendars(self, enrolled_user):
        Totp.objects.update(last_used_step=2**63 - 1)
        assert status_of(enrolled_user).refused_until == datetime(9999, 1, 1, tzinfo=UTC)

    def test_a_period_that_makes_no_codes(self, enrolled_user):
        Totp.objects.update(last_used_step=2**40, period=0)
        assert status_of(enrolled_user).refused_until is None

    def test_a_project_without_time_zones(self, enrolled_user, settings):
        settings.USE_TZ, settings.TIME_ZONE = False, "Asia/Tokyo"
        totp = Totp(
            waiting_until=datetime(2030, 1, 1, 0, 5, tzinfo=UTC), last_used_step=1893456000 // 30
        )
        with time_machine.travel(datetime(2030, 1, 1, tzinfo=UTC), tick=False):
            assert support.waiting_until(totp) == datetime(2030, 1, 1, 9, 5)
        with time_machine.travel(datetime(2029, 1, 1, tzinfo=UTC), tick=False):
            assert support.refused_until(totp) == datetime(2030, 1, 1, 9)


class TestActUpon:
    def test_the_enrollment_that_was_seen(self, enrolled_user):
        seen = support.enrollment_of(enrolled_user)
        support.act_upon(seen, reset_totp, user=enrolled_user, reason="asked")
        assert not Totp.objects.exists()

    @pytest.mark.parametrize(
        "change",
        [
            {"created_at": F("created_at") + timedelta(microseconds=1)},
            {"confirmed_at": F("confirmed_at") + timedelta(microseconds=1)},
            {"id": F("id") + 1},
        ],
    )
    def test_another_one(self, pending_user, change):
        Totp.objects.update(confirmed_at=timezone.now())
        seen = support.enrollment_of(pending_user)
        Totp.objects.update(**change)
        with pytest.raises(TotpNotEnrolled):
            support.act_upon(seen, reset_totp, user=pending_user)
        assert Totp.objects.exists()

    def test_one_of_1_1_that_is_adopted_meanwhile(self, enrolled_user):
        Totp.objects.update(confirmed_at=None)
        seen = support.enrollment_of(enrolled_user)
        Totp.objects.update(confirmed_at=F("created_at"))
        support.act_upon(seen, reset_totp, user=enrolled_user)
        assert not Totp.objects.exists()


class TestStates:
    """``in_state`` asks the database what ``state_of`` and its like say of one row."""

    @pytest.fixture(autouse=True)
    def _one_of_each(self, enroll, settings):
        settings.TOTP_SETUP_MAX_AGE = 600
        enroll("enabled")
        enroll("pending", confirmed_at=None)
        enroll("waiting", failures=6, waiting_until=soon())
        enroll("capped", failures=100)
        enroll("expired", confirmed_at=None, failures=6)
        enroll("of 1.1", confirmed_at=None, left=1, total=2)
        enroll("old, of 1.1", confirmed_at=None, left=0, total=1)
        old = timezone.now() - timedelta(seconds=601)
        Totp.objects.filter(**_named("expired")).update(created_at=old, waiting_until=old)
        Totp.objects.filter(**_named("old, of 1.1")).update(created_at=old)

    @pytest.mark.parametrize("state", [State.ENABLED, State.PENDING, State.EXPIRED])
    def test_of_the_life(self, state):
        found = set(Totp.objects.filter(support.in_state(state)))
        assert found == {totp for totp in Totp.objects.all() if support.state_of(totp) == state}
        assert len(found) == {State.ENABLED: 5}.get(state, 1)

    @pytest.mark.parametrize(
        ("cap", "waiting"), [(100, {"waiting", "capped"}), (None, {"waiting"})]
    )
    def test_waiting(self, settings, cap, waiting):
        settings.TOTP_FAILURE_CAP = cap
        rows = Totp.objects.filter(support.in_state(State.WAITING))
        assert {totp.user.get_username() for totp in rows} == {f"{n}@example.com" for n in waiting}
        assert set(rows) == {
            totp
            for totp in Totp.objects.all()
            if support.waiting_until(totp) or support.is_capped(totp)
        }


def _named(name):
    return {f"user__{get_user_model().USERNAME_FIELD}": f"{name}@example.com"}


class TestCountCodes:
    def test_one_query_for_all(self, enroll, django_assert_num_queries):
        full, low, none = enroll("a", left=4, total=5), enroll("b", left=1, total=2), enroll("c")
        with django_assert_num_queries(1):
            counts = support.count_codes([full, low, none])
        assert counts == {full.pk: (4, 5), low.pk: (1, 2), none.pk: (0, 0)}

    def test_a_code_that_no_key_can_read_is_not_left(self, enroll):
        totp = enroll("a", left=3, total=3)
        BackupCode.objects.filter(digest="0").update(digest=None)
        assert support.count_codes([totp])[totp.pk] == CodeCount(2, 3)

    def test_a_code_that_only_lacks_its_digest_is_left(self, enroll, django_assert_num_queries):
        totp, other = enroll("a", left=3, total=4), enroll("b", left=1, total=1)
        BackupCode.objects.filter(totp=totp).update(digest=None, code=encrypt("abcd"))
        with django_assert_num_queries(2):
            counts = support.count_codes([totp, other])
        assert counts == {totp.pk: (3, 4), other.pk: (1, 1)}

    @pytest.mark.parametrize("text", ["", "é", "- -"])
    def test_what_is_no_code_is_not_left(self, enroll, text):
        totp = enroll("a", left=1, total=1)
        BackupCode.objects.update(digest=None, code=encrypt(text))
        assert support.count_codes([totp])[totp.pk] == CodeCount(0, 1)

    def test_without_a_key_there_is_nothing_left_of_them(self, enroll, settings):
        totp = enroll("a", left=1, total=1)
        BackupCode.objects.update(digest=None, code=encrypt("abcd"))
        settings.TOTP_ENCRYPTION_KEY = None
        assert support.count_codes([totp])[totp.pk] == CodeCount(0, 1)

    def test_nothing_to_count(self, django_assert_num_queries):
        with django_assert_num_queries(0):
            assert support.count_codes([]) == {}


class TestAdoption:
    def test_every_number_for_every_group(self, enroll, make_user):
        make_user("nobody")
        enroll("full", left=3, total=3)
        enroll("low", left=2, total=5, user={"is_staff": True})
        enroll("none", user={"is_staff": True, "is_superuser": True}, failures=100)
        enroll("pending", confirmed_at=None, user={"is_active": False}, waiting_until=soon())
        groups = {group.group: group for group in adoption()}
        assert groups == {
            "all": support.Adoption("all", 5, 3, 1, 2, 2),
            "active": support.Adoption("active", 4, 3, 0, 1, 2),
            "staff": support.Adoption("staff", 2, 2, 0, 1, 2),
            "superuser": support.Adoption("superuser", 1, 1, 0, 1, 1),
        }

    def test_codes_that_no_key_can_read_make_few(self, enroll):
        enroll("full", left=3, total=3)
        BackupCode.objects.filter(digest="0").update(digest=None)
        assert adoption()[0].low_on_codes == 1

    @pytest.mark.parametrize("batch", [1, 500])
    def test_codes_that_only_lack_their_digests_count(self, enroll, monkeypatch, batch):
        monkeypatch.setattr(numbers, "BATCH", batch)
        enroll("of 1.1", left=3, total=4, confirmed_at=None, user={"is_staff": True})
        enroll("few of 1.1", left=2, total=2, confirmed_at=None)
        BackupCode.objects.update(digest=None, code=encrypt("abcd"))
        mixed = enroll("mixed", left=4, total=4)
        BackupCode.objects.filter(totp=mixed, digest__in="012").update(
            digest=None, code=encrypt("abcd")
        )
        everybody, _, staff, _ = adoption()
        assert (everybody.enabled, everybody.pending, everybody.low_on_codes) == (3, 0, 1)
        assert (staff.enabled, staff.low_on_codes) == (1, 0)

    def test_the_database_counts(self, enroll, django_assert_num_queries):
        for number in range(3):
            enroll(str(number), left=1, total=2)
        with django_assert_num_queries(6):
            adoption()

    def test_a_model_that_knows_no_groups(self, user, monkeypatch):
        meta, known = get_user_model()._meta, get_user_model()._meta.get_field

        def get_field(name):
            return known(name if name not in numbers.FLAGS else f"no_{name}")

        monkeypatch.setattr(meta, "get_field", get_field)
        assert adoption() == [support.Adoption("all", 1, 0, 0, 0, 0)]

    def test_the_share(self):
        assert support.Adoption("all", 3, 1, 0, 0, 0).percent_enabled == 33.3
        assert support.Adoption("all", 0, 0, 0, 0, 0).percent_enabled == 0.0


class TestCountAtMost:
    def test_below_the_limit(self, enroll, user):
        enroll("a")
        enroll("b", confirmed_at=None)
        assert support.count_at_most(10) == (1, 3)

    def test_the_database_stops_at_the_limit(self, enroll, django_assert_num_queries):
        for number in range(4):
            enroll(str(number))
        with django_assert_num_queries(2) as queries:
            assert support.count_at_most(2) == (2, 2)
        assert all("LIMIT 2" in query["sql"] for query in queries.captured_queries)


def test_a_name_that_is_a_row_is_looked_for_where_it_is_referred_to(monkeypatch):
    monkeypatch.setattr(people, "get_user_model", lambda: LogEntry)
    assert people._path_to_text("user") == f"user__{get_user_model()._meta.pk.name}"
