"""What an endpoint says of itself, turned into what drf-spectacular asks for."""

# mypy: allow-untyped-calls
# (drf-spectacular does not annotate what registers an extension.)

from collections.abc import Iterator
from typing import Any

from drf_spectacular.extensions import OpenApiViewExtension
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    OpenApiRequest,
    OpenApiResponse,
    extend_schema,
    extend_schema_view,
)
from rest_framework.exceptions import (
    APIException,
    NotAuthenticated,
    ParseError,
    PermissionDenied,
    Throttled,
    UnsupportedMediaType,
    ValidationError,
)
from rest_framework.serializers import CharField, Serializer
from rest_framework.settings import api_settings
from rest_framework.views import APIView

from django_totp.conf import conf
from django_totp.exceptions import ReauthenticationRequired, TooManyAttempts, TotpError
from django_totp.views.base import ServiceError
from django_totp.views.bodies import NOT_JSON, RequestTooLarge

from .bodies import Invalid, Reauthentication, Refused, Wait

MEANINGS = {
    400: "The request was refused.",
    401: "The credentials are missing or wrong.",
    403: "The request is not allowed.",
    404: "There is no such thing.",
    413: "The body is too large.",
    415: "The body is neither JSON nor a form.",
    429: "There were too many requests, or too many wrong codes.",
    503: "Something that is needed for it fails now.",
}
RETRY_AFTER = OpenApiParameter(
    "Retry-After",
    OpenApiTypes.INT,
    OpenApiParameter.HEADER,
    description="The wait in seconds. Without it, waiting does not help, but a backup code does.",
    response=[429],
)


class BodyRefused(ValidationError):
    """A body that a serializer refuses, because of one field or as a whole."""

    def __init__(self, sentence: Any, code: str = "invalid", field: str = "") -> None:
        super().__init__(sentence, code)
        self.sentence, self.code, self.field = sentence, code, field

    @property
    def body(self) -> dict[str, Any]:
        key = self.field or api_settings.NON_FIELD_ERRORS_KEY
        detail = f"{self.field}: {self.sentence}" if self.field else str(self.sentence)
        return {key: [str(self.sentence)], "detail": detail, "code": self.code}


class Operation(OpenApiViewExtension):
    """What one endpoint takes and answers, and what it refuses, by example.

    A view of the project that derives from ours is described as well, unless it does it itself.
    """

    match_subclasses = True
    method = "post"
    also: "type[Operation] | None" = None  # what the endpoint does by another method
    auth: list[str] | None = None  # the view's own
    operation_id: str
    summary: str
    description: str
    parameters: tuple[OpenApiParameter, ...] = ()
    request: type[Serializer[Any]] | None = None
    example: dict[str, str]
    responses: dict[int, OpenApiResponse]
    refusals: tuple[TotpError | APIException, ...] = ()

    def view_replacement(self) -> type[APIView]:
        described = type(self.target.__name__, (self.target,), {})
        self.describe(described)
        if self.also is not None:
            self.also(self.target_callback).describe(described)
        return described

    def describe(self, described: type[APIView]) -> None:
        """Tell of one method of a view, unless the project does by ``extend_schema``."""
        if hasattr(getattr(self.target, self.method), "kwargs"):
            return
        operation = extend_schema(
            operation_id=self.operation_id,
            summary=self.summary,
            description=self.description,
            tags=[self.operation_id.partition("_")[0]],
            auth=self.auth,
            parameters=[RETRY_AFTER, *self.parameters],
            request=self._request(),
            responses={**self.responses, **self._errors()},
        )
        extend_schema_view(**{self.method: operation})(described)

    def _request(self) -> dict[str, OpenApiRequest] | None:
        """Return the body in JSON, where the project reads it: one of several kinds is what
        generators of clients stumble over.
        """
        if self.request is None:
            return None
        body = OpenApiRequest(self.request, examples=[OpenApiExample("example", self.example)])
        kinds = [parser.media_type for parser in self.target.parser_classes]
        return dict.fromkeys([kind for kind in kinds if "json" in kind][:1] or kinds, body)

    def _errors(self) -> dict[int, OpenApiResponse]:
        examples: dict[int, list[OpenApiExample]] = {}
        for error in map(_as_answered, (*self.refusals, *self._common_refusals())):
            examples.setdefault(error.status_code, []).append(_example(error))
        return {
            status: OpenApiResponse(self._error_body(status), MEANINGS[status], examples[status])
            for status in sorted(examples)
        }

    def _error_body(self, status: int) -> type[Serializer[Any]]:
        if status == 429:
            return Wait
        return Invalid if status == 400 and self.request else Refused

    def _common_refusals(self) -> Iterator[TotpError | APIException]:
        yield Throttled(wait=30)
        if self.method == "post":
            yield RequestTooLarge()
        if self.request is not None:
            sentence = CharField.default_error_messages["invalid"]
            yield BodyRefused(sentence, field=next(iter(self.example)))
            yield ParseError(NOT_JSON)
            yield UnsupportedMediaType("text/plain")


class LoginOperation(Operation):
    """An operation that is open to everybody."""

    auth = []


class SignedInOperation(Operation):
    """An operation of the user whom the project's authentication names."""

    def _common_refusals(self) -> Iterator[TotpError | APIException]:
        yield NotAuthenticated()
        yield PermissionDenied()
        yield from super()._common_refusals()


class ProvenOperation(SignedInOperation):
    """An operation that asks for a fresh proof: which logins, the settings say."""

    request = Reauthentication
    example = {"otp_code": "123456"}

    def _common_refusals(self) -> Iterator[TotpError | APIException]:
        yield ReauthenticationRequired()
        yield TooManyAttempts(30)
        yield from super()._common_refusals()


class RemindedOperation(SignedInOperation):
    """An operation that asks for the password again where the project wants that."""

    without_password: type[Serializer[Any]] | None = None

    def __init__(self, target_callback: Any) -> None:
        super().__init__(target_callback)
        if not conf.TOTP_REAUTHENTICATE:
            self.request = self.without_password

    def _common_refusals(self) -> Iterator[TotpError | APIException]:
        if conf.TOTP_REAUTHENTICATE:
            yield ReauthenticationRequired()
        yield from super()._common_refusals()


def _as_answered(error: TotpError | APIException) -> APIException:
    return ServiceError(error) if isinstance(error, TotpError) else error


def _example(error: APIException) -> OpenApiExample:
    if isinstance(error, BodyRefused):
        return OpenApiExample(error.code, error.body)
    code = str(error.get_codes())
    wait = {"retry_after": error.wait} if hasattr(error, "wait") else {}
    return OpenApiExample(code, {"detail": str(error.detail), "code": code, **wait})
