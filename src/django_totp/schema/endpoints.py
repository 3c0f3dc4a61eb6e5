"""The endpoints, in the order of a user's life with them. To be imported is to be registered."""

# mypy: allow-untyped-calls
# (drf-spectacular does not annotate what registers an extension.)

from typing import Any

from django.contrib.auth import get_user_model
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse
from rest_framework.exceptions import AuthenticationFailed, NotFound

from django_totp import serializers
from django_totp.exceptions import (
    EnrollmentRequired,
    InvalidBackupCode,
    InvalidChallenge,
    InvalidRecoveryToken,
    InvalidTotpCode,
    LoginOutdated,
    MailUnavailable,
    PolicyUnavailable,
    RecoveryOff,
    RecoveryUnavailable,
    SecondFactorRequired,
    TooManyAttempts,
    TotpAlreadyExists,
    TotpNotEnabled,
    TotpNotEnrolled,
    TotpRequired,
)

from . import bodies
from .operations import (
    BodyRefused,
    LoginOperation,
    ProvenOperation,
    RemindedOperation,
    SignedInOperation,
)

JWT, CHALLENGE = "eyJhbGciOiJIUzI1NiIs...", "eyJ1c2VyX2lkIjoiMSIs..."
DEVICE = "a4ayc_80.1893456000.7..."
TOKENS = {"refresh": JWT, "access": JWT}
NOT_ONE_CODE = tuple(
    BodyRefused(sentence, code)
    for code, sentence in serializers.OneCodeRequest.default_error_messages.items()
)
NO_TOKEN = AuthenticationFailed("Token is invalid", "token_not_valid")
NOT_GOOD = (LoginOutdated(), SecondFactorRequired(), EnrollmentRequired())
NOT_HIS_PASSWORD = AuthenticationFailed("The password has been changed.", "password_changed")


class TotpStatus(SignedInOperation):
    target_class = "django_totp.views.api.TotpStatusView"
    method = "get"
    operation_id = "totp_status"
    summary = "Show the state of the enrollment"
    description = "Say whether the second factor is on, or still to be confirmed."
    responses = {200: OpenApiResponse(serializers.TotpStatusResponse, "The state.")}


class TotpCreate(RemindedOperation):
    target_class = "django_totp.views.api.TotpCreateView"
    operation_id = "totp_create"
    summary = "Start an enrollment"
    description = "Make a new secret and show it once. A pending enrollment is replaced."
    request = bodies.Password
    example = {"password": "correct horse battery staple"}
    responses = {201: OpenApiResponse(serializers.TotpCreateResponse, "The secret in three forms.")}
    refusals = (TotpAlreadyExists(),)


class TotpReplace(ProvenOperation):
    target_class = "django_totp.views.api.TotpReplaceView"
    operation_id = "totp_replace"
    summary = "Start to replace the authenticator"
    description = (
        "Make a new secret and show it once. The old authenticator works until `totp/confirm/` "
        "gets a code of the new one."
    )
    responses = {201: OpenApiResponse(serializers.TotpCreateResponse, "The secret in three forms.")}
    refusals = (TotpNotEnrolled(),)


class TotpConfirm(RemindedOperation):
    target_class = "django_totp.views.api.TotpConfirmView"
    operation_id = "totp_confirm"
    summary = "Confirm the enrollment, or its replacement, with a code"
    description = (
        "Turn the second factor on, or let the new authenticator take the place of the old one, "
        "and show the backup codes once."
    )
    request = bodies.ConfirmationWithPassword
    without_password = bodies.Confirmation
    example = {"input_code": "123456"}
    responses = {200: OpenApiResponse(bodies.BackupCodes, "The second factor is on.")}
    refusals = (TotpNotEnrolled(), InvalidTotpCode(), TotpAlreadyExists(), TooManyAttempts(30))


class TotpDisable(ProvenOperation):
    target_class = "django_totp.views.api.TotpDisableView"
    operation_id = "totp_disable"
    summary = "Turn the second factor off"
    description = "Remove the enrollment, pending or confirmed, with its backup codes."
    responses = {204: OpenApiResponse(None, "The second factor is off.")}
    refusals = (TotpNotEnrolled(), TotpRequired())


class TotpRotateBackupCodes(ProvenOperation):
    target_class = "django_totp.views.api.TotpRotateBackupCodesView"
    operation_id = "totp_rotate_backup_codes"
    summary = "Replace the backup codes"
    description = "Make new backup codes and show them once. The old ones stop working."
    responses = {200: OpenApiResponse(bodies.BackupCodes, "The new codes.")}
    refusals = (TotpNotEnrolled(),)


class RemoveDevices(SignedInOperation):
    method = "delete"
    operation_id = "totp_devices_remove_all"
    summary = "Remove all trusted devices"
    description = "Let each of them ask for a code at its next login."
    responses = {204: OpenApiResponse(None, "There is none any more.")}


class TotpDevices(SignedInOperation):
    target_class = "django_totp.views.api.TotpDevicesView"
    method = "get"
    also = RemoveDevices
    operation_id = "totp_devices"
    summary = "List the trusted devices"
    description = "Tell which devices need no code for now, the one that was used last first."
    responses = {
        200: OpenApiResponse(bodies.TrustedDevice(many=True), "The devices."),
    }


class TotpDevice(SignedInOperation):
    target_class = "django_totp.views.api.TotpDeviceView"
    method = "delete"
    operation_id = "totp_device_remove"
    summary = "Remove a trusted device"
    description = "Let it ask for a code at its next login."
    parameters = (OpenApiParameter("id", OpenApiTypes.INT, OpenApiParameter.PATH),)
    responses = {204: OpenApiResponse(None, "It is none any more.")}
    refusals = (NotFound(),)


class JWTCreate(LoginOperation):
    target_class = "django_totp.views.jwt.JWTCreateView"
    operation_id = "jwt_create"
    summary = "Log in with a password"
    description = (
        "Give tokens or, to a user who has a second factor or must set one up first, a challenge "
        "token: for `jwt/totp/verify/`, or for `jwt/totp/create/` and `jwt/totp/confirm/`. In a "
        "recovery, there is one for the latter beside that for the former. From a trusted device, "
        "which sends what it keeps as `trusted_device`, no code is asked for."
    )
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
                    "in a recovery",
                    {
                        "is_totp_enabled": True,
                        "totp_challenge_token": CHALLENGE,
                        "totp_recovery_challenge_token": CHALLENGE,
                    },
                ),
                OpenApiExample(
                    "from a trusted device",
                    {"is_totp_enabled": True, **TOKENS, "trusted_device": DEVICE},
                ),
                OpenApiExample(
                    "with one to set up first",
                    {
                        "is_totp_enabled": False,
                        "is_totp_required": True,
                        "totp_challenge_token": CHALLENGE,
                    },
                ),
                OpenApiExample("without one", {"is_totp_enabled": False, **TOKENS}),
                OpenApiExample(
                    "with one to set up later",
                    {
                        "is_totp_enabled": False,
                        **TOKENS,
                        "totp_required_from": "2030-01-01T00:00:00Z",
                    },
                ),
            ],
        )
    }
    refusals = (
        AuthenticationFailed("Invalid credentials.", "invalid_credentials"),
        PolicyUnavailable(),
    )

    def __init__(self, target_callback: Any) -> None:
        super().__init__(target_callback)
        name = get_user_model().USERNAME_FIELD
        self.example = {name: "ada@example.com", "password": "correct horse battery staple"}


class JWTTotpVerify(LoginOperation):
    target_class = "django_totp.views.jwt.JWTTotpVerifyView"
    operation_id = "jwt_totp_verify"
    summary = "Finish a login with a code"
    description = (
        "Give tokens for a challenge token with either `otp_code` or `backup_code`. With "
        "`trust_device` and an `otp_code` the next logins from there need no code, where the "
        "project has trusted devices."
    )
    request = serializers.JWTTotpVerifyRequest
    example = {"totp_challenge_token": CHALLENGE, "otp_code": "123456"}
    responses = {200: OpenApiResponse(bodies.SecondFactor, "The login is done.")}
    refusals = (
        InvalidChallenge(),
        InvalidTotpCode(),
        InvalidBackupCode(),
        TotpNotEnabled(),
        TooManyAttempts(30),
        *NOT_ONE_CODE,
    )


class JWTTotpCreate(LoginOperation):
    target_class = "django_totp.views.jwt.JWTTotpCreateView"
    operation_id = "jwt_totp_create"
    summary = "Start the enrollment that a login needs"
    description = "Make a new secret for a challenge token to enroll, and show it once."
    request = serializers.JWTTotpCreateRequest
    example = {"totp_challenge_token": CHALLENGE}
    responses = {201: OpenApiResponse(serializers.TotpCreateResponse, "The secret in three forms.")}
    refusals = (InvalidChallenge(), TotpAlreadyExists())


class JWTTotpConfirm(LoginOperation):
    target_class = "django_totp.views.jwt.JWTTotpConfirmView"
    operation_id = "jwt_totp_confirm"
    summary = "Finish the enrollment and the login"
    description = "Turn the second factor on, show the backup codes once, and give tokens."
    request = serializers.JWTTotpConfirmRequest
    example = {"totp_challenge_token": CHALLENGE, "input_code": "123456"}
    responses = {200: OpenApiResponse(bodies.ConfirmedLogin, "The login is done.")}
    refusals = (
        InvalidChallenge(),
        TotpNotEnrolled(),
        InvalidTotpCode(),
        TotpAlreadyExists(),
        TooManyAttempts(30),
    )


class Recovery(LoginOperation):
    target_class = "django_totp.views.recovery.RecoveryView"
    operation_id = "totp_recovery_recovery"
    summary = "Ask by mail for a new authenticator"
    description = (
        "Mail the user of a challenge token a link that starts the wait for a new authenticator. "
        "There is one mail an hour."
    )
    request = serializers.JWTTotpCreateRequest
    example = {"totp_challenge_token": CHALLENGE}
    responses = {202: OpenApiResponse(OpenApiTypes.OBJECT, "There is a mail, or was one.")}
    refusals = (
        InvalidChallenge(),
        TotpNotEnabled(),
        RecoveryUnavailable(),
        RecoveryOff(),
        MailUnavailable(),
        PolicyUnavailable(),
    )


class RecoveryConfirm(LoginOperation):
    target_class = "django_totp.views.recovery.RecoveryConfirmView"
    operation_id = "totp_recovery_recovery_confirm"
    summary = "Start the wait for a new authenticator"
    description = "Say from when on a login with the password may enroll anew. It is mailed, too."
    request = serializers.TotpRecoveryConfirmRequest
    example = {"token": CHALLENGE}
    responses = {
        202: OpenApiResponse(serializers.TotpRecoveryStartedResponse, "The wait has begun.")
    }
    refusals = (InvalidRecoveryToken(), RecoveryUnavailable(), RecoveryOff(), PolicyUnavailable())


class RecoveryCancel(SignedInOperation):
    auth = []  # the token is enough
    target_class = "django_totp.views.recovery.RecoveryCancelView"
    operation_id = "totp_recovery_recovery_cancel"
    summary = "Stop a recovery"
    description = "By the token of a mail or, without one, as the user who is signed in."
    request = serializers.TotpRecoveryCancelRequest
    example = {"token": CHALLENGE}
    responses = {204: OpenApiResponse(None, "There is no recovery any more.")}
    refusals = (InvalidRecoveryToken(),)


class JWTStepUp(LoginOperation):
    target_class = "django_totp.views.jwt.JWTStepUpView"
    operation_id = "jwt_step_up"
    summary = "Give the second factor again"
    description = (
        "Give tokens whose second factor is of now, for a refresh token with either `otp_code` or "
        "`backup_code`. A login from before the enrollment is completed by it."
    )
    request = serializers.JWTStepUpRequest
    example = {"refresh": JWT, "otp_code": "123456"}
    responses = {200: OpenApiResponse(bodies.TokenPair, "The second factor is recent.")}
    refusals = (
        InvalidTotpCode(),
        InvalidBackupCode(),
        TotpNotEnabled(),
        LoginOutdated(),
        NO_TOKEN,
        NOT_HIS_PASSWORD,
        TooManyAttempts(30),
        *NOT_ONE_CODE,
    )


class JWTRefresh(LoginOperation):
    target_class = "django_totp.views.jwt.JWTRefreshView"
    operation_id = "jwt_refresh"
    summary = "Renew an access token"
    description = "Give an access token for a refresh token."
    request = bodies.JWTRefreshRequest
    example = {"refresh": JWT}
    responses = {200: OpenApiResponse(bodies.JWTRefreshResponse, "The new token.")}
    refusals = (NO_TOKEN, NOT_HIS_PASSWORD, *NOT_GOOD, PolicyUnavailable())


class JWTVerify(LoginOperation):
    target_class = "django_totp.views.jwt.JWTVerifyView"
    operation_id = "jwt_verify"
    summary = "Check a token"
    description = "Say whether a token is valid, for clients that cannot check its signature."
    request = bodies.JWTVerifyRequest
    example = {"token": JWT}
    responses = {200: OpenApiResponse(OpenApiTypes.OBJECT, "The token is valid.")}
    refusals = (NO_TOKEN,)
