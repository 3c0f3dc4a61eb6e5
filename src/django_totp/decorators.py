"""A guard for views of the project: who signed in by session must have given a second factor."""

import functools
from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from . import navigation
from .assurance import assurance_of, totp_of
from .exceptions import CONFIRM, CONFIRM_AGAIN, INSUFFICIENT, SET_UP, EnrollmentRequired
from .visits import visit_of


def second_factor_required(view: Any = None, *, max_age: int | None = None) -> Any:
    """Let in whose login gave the second factor, with ``max_age`` less than so many seconds ago.

    Others are led to the login page, to a code, or to setup, and come back. A request that wants
    no HTML gets a 401 or 403 in JSON. For views and async views; raise ImproperlyConfigured
    without the middleware.
    """
    if view is None:
        return functools.partial(second_factor_required, max_age=max_age)
    guarded = _async(view, max_age) if iscoroutinefunction(view) else _sync(view, max_age)
    guarded.second_factor_required = True  # for the checks
    return guarded


def refused(request: Any, max_age: int | None) -> HttpResponse | None:
    """Return what is answered instead of a page that wants a second factor, if it is wanted."""
    visit_of(request)
    if not request.user.is_authenticated:
        return ask_for_login(request)
    login = assurance_of(request)
    if login.has_second_factor and (max_age is None or login.is_recent(max_age)):
        return None
    totp = totp_of(request.user)
    if totp is None or not totp.is_enabled:
        return _ask_for_enrollment(request)
    return _ask_for_code(request, max_age)


def _sync(view: Callable[..., Any], max_age: int | None) -> Any:
    @functools.wraps(view)
    def guarded(request: Any, *args: Any, **kwargs: Any) -> Any:
        return refused(request, max_age) or view(request, *args, **kwargs)

    return guarded


def _async(view: Callable[..., Any], max_age: int | None) -> Any:
    @functools.wraps(view)
    async def guarded(request: Any, *args: Any, **kwargs: Any) -> Any:
        answer = await sync_to_async(refused)(request, max_age)
        return answer or await view(request, *args, **kwargs)

    return guarded


def ask_for_login(request: HttpRequest) -> HttpResponse:
    """Return what is answered to somebody who is not signed in."""
    if navigation.wants_html(request):
        return navigation.to_login(request, navigation.here(request))
    detail = _("Log in first.")
    return navigation.refusal(status=401, detail=detail, code="not_authenticated")


def _ask_for_enrollment(request: HttpRequest) -> HttpResponse:
    if navigation.wants_html(request):
        return navigation.redirect(navigation.SETUP, navigation.here(request))
    return navigation.refusal(status=403, detail=str(SET_UP), code=EnrollmentRequired.code)


def _ask_for_code(request: HttpRequest, max_age: int | None) -> HttpResponse:
    if navigation.wants_html(request):
        return navigation.redirect(navigation.VERIFY, navigation.here(request))
    if max_age is None:
        return navigation.refusal(status=403, detail=str(CONFIRM), code=INSUFFICIENT)
    return navigation.refusal(
        status=403, detail=str(CONFIRM_AGAIN), code=INSUFFICIENT, max_age=max_age
    )
