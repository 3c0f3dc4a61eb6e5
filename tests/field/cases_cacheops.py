"""django-cacheops answers reads of all models from Redis: what decides comes from the database."""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.db import connection

from tests.field.journey import test_journey  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)


def behind_the_cache(person, column, value):
    """Change a row of the user as another process does that has no cacheops."""
    table = get_user_model()._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET {column} = %s WHERE id = %s", [value, person.user.pk])  # noqa: S608


def test_the_cache_is_on(person):
    person.first_step()
    model = get_user_model()
    list(model.objects.filter(pk=person.user.pk))
    behind_the_cache(person, "first_name", "changed")
    [stale] = model.objects.filter(pk=person.user.pk)
    assert stale.first_name == ""


@pytest.mark.parametrize(
    ("column", "value"), [("is_active", False), ("password", make_password("new"))]
)
def test_a_change_of_the_account_counts_at_once(person, column, value):
    person.enroll()
    model = get_user_model()
    challenge = person.challenge()
    list(model.objects.filter(pk=person.user.pk))
    model.objects.get(pk=person.user.pk)
    behind_the_cache(person, column, value)
    answer = person.second_step(challenge, otp_code=person.next_code())
    person.refused(answer, 400, "invalid_challenge")
