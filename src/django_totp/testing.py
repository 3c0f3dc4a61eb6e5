"""For the tests of a project: an authenticator app, logins of a given worth, and no throttles.

All of it works in Django's test environment and nowhere else: what hands out codes, or states a
login that never was, must not be called by mistake where there are real accounts.
"""

import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest
from django.test.utils import _TestState, override_settings

from .assurance import Assurance, keep_in_session, new_login
from .auth import is_totp_enabled
from .backup_code_utils import generate_backup_codes, insert_codes
from .exceptions import TotpAlreadyExists, TotpNotEnrolled
from .factor import Factor
from .models import Account, Totp, forget, relate
from .oath import ALGORITHMS, Hotp, time_step

AGE = timedelta(days=1)
FAR = 9  # time steps: no window that anybody sets reaches so far


@dataclass(frozen=True)
class Authenticator:
    """The authenticator app of ``user``, and the backup codes that were written down."""

    user: AbstractBaseUser
    factor: Factor = field(repr=False)
    backup_codes: list[str] = field(repr=False)

    @property
    def secret(self) -> str:
        """Return the secret in base32."""
        return self.factor.secret

    def code(self) -> str:
        """Return the code of now. It is good, also if one of this time step was used before.

        A wait after wrong codes stays: until it is over, this one is refused as any other.
        """
        _refuse_elsewhere()
        now = self._now()
        self._rows().filter(last_used_step__gte=now).update(last_used_step=now - 1)
        return self._at(now)

    def used_code(self) -> str:
        """Return the code of now, which was used a moment ago: nothing accepts it again."""
        _refuse_elsewhere()
        now = self._now()
        self._rows().update(last_used_step=now)
        return self._at(now)

    def wrong_code(self) -> str:
        """Return a code of the right length that is not right, now or soon."""
        _refuse_elsewhere()
        now = self._now()
        near = {self._at(max(now + step, 0)) for step in range(-FAR, FAR + 1)}
        codes = (f"{number:0{self.factor.digits}}" for number in range(len(near) + 1))
        return next(code for code in codes if code not in near)

    def _now(self) -> int:
        return time_step(time.time(), self.factor.period)

    def _at(self, step: int) -> str:
        factor = self.factor
        digest = ALGORITHMS[factor.algorithm.upper()]
        return str(Hotp(factor.secret, digits=factor.digits, digest=digest).generate_otp(step))

    def _rows(self) -> Any:
        return Totp.objects.filter(user_id=self.user.pk)


def enroll(user: AbstractBaseUser) -> Authenticator:
    """Turn two-factor authentication on for ``user``, a day ago, and return the app.

    Nobody is told: no signal, no mail. What ``user`` has begun to set up is replaced. Raise
    TotpAlreadyExists if it is on already.
    """
    _refuse_elsewhere()
    if Totp.objects.filter(user_id=user.pk, confirmed_at__isnull=False).exists():
        raise TotpAlreadyExists
    Totp.objects.filter(user_id=user.pk).delete()
    factor, codes, begin = Factor.new(), generate_backup_codes(), datetime.now(UTC) - AGE
    totp = Totp.objects.create(user_id=user.pk, confirmed_at=begin, **factor.columns)
    totp.move(created_at=begin)
    insert_codes(totp, codes)
    relate(Totp, user, totp)
    return Authenticator(user, factor, codes)


def login(
    client: Any, user: AbstractBaseUser, *, second_factor: bool = True, ago: float = 0
) -> None:
    """Log ``user`` in by session, in a client of Django or of REST framework.

    The login says that it gave the second factor, or that it did not, ``ago`` seconds ago.
    Raise TotpNotEnrolled if there is no second factor to be given, and ValueError if ``ago`` is
    negative.
    """
    _refuse_elsewhere()
    stated = _login(user, second_factor, ago)
    client.force_login(user)
    request: Any = HttpRequest()
    request.session, request.user = client.session, user
    keep_in_session(request, stated)
    request.session.save()
    client.cookies[settings.SESSION_COOKIE_NAME] = request.session.session_key


def token_for(user: AbstractBaseUser, *, second_factor: bool = True, ago: float = 0) -> str:
    """Return an access token of ``user`` that says the same as a session of ``login``.

    Raise what that raises.
    """
    _refuse_elsewhere()
    from .tokens import pair  # loads REST framework, which sessions do without

    return pair(user, _login(user, second_factor, ago))["access"]


def no_throttling() -> "Unthrottled":
    """Return a context manager, and decorator, in which no request is one too many.

    The wait after wrong codes stays as it is.
    """
    return Unthrottled(TOTP_THROTTLE_RATE=None, TOTP_ADDRESS_THROTTLE_RATE=None)


class Unthrottled(override_settings):
    """Settings without rates. Test runners import a decorated test before they begin."""

    def enable(self) -> None:
        _refuse_elsewhere()
        super().enable()


def _login(user: AbstractBaseUser, second_factor: bool, ago: float) -> Assurance:
    """Return the login, as it was then: whatever has ended logins since has ended it."""
    if ago < 0:
        raise ValueError("A login is not in the future: ago is how many seconds it is in the past.")
    for model in (Totp, Account):
        forget(model, user)
    if second_factor and not is_totp_enabled(user):
        raise TotpNotEnrolled
    now = new_login(user, *(("pwd", "otp") if second_factor else ("pwd",)))
    return replace(now, time=int(time.time() - ago)) if ago else now


def _refuse_elsewhere() -> None:
    if not hasattr(_TestState, "saved_data"):  # as setup_test_environment() leaves it
        raise RuntimeError(
            "django_totp.testing works in tests alone: call django.test.utils."
            "setup_test_environment() first, as Django's test runner and pytest-django do."
        )
