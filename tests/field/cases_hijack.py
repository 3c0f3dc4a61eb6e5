"""django-hijack: an administrator in the place of a user."""

import pytest
from django.test import Client
from django.urls import reverse

from tests.field.journey import test_journey  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)


def test_acts_as_the_user_and_needs_a_proof(settings, person, make_user):
    settings.TOTP_REAUTHENTICATE = True
    person.enroll()
    client = Client()
    client.force_login(make_user("root", is_staff=True, is_superuser=True))
    taken = client.post(reverse("hijack:acquire"), {"user_pk": person.user.pk})
    assert taken.status_code == 302
    assert client.get(reverse("totp-status")).json()["is_totp_enabled"] is True
    for name in ("totp-disable", "totp-rotate-backup-codes"):
        refused = client.post(reverse(name))
        assert refused.status_code == 403
        assert refused.json()["code"] == "reauthentication_required"
    assert person.status()["is_totp_enabled"] is True
