"""docs/tenants.md: a token of one company opens nothing in another. Schemas are in tests/field."""

import re

import pytest
from django.db import connection
from django.urls import reverse
from rest_framework.test import APIClient
from rest_framework.views import APIView

from tests import markdown

PAGE = markdown.read("docs/tenants.md")
APPS, CACHES, AUTHENTICATION, SERIALIZER, SIMPLE_JWT = markdown.blocks(PAGE, "python")
FIELD = markdown.ROOT / "tests/field"


class Company:
    """The connection of django-tenants, as far as the page asks it."""

    schema_name = "red"


def names():
    example = f"{AUTHENTICATION}\n{SERIALIZER}".replace("from django.db import connection\n", "")
    return markdown.run(example, connection=Company)


CompanySerializer = names()["CompanySerializer"]


@pytest.fixture
def company(simplejwt, monkeypatch):
    """Return a function that goes over to another company."""
    monkeypatch.setattr(APIView, "authentication_classes", [names()["CompanyAuthentication"]])
    [path] = re.findall(r'"TOKEN_OBTAIN_SERIALIZER": "([\w.]+)"', SIMPLE_JWT)
    assert path.endswith(".CompanySerializer")
    simplejwt(TOKEN_OBTAIN_SERIALIZER=f"{__name__}.CompanySerializer")
    monkeypatch.setattr(Company, "schema_name", "red")
    return lambda name: setattr(Company, "schema_name", name)


def status(access):
    return APIClient(HTTP_AUTHORIZATION=f"Bearer {access}").get(reverse("totp-status")).status_code


@pytest.mark.django_db
def test_a_token_is_good_in_its_company_alone(company, login, enrolled_user, secret, otp):
    tokens = login(enrolled_user, otp_code=otp(secret)).json()
    assert status(tokens["access"]) == 200
    company("blue")
    assert status(tokens["access"]) == 401
    body = {"refresh": tokens["refresh"]}
    renewed = APIClient().post(reverse("jwt-refresh"), body)
    assert renewed.status_code == 200
    assert status(renewed.json()["access"]) == 401
    company("red")
    assert status(renewed.json()["access"]) == 200


@pytest.mark.django_db
def test_without_the_class_it_would_be_good_next_door(company, login, user, monkeypatch):
    tokens = login(user).json()
    company("blue")
    assert status(tokens["access"]) == 401
    monkeypatch.undo()
    assert status(tokens["access"]) == 200


def test_its_settings_are_those_that_were_tried():
    """tests/field has the project, with real schemas."""
    tried = (FIELD / "settings_tenants.py").read_text(encoding="utf-8")
    for line in ('"KEY_FUNCTION": "django_tenants.cache.make_key"', "INSTALLED_APPS = [*SHARED_"):
        assert line in APPS + CACHES
        assert line in tried
    told = markdown.run(APPS)
    assert "django_totp" in told["TENANT_APPS"]
    assert "django.contrib.auth" in told["TENANT_APPS"]


def test_its_classes_ask_the_real_connection():
    assert "from django.db import connection" in AUTHENTICATION
    assert "from django.db import connection" in SERIALIZER
    assert not hasattr(connection, "schema_name")  # django-tenants' has it
