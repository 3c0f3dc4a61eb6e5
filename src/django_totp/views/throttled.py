"""Whom a request counts for, and which requests count for nobody."""

from typing import Any

from django.http import HttpRequest
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from django_totp.addresses import client_address
from django_totp.throttle import (
    Subject,
    TotpAddressThrottle,
    TotpAnonThrottle,
    TotpThrottle,
    TotpUserThrottle,
)


class ThrottledView(APIView):
    """Count the requests that a handler takes, by whom they are about.

    Others (405, OPTIONS, an unknown media type) use up nobody's rate: any page can make a
    browser send them, from the address of whoever looks at it.
    """

    throttle_classes = (TotpUserThrottle, TotpAnonThrottle, TotpAddressThrottle)
    throttle_subject: Subject | None = None
    throttles_asked: tuple[Any, ...] = ()

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        drf_request = super().initialize_request(request, *args, **kwargs)
        address = client_address(BaseThrottle().get_ident(drf_request))
        request.totp_client_address = address  # type: ignore[attr-defined]
        return drf_request

    def name_subject(self, body: dict[str, Any]) -> Subject | None:
        """Return whom a request with ``body``, which is not signed in, is about."""
        return None

    def check_throttles(self, request: Request) -> None:
        """Raise Throttled, or what is wrong with a body that had to be looked at.

        The first throttle that refuses is the last one asked: one user who is held up, and tries
        on, does not use up what is left for the address.
        """
        if not self._has_handler(request):
            return
        unreadable = None
        throttles = [one for one in self.get_throttles() if getattr(one, "rate", "") is not None]
        if throttles and not (request.user and request.user.is_authenticated):
            unreadable = self._look_at_body(request)
        for throttle in throttles:
            if not throttle.allow_request(request, self):
                self.throttled(request, throttle.wait())  # type: ignore[arg-type]
            self.throttles_asked += (throttle,)
        if unreadable is not None:
            raise unreadable

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, UnsupportedMediaType):
            for throttle in self.throttles_asked:
                if isinstance(throttle, TotpThrottle):
                    throttle.give_back()
        return super().handle_exception(exc)

    def _has_handler(self, request: Request) -> bool:
        method = str(request.method).lower()
        return method != "options" and method in self.http_method_names and hasattr(self, method)

    def _look_at_body(self, request: Request) -> Exception | None:
        """Set the subject. Return what is wrong with the body: to be raised once it is counted."""
        try:
            body = request.data
        except UnsupportedMediaType:
            raise
        except Exception as error:
            return error
        if isinstance(body, dict):
            self.throttle_subject = self.name_subject(body)
        return None
