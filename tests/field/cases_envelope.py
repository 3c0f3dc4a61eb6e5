"""A handler and a renderer that put each body into an envelope."""

import pytest

from tests.field.journey import Shape, test_journey  # noqa: F401


class Envelope(Shape):
    def undress(self, body):
        if body["success"]:
            return body["data"]
        return body

    def check_error(self, answer):
        assert answer.body["error"] == {"status": answer.status}
        assert answer.body["success"] is False


@pytest.fixture
def shape():
    return Envelope()


@pytest.mark.django_db
def test_errors_of_fields(send):
    answer = send("jwt-create", {})
    assert answer.status == 400
    assert answer.body["error"] == {"status": 400}
    assert "success" not in answer.body["detail"]
