"""Django's own admin, beside a second one with a login form of its own."""

import pytest

from tests.field.admin_login import *  # noqa: F403
from tests.field.journey import test_journey  # noqa: F401


@pytest.fixture
def theme():
    return "admin/css/login.css"
