"""django-unfold draws the admin: actions can be run, and our page looks like its own."""

import pytest
from django.urls import reverse

from tests.field.admin_login import *  # noqa: F403
from tests.field.admin_pages import *  # noqa: F403
from tests.field.admin_pages import URL
from tests.field.journey import test_journey  # noqa: F401


@pytest.fixture
def theme():
    return "unfold/css"


@pytest.mark.django_db(transaction=True)
def test_the_page_is_the_themes(admin, enrolled, theme):
    page = admin.get(reverse(URL)).content.decode()
    assert theme in page
