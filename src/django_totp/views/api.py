"""The ``totp/`` endpoints: a signed-in user manages the enrollment."""

import time
from typing import Any, cast

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.db.models import Model
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables
from rest_framework import status
from rest_framework.exceptions import AuthenticationFailed, NotFound
from rest_framework.permissions import SAFE_METHODS, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from django_totp import devices
from django_totp.accounts import HAS_CODES, account_by, join, named_in
from django_totp.assurance import (
    Assurance,
    assurance_of,
    is_by_session,
    is_ended,
    totp_of,
)
from django_totp.attempts import Proof, forget_ahead, read_ahead
from django_totp.backup_code_utils import rotate_backup_codes
from django_totp.conf import conf
from django_totp.exceptions import LoginOutdated
from django_totp.models import Totp, related
from django_totp.reauthentication import FreshProof, reauthenticate
from django_totp.serializers import (
    BackupCodesResponse,
    PasswordRequest,
    ReauthenticationRequest,
    TotpConfirmRequest,
    TotpCreateResponse,
    TotpStatusResponse,
    TrustedDeviceResponse,
)
from django_totp.sessions import step_up
from django_totp.status import status_of
from django_totp.totp import (
    confirm_totp_setup,
    disable_totp,
    start_totp_replacement,
    start_totp_setup,
)
from django_totp.users import is_active

from .base import TotpView, shows


class SignedInView(TotpView):
    """Somebody is signed in, by whatever authentication the project has: his row decides."""

    permission_classes = (IsAuthenticated,)
    read_ahead_of: AbstractBaseUser | None = None

    def authenticate(self, request: Request) -> None:
        super().authenticate(request)
        if getattr(request.user, "is_authenticated", False):
            request.user = _row_of(request.user, request.auth)  # type: ignore[assignment]
            if request.method not in SAFE_METHODS:
                self._look_ahead(request)

    def finalize_response(
        self, request: Request, response: Response, *args: Any, **kwargs: Any
    ) -> Response:
        if self.read_ahead_of is not None:
            forget_ahead(self.read_ahead_of)  # who may outlive the request
        return super().finalize_response(request, response, *args, **kwargs)

    def _look_ahead(self, request: Request) -> None:
        """Refuse a login that was ended. What is read for that, no service reads again.

        The project's authentication may not ask; and who was ended shall change no factor.
        """
        user = self.user
        if HAS_CODES not in vars(user):  # the project's authentication has read less
            join(user)
        if is_ended(user, self.login):
            raise AuthenticationFailed(str(LoginOutdated()), LoginOutdated.code)
        self.read_ahead_of = user
        read_ahead(user, related(Totp, user))

    @property
    def user(self) -> AbstractBaseUser:
        return cast(AbstractBaseUser, self.request.user)

    @property
    def login(self) -> Assurance:
        """Return what the login that this request comes from is worth."""
        return assurance_of(self.request)

    @property
    def proof(self) -> Proof | None:
        """Return what decides whether the second factor may be changed by this request."""
        if not (self.login.stated or conf.TOTP_REAUTHENTICATE):
            return None  # whatever its body is
        return self._proof(**self.read(ReauthenticationRequest))

    @sensitive_variables("proofs")
    def _proof(self, **proofs: str) -> FreshProof:
        return FreshProof(self.user, self.request, **proofs, login=self.login)

    def ask_for_password(self) -> None:
        """Raise ReauthenticationRequired unless the login is recent, or the password given."""
        is_recent = self.login.is_recent(conf.TOTP_REAUTHENTICATE_MAX_AGE)
        if conf.TOTP_REAUTHENTICATE and not is_recent:
            reauthenticate(self.user, **self.read(PasswordRequest), request=self.request)


class TotpStatusView(SignedInView):
    @shows(200, TotpStatusResponse)
    def get(self, request: Request) -> Response:
        return Response(TotpStatusResponse(status_of(self.user)).data)


class TotpCreateView(SignedInView):
    @shows(201, TotpCreateResponse, request=PasswordRequest)
    def post(self, request: Request) -> Response:
        self.ask_for_password()
        setup = start_totp_setup(self.user, request=request)
        return Response(TotpCreateResponse(setup).data, status=status.HTTP_201_CREATED)


class TotpReplaceView(SignedInView):
    @shows(201, TotpCreateResponse, request=ReauthenticationRequest)
    def post(self, request: Request) -> Response:
        setup = start_totp_replacement(
            self.user, request=request, proof=self.proof, sid=self.login.sid
        )
        return Response(TotpCreateResponse(setup).data, status=status.HTTP_201_CREATED)


class TotpConfirmView(SignedInView):
    @shows(200, BackupCodesResponse, request=TotpConfirmRequest)
    def post(self, request: Request) -> Response:
        started, data = time.time(), self.read(TotpConfirmRequest)
        totp = totp_of(self.user)
        if totp is None or not totp.is_enabled:
            self.ask_for_password()
        login = self.login.named() if is_by_session(request) else self.login
        proof = self._proof(password=data.get("password", ""))
        codes = confirm_totp_setup(
            self.user, data["input_code"], request=request, sid=login.sid, proof=proof
        )
        if is_by_session(request):
            step_up(request._request, login.stepped_up(at=started))
        return Response({"backup_codes": codes})


class TotpDisableView(SignedInView):
    @shows(204, request=ReauthenticationRequest)
    def post(self, request: Request) -> Response:
        disable_totp(self.user, request=request, proof=self.proof)
        return Response(status=status.HTTP_204_NO_CONTENT)


class TotpRotateBackupCodesView(SignedInView):
    @shows(200, BackupCodesResponse, request=ReauthenticationRequest)
    def post(self, request: Request) -> Response:
        codes = rotate_backup_codes(self.user, request=request, proof=self.proof)
        return Response({"backup_codes": codes})


class TotpDevicesView(SignedInView):
    """The trusted devices of the user. To end them needs no proof: it only closes."""

    @shows(200, TrustedDeviceResponse(many=True))
    def get(self, request: Request) -> Response:
        return Response(TrustedDeviceResponse(devices.devices_of(self.user), many=True).data)

    @shows(204)
    def delete(self, request: Request) -> Response:
        devices.remove_all(self.user, request=request)
        return Response(status=status.HTTP_204_NO_CONTENT)


class TotpDeviceView(SignedInView):
    @shows(204)
    def delete(self, request: Request, id: str) -> Response:
        if not devices.remove(self.user, id, request=request):
            raise NotFound
        return Response(status=status.HTTP_204_NO_CONTENT)


def _row_of(user: Any, token: Any) -> AbstractBaseUser:
    """Return the row of ``user``, who may be no more than what a token says of him.

    Raise AuthenticationFailed if it is gone, or may not sign in.
    """
    field, key = _named_by(user, token)
    if isinstance(key, bool | float):
        raise AuthenticationFailed  # a database takes them for numbers, and so for a user
    if not isinstance(user, get_user_model()):
        if key is None or isinstance(user, Model):
            raise AuthenticationFailed  # a device, say: it is nobody here, whatever its key
        user = account_by(field, key)
    if user is None or not is_active(user):
        raise AuthenticationFailed(_("User inactive or deleted."), "user_inactive")
    return cast(AbstractBaseUser, user)


def _named_by(user: Any, token: Any) -> tuple[str, Any]:
    """Return the field and the value that name ``user``: as a claim of a web token, or his key."""
    claims = getattr(token, "payload", None)
    named = named_in(claims) if isinstance(claims, dict) else None
    return named or ("pk", user.pk if isinstance(user, get_user_model()) else None)
