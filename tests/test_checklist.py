"""``docs/checklist.md``: each demand has a source and tests that exist; and tests of its own."""

import ast
import base64
import json
import re
from pathlib import Path

import pytest
from django.urls import reverse
from rest_framework_simplejwt.tokens import AccessToken

from django_totp.auth import generate_challenge_token
from tests import markdown
from tests.endpoints import wrong_code

TESTS = Path(__file__).parent
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in markdown.read("docs/checklist.md").splitlines()
    if line.startswith("| ") and not line.startswith(("| demand |", "| --- |"))
]


@pytest.mark.parametrize(("demand", "source", "tests"), ROWS, ids=[row[0][:40] for row in ROWS])
def test_a_demand_has_a_source_and_tests_that_exist(demand, source, tests):
    assert demand
    assert source
    names = re.findall(r"`([^`]+)`", tests)
    assert names
    for name in names:
        file, _, test = name.partition("::")
        assert not test or test in names_in(TESTS / file)
        assert (TESTS / file).is_file()


def test_the_checklist_is_read():
    assert len(ROWS) > 60


def names_in(file: Path) -> set[str]:
    """Return the names of the tests in ``file``, with their class."""
    names = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}::{part.name}" for part in node.body if is_test(part)}
        elif is_test(node):
            names.add(node.name)
    return names


def is_test(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name.startswith("test_")


def test_addresses_and_tokens_of_others_buy_no_guesses(
    api, enrolled_user, make_user, secret, otp, settings
):
    settings.TOTP_THROTTLE_RATE = None
    for number in range(6):
        assert guess(api, enrolled_user, make_user, number, wrong_code(secret)) == 400
    assert guess(api, enrolled_user, make_user, 7, otp(secret)) == 429


def guess(api, victim, make_user, number, code):
    """Send ``code`` from a new address, in the name of another account."""
    other = make_user(f"other{number}")
    address = f"192.0.2.{number}"
    body = {"totp_challenge_token": generate_challenge_token(victim), "otp_code": code}
    headers = {
        "HTTP_AUTHORIZATION": f"Bearer {AccessToken.for_user(other)}",
        "HTTP_X_FORWARDED_FOR": address,
        "HTTP_FORWARDED": f"for={address}",
        "REMOTE_ADDR": address,
    }
    return api.post(reverse("jwt-totp-verify"), body, format="json", **headers).status_code


def test_a_token_without_a_signature_is_refused(api, user):
    header, payload, _ = str(AccessToken.for_user(user)).split(".")
    none = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT"}).encode()).decode()
    for token in (f"{none.rstrip('=')}.{payload}.", f"{header}.{payload}."):
        assert api.post(reverse("jwt-verify"), {"token": token}).status_code == 401
        assert (
            api.get(
                reverse("totp-status"), headers={"authorization": f"Bearer {token}"}
            ).status_code
            == 401
        )
        assert api.post(reverse("jwt-refresh"), {"refresh": token}).status_code == 401
