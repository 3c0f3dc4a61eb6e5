"""djangorestframework-camel-case is the project's way to write names, and so ours."""

import json
import re

import pytest
from django.test import Client
from django.urls import reverse

from tests.field.journey import Shape, test_journey  # noqa: F401


def camel(name):
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), name)


def snake(name):
    return re.sub(r"[A-Z]", lambda match: f"_{match[0].lower()}", name)


class CamelCase(Shape):
    def dress(self, body):
        return {camel(name): value for name, value in body.items()}

    def undress(self, body):
        assert not [name for name in body if "_" in name]
        return {snake(name): value for name, value in body.items()}


@pytest.fixture
def shape():
    return CamelCase()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("[" * 50_000, 400),
        ('{"a":' * 5_000 + "1" + "}" * 5_000, 400),
        (json.dumps({"password": "x" * 1_000_000}), 413),
        ('{"username": NaN, "password": "x"}', 400),
    ],
    ids=["lists", "objects", "large", "NaN"],
)
def test_our_bounds_hold_around_the_projects_parser(body, status):
    answer = Client().post(reverse("jwt-create"), body, "application/json")
    assert answer.status_code == status
