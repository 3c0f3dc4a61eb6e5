"""Who must have a second factor and has none: the numbers are those that ``policy`` gives."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.utils import timezone

from django_totp import policy
from django_totp.encryption import encrypt
from django_totp.exceptions import TotpError
from django_totp.models import Account, BackupCode, Totp
from django_totp.moments import today as date_today
from django_totp.operations import support
from django_totp.operations.support import Duty, duties

pytestmark = pytest.mark.django_db
HERE = __name__
DAY = 24 * 60 * 60


def everybody(user):
    return True


def has_a_name_with_g(user):
    return "g" in user.get_username().partition("@")[0]


def fails(user):
    raise LookupError("no directory")


def ago(seconds):
    return datetime.now(UTC) - timedelta(seconds=seconds)


def enroll(user, **fields):
    fields = {"confirmed_at": timezone.now(), **fields}
    return Totp.objects.create(user=user, secret_key=encrypt("S"), **fields)


@pytest.fixture(autouse=True)
def _one_of_each(make_user, settings):
    """Make one user of each kind, all of them but ``new`` in a group, one inactive."""
    settings.TOTP_GRACE_PERIOD = DAY
    today = date_today()
    accounts = {
        "new": {},
        "early": {"required_since": ago(DAY - 60)},
        "late": {"required_since": ago(DAY)},
        "going": {"required_since": ago(2 * DAY), "exempt_until": today},
        "gone": {"required_since": ago(2 * DAY), "exempt_until": today - timedelta(days=1)},
        "enrolled": {"required_since": ago(2 * DAY), "exempt_until": today},
        "pending": {"valid_from": ago(1)},
        "old": {"required_since": ago(2 * DAY)},
    }
    group = Group.objects.create(name="editors")
    group.user_set.add(make_user("nobody"))
    for name, fields in accounts.items():
        user = make_user(name, is_staff=name != "gone", is_active=name != "late")
        group.user_set.add(*[user] * (name != "new"))
        if fields:
            Account.objects.create(user=user, **fields)
    enroll(named("enrolled"))
    enroll(named("pending"), confirmed_at=None)
    old = enroll(named("old"), confirmed_at=None)  # of 1.1.x
    BackupCode.objects.create(totp=old, code=encrypt("c"))


def named(name):
    return get_user_model()._default_manager.get_by_natural_key(f"{name}@example.com")


def kind_of(user):
    """Return what ``policy`` says of one user who must have a second factor."""
    account = Account.objects.filter(user=user).first()
    if policy.is_exempt(account):
        return "exempt"
    return "overdue" if policy.owes(user) else "in_grace"


def one_by_one():
    """Return the numbers as they come from asking for one user after the other."""
    required = list(filter(policy.is_named, get_user_model().objects.all()))
    on = set(Totp.objects.filter(support.in_state(support.State.ENABLED)).values_list("user"))
    kinds = [kind_of(user) for user in required if (user.pk,) not in on]
    counts = (kinds.count(kind) for kind in ("in_grace", "overdue", "exempt"))
    return Duty(len(required), *counts)


def test_without_words_there_is_nothing_to_count(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert duties() == {}


@pytest.mark.parametrize("words", [["everyone"], [f"{HERE}.everybody"], ["staff", "everyone"]])
def test_every_number_for_every_group(settings, words):
    settings.TOTP_REQUIRED_FOR = words
    assert duties() == {
        "all": Duty(required=9, in_grace=4, overdue=2, exempt=1),
        "active": Duty(required=8, in_grace=4, overdue=1, exempt=1),
        "staff": Duty(required=7, in_grace=3, overdue=1, exempt=1),
        "superuser": Duty(),
    }


@pytest.mark.parametrize(
    "words",
    [
        ["staff"],
        ("superusers",),
        ["group:editors"],
        ["group:nobody"],
        ["group:editors", "staff", "superusers"],
        [f"{HERE}.has_a_name_with_g"],
        ["staff", f"{HERE}.has_a_name_with_g"],
        [f"{HERE}.has_a_name_with_g", "group:editors"],
    ],
)
@pytest.mark.parametrize("grace", [0, 60, DAY + 60])
def test_as_the_policy_says_of_each(settings, words, grace):
    settings.TOTP_REQUIRED_FOR, settings.TOTP_GRACE_PERIOD = words, grace
    counted = duties()["all"]  # before anything is stored
    assert counted == one_by_one()


def test_who_was_never_asked_is_overdue_where_there_is_no_grace(settings):
    settings.TOTP_REQUIRED_FOR, settings.TOTP_GRACE_PERIOD = ["everyone"], 0
    Account.objects.all().delete()
    assert duties()["all"] == Duty(required=9, in_grace=0, overdue=7, exempt=0)


def test_the_database_counts(settings, django_assert_num_queries):
    settings.TOTP_REQUIRED_FOR = ["staff", "superusers", "group:editors", "group:others"]
    with django_assert_num_queries(1):
        duties()


@pytest.mark.parametrize(("batch", "queries"), [(500, 3), (4, 5)])
def test_a_predicate_is_asked_for_each(
    settings, monkeypatch, batch, queries, django_assert_num_queries
):
    settings.TOTP_REQUIRED_FOR = ["superusers", f"{HERE}.everybody"]
    monkeypatch.setattr("django_totp.operations.support.duty.BATCH", batch)
    with django_assert_num_queries(queries):
        assert duties()["all"].required == 9


def test_only_whom_no_column_names(settings, monkeypatch):
    settings.TOTP_REQUIRED_FOR = ["staff", f"{HERE}.asked"]
    asked = []
    monkeypatch.setitem(globals(), "asked", lambda user: asked.append(user.get_username()))
    assert duties()["all"].required == 7
    assert sorted(asked) == ["gone@example.com", "nobody@example.com"]


def test_a_predicate_that_raises(settings):
    settings.TOTP_REQUIRED_FOR = [f"{HERE}.fails"]
    with pytest.raises(support.WordUnanswered) as caught:
        duties()
    assert isinstance(caught.value, TotpError)
    assert str(caught.value).startswith(f"TOTP_REQUIRED_FOR: '{HERE}.fails' cannot tell about")
    assert str(caught.value).endswith("LookupError: no directory")


def test_a_column_that_is_a_property(settings, monkeypatch):
    settings.TOTP_REQUIRED_FOR = ["staff"]
    monkeypatch.setattr("django_totp.operations.support.duty.is_column", lambda name: False)
    assert duties()["all"] == one_by_one()


def test_groups_that_the_model_does_not_have(settings, monkeypatch):
    settings.TOTP_REQUIRED_FOR = ["group:editors"]
    monkeypatch.setattr(policy, "has_groups", lambda: False)
    monkeypatch.setattr(policy, "_is_in_group", lambda name, user: user.no_such_relation)
    with pytest.raises(support.WordUnanswered, match="'group:editors' cannot tell"):
        duties()


def test_nobody_is_noted_down(settings):
    settings.TOTP_REQUIRED_FOR = ["everyone"]
    before = list(Account.objects.order_by("pk").values())
    duties()
    assert list(Account.objects.order_by("pk").values()) == before
