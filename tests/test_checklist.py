"""``docs/checklist.md``: each demand has a source and tests that exist; and tests of its own."""

import ast
import base64
import json
import logging
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.contrib.auth.tokens import default_token_generator
from django.core import mail
from django.shortcuts import resolve_url
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView
from rest_framework_simplejwt.tokens import AccessToken

from django_totp.accounts import account_by
from django_totp.auth import (
    end_sessions,
    finish_owed_enrollment,
    generate_challenge_token,
    next_step,
    reset_totp,
    start_owed_enrollment,
)
from django_totp.authentication import JWTAuthentication
from django_totp.models import Totp
from django_totp.recovery import allow_recovery
from django_totp.totp import confirm_totp_setup, start_totp_replacement
from django_totp.users import email_field
from tests import markdown
from tests.browsing import VERIFY
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


@pytest.fixture
def mailed(monkeypatch, settings, enrolled_user):
    """Return a function that gives the token of the last mail, to a user who may recover."""
    monkeypatch.setattr("django_totp.notices.sending._after_commit", lambda run: run())
    settings.TOTP_THROTTLE_RATE = settings.TOTP_ADDRESS_THROTTLE_RATE = None
    setattr(enrolled_user, email_field(enrolled_user), "ada@example.com")
    enrolled_user.save()
    return lambda: re.findall(r"/two-factor/recovery/([^/\s]+)/", mail.outbox[-1].body)[-1]


def ask_for_recovery(api, token):
    return api.post(reverse("totp-recovery-recovery"), {"totp_challenge_token": token})


@pytest.mark.urls("tests.session_urls")
def test_a_mailbox_alone_opens_nothing(api, mailed, login, enrolled_user, secret, otp):
    """Whoever reads all mails, of recoveries and of the password, has not the password."""
    owner, tokens = enrolled_user, []
    ask_for_recovery(api, login(owner).json()["totp_challenge_token"])
    tokens.append(mailed())
    api.post(reverse("totp-recovery-recovery-confirm"), {"token": tokens[0]})
    tokens.append(mailed())
    Totp.objects.update(recovery_ready_at=timezone.now())  # nobody has stopped it
    reset = default_token_generator.make_token(owner)
    for token in tokens:
        assert not default_token_generator.check_token(owner, token)
        for name in ("jwt-totp-create", "totp-recovery-recovery"):
            assert_error(api.post(reverse(name), {"totp_challenge_token": token}), 400)
        code = {"totp_challenge_token": token, "otp_code": otp(secret)}
        assert_error(api.post(reverse("jwt-totp-verify"), code), 400)
        bearer = {"HTTP_AUTHORIZATION": f"Bearer {token}"}
        assert_error(api.get(reverse("totp-status"), **bearer), 401)
        browser = Client()
        browser.get(reverse("two-factor-recovery", args=[token]))
        assert browser.get("/private/").status_code == 302
    for name in ("confirm", "cancel"):
        answer = api.post(reverse(f"totp-recovery-recovery-{name}"), {"token": reset})
        assert assert_error(answer, 400)["code"] == "invalid_recovery_token"
    assert Totp.objects.get().recovery_ready_at is not None


def test_a_request_for_a_recovery_tells_nothing_of_accounts(
    api, mailed, login, enrolled_user, user, django_assert_num_queries
):
    """Without a challenge, each answer is one, and costs no look at the table of users."""
    good = login(enrolled_user).json()["totp_challenge_token"]
    _, _, signature = good.rpartition(":")
    answers = set()
    for key in (user.pk, "8f14e45f-ceea-467f-a0e6-1fc2a8d1f6f1", 0, "nobody@example.com"):
        claims = {"user_id": str(key), "purpose": "totp_verification", "fingerprint": "x"}
        named = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
        with django_assert_num_queries(0):
            answer = ask_for_recovery(api, f"{named}:1tq8kX:{signature}")
        answers.add((answer.status_code, answer.content))
    assert {status for status, _ in answers} == {400}
    assert len(answers) == 1
    assert not mail.outbox
    told = [ask_for_recovery(api, good) for _ in range(3)]
    assert {(one.status_code, one.content) for one in told} == {(202, b"{}")}
    assert len(mail.outbox) == 1


def test_an_inactive_user_recovers_nothing(api, mailed, login, enrolled_user):
    challenge = login(enrolled_user).json()["totp_challenge_token"]
    ask_for_recovery(api, challenge)
    token = mailed()
    allow_recovery(enrolled_user)
    owed = login(enrolled_user).json()["totp_recovery_challenge_token"]
    enrolled_user.is_active = False
    enrolled_user.save()
    assert_error(login(enrolled_user), 401)
    assert_error(ask_for_recovery(api, challenge), 400)
    assert_error(api.post(reverse("totp-recovery-recovery-confirm"), {"token": token}), 400)
    assert_error(api.post(reverse("jwt-totp-create"), {"totp_challenge_token": owed}), 400)


def replace(user, otp):
    confirm_totp_setup(user, otp(start_totp_replacement(user).secret))


def recover(user, otp):
    allow_recovery(user)
    challenge = next_step(account_by("pk", user.pk)).recovery
    finish_owed_enrollment(challenge, otp(start_owed_enrollment(challenge).secret))


class GuardedView(APIView):
    authentication_classes = (JWTAuthentication,)

    def get(self, request):
        return Response({})


ENDS = {
    "replacement": (replace, "second_factor_required", VERIFY),
    "recovery": (recover, "login_outdated", settings.LOGIN_URL),
    "reset": (lambda user, otp: reset_totp(user), "login_outdated", settings.LOGIN_URL),
    "end of all logins": (
        lambda user, otp: end_sessions(user),
        "login_outdated",
        settings.LOGIN_URL,
    ),
}


@pytest.mark.urls("tests.session_urls")
@pytest.mark.parametrize("end", ENDS)
def test_logins_from_before_are_refused_alike(
    api, mailed, login, time_machine, otp, code, enrolled, end
):
    """By authentication, by refresh, and by session."""
    act, refusal, page = ENDS[end]
    time_machine.move_to(timezone.now().replace(microsecond=0), tick=False)
    pair = login(enrolled.user, otp_code=code(offset=-1)).json()
    enrolled.password()
    enrolled.code(code())
    assert enrolled.client.get("/private/").status_code == 200
    time_machine.shift(2)
    act(enrolled.user, otp)
    time_machine.shift(2)
    bearer = {"HTTP_AUTHORIZATION": f"Bearer {pair['access']}"}
    seen = GuardedView.as_view()(APIRequestFactory().get("/", **bearer)).render()
    refreshed = api.post(reverse("jwt-refresh"), {"refresh": pair["refresh"]})
    assert [(one.status_code, one.data["code"]) for one in (seen, refreshed)] == [
        (401, refusal)
    ] * 2
    assert urlsplit(enrolled.client.get("/private/")["Location"]).path == resolve_url(page)
