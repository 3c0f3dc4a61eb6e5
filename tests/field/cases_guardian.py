"""django-guardian: rows of users that nobody logs in as, and permissions for one row."""

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from guardian.shortcuts import assign_perm

from django_totp.auth import is_totp_enabled
from django_totp.models import Totp
from tests.field.journey import test_journey  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_anonymous_row_has_no_factor_and_no_login(person):
    anonymous = get_user_model().get_anonymous()
    assert not is_totp_enabled(anonymous)
    person.user.username, person.password = anonymous.username, ""
    body = {"username": anonymous.username, "password": "x"}
    person.refused(person.send("jwt-create", body), 401, "invalid_credentials")


def test_a_permission_for_one_row_resets_nobody_else(make_person, make_user):
    persons = [make_person("ada"), make_person("bob")]
    for person in persons:
        person.enroll()
    helper = make_user("helper", is_staff=True)
    for name in ("view_totp", "reset_totp"):
        assign_perm(f"django_totp.{name}", helper, Totp.objects.get(user=persons[0].user))
    client = Client()
    client.force_login(helper)
    url = reverse("admin:django_totp_totp_changelist")
    rows = list(Totp.objects.values_list("pk", flat=True))
    client.post(url, {"action": "reset_two_factor", "_selected_action": rows, "confirmed": "yes"})
    assert is_totp_enabled(persons[1].user)
