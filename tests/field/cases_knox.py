"""knox has tokens of another kind: they are signed in here, and prove nothing."""

import pytest
from knox.models import get_token_model

from tests.field.audit import doors
from tests.field.journey import test_journey, walk_to_rotation  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def with_token(person):
    _, token = get_token_model().objects.create(user=person.user)
    person.authorization = f"Token {token}"
    return person


def test_enrolls_and_logs_in(with_token):
    walk_to_rotation(with_token)


def test_needs_a_proof(settings, with_token):
    settings.TOTP_REAUTHENTICATE = True
    with_token.enroll()
    refused = with_token.signed_in("totp-disable")
    with_token.refused(refused, 403, "reauthentication_required")
    proven = with_token.signed_in("totp-disable", {"otp_code": with_token.next_code()})
    assert proven.status == 204


def test_the_audit_names_its_login():
    assert "/knox/login/" in doors()
