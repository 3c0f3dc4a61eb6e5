"""``docs/checklist.md``: each demand has a source and tests that exist; and tests of its own."""

import ast
import base64
import json
import logging
import re
from pathlib import Path

import pytest
from django.urls import reverse
from rest_framework_simplejwt.tokens import AccessToken

from django_totp.auth import generate_challenge_token
from django_totp.models import Totp
from tests import markdown
from tests.endpoints import NO_SECRET, assert_error, wrong_code

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
    settings.TOTP_THROTTLE_RATE = settings.TOTP_ADDRESS_THROTTLE_RATE = None
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


STRANGER = {"REMOTE_ADDR": "203.0.113.66"}


def test_strangers_do_not_keep_the_owner_waiting(api, login, enrolled_user, secret, otp):
    """Neither wrong passwords nor forged challenges in the owner's name do."""
    name, step = enrolled_user.USERNAME_FIELD, reverse("jwt-totp-verify")
    _, _, signature = generate_challenge_token(enrolled_user).rpartition(":")
    for number in range(12):
        guess = {name: enrolled_user.get_username(), "password": f"guess {number}"}
        assert api.post(reverse("jwt-create"), guess, **STRANGER).status_code in {401, 429}
        header = base64.urlsafe_b64encode(b'{"user_id": "%s"}' % str(enrolled_user.pk).encode())
        forged = f"{header.decode()}:{number}:{signature}"
        body = {"totp_challenge_token": forged, "otp_code": "123456"}
        assert api.post(step, body, **STRANGER).status_code in {400, 429}
    assert Totp.objects.get().failures == 0
    assert login(enrolled_user, otp_code=otp(secret)).status_code == 200


def test_neighbours_finish_their_logins_while_an_account_is_throttled(
    api, settings, make_user, enrolled_user, secret, otp
):
    settings.TOTP_THROTTLE_RATE = "2/minute"
    mallory = make_user("mallory")

    def finish(user, **code):
        body = {"totp_challenge_token": generate_challenge_token(user), **code}
        return api.post(reverse("jwt-totp-verify"), body, **STRANGER).status_code

    assert [finish(mallory, otp_code="1") for _ in range(4)] == [400, 400, 429, 429]
    assert finish(enrolled_user, otp_code=otp(secret)) == 200


def test_a_challenge_starts_no_enrollment(api, user, enrolled_user):
    for authorization in ("Bearer", "Token", "Basic"):
        token = generate_challenge_token(enrolled_user)
        headers = {"HTTP_AUTHORIZATION": f"{authorization} {token}"}
        for name in ("totp-create", "totp-confirm", "totp-disable", "totp-rotate-backup-codes"):
            assert_error(api.post(reverse(name), {"input_code": "123456"}, **headers), 401)


@pytest.fixture
def log(caplog):
    """Return what the log says of each event since it was asked last."""
    caplog.set_level(logging.INFO, "django_totp")

    def log():
        records = [record for record in caplog.records if record.name == "django_totp"]
        assert {record.address for record in records} <= {"127.0.0.1"}
        lines = [(each.event, each.user_pk, each.method) for each in records]
        caplog.clear()
        return lines

    return log


def test_each_login_and_each_failure_is_logged(
    log, api, login, make_user, enrolled_user, secret, otp, backup_codes
):
    bob, ada = make_user("bob"), enrolled_user
    wrong = {bob.USERNAME_FIELD: bob.get_username(), "password": "wrong"}
    api.post(reverse("jwt-create"), wrong)
    assert log() == [("login_failed", "", "password")]
    login(bob)
    assert log() == [("login", str(bob.pk), "password")]
    login(ada)
    assert log() == []
    for method, right, wrong in (
        ("totp", {"otp_code": otp(secret)}, {"otp_code": wrong_code(secret)}),
        ("backup_code", {"backup_code": backup_codes[0]}, {"backup_code": backup_codes[0]}),
    ):
        login(ada, **right)
        assert log() == [("verified", str(ada.pk), method), ("login", str(ada.pk), method)]
        login(ada, **wrong)
        assert log() == [("verification_failed", str(ada.pk), method)]


def test_each_change_of_an_enrollment_is_logged(log, sign_in, user, otp):
    client, pk = sign_in(user), str(user.pk)
    assert_error(client.post(reverse("totp-disable")), 400, NO_SECRET)
    secret = client.post(reverse("totp-create")).json()["secret"]
    assert log() == [("enrollment_started", pk, "totp")]
    client.post(reverse("totp-confirm"), {"input_code": wrong_code(secret)})
    assert log() == [("verification_failed", pk, "totp")]
    client.post(reverse("totp-confirm"), {"input_code": otp(secret)})
    assert log() == [("enrollment_confirmed", pk, "totp")]
    client.post(reverse("totp-rotate-backup-codes"))
    assert log() == [("backup_codes_rotated", pk, "backup_code")]


def test_a_password_as_a_proof_is_logged(log, settings, sign_in, password, enrolled_user):
    settings.TOTP_REAUTHENTICATE = True
    client, pk = sign_in(enrolled_user, "pwd", "otp"), str(enrolled_user.pk)
    settings.TOTP_REAUTHENTICATE_MAX_AGE = 0
    client.post(reverse("totp-disable"), {"password": "wrong"})
    assert log() == [("verification_failed", pk, "password")]
    client.post(reverse("totp-rotate-backup-codes"), {"password": password})
    assert log() == [("verified", pk, "password"), ("backup_codes_rotated", pk, "backup_code")]
