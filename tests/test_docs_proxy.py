"""docs/behind-a-proxy.md: whom the limits count with its settings, and what goes wrong without."""

import logging

import pytest
from django.core.checks import run_checks
from django.test import Client, RequestFactory

from django_totp.addresses import address_of
from tests import markdown

PAGE = markdown.read("docs/behind-a-proxy.md")
SECTIONS = markdown.sections(PAGE, 2)
ADDRESS, HTTPS = [markdown.run(block) for block in markdown.blocks(PAGE, "python")]
CLIENT, OTHER, PROXY = "203.0.113.7", "203.0.113.8", "10.0.0.1"
pytestmark = pytest.mark.django_db


@pytest.fixture
def behind(settings):
    """Return a function that sets how many proxies there are, as the page does."""

    def behind(number):
        own = {**settings.REST_FRAMEWORK, "NUM_PROXIES": number}
        settings.REST_FRAMEWORK = {name: own[name] for name in own if own[name] is not None}

    settings.TOTP_ADDRESS_THROTTLE_RATE = "3/minute"
    return behind


def guess(url, client, *, claims="", number=0, proxy=PROXY):
    """Send a wrong password through a proxy, as ``client``, who claims to be somebody else."""
    seen = f"{claims}, {client}" if claims else client
    body = {"username": f"name{number}", "email": f"name{number}@example.com", "password": "no"}
    headers = {"HTTP_X_FORWARDED_FOR": seen, "REMOTE_ADDR": proxy}
    return Client().post(url, body, **headers).status_code


URLS = ["/api/jwt/create/", "/account/login/"]


@pytest.mark.parametrize("url", URLS)
def test_a_client_is_one_whatever_it_claims(behind, url):
    behind(ADDRESS["REST_FRAMEWORK"]["NUM_PROXIES"])
    answers = [guess(url, CLIENT, claims=f"198.51.100.{n}", number=n) for n in range(5)]
    assert answers[3:] == [429, 429]
    assert 429 not in answers[:3]
    assert guess(url, OTHER) != 429


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("number", [None, 2])
def test_without_the_number_or_with_more_a_claim_is_believed(behind, url, number):
    behind(number)
    answers = [guess(url, CLIENT, claims=f"198.51.100.{n}", number=n) for n in range(5)]
    assert 429 not in answers


def test_with_too_low_a_number_all_are_one(behind):
    behind(0)
    answers = [guess(URLS[0], f"203.0.113.{number}", number=number) for number in range(4)]
    assert answers[3] == 429
    assert guess(URLS[0], CLIENT, proxy="10.0.0.2") != 429


@pytest.mark.parametrize("proxies", [0, 1, 2])
def test_the_table(behind, proxies):
    """Each proxy adds what it sees to the end."""
    rows = markdown.rows(SECTIONS["The address"])
    assert markdown.code(rows[proxies][1]) == [str(proxies)]
    behind(proxies)
    *forwarded, seen = [CLIENT, "10.0.0.1", "10.0.0.2"][: proxies + 1]
    request = RequestFactory().get("/", REMOTE_ADDR=seen)
    request.META["HTTP_X_FORWARDED_FOR"] = ", ".join(["198.51.100.1", *forwarded])
    assert address_of(request) == CLIENT


def test_a_socket_without_an_address(behind):
    behind(1)
    answers = [guess(URLS[0], CLIENT, number=number, proxy="") for number in range(4)]
    assert answers[3] == 429


def test_ports_and_forms_do_not_matter(behind):
    behind(1)
    forms = [CLIENT, f"{CLIENT}:4711", f"::ffff:{CLIENT}", f"{CLIENT}:4712"]
    answers = [guess(URLS[0], form, number=number) for number, form in enumerate(forms)]
    assert answers[3] == 429


def test_the_check(behind):
    [check] = [part for part in PAGE.split("[") if part.startswith("W0")]
    name = f"django_totp.{check[:4]}"
    behind(None)
    assert name in {found.id for found in run_checks(include_deployment_checks=True)}
    behind(1)
    assert name not in {found.id for found in run_checks(include_deployment_checks=True)}


def test_the_log_has_the_address_of_the_client(behind, caplog):
    behind(1)
    with caplog.at_level(logging.INFO, "django_totp"):
        guess(URLS[0], CLIENT, claims="198.51.100.1")
    assert [record.address for record in caplog.records if hasattr(record, "address")] == [CLIENT]


def test_the_settings_for_https(settings):
    for name in [name for name in HTTPS if name.isupper()]:
        setattr(settings, name, HTTPS[name])
    secure = {"HTTP_X_FORWARDED_PROTO": "https", "HTTP_HOST": "www.example.com"}
    page = Client().get("/account/login/", **secure)
    assert page.wsgi_request.is_secure()
    assert page.cookies["csrftoken"]["secure"]
    browser = Client(enforce_csrf_checks=True)
    browser.get("/account/login/", **secure)
    body = {"csrfmiddlewaretoken": browser.cookies["csrftoken"].value, "username": "x"}
    origin = {"HTTP_ORIGIN": "https://www.example.com"}
    assert browser.post("/account/login/", body, **secure, **origin).status_code != 403
    plain = {"HTTP_HOST": "www.example.com"}
    assert browser.post("/account/login/", body, **plain, **origin).status_code == 403
    assert Client().get("/account/login/", HTTP_HOST="evil.example").status_code == 400
