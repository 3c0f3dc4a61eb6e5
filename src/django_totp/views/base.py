"""What all endpoints share: parsing, throttles, errors, and what must not be kept or shown."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import connections, transaction
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.utils.translation import gettext_lazy as _
from rest_framework import exceptions, status
from rest_framework.exceptions import APIException, AuthenticationFailed, ErrorDetail, ParseError
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.views import exception_handler

from django_totp.events import complain, complain_of_search
from django_totp.exceptions import (
    EnrollmentRequired,
    LoginOutdated,
    MailUnavailable,
    PolicyUnavailable,
    ReauthenticationRequired,
    RecoveryOff,
    RecoveryUnavailable,
    SecondFactorRequired,
    TooManyAttempts,
    TotpError,
    TotpRequired,
)
from django_totp.users import NOBODY

from .bodies import (
    MAX_BODY,
    NOT_READABLE,
    UNREADABLE,
    BoundedParser,
    Policy,
    RequestTooLarge,
    is_utf8,
    project_parsers,
    project_renderers,
)
from .reports import SecretsFilter
from .throttled import ThrottledView

STATUSES = {
    LoginOutdated: status.HTTP_401_UNAUTHORIZED,
    SecondFactorRequired: status.HTTP_401_UNAUTHORIZED,
    EnrollmentRequired: status.HTTP_401_UNAUTHORIZED,
    ReauthenticationRequired: status.HTTP_403_FORBIDDEN,
    TotpRequired: status.HTTP_403_FORBIDDEN,
    RecoveryUnavailable: status.HTTP_403_FORBIDDEN,
    RecoveryOff: status.HTTP_404_NOT_FOUND,
    MailUnavailable: status.HTTP_503_SERVICE_UNAVAILABLE,
    PolicyUnavailable: status.HTTP_503_SERVICE_UNAVAILABLE,
    TooManyAttempts: status.HTTP_429_TOO_MANY_REQUESTS,
}


class ServiceError(APIException):
    """A TotpError as DRF knows errors, so that a project's own exception handler sees one."""

    def __init__(self, error: TotpError) -> None:
        super().__init__(str(error), error.code)
        self.auth_header: str | None = None
        self.status_code = STATUSES.get(type(error), status.HTTP_400_BAD_REQUEST)
        if isinstance(error, TooManyAttempts) and error.retry_after is not None:
            self.wait = error.retry_after  # DRF makes the Retry-After header of it


def shows(
    status: int, answer: Any = None, *, request: Any = None
) -> Callable[[Callable[..., Response]], Any]:
    """Tell drf-yasg, as its decorator does, what a handler takes and answers."""

    def mark(handler: Any) -> Any:
        told = {"responses": {status: answer or ""}}
        handler._swagger_auto_schema = told | ({"request_body": request} if request else {})
        return handler

    return mark


class TotpView(ThrottledView):
    """The base of our endpoints. Handlers raise TotpError; this turns it into an answer.

    No transaction is opened around them (``ATOMIC_REQUESTS``): an answer of 400 would roll back
    the count of the very guess that it refuses. One that is open anyhow, around the request, is
    somebody else's to roll back: that of a test case, say.
    """

    asks_second_factor = True  # for the side-door audit
    parser_classes: Any = Policy(project_parsers)
    renderer_classes: Any = Policy(project_renderers)
    versioning_class = None

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        view = super().as_view(**initkwargs)
        for alias in connections:
            view = transaction.non_atomic_requests(using=alias)(view)
        return view

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        if not is_utf8(request.encoding):
            request.encoding = "utf-8"  # a client may name any of Python's codecs
        request.exception_reporter_filter = SecretsFilter()
        return super().initialize_request(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        length = request.META.get("CONTENT_LENGTH") or ""
        if length.isdecimal() and (len(length) > 9 or int(length) > MAX_BODY):
            raise RequestTooLarge
        visit = getattr(request._request, "totp_visit", None)
        if visit is not None and not self.authentication_classes:
            visit.is_answered = True  # no session has any part in what is answered here
        super().initial(request, *args, **kwargs)

    def get_parsers(self) -> list[BaseParser]:
        return [BoundedParser(parser) for parser in super().get_parsers()]

    def get_exception_handler(self) -> Any:
        return functools.partial(_handled, super().get_exception_handler())

    def perform_authentication(self, request: Request) -> None:
        """Authenticate. A token that names nobody is a 401, whatever the search has raised."""
        try:
            self.authenticate(request)
        except NOBODY as error:
            complain_of_search(error)
            request._not_authenticated()  # type: ignore[attr-defined]  # who asks again is told
            raise AuthenticationFailed from error

    def authenticate(self, request: Request) -> None:
        super().perform_authentication(request)

    def read(self, serializer_class: Any) -> dict[str, Any]:
        """Return the checked body of the request. Raise ValidationError."""
        data: dict[str, Any] = _shared(serializer_class).run_validation(self.request.data)
        return data

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, TotpError):
            exc = ServiceError(exc)
            if exc.status_code == status.HTTP_401_UNAUTHORIZED:
                exc.auth_header = self.get_authenticate_header(self.request)
        elif isinstance(exc, UNREADABLE):
            exc = ParseError(NOT_READABLE)
        truth = Truth(exc)  # before the handler comes, which may change the exception
        around = [
            one for one in connections.all() if one.in_atomic_block and not one.needs_rollback
        ]
        response = super().handle_exception(exc)
        for connection in around:
            connection.set_rollback(False)  # DRF takes it for that of ATOMIC_REQUESTS
        truth.tell(response)
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


def _handled(handler: Any, exc: Exception, context: Any) -> Any:
    """Return the answer of the project's ``handler`` or, if it fails, of REST framework's own.

    ``None`` is no failure: it leaves the exception to Django.
    """
    try:
        response = handler(exc, context)
        if response is None or isinstance(response, HttpResponseBase):
            return response
        complain("The EXCEPTION_HANDLER returned %s, which is no response.", type(response))
    except Exception as failure:
        if failure is not exc:
            complain(
                "The EXCEPTION_HANDLER failed: the error is answered without it.", exc_info=True
            )
    return exception_handler(exc, context)


class Truth:
    """What the answer to an exception has to say, whatever a handler of the project makes of it.

    It is taken from the exception before the handler comes, which may change that.
    """

    def __init__(self, exc: Exception) -> None:
        error = _as_of_rest_framework(exc)
        self.errors: Any = {**error.detail} if isinstance(error.detail, dict) else error.detail
        self.facts = _detail_and_code(error)
        self.wait = int(getattr(error, "wait", None) or 0)
        if self.wait:
            self.facts["retry_after"] = self.wait
        self.is_expected = error.status_code < status.HTTP_500_INTERNAL_SERVER_ERROR

    def tell(self, response: Response) -> None:
        """Put into the body, if that is a mapping, what the handler has left out of it."""
        if not self.is_expected and response.status_code < status.HTTP_500_INTERNAL_SERVER_ERROR:
            return  # the handler knows more of this exception than we do
        if self.wait:
            response.setdefault("Retry-After", str(self.wait))
        if isinstance(response, Response):  # a handler of the project may make another kind
            response.data = self._completed(response.data)

    def _completed(self, body: Any) -> Any:
        if isinstance(body, list) and body == self.errors:  # REST framework's own shape
            body = self.errors = {api_settings.NON_FIELD_ERRORS_KEY: body}
        if not isinstance(body, Mapping):
            return body
        missing = [key for key in self.facts if key not in body or self._is_of_field(body, key)]
        return {**body, **{key: self.facts[key] for key in missing}}

    def _is_of_field(self, body: Mapping[str, Any], key: str) -> bool:
        """Return whether ``key`` is the name of a field, or that of errors of the whole body."""
        errors = self.errors.get(key) if isinstance(self.errors, dict) else None
        return isinstance(errors, list) and body[key] == errors


def _as_of_rest_framework(exc: Exception) -> APIException:
    if isinstance(exc, APIException):
        return exc
    if isinstance(exc, Http404):
        return exceptions.NotFound(*exc.args)
    if isinstance(exc, PermissionDenied):
        return exceptions.PermissionDenied(*exc.args)
    return APIException()  # which says nothing of what happened


def _detail_and_code(error: APIException) -> dict[str, Any]:
    told: Any = error.detail
    if isinstance(told, dict) and isinstance(told.get("detail"), str):  # simplejwt's errors
        first = told["detail"]
        return {"detail": first, "code": str(told.get("code") or getattr(first, "code", "invalid"))}
    first = _first_error(told)
    return {"detail": first, "code": getattr(first, "code", None) or "invalid"}


def _first_error(told: Any, field: str = "") -> Any:
    """Return the first of DRF's errors, as a sentence that names its field if there is one."""
    if isinstance(told, dict) and told and not field:
        name, errors = next(iter(told.items()))
        return _first_error(errors, name)
    while isinstance(told, list | dict):
        told = next(iter(told.values() if isinstance(told, dict) else told), "")
    if field in ("", api_settings.NON_FIELD_ERRORS_KEY):
        return told
    return ErrorDetail(f"{field}: {told}", code="invalid")
