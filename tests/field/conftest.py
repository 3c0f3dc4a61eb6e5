"""The person who takes the journey, and what a project may say otherwise."""

from collections.abc import Callable
from typing import Any

import pytest

pytest.register_assert_rewrite(
    "tests.field.admin_login", "tests.field.admin_pages", "tests.field.journey"
)

from tests.field.journey import Person, Send, Shape, through_test_client  # noqa: E402


@pytest.fixture
def shape() -> Shape:
    """Return how the project dresses bodies."""
    return Shape()


@pytest.fixture
def send(shape: Shape) -> Send:
    """Return a function that sends requests to the project."""
    return through_test_client(shape)


@pytest.fixture
def make_person(
    make_user: Callable[..., Any], password: str, send: Send, shape: Shape
) -> Callable[..., Person]:
    """Return a function that makes a person without a second factor."""

    def make_person(name: str, **fields: Any) -> Person:
        return Person(make_user(name, **fields), password, send, shape)

    return make_person


@pytest.fixture
def person(make_person: Callable[..., Person]) -> Person:
    return make_person("ada")
