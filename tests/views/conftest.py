from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from django.urls import reverse
from rest_framework.authentication import SessionAuthentication
from rest_framework.response import Response
from rest_framework.test import APIClient
from rest_framework.views import APIView

from tests.endpoints import GET


@pytest.fixture(autouse=True)
def clock() -> Iterator[Any]:
    """Stop the clock in the middle of a time step."""
    with time_machine.travel(datetime(2031, 5, 4, 12, 0, 15, tzinfo=UTC), tick=False) as clock:
        yield clock


@pytest.fixture
def call(api: APIClient) -> Callable[..., Response]:
    """Return a function that calls an endpoint by its name, as ``client`` if one is given."""

    def call(
        name: str, body: Any = None, *, client: APIClient = api, form: str = "json", **extra: Any
    ) -> Response:
        if name in GET:
            return client.get(reverse(name), **extra)
        return client.post(reverse(name), body, format=form, **extra)

    return call


@pytest.fixture
def by_session(user: Any, monkeypatch: pytest.MonkeyPatch) -> APIClient:
    """Return a browser with a session of ``user``, in a project that uses sessions."""
    monkeypatch.setattr(APIView, "authentication_classes", (SessionAuthentication,))
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(user)
    return client


@pytest.fixture
def patient(settings: Any) -> None:
    """Switch the throttle off, where a test asks for more than its rate."""
    settings.TOTP_THROTTLE_RATE = settings.TOTP_ADDRESS_THROTTLE_RATE = None
