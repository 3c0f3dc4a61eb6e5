"""django-oauth-toolkit trades a password for a token: the audit names that side door."""

import datetime

import pytest
from django.utils import timezone
from oauth2_provider.models import get_access_token_model

from tests.field.audit import doors
from tests.field.journey import test_journey, walk_to_rotation  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_token_of_its_own_is_signed_in(person):
    get_access_token_model().objects.create(
        user=person.user,
        token="opaque",
        expires=timezone.now() + datetime.timedelta(hours=1),
        scope="read write",
    )
    person.authorization = "Bearer opaque"
    walk_to_rotation(person)


def test_the_audit_names_its_token_view():
    assert doors()["/o/token/"] == "oauth2_provider.views.base.TokenView"
