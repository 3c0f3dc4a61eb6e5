"""django-tenants keeps companies in schemas of their own: our rows, limits and tokens with them."""

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command, execute_from_command_line
from django.db import connection
from django_tenants.utils import schema_context
from rest_framework.views import APIView

from tests import markdown
from tests.field.journey import Person, through_test_client, walk
from tests.field.tenants.models import Company, Domain

PAGE = markdown.read("docs/tenants.md")
CompanySerializer = markdown.run(markdown.blocks(PAGE, "python")[3])["CompanySerializer"]
pytestmark = pytest.mark.django_db(transaction=True)
NAMES = ["red", "blue"]


@pytest.fixture
def persons(password, shape):
    """Return one person for each company: the same name, key and password."""
    found = []
    for name in NAMES:
        company = Company.objects.create(schema_name=name, name=name)
        Domain.objects.create(tenant=company, domain=f"{name}.testserver", is_primary=True)
        with schema_context(name):
            user = get_user_model().objects.create_user("ada", password=password, pk=1)
        send = through_test_client(shape, headers={"Host": f"{name}.testserver"})
        found.append(Person(user, password, send, shape))
    yield found
    connection.set_schema_to_public()
    for company in Company.objects.all():
        company.delete(force_drop=True)


def test_journey(persons):
    for person in persons:
        walk(person)


def test_companies_are_apart(persons):
    red, blue = persons
    for person in persons:
        person.enroll()
    stranger = blue.second_step(red.challenge(), backup_code=blue.codes[0])
    blue.refused(stranger, 400, "invalid_challenge")
    blue.refused(blue.login(backup_code=red.codes[0]), 400, "invalid_backup_code")
    with schema_context("blue"):
        call_command("totp_reset", "ada", yes=True)
    assert blue.status()["is_totp_enabled"] is False
    assert red.status()["is_totp_enabled"] is True


def test_limits_are_a_companys_own(settings, persons):
    settings.TOTP_THROTTLE_RATE = "3/minute"
    red, blue = persons
    for _ in range(3):
        red.first_step()
    body = {"username": "ada", "password": red.password}
    red.refused(red.send("jwt-create", body), 429, "throttled")
    assert blue.first_step().status == 200


def test_a_token_opens_nothing_next_door(persons, simplejwt, monkeypatch):
    """With the two classes of docs/tenants.md. Without them it does."""
    red, blue = persons
    token = {"Authorization": f"Bearer {red.first_step().body['access']}"}
    assert blue.send("totp-status", **token).status == 200
    simplejwt(TOKEN_OBTAIN_SERIALIZER=f"{__name__}.CompanySerializer")
    names = markdown.run(markdown.blocks(PAGE, "python")[2])
    monkeypatch.setattr(APIView, "authentication_classes", [names["CompanyAuthentication"]])
    token = {"Authorization": f"Bearer {red.first_step().body['access']}"}
    assert red.send("totp-status", **token).status == 200
    assert blue.send("totp-status", **token).status == 401


def test_the_commands_of_the_page(persons, capsys):
    red, _ = persons
    red.enroll()
    for line in markdown.blocks(PAGE, "text")[0].splitlines():
        execute_from_command_line(line.split()[1:])
    told = capsys.readouterr().out
    assert "enabled" in told
    assert "percent enabled" in told
