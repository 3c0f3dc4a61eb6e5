"""Login in two steps, whatever ends it: tokens of one kind or another."""

import logging
import time
import unicodedata
from collections.abc import Callable
from typing import Any

from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables
from rest_framework import status
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework.response import Response

from django_totp import devices, events
from django_totp.agents import described
from django_totp.assurance import Assurance, new_login
from django_totp.auth import (
    NextStep,
    finish_login,
    finish_owed_enrollment,
    next_step,
    start_owed_enrollment,
)
from django_totp.challenges import ENROLL, VERIFY, challenge_subject
from django_totp.serializers import (
    JWTCreateRequest,
    JWTTotpConfirmRequest,
    JWTTotpConfirmResponse,
    JWTTotpCreateRequest,
    JWTTotpVerifyRequest,
    SecondFactorResponse,
    TotpCreateResponse,
)
from django_totp.spelling import LONGEST_NAME, folded
from django_totp.throttle import Subject
from django_totp.users import is_active

from .base import TotpView, shows


class LoginView(TotpView):
    """Nobody is signed in here, and a stale ``Authorization`` header keeps nobody out.

    A subclass says in ``sign_in`` what a login ends with.
    """

    authentication_classes = ()
    permission_classes = ()
    may_sign_in: Callable[[Any], bool] = staticmethod(is_active)

    def sign_in(self, user: AbstractBaseUser, login: Assurance) -> dict[str, Any]:
        """Return what the answer to a login of ``user`` consists of. ``login`` is its worth."""
        raise NotImplementedError


class ChallengedView(LoginView):
    """A step that a challenge token leads to."""

    challenge_field = "totp_challenge_token"
    purpose = VERIFY

    def name_subject(self, body: dict[str, Any]) -> Subject | None:
        account = challenge_subject(body.get(self.challenge_field), self.purpose)
        return Subject(account) if account is not None else None


class PasswordView(LoginView):
    """The first step: a password ends the login or, where TOTP is on or owed, a challenge token.

    From a trusted device it ends the login, too.
    """

    def name_subject(self, body: dict[str, Any]) -> Subject | None:
        name = body.get(get_user_model().USERNAME_FIELD)
        return Subject(folded(name)) if isinstance(name, str) else None

    @shows(200, "Tokens, or a challenge token.", request=JWTCreateRequest)
    def post(self, request: Request) -> Response:
        started, credentials = time.time(), self.read(JWTCreateRequest)
        kept = credentials.pop("trusted_device", "")
        user = self._authenticate(request, credentials)
        step = next_step(user)
        if step.is_enrollment:
            owed = {"is_totp_enabled": False, "is_totp_required": True}
            return Response({**owed, "totp_challenge_token": step.challenge})
        if step.challenge:
            told = self._sign_in_by_device(user, kept) or _challenges(step)
            return Response({"is_totp_enabled": True, **told})
        tokens = self.sign_in(user, new_login(user, "pwd", at=started))
        events.logged_in(user, request, method="password")
        return Response({"is_totp_enabled": False, **tokens, **_grace(step)})

    @sensitive_variables("kept")
    def _sign_in_by_device(self, user: AbstractBaseUser, kept: str) -> dict[str, Any] | None:
        """Return the answer to a login from a trusted device, or ``None`` if it is from none."""
        trusted = devices.use(user, kept, request=self.request)
        if trusted is None:
            return None
        tokens = self.sign_in(user, trusted.login(user, "pwd"))
        events.logged_in(user, self.request, method="trusted_device")
        return {**tokens, "trusted_device": trusted.value}

    @sensitive_variables("credentials")
    def _authenticate(self, request: Request, credentials: dict[str, str]) -> AbstractBaseUser:
        user = authenticate(request._request, **_as_in_forms(credentials))
        if user is None or not self.may_sign_in(user):
            events.record("login_failed", user, request, level=logging.WARNING, method="password")
            raise AuthenticationFailed(_("Invalid credentials."), "invalid_credentials")
        return user


class SecondFactorView(ChallengedView):
    """The second step: a challenge token and a code end the login."""

    @shows(200, SecondFactorResponse, request=JWTTotpVerifyRequest)
    def post(self, request: Request) -> Response:
        started, data = time.time(), self.read(JWTTotpVerifyRequest)
        wants_trust, name = data.pop("trust_device", False), data.pop("device_name", "")
        user = finish_login(
            data.pop(self.challenge_field), **data, may_sign_in=self.may_sign_in, request=request
        )
        login = new_login(user, "pwd", "otp", at=started)
        tokens = self.sign_in(user, login)
        method = "backup_code" if "backup_code" in data else "totp"
        events.logged_in(user, request, method=method)
        wants_trust = wants_trust and method == "totp"
        return Response({**tokens, **(self._trust(user, login, name) if wants_trust else {})})

    def _trust(self, user: AbstractBaseUser, login: Assurance, name: str) -> dict[str, str]:
        """Return what the device has to keep, if it could be made a trusted one."""
        agent = events.user_agent(self.request)
        name = name or (described(agent) if agent else "")
        value = devices.trust(user, login, name, request=self.request)
        return {"trusted_device": value} if value else {}


class OwedSetupView(ChallengedView):
    """A challenge token to enroll starts the enrollment that is owed."""

    purpose = ENROLL

    @shows(201, TotpCreateResponse, request=JWTTotpCreateRequest)
    def post(self, request: Request) -> Response:
        token = self.read(JWTTotpCreateRequest)[self.challenge_field]
        setup = start_owed_enrollment(token, may_sign_in=self.may_sign_in, request=request)
        return Response(TotpCreateResponse(setup).data, status=status.HTTP_201_CREATED)


class OwedConfirmationView(ChallengedView):
    """A challenge token to enroll and a code confirm the enrollment, and end the login."""

    purpose = ENROLL

    @shows(200, JWTTotpConfirmResponse, request=JWTTotpConfirmRequest)
    def post(self, request: Request) -> Response:
        data = self.read(JWTTotpConfirmRequest)
        user, login, codes = finish_owed_enrollment(
            data[self.challenge_field],
            data["input_code"],
            may_sign_in=self.may_sign_in,
            request=request,
        )
        tokens = self.sign_in(user, login)
        events.logged_in(user, request, method="totp")
        return Response({"backup_codes": codes, **tokens})


def _challenges(step: NextStep) -> dict[str, str]:
    to_recover = {"totp_recovery_challenge_token": step.recovery} if step.recovery else {}
    return {"totp_challenge_token": step.challenge, **to_recover}


def _grace(step: NextStep) -> dict[str, str]:
    if step.required_from is None:
        return {}
    begin = step.required_from.isoformat(timespec="seconds")
    return {"totp_required_from": begin.replace("+00:00", "Z")}


def _as_in_forms(credentials: dict[str, str]) -> dict[str, str]:
    """Return ``credentials`` with the user name as Django's login form makes it, in NFKC, unless
    somebody has the very name that was typed.

    A look at the table tells: to authenticate twice would count one mistake twice.
    """
    model = get_user_model()
    typed = credentials[model.USERNAME_FIELD]
    if len(typed) > LONGEST_NAME:
        return credentials
    name = unicodedata.normalize("NFKC", typed)
    if name == typed or model._default_manager.filter(**{model.USERNAME_FIELD: typed}).exists():
        return credentials
    return {**credentials, model.USERNAME_FIELD: name}
