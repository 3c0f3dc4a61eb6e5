"""The ``totp/recovery…`` endpoints: by mail and time to a new authenticator."""

from typing import Any

from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from django_totp import recovery
from django_totp.challenges import CANCEL, RECOVER, challenge_subject
from django_totp.serializers import (
    JWTTotpCreateRequest,
    TotpRecoveryCancelRequest,
    TotpRecoveryConfirmRequest,
    TotpRecoveryStartedResponse,
)
from django_totp.throttle import Subject

from .api import SignedInView
from .base import shows
from .login import ChallengedView


class RecoveryView(ChallengedView):
    @shows(202, request=JWTTotpCreateRequest)
    def post(self, request: Request) -> Response:
        token = self.read(JWTTotpCreateRequest)[self.challenge_field]
        recovery.request_recovery(token, request=request)
        return Response({}, status=status.HTTP_202_ACCEPTED)


class RecoveryConfirmView(ChallengedView):
    challenge_field, purpose = "token", RECOVER

    @shows(202, TotpRecoveryStartedResponse, request=TotpRecoveryConfirmRequest)
    def post(self, request: Request) -> Response:
        token = self.read(TotpRecoveryConfirmRequest)["token"]
        answer = {"ready_at": recovery.start_recovery(token, request=request)}
        return Response(TotpRecoveryStartedResponse(answer).data, status=status.HTTP_202_ACCEPTED)


class RecoveryCancelView(SignedInView):
    """Whoever has the mailed token may stop it, and so may whoever is signed in."""

    def get_permissions(self) -> Any:
        return [] if self.token else super().get_permissions()

    def authenticate(self, request: Request) -> None:
        if self.token:  # a stale header keeps nobody from it, whoever asks for the user
            request._not_authenticated()  # type: ignore[attr-defined]
        else:
            super().authenticate(request)

    @property
    def token(self) -> str:
        body: Any = self.request.data
        token = body.get("token") if isinstance(body, dict) else None
        return token if isinstance(token, str) else ""

    def name_subject(self, body: dict[str, Any]) -> Subject | None:
        account = challenge_subject(body.get("token"), CANCEL)
        return Subject(account) if account is not None else None

    @shows(204, request=TotpRecoveryCancelRequest)
    def post(self, request: Request) -> Response:
        token = self.read(TotpRecoveryCancelRequest).get("token")
        if token:
            recovery.cancel_recovery(token, request=request)
        else:
            recovery.cancel_recovery_of(self.user, request=request)
        return Response(status=status.HTTP_204_NO_CONTENT)
