"""Queries that are compiled once, and which of them could be."""

import uuid

import pytest
from django.contrib.auth import get_user_model
from django.db import connections, models
from django.test.utils import isolate_apps

from django_totp.accounts import accounts
from django_totp.compiled import Compiled, is_in_range, sample_of

User = get_user_model()


pytestmark = pytest.mark.django_db


def test_threads_do_not_share_a_connection(user):
    compiled = Compiled(accounts(), User._meta.pk)
    first, second = compiled.fetch(user.pk), compiled.fetch(user.pk)
    assert next(first) == next(second) == user
    assert compiled.compiler.connection is connections["default"]
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
    assert sample_of(field) == sample


@isolate_apps("django_totp")
def test_a_comparison_of_the_projects_own_is_left_to_it():
    class Folded(models.Lookup):
        lookup_name = "exact"

    field = models.CharField(max_length=9)
    field.register_lookup(Folded)
    try:
        assert sample_of(models.CharField()) == "1"
        assert sample_of(field) is None
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
