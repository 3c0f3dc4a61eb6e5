"""The ``totp/`` endpoints: a signed-in user manages the enrollment."""

import time
from typing import Any, cast

from django.contrib.auth.base_user import AbstractBaseUser
from django.db.models import Count, Q
from rest_framework import status
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from django_totp.adoption import give_digests, has_codes, lacks_digests
from django_totp.attempts import Proof, read
from django_totp.auth import FreshProof
from django_totp.backup_code_utils import rotate_backup_codes
from django_totp.conf import conf
from django_totp.serializers import (
    ReauthenticationRequest,
    TotpConfirmRequest,
    TotpStatusResponse,
)
from django_totp.totp import confirm_totp_setup, disable_totp, start_totp_setup

from .base import TotpView


class SignedInView(TotpView):
    permission_classes = (IsAuthenticated,)

    @property
    def user(self) -> AbstractBaseUser:
        return cast(AbstractBaseUser, self.request.user)

    @property
    def proof(self) -> Proof | None:
        """Return what decides whether the second factor may be changed by this request."""
        if not conf.TOTP_REAUTHENTICATE or _is_recent(self.request.auth):
            return None
        return FreshProof(self.user, self.request, **self.read(ReauthenticationRequest))


class TotpStatusView(SignedInView):
    def get(self, request: Request) -> Response:
        return Response(TotpStatusResponse(_status(self.user)).data)


class TotpCreateView(SignedInView):
    def post(self, request: Request) -> Response:
        setup = start_totp_setup(self.user, request=request)
        body = {"svg": setup.svg, "secret": setup.secret, "otpauth_uri": setup.otpauth_uri}
        return Response(body, status=status.HTTP_201_CREATED)


class TotpConfirmView(SignedInView):
    def post(self, request: Request) -> Response:
        code = self.read(TotpConfirmRequest)["input_code"]
        codes = confirm_totp_setup(self.user, code, request=request)
        return Response({"backup_codes": codes})


class TotpDisableView(SignedInView):
    def post(self, request: Request) -> Response:
        disable_totp(self.user, request=request, proof=self.proof)
        return Response(status=status.HTTP_204_NO_CONTENT)


class TotpRotateBackupCodesView(SignedInView):
    def post(self, request: Request) -> Response:
        codes = rotate_backup_codes(self.user, request=request, proof=self.proof)
        return Response({"backup_codes": codes})


def _is_recent(token: Any) -> bool:
    """Return whether an access token says that a second factor was given a short time ago."""
    claims = getattr(token, "payload", None)
    if not isinstance(claims, dict):
        return False
    methods, at = claims.get("amr"), claims.get("auth_time")
    if not isinstance(methods, list) or not isinstance(at, int):
        return False  # a token that the project has made by itself
    return "otp" in methods and int(time.time()) - at < conf.TOTP_REAUTHENTICATE_MAX_AGE


def _status(user: AbstractBaseUser) -> dict[str, Any]:
    usable = Q(backup_codes__is_used=False, backup_codes__digest__isnull=False)
    unused = Count("backup_codes", filter=usable)
    totp = read(user, unused=unused, has_codes=has_codes(), has_undigested=lacks_digests("pk"))
    if totp is not None and totp.has_undigested:  # as processes of 1.1.x make them
        give_digests(totp)
        totp = read(user, unused=unused)
    current = totp if totp is not None and (totp.is_enabled or totp.is_pending) else None
    return {
        "is_totp_enabled": current is not None and current.is_enabled,
        "is_pending": current is not None and current.is_pending,
        "created_at": current and current.created_at,
        "confirmed_at": current and current.confirmed_at,
        "backup_codes_remaining": vars(current)["unused"] if current else 0,
    }
