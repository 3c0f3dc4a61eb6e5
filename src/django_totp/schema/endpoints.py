"""The endpoints, in the order of a user's life with them. To be imported is to be registered."""

# mypy: allow-untyped-calls
# (drf-spectacular does not annotate what registers an extension.)

from typing import Any

from django.contrib.auth import get_user_model
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse
from rest_framework.exceptions import AuthenticationFailed

from django_totp import serializers
from django_totp.exceptions import (
    InvalidBackupCode,
    InvalidChallenge,
    InvalidTotpCode,
    TooManyAttempts,
    TotpAlreadyExists,
    TotpNotEnabled,
    TotpNotEnrolled,
)

from . import bodies
from .operations import BodyRefused, LoginOperation, ProvenOperation, SignedInOperation

JWT, CHALLENGE = "eyJhbGciOiJIUzI1NiIs...", "eyJ1c2VyX2lkIjoiMSIs..."


class TotpStatus(SignedInOperation):
    target_class = "django_totp.views.api.TotpStatusView"
    method = "get"
    operation_id = "totp_status"
    summary = "Show the state of the enrollment"
    description = "Say whether the second factor is on, or still to be confirmed."
    responses = {200: OpenApiResponse(serializers.TotpStatusResponse, "The state.")}


class TotpCreate(SignedInOperation):
    target_class = "django_totp.views.api.TotpCreateView"
    operation_id = "totp_create"
    summary = "Start an enrollment"
    description = "Make a new secret and show it once. A pending enrollment is replaced."
    responses = {201: OpenApiResponse(serializers.TotpCreateResponse, "The secret in three forms.")}
    refusals = (TotpAlreadyExists(),)


class TotpConfirm(SignedInOperation):
    target_class = "django_totp.views.api.TotpConfirmView"
    operation_id = "totp_confirm"
    summary = "Confirm the enrollment with a code"
    description = "Turn the second factor on and show the backup codes once."
    request = serializers.TotpConfirmRequest
    example = {"input_code": "123456"}
    responses = {200: OpenApiResponse(bodies.BackupCodes, "The second factor is on.")}
    refusals = (TotpNotEnrolled(), InvalidTotpCode(), TotpAlreadyExists(), TooManyAttempts(30))


class TotpDisable(ProvenOperation):
    target_class = "django_totp.views.api.TotpDisableView"
    operation_id = "totp_disable"
    summary = "Turn the second factor off"
    description = "Remove the enrollment, pending or confirmed, with its backup codes."
    responses = {204: OpenApiResponse(None, "The second factor is off.")}
    refusals = (TotpNotEnrolled(),)


class TotpRotateBackupCodes(ProvenOperation):
    target_class = "django_totp.views.api.TotpRotateBackupCodesView"
    operation_id = "totp_rotate_backup_codes"
    summary = "Replace the backup codes"
    description = "Make new backup codes and show them once. The old ones stop working."
    responses = {200: OpenApiResponse(bodies.BackupCodes, "The new codes.")}
    refusals = (TotpNotEnrolled(),)


class JWTCreate(LoginOperation):
    target_class = "django_totp.views.jwt.JWTCreateView"
    operation_id = "jwt_create"
    summary = "Log in with a password"
    description = "Give tokens or, to a user with a second factor, a challenge token."
    request = serializers.JWTCreateRequest
    responses = {
        200: OpenApiResponse(
            bodies.login(),
            "The password is right.",
            [
                OpenApiExample(
                    "with a second factor",
                    {"is_totp_enabled": True, "totp_challenge_token": CHALLENGE},
                ),
                OpenApiExample(
                    "without one", {"is_totp_enabled": False, "refresh": JWT, "access": JWT}
                ),
            ],
        )
    }
    refusals = (AuthenticationFailed("Invalid credentials.", "invalid_credentials"),)

    def __init__(self, target_callback: Any) -> None:
        super().__init__(target_callback)
        name = get_user_model().USERNAME_FIELD
        self.example = {name: "ada@example.com", "password": "correct horse battery staple"}


class JWTTotpVerify(LoginOperation):
    target_class = "django_totp.views.jwt.JWTTotpVerifyView"
    operation_id = "jwt_totp_verify"
    summary = "Finish a login with a code"
    description = "Give tokens for a challenge token with either `otp_code` or `backup_code`."
    request = serializers.JWTTotpVerifyRequest
    example = {"totp_challenge_token": CHALLENGE, "otp_code": "123456"}
    responses = {200: OpenApiResponse(bodies.TokenPair, "The login is done.")}
    refusals = (
        InvalidChallenge(),
        InvalidTotpCode(),
        InvalidBackupCode(),
        TotpNotEnabled(),
        TooManyAttempts(30),
        *(
            BodyRefused(sentence, code)
            for code, sentence in serializers.JWTTotpVerifyRequest.default_error_messages.items()
        ),
    )


class JWTRefresh(LoginOperation):
    target_class = "django_totp.views.jwt.JWTRefreshView"
    operation_id = "jwt_refresh"
    summary = "Renew an access token"
    description = "Give an access token for a refresh token."
    request = bodies.JWTRefreshRequest
    example = {"refresh": JWT}
    responses = {200: OpenApiResponse(bodies.JWTRefreshResponse, "The new token.")}
    refusals = (AuthenticationFailed("Token is invalid", "token_not_valid"),)


class JWTVerify(LoginOperation):
    target_class = "django_totp.views.jwt.JWTVerifyView"
    operation_id = "jwt_verify"
    summary = "Check a token"
    description = "Say whether a token is valid, for clients that cannot check its signature."
    request = bodies.JWTVerifyRequest
    example = {"token": JWT}
    responses = {200: OpenApiResponse(OpenApiTypes.OBJECT, "The token is valid.")}
    refusals = (AuthenticationFailed("Token is invalid", "token_not_valid"),)
