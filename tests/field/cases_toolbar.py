"""The debug toolbar keeps what requests sent: none of ours, with a callback that leaves us out."""

import pytest
from debug_toolbar.store import get_store
from django.test import Client

from tests.field.journey import test_journey, walk_to_rotation  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _debug(settings):
    settings.DEBUG = True


def test_keeps_no_secret(person):
    store = get_store()
    store.clear()
    assert b"djdt" in Client().get("/admin/login/").content
    walk_to_rotation(person)
    kept = str([list(store.panels(request)) for request in store.request_ids()])
    assert "/admin/login/" in kept
    assert not [secret for secret in person.known if secret in kept]
