"""Somebody at a browser who logs in by session."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from django_totp.assurance import SESSION_KEY as ASSURANCE
from django_totp.models import Totp
from django_totp.sessions import HALF

LOGIN, VERIFY, SETUP = "two-factor-login", "two-factor-verify", "two-factor-setup"
KEYS = {SESSION_KEY, BACKEND_SESSION_KEY, HASH_SESSION_KEY}
PASSWORD = "correct horse battery staple"
JSON = {"HTTP_ACCEPT": "application/json"}
FETCH = {"HTTP_SEC_FETCH_MODE": "cors"}


@dataclass
class Browser:
    """A browser of ``user``, whose second factor has ``secret``."""

    user: Any
    client: Client = field(default_factory=Client)

    def password(self, at: str = LOGIN, next_url: str = "", **extra: Any) -> Any:
        """Give the password at a login page."""
        url = reverse(at) if "/" not in at else at
        query = f"?next={next_url}" if next_url else ""
        form = {"username": self.user.get_username(), "password": PASSWORD}
        return self.client.post(url + query, form, **extra)

    def code(self, code: str, next_url: str = "", kind: str = "otp_code", **extra: Any) -> Any:
        """Give a code at the second step."""
        query = f"?next={next_url}" if next_url else ""
        return self.client.post(reverse(VERIFY) + query, {kind: code}, **extra)

    def follow(self, response: Any, data: Any = None) -> Any:
        """Go where ``response`` leads."""
        assert response.status_code == 302, response.content
        url = response["Location"]
        return self.client.get(url) if data is None else self.client.post(url, data)

    @property
    def session(self) -> Any:
        return self.client.session

    @property
    def is_signed_in(self) -> bool:
        """Return whether the session names the user, to whoever reads it."""
        return self.session.get(SESSION_KEY) == self.user._meta.pk.value_to_string(self.user)

    @property
    def is_half(self) -> bool:
        """Return whether the session holds a half-login, and nothing that names somebody."""
        held = {*self.session.keys()}
        return HALF in held and not held & {*KEYS, ASSURANCE}


def assert_led(response: Any, name: str, next_url: str | None = None) -> None:
    """Assert that ``response`` leads to a page, and from there on to ``next_url``."""
    assert response.status_code == 302, (response.status_code, response.content[:500])
    url = urlsplit(response["Location"])
    assert url.path == (reverse(name) if "/" not in name else name), response["Location"]
    if next_url is not None:
        assert parse_qs(url.query).get("next", [""]) == [next_url]


def age_enrollment(user: Any, **ago: float) -> None:
    """Let the enrollment of ``user`` be older, and its codes unused."""
    rows = Totp.objects.filter(user_id=user.pk)
    rows.update(
        confirmed_at=timezone.now() - timedelta(**(ago or {"days": 1})), last_used_step=None
    )
