"""What comes in and goes out: the project's parsers within our bounds, and its renderers."""

import codecs
import io
import json
from collections.abc import Callable
from typing import Any

from django.core.exceptions import BadRequest, SuspiciousOperation
from django.http import HttpRequest, RawPostDataException, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.utils.translation import gettext_lazy as _
from rest_framework import status
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser, JSONParser
from rest_framework.renderers import JSONRenderer
from rest_framework.settings import api_settings

from django_totp.events import complain

NOT_JSON = _("The request body is not readable JSON.")
NOT_READABLE = _("The request body cannot be read.")
MAX_BODY = 64 * 1024  # bytes; the largest honest body is a password of 4096 characters

# What Django raises over a body, past DRF: it would be answered with a page of HTML.
UNREADABLE = (
    BadRequest,
    MultiPartParserError,
    RawPostDataException,  # a middleware has read it, in a charset that is none of ours
    SuspiciousOperation,
    UnreadablePostError,
)


class RequestTooLarge(APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = _("The request body is too large.")
    default_code = "request_too_large"


class Policy:
    """One of the project's settings in ``REST_FRAMEWORK``, read whenever a view is asked for it."""

    def __init__(self, read: Callable[[], Any]) -> None:
        self.read = read

    def __get__(self, view: Any, owner: Any) -> Any:
        return self.read()


def project_parsers() -> Any:
    return api_settings.DEFAULT_PARSER_CLASSES


def project_renderers() -> Any:
    """Return the project's renderers less those that make pages, such as the browsable API.

    A page would keep what an answer shows once, and its forms ask for what our views lack.
    """
    classes: Any = api_settings.DEFAULT_RENDERER_CLASSES
    return [each for each in classes if each.media_type != "text/html"] or [JSONRenderer]


def _refuse_constant(name: str) -> None:
    """Refuse NaN and Infinity, which Python reads and JSON does not have."""
    raise ValueError(name)


class BoundedParser(BaseParser):
    """A parser of the project within our bounds: it gets a body of bounded size, JSON that is
    JSON in UTF-8 (RFC 8259 section 8.1), and nothing that it raises is a fault of the server.
    """

    decoder = json.JSONDecoder(parse_constant=_refuse_constant)

    def __init__(self, parser: BaseParser) -> None:
        self.parser = parser
        self.media_type = parser.media_type
        self.is_json = isinstance(parser, JSONParser) or "json" in str(parser.media_type)

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        body = _read(stream)
        data = self._decoded(body) if self.is_json else None
        if type(self.parser) is JSONParser:
            return data
        context = {**(parser_context or {}), "encoding": "utf-8"}
        try:
            return self.parser.parse(io.BytesIO(body), media_type, context)
        except (APIException, *UNREADABLE):
            raise
        except Exception as error:
            # Not what it says: it may quote the body.
            complain("%s raised %s over a body.", type(self.parser), type(error).__name__)
            raise ParseError(NOT_READABLE) from None

    def _decoded(self, body: bytes) -> Any:
        try:
            return self.decoder.decode(body.decode())
        except (ValueError, RecursionError):
            raise ParseError(NOT_JSON) from None


def is_utf8(encoding: str | None) -> bool:
    try:
        return encoding is None or codecs.lookup(encoding).name == "utf-8"
    except LookupError:
        return False


def _read(stream: Any) -> bytes:
    """Return the body. A request keeps it, for those who look at it later."""
    body: bytes = stream.body if isinstance(stream, HttpRequest) else stream.read(MAX_BODY + 1)
    if len(body) > MAX_BODY:
        raise RequestTooLarge
    return body
