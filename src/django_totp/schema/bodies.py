"""Bodies that a serializer alone does not tell, under names that no project is likely to use."""

# mypy: allow-untyped-calls
# (drf-spectacular does not annotate what registers an extension.)

from typing import Any

from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.utils import (
    PolymorphicProxySerializer,
    extend_schema_field,
    extend_schema_serializer,
)
from rest_framework.serializers import BooleanField, CharField, IntegerField, Serializer

from django_totp import serializers


@extend_schema_field({"type": "boolean", "enum": [True]})
class TrueField(BooleanField):
    """The mark of one of two answers."""


@extend_schema_field({"type": "boolean", "enum": [False]})
class FalseField(BooleanField):
    """The mark of the other."""


@extend_schema_serializer(component_name="TotpChallengeResponse")
class Challenge(serializers.ChallengeResponse):
    is_totp_enabled = TrueField()


@extend_schema_serializer(component_name="TotpOwedResponse")
class Owed(serializers.EnrollmentOwedResponse):
    """Its marks are no enumerations: one of a kind in two components gets a warning."""


@extend_schema_serializer(component_name="TotpSignedInResponse")
class SignedIn(serializers.SignedInResponse):
    is_totp_enabled = FalseField()


@extend_schema_serializer(component_name="TotpTrustedResponse")
class Trusted(serializers.TrustedResponse):
    """Its mark is no enumeration: see ``Owed``."""


@extend_schema_serializer(component_name="TotpSecondFactorResponse")
class SecondFactor(serializers.SecondFactorResponse):
    pass


@extend_schema_serializer(component_name="TotpTrustedDeviceResponse")
class TrustedDevice(serializers.TrustedDeviceResponse):
    pass


@extend_schema_serializer(component_name="TotpTokenPairResponse")
class TokenPair(serializers.TokenPairResponse):
    pass


@extend_schema_serializer(component_name="TotpBackupCodesResponse")
class BackupCodes(serializers.BackupCodesResponse):
    pass


@extend_schema_serializer(component_name="TotpReauthenticationRequest")
class Reauthentication(serializers.ReauthenticationRequest):
    """At most one fresh proof. A login that gave its second factor, or lately, needs none."""


@extend_schema_serializer(component_name="TotpPasswordRequest")
class Password(serializers.PasswordRequest):
    """The password again. A login that is recent needs none."""


@extend_schema_serializer(component_name="TotpConfirmRequest")
class Confirmation(Serializer[Any]):
    """The code that the app shows now."""

    input_code = CharField(max_length=serializers.CODE_LENGTH)


@extend_schema_serializer(component_name="TotpConfirmWithPasswordRequest")
class ConfirmationWithPassword(serializers.TotpConfirmRequest):
    """The code that the app shows now, and the password again. A recent login needs no password."""


@extend_schema_serializer(component_name="TotpConfirmedLoginResponse")
class ConfirmedLogin(serializers.JWTTotpConfirmResponse):
    pass


class JWTRefreshRequest(Serializer[Any]):
    refresh = CharField()


class JWTRefreshResponse(Serializer[Any]):
    access = CharField()
    refresh = CharField(required=False, help_text="A new one, where refresh tokens rotate.")


class JWTVerifyRequest(Serializer[Any]):
    token = CharField()


@extend_schema_serializer(component_name="TotpErrorResponse")
class Refused(serializers.ErrorResponse):
    """A sentence for a person, and a stable code for a program."""


@extend_schema_serializer(component_name="TotpInsufficientResponse")
class Insufficient(Serializer[Any]):
    """A sentence and, of the permissions of django-totp, a code and what they ask for."""

    detail = CharField()
    code = CharField(required=False)
    max_age = IntegerField(
        required=False, help_text="How many seconds old the second factor may be."
    )


@extend_schema_serializer(component_name="TotpWaitResponse")
class Wait(serializers.ErrorResponse):
    """A sentence and a code, and the wait. Without it, waiting does not help."""

    retry_after = IntegerField(required=False, help_text="In seconds, as in Retry-After.")


@extend_schema_serializer(component_name="TotpInvalidResponse")
class Invalid(serializers.ErrorResponse):
    """A sentence and a code, and beside them a list of sentences for each wrong field."""


class InvalidExtension(OpenApiSerializerExtension):
    target_class = Invalid

    def map_serializer(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        schema = super().map_serializer(auto_schema, direction)
        return {**schema, "additionalProperties": {"type": "array", "items": {"type": "string"}}}


def login() -> PolymorphicProxySerializer:
    """Return the answers to a right password, of which exactly one fits.

    ``is_totp_enabled`` cannot be a discriminator: OpenAPI has these for strings only.
    """
    return PolymorphicProxySerializer(
        component_name="JWTCreateResponse",
        serializers=[Challenge, Trusted, Owed, SignedIn],
        resource_type_field_name=None,
    )
