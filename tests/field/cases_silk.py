"""django-silk keeps bodies of requests and answers: none of ours, where a function leaves us be."""

import pytest
from django.core import serializers
from django.test import Client
from silk.models import Request, Response, SQLQuery

from tests.field.journey import test_journey, walk_to_rotation  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)


def test_keeps_no_secret(person):
    Client().get("/admin/login/")
    assert Request.objects.count() == 1
    walk_to_rotation(person)
    kept = serializers.serialize(
        "json", [row for model in (Request, Response, SQLQuery) for row in model.objects.all()]
    )
    assert "/admin/login/" in kept
    assert not [secret for secret in person.known if secret in kept]
