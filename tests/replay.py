"""The HTTP examples of the documentation, sent for real.

A block of the language ``http`` holds requests, each with its answer. What an example cannot
know is filled in: ``<access token of ada>``; the code ``123456`` and the backup code
``abcd-efgh-jkmn-pqrs``, which stand for right ones; and values that end in ``…``, which stand
for what the last answer with that key had.
"""

import json
import re
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pyotp
from django.contrib.auth.base_user import AbstractBaseUser
from django.core import mail
from django.http import HttpResponse
from django.test import Client
from django.utils.dateparse import parse_datetime
from rest_framework_simplejwt.tokens import AccessToken

from django_totp.encryption import decrypt
from django_totp.models import BackupCode, Totp
from tests import markdown

SHORTENED = "…"
MAILED = "<token of the mail>"
OTP_CODE = "123456"
BACKUP_CODE = "abcd-efgh-jkmn-pqrs"
BASE32 = re.compile(r"[A-Z2-7]{32}")


@dataclass(frozen=True)
class Message:
    """A request or an answer: its first line, its headers, and what its JSON holds."""

    start: str
    headers: dict[str, str]
    body: Any


def exchanges(text: str) -> list[tuple[Message, Message]]:
    """Return the requests in ``text``, each with its answer."""
    messages = [
        _message(part) for block in markdown.blocks(text, "http") for part in block.split("\n\n")
    ]
    return list(zip(messages[::2], messages[1::2], strict=True))


class Replay:
    """Sends the requests of a text and compares what comes with what the text says.

    ``users`` are the users by the names that the text gives them.
    """

    def __init__(self, users: dict[str, AbstractBaseUser]) -> None:
        self.users = users
        self.client = Client()
        self.subject: AbstractBaseUser | None = None
        self.seen: dict[str, str] = {}
        self.keys: dict[int, int] = {}

    def play(self, text: str) -> int:
        """Return the number of requests that were answered as ``text`` says."""
        pairs = exchanges(text)
        for request, expected in pairs:
            response = self._send(request)
            self._compare(expected, response, f"{request.start} {request.body}")
        return len(pairs)

    def _send(self, request: Message) -> HttpResponse:
        method, path = request.start.split()
        path = re.sub(r"(?<=/)\d+(?=/$)", lambda key: str(self.keys[int(key[0])]), path)
        headers = {name: self._signed_in(value) for name, value in request.headers.items()}
        body = None if request.body is None else json.dumps(self._filled_in(request.body))
        return self.client.generic(
            method, path, body or "", content_type="application/json", headers=headers
        )

    def _signed_in(self, header: str) -> str:
        match = re.fullmatch(r"Bearer <access token of (\w+)>", header)
        assert match, f"no access token: {header}"
        self.subject = self.users[match[1]]
        return f"Bearer {AccessToken.for_user(self.subject)}"

    def _filled_in(self, body: dict[str, Any]) -> dict[str, Any]:
        filled_in = {}
        for key, value in body.items():
            if key == "username":
                self.subject = self.users[value]
                filled_in[self.subject.USERNAME_FIELD] = self.subject.get_username()
            else:
                filled_in[key] = self._real(key, value)
        return filled_in

    def _real(self, key: str, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if value == MAILED:
            [token] = re.findall(r"/two-factor/recovery/([^/\s]+)/", mail.outbox[-1].body)
            return token
        if value == OTP_CODE:
            return self._next_code()
        if value == BACKUP_CODE:
            code = BackupCode.objects.filter(totp__user=self.subject, is_used=False)[0]
            return decrypt(code.code)
        if value.endswith(SHORTENED):
            return self.seen["access" if key == "token" else key]
        return value

    def _next_code(self) -> str:
        """Return a code that is right and unused, though the last one was used just now."""
        totp = Totp.objects.get(user=self.subject)
        step = max(int(time.time() // 30), (totp.last_used_step or 0) + 1)
        return pyotp.TOTP(decrypt(totp.secret_key)).at(step * 30)

    def _compare(self, expected: Message, response: HttpResponse, about: str) -> None:
        assert expected.start == f"{response.status_code} {response.reason_phrase}", about
        for name, value in expected.headers.items():
            assert response.headers.get(name) == value, about
        if expected.body is None:
            assert not response.content, about
            return
        body = response.json()
        if isinstance(body, dict):
            self.seen.update({key: value for key, value in body.items() if isinstance(value, str)})
        else:
            self._learn(expected.body, body)
        assert_alike(expected.body, self._renamed(body), about)

    def _learn(self, expected: list[Any], real: list[Any]) -> None:
        """Note which keys the text means by its own. The example is then one of them."""
        for told, one in zip(expected, real, strict=True):
            self.keys[told["id"]] = one["id"]
            told["id"] = one["id"]

    def _renamed(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return ``body`` with the users called as the text calls them."""
        text = json.dumps(body)
        for name, user in self.users.items():
            text = text.replace(quote(user.get_username(), safe=""), name)
        return json.loads(text)


def assert_alike(expected: Any, real: Any, about: str) -> None:
    """Assert that ``real`` is what ``expected``, an example, stands for."""
    if isinstance(expected, dict):
        assert expected.keys() == real.keys(), about
        for key, value in expected.items():
            assert_alike(value, real[key], f"{about}: {key}")
    elif isinstance(expected, list):
        _assert_list(expected, real, about)
    else:
        assert _is_alike(expected, real), f"{about}: {real!r} is not like {expected!r}"


def _assert_list(expected: list[Any], real: Any, about: str) -> None:
    assert isinstance(real, list), about
    shown = [value for value in expected if value != SHORTENED]
    assert len(real) == len(shown) or (len(real) > len(shown) and shown != expected), about
    for value, real_value in zip(shown, real, strict=False):
        assert_alike(value, real_value, about)


def _is_alike(expected: Any, real: Any) -> bool:
    if not isinstance(expected, str) or not isinstance(real, str):
        return bool(expected == real and type(expected) is type(real))
    if expected == BACKUP_CODE:
        return re.fullmatch(r"\w{4}(-\w{4}){3}", real) is not None
    if re.fullmatch(rf"[A-Z2-7]+{SHORTENED}", expected):
        return BASE32.fullmatch(real) is not None
    if expected.endswith(SHORTENED):
        return real.startswith(expected.removesuffix(SHORTENED))
    return expected == real or (_is_time(expected) and _is_time(real))


def _is_time(text: str) -> bool:
    try:
        time = parse_datetime(text)
    except ValueError:
        return False
    return time is not None and time.tzinfo is not None


def _message(text: str) -> Message:
    head, *bodies = re.split(r"\n(?=[{\[])", text.strip(), maxsplit=1)
    start, *headers = head.splitlines()
    return Message(
        start,
        dict(header.split(": ", 1) for header in headers),
        json.loads(bodies[0]) if bodies else None,
    )
