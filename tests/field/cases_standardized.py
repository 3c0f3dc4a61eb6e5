"""drf-standardized-errors builds errors of its own shape: it keeps that, and the truth."""

import json

import pytest

from tests.field.journey import Shape, test_journey  # noqa: F401


class Standardized(Shape):
    def check_error(self, answer):
        error, *others = answer.body["errors"]
        assert not others or error["attr"] == "detail"  # simplejwt's errors are mappings
        assert error["code"] == answer.body["code"]
        assert error["detail"] == answer.body["detail"]
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
