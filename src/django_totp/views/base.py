"""What all endpoints share: parsing, throttles, errors, and what must not be kept or shown."""

import functools
import io
import json
import re
from typing import Any

from django.core.exceptions import BadRequest, SuspiciousOperation
from django.db import connections, transaction
from django.http import HttpRequest
from django.http.multipartparser import MultiPartParserError
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext_lazy as _
from django.views.debug import SafeExceptionReporterFilter
from rest_framework import status
from rest_framework.exceptions import APIException, ErrorDetail, ParseError
from rest_framework.parsers import FormParser, JSONParser, MultiPartParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings

from django_totp.exceptions import ReauthenticationRequired, TooManyAttempts, TotpError

from .throttled import ThrottledView

NOT_JSON = _("The request body is not readable JSON.")
MAX_BODY = 64 * 1024  # bytes; the largest honest body is a password of 4096 characters

STATUSES = {
    ReauthenticationRequired: status.HTTP_403_FORBIDDEN,
    TooManyAttempts: status.HTTP_429_TOO_MANY_REQUESTS,
}

# What Django raises over a body, past DRF: it would be answered with a page of HTML.
UNREADABLE = (BadRequest, MultiPartParserError, SuspiciousOperation)


class ServiceError(APIException):
    """A TotpError as DRF knows errors, so that a project's own exception handler sees one."""

    def __init__(self, error: TotpError) -> None:
        super().__init__(str(error), error.code)
        self.status_code = STATUSES.get(type(error), status.HTTP_400_BAD_REQUEST)
        if isinstance(error, TooManyAttempts) and error.retry_after is not None:
            self.wait = error.retry_after  # DRF makes the Retry-After header of it


class RequestTooLarge(APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = _("The request body is too large.")
    default_code = "request_too_large"


def _refuse_constant(name: str) -> None:
    """Refuse NaN and Infinity, which Python reads and JSON does not have."""
    raise ValueError(name)


class SmallJSONParser(JSONParser):
    """JSON in UTF-8 (RFC 8259 section 8.1), of bounded size; nested too deeply, it is a 400."""

    decoder = json.JSONDecoder(parse_constant=_refuse_constant)

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        try:
            return self.decoder.decode(_read(stream).decode())
        except (ValueError, RecursionError):
            raise ParseError(NOT_JSON) from None


class SmallFormParser(FormParser):
    """An HTML form of bounded size."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        return super().parse(io.BytesIO(_read(stream)), media_type, parser_context)


class SecretsFilter(SafeExceptionReporterFilter):
    """Error reports of our endpoints name variables and parameters, and show none of them."""

    # Before 5.2 Django showed the Authorization header.
    hidden_settings = re.compile(
        f"AUTH|{SafeExceptionReporterFilter.hidden_settings.pattern}", re.IGNORECASE
    )

    def is_active(self, request: HttpRequest | None) -> bool:
        return True

    def get_post_parameters(self, request: HttpRequest | None) -> Any:
        if request is None:
            return {}
        return MultiValueDict({name: [self.cleansed_substitute] for name in request.POST})

    def get_traceback_frame_variables(self, request: Any, tb_frame: Any) -> Any:
        return [(name, self.cleansed_substitute) for name in tb_frame.f_locals]


class TotpView(ThrottledView):
    """The base of our endpoints. Handlers raise TotpError; this turns it into an answer.

    No transaction is opened around them (``ATOMIC_REQUESTS``): an answer of 400 would roll back
    the count of the very guess that it refuses. One that is open anyhow, around the request, is
    somebody else's to roll back: that of a test case, say.
    """

    asks_second_factor = True  # for the side-door audit
    parser_classes = (SmallJSONParser, SmallFormParser, MultiPartParser)
    renderer_classes = (JSONRenderer,)
    versioning_class = None

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        view = super().as_view(**initkwargs)
        for alias in connections:
            view = transaction.non_atomic_requests(using=alias)(view)
        return view

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        if (request.encoding or "utf-8").lower() != "utf-8":
            request.encoding = "utf-8"  # a client may name any of Python's codecs
        request.exception_reporter_filter = SecretsFilter()
        return super().initialize_request(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        length = request.META.get("CONTENT_LENGTH") or ""
        if length.isdecimal() and (len(length) > 9 or int(length) > MAX_BODY):
            raise RequestTooLarge
        super().initial(request, *args, **kwargs)

    def read(self, serializer_class: Any) -> dict[str, Any]:
        """Return the checked body of the request. Raise ValidationError."""
        data: dict[str, Any] = _shared(serializer_class).run_validation(self.request.data)
        return data

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, TotpError):
            exc = ServiceError(exc)
        elif isinstance(exc, UNREADABLE):
            exc = ParseError(_("The request body cannot be read."))
        around = [
            one for one in connections.all() if one.in_atomic_block and not one.needs_rollback
        ]
        response = super().handle_exception(exc)
        for connection in around:
            connection.set_rollback(False)  # DRF takes it for that of ATOMIC_REQUESTS
        if isinstance(response, Response):  # a handler of the project may make another kind
            response.data = _with_detail_and_code(response.data)
        return response

    def finalize_response(
        self, request: Request, response: Response, *args: Any, **kwargs: Any
    ) -> Response:
        response = super().finalize_response(request, response, *args, **kwargs)
        response["Cache-Control"] = "no-store"
        return response


@functools.cache
def _shared(serializer_class: Any) -> Any:
    """Return one serializer for all requests: it keeps nothing of what it validates.

    One for each request would copy the fields each time, which takes longer than to use them.
    """
    return serializer_class(error_messages={"null": _("No data provided")})


def _read(stream: Any) -> bytes:
    body: bytes = stream.read(MAX_BODY + 1)
    if len(body) > MAX_BODY:
        raise RequestTooLarge
    return body


def _with_detail_and_code(body: Any) -> Any:
    """Return an error body with ``detail`` and ``code``, beside what the handler put into it."""
    if isinstance(body, list):
        body = {api_settings.NON_FIELD_ERRORS_KEY: body}
    if not isinstance(body, dict):
        return body
    first = _first_error(body)
    if _is_missing(body, "detail"):
        body["detail"] = first
    if _is_missing(body, "code"):
        body["code"] = getattr(body["detail"], "code", None) or "invalid"
    return body


def _is_missing(body: dict[str, Any], key: str) -> bool:
    """Return whether ``key`` is not there, or is the name of a field, or of errors of the body."""
    return isinstance(body.get(key, []), list)


def _first_error(body: dict[str, Any]) -> Any:
    """Return the first of DRF's field-keyed errors as a sentence that names its field."""
    for field, errors in body.items():
        while isinstance(errors, list | dict) and errors:
            errors = next(iter(errors.values())) if isinstance(errors, dict) else errors[0]
        if field == api_settings.NON_FIELD_ERRORS_KEY:
            return errors
        return ErrorDetail(f"{field}: {errors}", code="invalid")
    return ""
