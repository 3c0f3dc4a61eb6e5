"""Accounts to attack, made straight in the database so that a round starts at once."""

import itertools
import os
import time
from dataclasses import dataclass, field
from typing import Any

import pyotp
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.utils import timezone
from rest_framework_simplejwt.tokens import AccessToken

from django_totp.auth import generate_challenge_token
from django_totp.backup_code_utils import generate_backup_codes, insert_codes
from django_totp.encryption import encrypt
from django_totp.models import BackupCode, Totp
from django_totp.totp import generate_totp_secret

PASSWORD = "a password with spaces "
PERIOD = 30
_numbers = itertools.count()


@dataclass(frozen=True)
class Account:
    """A user with an enrollment, and all that the user knows."""

    user: Any
    secret: str
    backup_codes: list[str]
    here: dict[str, str] = field(default_factory=dict)  # tokens of two devices
    there: dict[str, str] = field(default_factory=dict)

    def code(self, steps_away: int = 0) -> str:
        """Return the TOTP code of the time step so many steps away from now."""
        return pyotp.TOTP(self.secret).at(int(time.time()) + steps_away * PERIOD)

    def wrong_code(self, number: int = 0) -> str:
        """Return one of the codes that are wrong in every step around now."""
        right = {self.code(away) for away in range(-2, 3)}
        wrong = (f"{value:06}" for value in itertools.count(number * 7))
        return next(value for value in wrong if value not in right)

    def challenge(self) -> str:
        return generate_challenge_token(self.user)

    def authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {AccessToken.for_user(self.user)}"}

    def row(self) -> Totp | None:
        return Totp.objects.find(self.user)

    def unused(self) -> int:
        return BackupCode.objects.filter(totp__user=self.user, is_used=False).count()


def enrolled() -> Account:
    """Make a user whose enrollment is confirmed."""
    return enroll(plain())


def enroll(user: Any) -> Account:
    """Confirm an enrollment of ``user``."""
    codes = generate_backup_codes()
    account = _set_up(user, confirmed_at=timezone.now())
    row = account.row()
    assert row is not None
    insert_codes(row, codes)
    return Account(user, account.secret, codes)


def pending(**fields: Any) -> Account:
    """Make a user whose enrollment waits to be confirmed, or has ``fields``."""
    return _set_up(plain(), **fields)


def plain(**fields: Any) -> Any:
    """Make a user without an enrollment."""
    name = f"user-{os.getpid()}-{next(_numbers)}"
    return get_user_model().objects.create(username=name, password=_hashed(), **fields)


def _set_up(user: Any, **fields: Any) -> Account:
    secret = generate_totp_secret()
    Totp.objects.create(user=user, secret_key=encrypt(secret), **fields)
    return Account(user, secret, [])


def _hashed() -> str:
    return make_password(PASSWORD)
