"""What Django's error reports say of a request to our endpoints."""

import re
from typing import Any

from django.http import HttpRequest, QueryDict
from django.utils.datastructures import MultiValueDict
from django.views.debug import SafeExceptionReporterFilter


class SecretsFilter(SafeExceptionReporterFilter):
    """Error reports of our endpoints name variables and headers, and show none of them.

    Parameters are not even named: JSON that was sent as a form is one name, with all in it.
    """

    # Before 5.2 Django showed the Authorization header.
    hidden_settings = re.compile(
        f"AUTH|{SafeExceptionReporterFilter.hidden_settings.pattern}", re.IGNORECASE
    )
    hidden_meta = re.compile("^HTTP_(?!HOST$|USER_AGENT$|ACCEPT)|QUERY|REDIRECT|URI|URL|COOKIE")

    def is_active(self, request: HttpRequest | None) -> bool:
        return True

    def get_safe_request_meta(self, request: Any) -> Any:
        # The reporter shows the query string and the names of files without asking a filter.
        if isinstance(request, HttpRequest):
            request.GET = QueryDict()
            request._files = MultiValueDict()  # type: ignore[attr-defined]
            request.META["QUERY_STRING"] = ""
        meta = super().get_safe_request_meta(request)
        return {name: self._safe(name, value) for name, value in meta.items()}

    def get_safe_cookies(self, request: Any) -> Any:
        return {}

    def get_post_parameters(self, request: HttpRequest | None) -> Any:
        return MultiValueDict()

    def get_traceback_frame_variables(self, request: Any, tb_frame: Any) -> Any:
        return [(name, self.cleansed_substitute) for name in tb_frame.f_locals]

    def _safe(self, name: str, value: Any) -> Any:
        return self.cleansed_substitute if self.hidden_meta.search(name) else value
