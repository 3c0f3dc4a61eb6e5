"""Queries that are compiled once, and which of them could be."""

import uuid

import pytest
from django.contrib.auth import get_user_model
from django.db import models
from django.db.models import Value
from django.db.models.functions import Coalesce
from django.test.utils import isolate_apps

from django_totp.accounts import accounts
from django_totp.compiled import compile_once, is_in_range, samples_of

User = get_user_model()


pytestmark = pytest.mark.django_db


def test_threads_do_not_share_a_connection(user):
    compiled = compile_once(accounts(), User._meta.pk)
    first, second = compiled.fetch(user.pk), compiled.fetch(user.pk)
    assert next(first) == next(second) == user
    assert compiled.compiler.connection is None
    assert "as_sql" not in vars(compiled.compiler)


class Shouting(models.CharField):
    def get_prep_value(self, value):
        return str(value).upper()


@pytest.mark.parametrize(
    ("field", "sample"),
    [
        (models.AutoField(primary_key=True), 1),
        (models.BigIntegerField(), 1),
        (models.EmailField(), "1"),
        (models.UUIDField(), uuid.UUID(int=1)),
        (models.TextField(), None),
        (models.FloatField(), None),
        (models.OneToOneField("auth.User", models.CASCADE), None),
        (Shouting(), None),
    ],
)
def test_kinds_of_fields(field, sample):
    assert samples_of(field)[:1] == ((sample,) if sample else ())


def test_the_value_is_found_wherever_it_stands(make_user):
    """Other values may stand before it and behind it."""
    users = [make_user(f"user{number}") for number in range(3)]
    around = (
        accounts().annotate(before=Value("before")).order_by(Coalesce("pk", Value(users[0].pk)))
    )
    compiled = compile_once(around, User._meta.pk)
    assert compiled.after
    assert [next(compiled.fetch(user.pk)) for user in users] == users
    assert next(compiled.fetch(users[1].pk)).before == "before"


def test_a_query_in_which_the_value_stands_twice_is_none_to_keep():
    twice = accounts()
    twice.filter = lambda **by: (
        accounts().filter(**by).exclude(**{f"{key}__gt": value for key, value in by.items()})
    )
    assert compile_once(twice, User._meta.pk) is None


@isolate_apps("django_totp")
def test_a_comparison_of_the_projects_own_is_left_to_it():
    class Folded(models.Lookup):
        lookup_name = "exact"

    field = models.CharField(max_length=9)
    field.register_lookup(Folded)
    try:
        assert samples_of(models.CharField()) == ("1", "2")
        assert samples_of(field) == ()
    finally:
        field._unregister_lookup(Folded)


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        (1, True),
        (2**31 - 1, True),
        (-(2**31) + 1, True),
        (2**31, False),
        ("x", True),
        (None, False),
    ],
)
def test_values_that_all_are_compared_alike(value, fits):
    assert is_in_range(value) is fits
