"""People in front of a browser: they log in by session, on the pages of a project."""

import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyotp
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from django_totp.encryption import encrypt
from django_totp.models import Totp
from django_totp.totp import generate_totp_secret

PASSWORD = "correct horse battery staple"
PERIOD = 30
HURRY = 2  # seconds
MIDDLEWARE = "django_totp.middleware.SecondFactorMiddleware"
WHO = "/who/"  # of each project: the name of the user, or "nobody"


@dataclass
class Visitor:
    """Somebody with a browser, a password and, once enrolled, an authenticator app."""

    user: Any
    client: Client = field(default_factory=Client)
    secret: str = ""
    step: int = 0

    @property
    def name(self) -> str:
        return str(self.user.get_username())

    def enroll(self) -> "Visitor":
        """Have had a second factor since yesterday."""
        self.secret = generate_totp_secret()
        yesterday = timezone.now() - timedelta(days=1)
        Totp.objects.create(user=self.user, secret_key=encrypt(self.secret), confirmed_at=yesterday)
        return self

    def code(self) -> str:
        """Return a code that was not used yet: of the step before, this one or the next."""
        left = PERIOD - time.time() % PERIOD
        if left < HURRY:
            time.sleep(left)  # else its step might be over before it is looked at
        self.step = max(self.step + 1, int(time.time()) // PERIOD - 1)
        return pyotp.TOTP(self.secret).at(self.step * PERIOD)

    def give_password(self, url: str, password: str = PASSWORD, **data: Any) -> Any:
        return self.client.post(url, {"username": self.name, "password": password, **data})

    def give_code(self, answer: Any = None, **data: Any) -> Any:
        """Give a right code, where ``answer`` has led to."""
        url = reverse("two-factor-verify") if answer is None else answer["Location"]
        assert urlsplit(url).path == reverse("two-factor-verify"), url
        return self.client.post(url, {"otp_code": self.code(), **data})

    def log_in(self, url: str, **data: Any) -> Any:
        """Take both steps, and return the last answer."""
        return self.give_code(self.give_password(url, **data))

    def set_up(self, answer: Any) -> Any:
        """Enroll, where ``answer`` has led to, and return the page with the backup codes."""
        url = answer["Location"]
        assert urlsplit(url).path == reverse("two-factor-setup"), url
        setup = self.client.get(url).context["setup"]
        self.secret = setup.secret
        return self.client.post(url, {"otp_code": self.code(), "secret": setup.secret})

    @property
    def is_in(self) -> bool:
        seen = self.client.get(WHO).content.decode()
        assert seen in {self.name, "nobody"}, seen
        return seen == self.name


def make_visitor(name: str, **fields: Any) -> Visitor:
    model = get_user_model()
    names = {model.USERNAME_FIELD: f"{name}@example.com", "password": PASSWORD}
    return Visitor(model._default_manager.create_user(**names, **fields))


def next_in(answer: Any) -> str:
    """Return the page that an answer leads on to in the end."""
    return parse_qs(urlsplit(answer["Location"]).query).get("next", [""])[0]


def page_of(answer: Any) -> str:
    """Return the page that an answer leads to, without what it says to it."""
    return urlsplit(answer.get("Location", "")).path
