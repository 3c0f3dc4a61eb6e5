"""What our permissions answer, in the operations of the project's views that have them."""

# mypy: allow-untyped-calls
# (drf-spectacular does not annotate what registers an extension.)

import functools
from contextlib import suppress
from typing import Any

from drf_spectacular.extensions import OpenApiViewExtension
from drf_spectacular.utils import OpenApiExample, OpenApiResponse
from rest_framework.exceptions import NotAuthenticated
from rest_framework.views import APIView

from django_totp.permissions import EnrollmentMissing, HasSecondFactor, Refusal

from .bodies import Insufficient

CHALLENGE = {
    "WWW-Authenticate": {
        "schema": {"type": "string"},
        "description": "What the login lacks, as RFC 9470 tells it.",
    }
}


class Guarded(OpenApiViewExtension):
    """Any view of the project that has one of our permissions.

    It comes after all other extensions: a view with one of its own keeps that alone.
    """

    target_class = "rest_framework.views.APIView"
    match_subclasses = True
    priority = -100

    def view_replacement(self) -> type[APIView]:
        view: type[APIView] = self.target
        if not self._may_ask():
            return view
        described = type(view.__name__, (view,), {"__module__": view.__module__})
        actions = getattr(self.target_callback, "actions", None) or {}
        for name in set(actions.values()) or view.http_method_names:
            if hasattr(view, name):
                setattr(described, name, _guarded(getattr(view, name), view))
        return described

    def _may_ask(self) -> bool:
        """Return whether the view has one of ours, or chooses its permissions as it runs."""
        if self.target.get_permissions is not APIView.get_permissions:
            return True
        options = getattr(self.target_callback, "initkwargs", {})
        classes = options.get("permission_classes", self.target.permission_classes)
        if not isinstance(classes, list | tuple):
            return True
        return any(_ours(permission()) for permission in classes)


class GuardedSchema:
    """The schema of an operation, which adds what our permissions answer."""

    view: Any
    _get_response_for_code: Any

    def get_operation(self, *args: Any, **kwargs: Any) -> Any:
        operation: Any = super().get_operation(*args, **kwargs)  # type: ignore[misc]
        permissions = _permissions_of(self.view)
        is_ours = operation and hasattr(self, "registry")  # the project has not written it out
        if is_ours and permissions:
            operation["responses"] = {**self._answers(permissions), **operation["responses"]}
        return operation

    def _answers(self, permissions: list[HasSecondFactor]) -> dict[str, Any]:
        answers = {
            status: self._get_response_for_code(response, status)
            for status, response in _responses(permissions).items()
        }
        answers["401"].setdefault("headers", {}).update(CHALLENGE)
        return answers


def _guarded(method: Any, view: Any) -> Any:
    """Return ``method`` as a subclass of ``view`` has it, with a GuardedSchema over its own."""

    @functools.wraps(method)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        return method(*args, **kwargs)

    options = getattr(method, "kwargs", {})
    schema = options.get("schema") or view.schema
    schema = schema if isinstance(schema, type) else type(schema)
    over: Any = guarded
    over.kwargs = {**options, "schema": type(schema.__name__, (GuardedSchema, schema), {})}
    return guarded


def _permissions_of(view: Any) -> list[HasSecondFactor]:
    """Return ours of ``view``: none, if it cannot choose them where there is no request."""
    with suppress(Exception):
        return [found for permission in view.get_permissions() for found in _ours(permission)]
    return []


def _ours(permission: Any) -> list[HasSecondFactor]:
    """Return those of ours that ``permission`` is, or is made of by ``&`` and ``|``."""
    parts = [getattr(permission, name) for name in ("op1", "op2") if hasattr(permission, name)]
    if not parts:
        return [permission] if isinstance(permission, HasSecondFactor) else []
    return [found for part in parts for found in _ours(part)]


def _responses(permissions: list[HasSecondFactor]) -> dict[str, OpenApiResponse]:
    refused = {type(one).__name__: _body(one.missing()) for one in permissions}
    nobody = {"detail": str(NotAuthenticated.default_detail)}
    unauthorized = {**refused, "not_authenticated": nobody}
    forbidden = {**refused, "enrollment_required": _body(EnrollmentMissing())}
    return {
        "401": _response("Nobody is signed in, or not well enough.", unauthorized),
        "403": _response("The account, or the login, lacks what is asked for.", forbidden),
    }


def _response(meaning: str, bodies: dict[str, dict[str, Any]]) -> OpenApiResponse:
    examples = [OpenApiExample(name, body) for name, body in bodies.items()]
    return OpenApiResponse(Insufficient, meaning, examples)


def _body(error: Refusal) -> dict[str, Any]:
    """Return the body of ``error``, in types that any writer knows."""
    body = {key: str(value) for key, value in error.detail.items()}
    return body if error.max_age is None else {**body, "max_age": int(error.max_age)}
