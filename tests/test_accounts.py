"""Users with all that judges a login: what is read by a query that is kept is what is there."""

import uuid

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, UserManager
from django.core.exceptions import FieldError, ValidationError
from django.db import connection, models
from django.db.models import F, Value
from django.db.models.functions import Coalesce
from django.test.utils import CaptureQueriesContext

from django_totp import accounts as module
from django_totp.accounts import account_by, accounts
from django_totp.compiled import is_plain
from django_totp.models import Account, Totp
from django_totp.users import NOBODY

User = get_user_model()


pytestmark = pytest.mark.django_db


def compiled_anew(name, value):
    return accounts().filter(**{name: value}).first()


@pytest.fixture
def sql():
    """Return a function that gives what a call returns, and its SQL."""

    def sql(call):
        with CaptureQueriesContext(connection) as captured:
            found = call()
        return found, [query["sql"] for query in captured]

    return sql


def state(user):
    """Return all that was read with a user."""
    if user is None:
        return None
    rows = [user, *(getattr(user, name, None) for name in ("totp", "totp_account"))]
    return [
        row and {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
        for row in rows
    ] + [vars(user).get("is_in_group_that_must_have_totp")]


@pytest.mark.parametrize("policy", [[], ["group:editors"], ["group:editors", "group:authors"]])
@pytest.mark.parametrize("has_account", [False, True])
@pytest.mark.parametrize("fixture", ["user", "pending_user", "enrolled_user"])
@pytest.mark.parametrize("name", ["pk", User._meta.pk.name, User.USERNAME_FIELD])
def test_the_same_is_read(request, settings, make_user, sql, policy, has_account, fixture, name):
    settings.TOTP_REQUIRED_FOR = policy
    make_user("bob").groups.add(Group.objects.create(name="editors"))
    user = request.getfixturevalue(fixture)
    user.groups.add(Group.objects.create(name="authors"))
    if has_account:
        Account.objects.create(user=user)
    value = getattr(user, name)
    for _ in range(2):  # compiled, and kept
        found, [query] = sql(lambda: account_by(name, value))
        [again], [as_ever] = sql(lambda: [*accounts().filter(**{name: value})])
        assert state(found) == state(again)
        assert (found, found._state.db, found._state.adding) == (user, "default", False)
        assert query == as_ever


def test_each_value_is_its_own(make_user):
    users = [make_user(f"user{number}") for number in range(3)]
    assert [account_by("pk", user.pk) for user in users] == users
    assert [account_by("pk", str(user.pk)) for user in users] == users


def test_nobody(user):
    for value in (0, -1, 2**31 - 1) if isinstance(user.pk, int) else (uuid.UUID(int=0),):
        assert account_by("pk", value) is None
    assert account_by(User.USERNAME_FIELD, "nobody") is None


@pytest.mark.parametrize(
    "value", ["abc", "", "1.5", None, 2**31, -(2**31), 2**63, 10**400, "9" * 99, [], {}, "x\0"]
)
def test_what_no_user_can_have_is_answered_in_the_same_way(user, value):
    outcomes = []
    for search in (account_by, compiled_anew):
        try:
            outcomes.append(search("pk", value))
        except NOBODY as error:
            outcomes.append(type(error))
    assert outcomes[0] == outcomes[1]


def test_a_field_that_is_not_there(user):
    for search in (account_by, compiled_anew):
        with pytest.raises(FieldError):
            search("no_such_field", 1)


def test_it_is_kept_by_what_it_depends_on(settings, user):
    module._compiled.cache_clear()
    for policy in ([], ["staff"], ["group:a"], ["group:b"], ["group:a"]):
        settings.TOTP_REQUIRED_FOR = policy
        account_by("pk", user.pk)
    account_by(User.USERNAME_FIELD, "x")
    assert module._compiled.cache_info().misses == 4


class OwnRows(models.QuerySet):
    pass


class OwnQuery(UserManager):
    def get_queryset(self):
        return super().get_queryset().filter(is_active=True)


class Shouting(models.CharField):
    def get_prep_value(self, value):
        return str(value).upper()


@pytest.mark.parametrize(
    ("manager", "plain"),
    [
        (UserManager, True),
        (models.Manager, True),
        (OwnQuery, False),
        (UserManager.from_queryset(OwnRows), False),
    ],
)
def test_a_query_that_the_project_has_a_say_in_is_compiled_each_time(
    monkeypatch, user, manager, plain
):
    own = manager()
    own.model = User
    assert is_plain(own, models.IntegerField()) is plain
    assert not is_plain(own, Shouting())
    own.name = "objects"
    monkeypatch.setattr(User._meta, "default_manager", own, raising=False)
    module._compiled.cache_clear()
    assert account_by("pk", user.pk) == user
    assert module._compiled.cache_info().misses == int(plain)
    User.objects.update(is_active=False)
    assert (account_by("pk", user.pk) is None) is (manager is OwnQuery)


def test_a_key_that_is_no_key_raises_as_the_field_does(user):
    if isinstance(user.pk, uuid.UUID):
        with pytest.raises(ValidationError):
            account_by("pk", "no uuid")
    else:
        with pytest.raises(ValueError, match="expected a number"):
            account_by("pk", "no number")
    assert not Totp.objects.exists()


@pytest.mark.parametrize(
    "ordering",
    [["-pk"], [Coalesce(User.USERNAME_FIELD, Value("~"))], [F("pk").desc(nulls_last=True)]],
)
def test_the_order_of_the_projects_users_moves_no_value(monkeypatch, make_user, ordering):
    """Values of an ORDER BY stand behind that of the search."""
    monkeypatch.setattr(User._meta, "ordering", ordering)
    module._compiled.cache_clear()
    users = [make_user(f"user{number}") for number in range(3)]
    for name in ("pk", User.USERNAME_FIELD):
        assert [account_by(name, getattr(user, name)) for user in users] == users
    module._compiled.cache_clear()


def test_a_query_that_cannot_be_kept_is_compiled_each_time(monkeypatch, make_user):
    monkeypatch.setattr(module, "compile_once", lambda rows, field: None)
    module._compiled.cache_clear()
    users = [make_user(f"user{number}") for number in range(3)]
    assert [account_by("pk", user.pk) for user in users] == users
    module._compiled.cache_clear()
