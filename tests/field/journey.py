"""What a person does with a second factor, from the enrollment to its end, over HTTP."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pyotp
import pytest
from django.test import Client

from tests.endpoints import GET, PATHS, wrong_code

BASE = "/api/"  # names of URLs may be other packages' too: djoser has a jwt-create of its own
PERIOD = 30
FREE = 2  # TOTP_FAILURE_LIMIT of these projects


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Any
    body: dict[str, Any]
    raw: bytes


class Shape:
    """How a project dresses bodies. This is ours: not at all."""

    content_type = "application/json"

    def dress(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return what the project's client sends for a body of ours."""
        return body

    def undress(self, body: Any) -> dict[str, Any]:
        """Return a body of ours from what the project's client gets."""
        return body

    def check_error(self, answer: Answer) -> None:
        """Check what the project promises to its clients of an error."""


Send = Callable[..., Answer]


def through_test_client(shape: Shape, **defaults: Any) -> Send:
    """Return a function that sends a request within this process. A crash is raised."""
    client = Client(**defaults)

    def send(name: str, body: dict[str, Any] | None = None, **headers: str) -> Answer:
        if name in GET:
            response = client.get(BASE + PATHS[name], headers=headers)
        else:
            text = json.dumps(shape.dress(body or {}))
            response = client.post(BASE + PATHS[name], text, shape.content_type, headers=headers)
        return _answer(shape, response.status_code, response.headers, response.content)

    return send


def through_socket(shape: Shape, port: int) -> Send:
    """Return a function that sends a request to a server on this machine."""

    def send(name: str, body: dict[str, Any] | None = None, **headers: str) -> Answer:
        data = None if name in GET else json.dumps(shape.dress(body or {})).encode()
        url = f"http://127.0.0.1:{port}{BASE}{PATHS[name]}"
        request = urllib.request.Request(url, data, {"Content-Type": shape.content_type, **headers})
        try:
            with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
                return _answer(shape, response.status, response.headers, response.read())
        except urllib.error.HTTPError as error:
            return _answer(shape, error.code, error.headers, error.read())

    return send


def _answer(shape: Shape, status: int, headers: Any, raw: bytes) -> Answer:
    read = raw[:1] in {b"{", b"["}
    return Answer(status, headers, shape.undress(json.loads(raw)) if read else {}, raw)


@dataclass
class Person:
    """Somebody with a password, an authenticator app and backup codes."""

    user: Any
    password: str
    send: Send
    shape: Shape = field(default_factory=Shape)
    secret: str = ""
    codes: list[str] = field(default_factory=list)
    authorization: str = ""
    refresh: str = ""
    step: int = 0
    known: set[str] = field(default_factory=set)  # what nobody else may see

    def next_code(self) -> str:
        """Return a code that was not used yet; of the step before, this one and the next."""
        self.step = max(self.step + 1, int(time.time()) // PERIOD - 1)
        code = pyotp.TOTP(self.secret).at(self.step * PERIOD)
        self.known.add(code)
        return code

    def signed_in(self, name: str, body: dict[str, Any] | None = None) -> Answer:
        return self.send(name, body, Authorization=self.authorization)

    def first_step(self) -> Answer:
        """Give the password. Nobody else may see it, nor the challenge."""
        name = {self.user.USERNAME_FIELD: self.user.get_username()}
        answer = self.send("jwt-create", name | {"password": self.password})
        assert answer.status == 200, answer
        secrets = ("access", "refresh", "totp_challenge_token")
        self.known |= {self.password, *(answer.body[key] for key in secrets if key in answer.body)}
        return answer

    def second_step(self, challenge: str, **code: str) -> Answer:
        answer = self.send("jwt-totp-verify", {"totp_challenge_token": challenge, **code})
        self.known |= {*code.values(), *(str(answer.body.get(key, "")) for key in ("access",))}
        self.known.discard("")
        return answer

    def challenge(self) -> str:
        body = self.first_step().body
        assert body["is_totp_enabled"] is True
        assert "access" not in body
        token: str = body["totp_challenge_token"]
        return token

    def login(self, **code: str) -> Answer:
        return self.second_step(self.challenge(), **code)

    def keep(self, answer: Answer) -> None:
        """Use the tokens of a login from now on."""
        assert answer.status == 200, answer
        self.authorization = f"Bearer {answer.body['access']}"
        self.refresh = answer.body["refresh"]

    def refused(self, answer: Answer, status: int, code: str) -> Answer:
        """Check that the answer is the error of this status and code."""
        assert answer.status == status, answer
        assert answer.body["code"] == code, answer
        assert answer.body["detail"], answer
        self.shape.check_error(answer)
        return answer

    def enroll(self) -> None:
        """Turn the second factor on, with the tokens of a login by password."""
        if not self.authorization:
            first = self.first_step()
            assert first.body["is_totp_enabled"] is False
            self.keep(first)
        created = self.signed_in("totp-create")
        assert created.status == 201, created
        assert created.headers["Cache-Control"] == "no-store"
        self.secret = created.body["secret"]
        assert self.secret in created.body["otpauth_uri"]
        wrong = self.signed_in("totp-confirm", {"input_code": wrong_code(self.secret)})
        self.refused(wrong, 400, "invalid_totp_code")
        confirmed = self.signed_in("totp-confirm", {"input_code": self.next_code()})
        assert confirmed.status == 200, confirmed
        self._take_codes(confirmed)
        self.known.add(self.secret)
        again = self.signed_in("totp-create")
        self.refused(again, 400, "totp_already_exists")

    def status(self) -> dict[str, Any]:
        answer = self.signed_in("totp-status")
        assert answer.status == 200, answer
        return answer.body

    def rotate(self) -> Answer:
        answer = self.signed_in("totp-rotate-backup-codes")
        assert answer.status == 200, answer
        self._take_codes(answer)
        return answer

    def wait(self) -> str:
        """Give wrong codes until TOTP codes wait, and return the challenge."""
        challenge = self.challenge()
        wrong = wrong_code(self.secret)
        for _ in range(FREE + 1):
            answer = self.second_step(challenge, otp_code=wrong)
            self.refused(answer, 400, "invalid_totp_code")
        self.known.discard(wrong)  # 000000 may stand anywhere
        return challenge

    def _take_codes(self, answer: Answer) -> None:
        self.codes = list(answer.body["backup_codes"])
        assert len(set(self.codes)) == 10
        self.known |= set(self.codes)


def walk(person: Person) -> None:
    """Take the whole way. Whoever walks it may look around afterwards: the factor is off."""
    walk_to_rotation(person)
    person.refused(person.send("jwt-refresh", {"refresh": "none"}), 401, "token_not_valid")
    assert person.signed_in("totp-disable").status == 204
    assert person.status()["is_totp_enabled"] is False
    assert person.first_step().body["is_totp_enabled"] is False


def walk_to_rotation(person: Person) -> None:
    person.enroll()
    assert person.status()["is_totp_enabled"] is True

    challenge, code = person.challenge(), person.next_code()
    person.keep(person.second_step(challenge, otp_code=code))
    person.refused(person.second_step(challenge, otp_code=code), 400, "invalid_challenge")
    person.refused(person.login(otp_code=code), 400, "invalid_totp_code")

    backup = person.codes[0]
    person.keep(person.login(backup_code=backup.upper()))
    person.refused(person.login(backup_code=backup), 400, "invalid_backup_code")
    assert person.status()["backup_codes_remaining"] == 9
    person.keep(person.login(backup_code=person.codes[1]))

    challenge = person.wait()
    waits = person.second_step(challenge, otp_code=person.next_code())
    person.refused(waits, 429, "too_many_attempts")
    assert 0 < int(waits.headers["Retry-After"]) <= PERIOD
    person.keep(person.second_step(challenge, backup_code=person.codes[2]))

    old = person.codes[3]
    person.rotate()
    person.refused(person.login(backup_code=old), 400, "invalid_backup_code")
    person.keep(person.login(backup_code=person.codes[0]))

    refreshed = person.send("jwt-refresh", {"refresh": person.refresh})
    assert refreshed.status == 200, refreshed
    person.authorization = f"Bearer {refreshed.body['access']}"
    assert person.send("jwt-verify", {"token": person.refresh}).status == 200


@pytest.mark.django_db(transaction=True)
def test_journey(person: Person) -> None:
    walk(person)
