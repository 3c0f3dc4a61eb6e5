"""django-grappelli draws the admin, and its login page."""

import pytest

from tests.field.admin_login import *  # noqa: F403
from tests.field.journey import test_journey  # noqa: F401


@pytest.fixture
def theme():
    return "grappelli/stylesheets"
