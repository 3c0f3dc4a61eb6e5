"""drf-standardized-errors builds errors of its own shape: it keeps that, and the truth."""

import json

import pytest

from tests.field.journey import Shape, test_journey  # noqa: F401


class Standardized(Shape):
    def check_error(self, answer):
        errors = answer.body["errors"]  # simplejwt's are of several parts
        assert answer.body["detail"] in [error["detail"] for error in errors]
        assert answer.body["code"] in [error["code"] for error in errors]
        assert answer.body["type"] == "client_error"


@pytest.fixture
def shape():
    return Standardized()


@pytest.mark.django_db
def test_errors_of_fields_are_the_packages_own(send):
    answer = send("jwt-create", {})
    body = json.loads(answer.raw)
    assert answer.status == 400
    assert body["type"] == "validation_error"
    assert {error["attr"] for error in body["errors"]} == {"username", "password"}
    assert body["code"] not in {"validation_error", ""}
    assert "validation_error" not in body["detail"]
