"""The bodies of the HTTP API. A class is a request or a response, never both."""

from datetime import UTC
from typing import Any

from django.contrib.auth import get_user_model
from django.core.validators import MaxLengthValidator
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from .moments import as_configured

PASSWORD_LENGTH = 4096
CODE_LENGTH = 255
TOKEN_LENGTH = 4096


class StringField(serializers.CharField):
    """A string that came as a string: a number is no code, and no password.

    Its length is checked by Django's validator: REST framework words that error once for each
    field and keeps it, in the language of the first request, and a field serves many requests.
    """

    def __init__(self, *, max_length: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if max_length is not None:
            self.validators.append(MaxLengthValidator(max_length))

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class AnyTextField(StringField):
    """A string that nothing depends on: whatever else came is an empty one."""

    def run_validation(self, data: Any = serializers.empty) -> str:
        return data if isinstance(data, str) else ""


class AnyBooleanField(serializers.BooleanField):
    """A wish that nothing depends on: whatever is none is no."""

    def run_validation(self, data: Any = serializers.empty) -> bool:
        try:
            return bool(super().run_validation(data))
        except (serializers.ValidationError, serializers.SkipField):
            return False


class EmptySerializer(serializers.Serializer[Any]):
    """A request or a response without a body."""


class PasswordRequest(serializers.Serializer[Any]):
    """The password again, where ``TOTP_REAUTHENTICATE`` asks for it."""

    password = StringField(
        max_length=PASSWORD_LENGTH, required=False, allow_blank=True, trim_whitespace=False
    )


class TotpConfirmRequest(PasswordRequest):
    input_code = StringField(max_length=CODE_LENGTH)


class ReauthenticationRequest(PasswordRequest):
    """At most one fresh proof; whether one is needed, the login and the settings say."""

    otp_code = StringField(max_length=CODE_LENGTH, required=False, allow_blank=True)
    backup_code = StringField(max_length=CODE_LENGTH, required=False, allow_blank=True)


class JWTCreateRequest(serializers.Serializer[Any]):
    """The user name, under the name that the user model gives it, and the password.

    An app that is a trusted device sends what it keeps along. What is wrong there is no error: a
    code is asked for.
    """

    password = StringField(
        max_length=PASSWORD_LENGTH, trim_whitespace=False, style={"input_type": "password"}
    )
    trusted_device = AnyTextField(required=False, help_text=_("What a trusted device keeps."))

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        model = get_user_model()
        field: Any = model._meta.get_field(model.USERNAME_FIELD)
        # No backend is asked for a name that the column could not hold, as letters for a number.
        name = StringField(max_length=field.max_length, validators=[field.to_python])
        return {model.USERNAME_FIELD: name, **super().get_fields()}


class OneCodeRequest(serializers.Serializer[Any]):
    """A token, under the name that a subclass gives it, and one code: a body of two fields."""

    otp_code = StringField(max_length=CODE_LENGTH, required=False, allow_blank=True)
    backup_code = StringField(max_length=CODE_LENGTH, required=False, allow_blank=True)

    default_error_messages = {
        "both_codes": _("Provide only one of otp_code or backup_code, not both."),
        "no_code": _("Either otp_code or backup_code is required."),
    }

    def validate(self, attrs: dict[str, str]) -> dict[str, str]:
        given = [name for name in ("otp_code", "backup_code") if attrs.get(name)]
        if len(given) != 1:
            self.fail("both_codes" if given else "no_code")
        blank = {"otp_code", "backup_code"} - {*given}
        return {name: value for name, value in attrs.items() if name not in blank}


class JWTTotpVerifyRequest(OneCodeRequest):
    totp_challenge_token = StringField(max_length=TOKEN_LENGTH)
    trust_device = AnyBooleanField(
        required=False, help_text=_("Ask for no code from here for a while. Needs an otp_code.")
    )
    device_name = AnyTextField(
        required=False, help_text=_("What the list of trusted devices calls it.")
    )


class JWTStepUpRequest(OneCodeRequest):
    refresh = StringField()


class JWTTotpCreateRequest(serializers.Serializer[Any]):
    totp_challenge_token = StringField(max_length=TOKEN_LENGTH)


class JWTTotpConfirmRequest(JWTTotpCreateRequest):
    input_code = StringField(max_length=CODE_LENGTH)


class TotpRecoveryConfirmRequest(serializers.Serializer[Any]):
    token = StringField(max_length=TOKEN_LENGTH)


class TotpRecoveryCancelRequest(serializers.Serializer[Any]):
    """The token of the mail; who is signed in needs none."""

    token = StringField(max_length=TOKEN_LENGTH, required=False, allow_blank=True)


class TotpCreateResponse(serializers.Serializer[Any]):
    svg = serializers.CharField(help_text=_("The QR code, as an inline SVG element."))
    secret = serializers.CharField(help_text=_("The secret in base32, for typing in."))
    otpauth_uri = serializers.CharField(help_text=_("The same as a link for a phone."))


class BackupCodesResponse(serializers.Serializer[Any]):
    backup_codes = serializers.ListField(child=serializers.CharField())


class TotpStatusResponse(serializers.Serializer[Any]):
    is_totp_enabled = serializers.BooleanField()
    is_pending = serializers.BooleanField()
    created_at = serializers.DateTimeField(allow_null=True)
    confirmed_at = serializers.DateTimeField(allow_null=True)
    backup_codes_remaining = serializers.IntegerField()
    is_replacement_pending = serializers.BooleanField()
    recovery_ready_at = serializers.DateTimeField(allow_null=True)
    trusted_devices = serializers.IntegerField(
        required=False, help_text=_("Where the project has trusted devices.")
    )


class MomentField(serializers.DateTimeField):
    """A moment as the others of the project are: local time where time zones are off."""

    def to_representation(self, value: Any) -> Any:
        return super().to_representation(as_configured(value))


class TrustedDeviceResponse(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField(allow_blank=True)
    created_at = MomentField()
    last_used_at = MomentField()
    expires_at = MomentField()


class TokenPairResponse(serializers.Serializer[Any]):
    refresh = serializers.CharField()
    access = serializers.CharField()


class SecondFactorResponse(TokenPairResponse):
    trusted_device = serializers.CharField(
        required=False, help_text=_("What the device has to keep for its next login.")
    )


class JWTTotpConfirmResponse(TokenPairResponse, BackupCodesResponse):
    pass


class ChallengeResponse(serializers.Serializer[Any]):
    is_totp_enabled = serializers.BooleanField()
    totp_challenge_token = serializers.CharField()
    totp_recovery_challenge_token = serializers.CharField(
        required=False, help_text=_("To set up a new app without a code of the old one.")
    )


class EnrollmentOwedResponse(ChallengeResponse):
    is_totp_required = serializers.BooleanField()


class TrustedResponse(TokenPairResponse):
    is_totp_enabled = serializers.BooleanField()
    trusted_device = serializers.CharField(
        help_text=_("What the device has to keep for its next login.")
    )


class SignedInResponse(TokenPairResponse):
    is_totp_enabled = serializers.BooleanField()
    totp_required_from = serializers.DateTimeField(
        required=False, help_text=_("From then on the account must have a second factor.")
    )


class TotpRecoveryStartedResponse(serializers.Serializer[Any]):
    ready_at = serializers.DateTimeField(
        format="iso-8601",
        default_timezone=UTC,
        help_text=_("From then on a login may set up a new app."),
    )


class ErrorResponse(serializers.Serializer[Any]):
    """Any error: a sentence for a person, a code for a program, and beside them field errors."""

    detail = serializers.CharField()
    code = serializers.CharField()
