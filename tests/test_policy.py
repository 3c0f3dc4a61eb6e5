"""Who must have a second factor, from when on, and who is exempt."""

import logging
from datetime import UTC, date, datetime, timedelta

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import IntegrityError

from django_totp import policy
from django_totp.accounts import accounts, join
from django_totp.auth import next_step
from django_totp.exceptions import PolicyUnavailable, TotpRequired
from django_totp.models import Account, Totp
from django_totp.policy import is_named, owes, required_from
from django_totp.totp import disable_totp

NOW = datetime(2030, 6, 15, 12, 0, tzinfo=UTC)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clock(time_machine):
    time_machine.move_to(NOW, tick=False)
    return time_machine


def is_ada(user):
    assert isinstance(user, get_user_model())
    return "ada" in user.get_username()


def truthy(user):
    return user.get_username()


def broken(user):
    raise KeyError("tenant")


def fresh(user):
    return get_user_model()._default_manager.get(pk=user.pk)


class TestWords:
    def test_nobody_by_default(self, user, django_assert_num_queries):
        with django_assert_num_queries(0):
            assert not is_named(user)
            assert required_from(user) is None

    def test_everyone(self, settings, user):
        settings.TOTP_REQUIRED_FOR = ["everyone"]
        assert is_named(user)

    @pytest.mark.parametrize(
        ("word", "field"), [("staff", "is_staff"), ("superusers", "is_superuser")]
    )
    def test_columns(self, settings, make_user, word, field):
        settings.TOTP_REQUIRED_FOR = [word]
        assert not is_named(make_user("bob"))
        assert is_named(make_user("eve", **{field: True}))

    @pytest.mark.parametrize("read", [fresh, lambda user: accounts().get(pk=user.pk)])
    def test_groups(self, settings, user, make_user, read):
        settings.TOTP_REQUIRED_FOR = ["group:editors", "group:authors"]
        user.groups.add(Group.objects.create(name="authors"))
        other = make_user("bob")
        other.groups.add(Group.objects.create(name="readers"))
        assert is_named(read(user))
        assert not is_named(read(other))

    def test_a_group_that_is_joined(self, settings, user):
        settings.TOTP_REQUIRED_FOR = ["group:editors"]
        user.groups.add(Group.objects.create(name="editors"))
        join(user)
        assert is_named(user)

    @pytest.mark.parametrize("predicate", ["is_ada", "truthy"])
    def test_a_predicate(self, settings, user, make_user, predicate):
        settings.TOTP_REQUIRED_FOR = ["staff", f"{__name__}.{predicate}"]
        assert is_named(user) is True
        assert is_named(make_user("bob")) is (predicate == "truthy")

    @pytest.mark.parametrize(
        "word",
        [f"{__name__}.broken", "no.such.function", "nonsense", "", 7, None, f"{__name__}.NOW"],
    )
    def test_what_cannot_be_told_is_refused_and_told(self, settings, caplog, user, word):
        settings.TOTP_REQUIRED_FOR = [word]
        with pytest.raises(PolicyUnavailable):
            is_named(user)
        [record] = caplog.records
        assert record.levelno == logging.ERROR
        assert str(user.pk) in record.getMessage()
        assert "TOTP_REQUIRED_FOR" in record.getMessage()
        assert record.exc_info


class TestGrace:
    @pytest.fixture(autouse=True)
    def _week(self, settings):
        settings.TOTP_REQUIRED_FOR, settings.TOTP_GRACE_PERIOD = ["everyone"], 7 * 86400

    def test_it_begins_when_it_is_first_asked(self, clock, user):
        assert required_from(user) == NOW + timedelta(days=7)
        assert Account.objects.get(user=user).required_since == NOW
        clock.shift(timedelta(days=6))
        assert required_from(fresh(user)) == NOW + timedelta(days=7)
        assert not owes(fresh(user))
        clock.shift(timedelta(days=1))
        assert owes(fresh(user))

    def test_the_start_is_stored_and_not_the_end(self, settings, clock, user):
        required_from(user)
        clock.shift(timedelta(days=2))
        settings.TOTP_GRACE_PERIOD = 86400
        assert owes(fresh(user))
        settings.TOTP_GRACE_PERIOD = 30 * 86400
        assert not owes(fresh(user))

    def test_it_is_stored_once(self, clock, user, django_assert_num_queries):
        required_from(user)
        clock.shift(9)
        user = accounts().get(pk=user.pk)
        with django_assert_num_queries(0):
            required_from(user)
        join(user)
        assert required_from(user) == NOW + timedelta(days=7)

    def test_a_user_at_hand_is_asked_once(self, clock, user, django_assert_num_queries):
        join(user)
        required_from(user)
        with django_assert_num_queries(0):
            assert required_from(user) == NOW + timedelta(days=7)

    def test_beside_another_reason(self, user):
        Account.objects.create(user=user, valid_from=NOW)
        required_from(user)
        account = Account.objects.get()
        assert (account.valid_from, account.required_since) == (NOW, NOW)

    def test_the_first_who_stores_it_is_right(self, monkeypatch, user):
        join(user)
        Account.objects.create(user=user, required_since=NOW - timedelta(days=1))
        required_from(user)
        assert Account.objects.get().required_since == NOW - timedelta(days=1)

    def test_without_a_grace_period_it_is_owed_at_once(self, settings, user):
        settings.TOTP_GRACE_PERIOD = 0
        assert owes(user)

    def test_a_user_who_is_gone_breaks_nothing(self, user):
        stale = fresh(user)
        user.delete()
        try:
            assert required_from(stale) == NOW + timedelta(days=7)
        except IntegrityError:
            pytest.fail("a foreign key is no reason for a crash")
        Account.objects.all().delete()  # SQLite looks at the end of the test only


class TestExemption:
    @pytest.fixture(autouse=True)
    def _everyone(self, settings):
        settings.TOTP_REQUIRED_FOR = ["everyone"]

    @pytest.mark.parametrize(
        ("until", "is_exempt"),
        [(date(2030, 6, 14), False), (date(2030, 6, 15), True), (date(2030, 6, 16), True)],
    )
    def test_that_day_included(self, user, until, is_exempt):
        Account.objects.create(user=user, exempt_until=until)
        assert (required_from(user) is None) is is_exempt
        assert owes(user) is not is_exempt

    @pytest.mark.parametrize("tz", [True, False])
    def test_the_day_is_that_of_the_project(self, settings, clock, user, tz):
        settings.USE_TZ, settings.TIME_ZONE = tz, "Asia/Tokyo"
        clock.move_to(datetime(2030, 6, 15, 14, 59, tzinfo=UTC), tick=False)
        account = Account(user=user, exempt_until=date(2030, 6, 15))
        assert policy.is_exempt(account)
        clock.shift(60)
        assert not policy.is_exempt(account)

    def test_nobody_without_a_row(self):
        assert not policy.is_exempt(None)
        assert not policy.is_exempt(Account())


class TestDisable:
    def test_it_is_refused(self, settings, enrolled_user):
        settings.TOTP_REQUIRED_FOR, settings.TOTP_GRACE_PERIOD = ["everyone"], 86400
        with pytest.raises(TotpRequired):
            disable_totp(enrolled_user)
        assert Totp.objects.exists()
        Account.objects.create(user=enrolled_user, exempt_until=NOW.date())
        disable_totp(fresh(enrolled_user))

    def test_nobody_is_noted_by_it(self, settings, enrolled_user):
        settings.TOTP_REQUIRED_FOR = ["everyone"]
        with pytest.raises(TotpRequired):
            disable_totp(enrolled_user)
        assert not Account.objects.exists()

    def test_a_predicate_that_raises_keeps_it_on(self, settings, enrolled_user):
        settings.TOTP_REQUIRED_FOR = [f"{__name__}.broken"]
        with pytest.raises(PolicyUnavailable):
            disable_totp(enrolled_user)
        assert Totp.objects.exists()


class TestNextStep:
    def test_nothing(self, user, django_assert_num_queries):
        with django_assert_num_queries(1):
            step = next_step(user)
        assert (step.challenge, step.is_enrollment, step.required_from) == ("", False, None)

    def test_in_grace(self, settings, user):
        settings.TOTP_REQUIRED_FOR, settings.TOTP_GRACE_PERIOD = ["everyone"], 60
        step = next_step(user)
        assert (step.challenge, step.required_from) == ("", NOW + timedelta(seconds=60))

    def test_owed(self, settings, user):
        settings.TOTP_REQUIRED_FOR = ["everyone"]
        step = next_step(user)
        assert step.challenge
        assert step.is_enrollment
        assert step.challenge not in repr(step)

    def test_who_has_a_factor_is_asked_for_it_and_not_noted(self, settings, enrolled_user):
        settings.TOTP_REQUIRED_FOR = [f"{__name__}.broken"]
        step = next_step(enrolled_user)
        assert step.challenge
        assert not step.is_enrollment
        assert not Account.objects.exists()
