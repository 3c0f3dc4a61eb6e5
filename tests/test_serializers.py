"""The bodies of the HTTP API, where the endpoints alone do not reach."""

import pytest
from django.contrib.auth import get_user_model

from django_totp.serializers import JWTCreateRequest


@pytest.mark.parametrize(("bound", "is_valid"), [(None, True), (1000, True), (999, False)])
def test_a_user_name_is_as_long_as_its_column_allows(monkeypatch, bound, is_valid):
    model = get_user_model()
    monkeypatch.setattr(model._meta.get_field(model.USERNAME_FIELD), "max_length", bound)
    body = {model.USERNAME_FIELD: "a" * 1000, "password": "secret"}
    assert JWTCreateRequest(data=body).is_valid() is is_valid
