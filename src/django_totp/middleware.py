"""The one middleware that lets no session in before its second factor."""

from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urljoin, urlsplit

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.contrib.auth import REDIRECT_FIELD_NAME, SESSION_KEY
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.signals import user_logged_in
from django.core.exceptions import ImproperlyConfigured
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.functional import SimpleLazyObject

from . import device_cookie, navigation
from .accounts import account_by
from .auth import next_step
from .conf import conf
from .exceptions import EnrollmentRequired, PolicyUnavailable, SecondFactorRequired
from .sessions import HALF, SIGNED_IN, backend_of, first_step, notice_login
from .visits import Visit

FAILED = 500  # the status with which SessionMiddleware stores nothing


class SecondFactorMiddleware:
    """Let nobody be signed in by a session whose login is not worth enough.

    ``request.user`` and ``request.auser()`` stay lazy: who never looks asks no database. What is
    to be done beyond is done on the way out: a half-login that was refused is led to its next
    step, and a login that another view has made is judged before its session is stored.
    """

    sync_capable = async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)
            self.process_view = self.aprocess_view  # type: ignore[method-assign,assignment]

    def __call__(self, request: HttpRequest) -> Any:
        if hasattr(request, "totp_visit"):  # it is there twice
            return self.get_response(request)
        visit = _begin(request)
        if self.is_async:
            return self._acall(visit)
        response = _answer(visit, self.get_response(request))
        device_cookie.send(request, response)
        return response

    async def _acall(self, visit: Visit) -> Any:
        response = await self.get_response(visit.request)
        if not _is_through(visit, response):
            response = await sync_to_async(_answer)(visit, response)
        device_cookie.send(visit.request, response)
        return response

    def process_view(self, request: Any, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        """Settle a login that a middleware has made, and let the login of an admin ask."""
        site = navigation.admin_site_of(view)
        if site is not None:
            _let_ask(site)
        if navigation.is_logout(request):
            _end_half(request.totp_visit)
        if SIGNED_IN not in vars(request):
            return None
        visit = request.totp_visit
        answer = _settled(visit, navigation.here(request)) if visit.settle() else None
        return None if navigation.is_second_step(view) else answer

    async def aprocess_view(
        self, request: Any, view: Any, args: Any, kwargs: Any
    ) -> HttpResponse | None:
        is_admins = navigation.admin_site_of(view) is not None
        if SIGNED_IN not in vars(request) and not is_admins and not navigation.is_logout(request):
            return None
        decide = partial(SecondFactorMiddleware.process_view, self)
        return await sync_to_async(decide)(request, view, args, kwargs)

    def process_exception(self, request: Any, exception: Exception) -> HttpResponse | None:
        """Take the second step for the login of an admin, whose form has stopped it."""
        if isinstance(exception, PolicyUnavailable):
            return _unavailable(request)
        return _take_step(request, exception.user) if isinstance(exception, PasswordGiven) else None


class PasswordGiven(Exception):
    """The login form of an admin is right, and a second factor is still to come."""

    def __init__(self, user: AbstractBaseUser) -> None:
        super().__init__()
        self.user = user


class AskingForm:
    """What the login form of an admin becomes: who needs a second factor is not signed in yet."""

    is_checked = False  # the form may ask for its user before, to refuse him

    def full_clean(self) -> None:
        super().full_clean()  # type: ignore[misc]
        self.is_checked = True

    def get_user(self) -> Any:
        """Return the user who may be signed in. Raise PasswordGiven or PolicyUnavailable."""
        user: Any = super().get_user()  # type: ignore[misc]
        if user is None or not self.is_checked or backend_of(user) in conf.TOTP_EXEMPT_BACKENDS:
            return user
        if next_step(user).challenge:
            raise PasswordGiven(user)
        return user


@receiver(user_logged_in, dispatch_uid="django_totp.middleware")
def notice(sender: Any, request: Any = None, user: Any = None, **kwargs: Any) -> None:
    """Note a login. Outside of a request, as in Channels, the next look at the session judges."""
    request = getattr(request, "_request", request)
    if user is not None and getattr(request, "session", None) is not None:
        notice_login(request, user)


def _begin(request: Any) -> Visit:
    if not hasattr(request, "user"):
        raise ImproperlyConfigured(
            "SecondFactorMiddleware needs sessions and users. Put it into MIDDLEWARE after "
            "'django.contrib.auth.middleware.AuthenticationMiddleware'."
        )
    device_cookie.hide(request)
    navigation.hide_token(request)
    visit = request.totp_visit = Visit(request)
    before = request.user
    request.user = SimpleLazyObject(lambda: _user(visit, before))

    async def auser() -> Any:
        if _is_nobody(visit, before):
            visit.session.accessed = True  # what is answered varies on the cookie
            return AnonymousUser()
        return await sync_to_async(_user)(visit, before)

    request.auser = auser
    return visit


def _user(visit: Visit, before: Any) -> Any:
    """Return who is signed in: by the session, or by a middleware in front.

    That may know users of its own, by a token, say. It may also have taken one from the session:
    whoever is refused there, now or a moment before, is nobody.
    """
    is_by_session = "user" in vars(visit) or SESSION_KEY in visit.session
    is_refused = is_by_session and not visit.user.is_authenticated
    return visit.user if is_refused or _is_djangos(before) else before


def _is_djangos(before: Any) -> bool:
    """Return whether it is what Django's middleware has put there, which looks at the session."""
    if not isinstance(before, SimpleLazyObject):
        return False
    find = vars(before).get("_setupfunc")
    return getattr(find, "__module__", "") == "django.contrib.auth.middleware"


def _is_nobody(visit: Visit, before: Any) -> bool:
    """Return whether there is no session that could name anybody: that needs no thread."""
    return _is_djangos(before) and visit.session.session_key is None


def _let_ask(site: Any) -> None:
    """Make the login form of an admin site one that asks, whatever form it is."""
    from django.contrib.admin.forms import AdminAuthenticationForm

    form = site.login_form or AdminAuthenticationForm
    if not issubclass(form, AskingForm):
        site.login_form = type(form)(form.__name__, (AskingForm, form), {})  # type: ignore[misc]


def _end_half(visit: Visit) -> None:
    """End a half-login where it asks to be logged out."""
    if not visit.request.user.is_authenticated and visit.half is not None:
        visit.session.flush()
        visit.half = None


def _is_through(visit: Visit, response: Any) -> bool:
    """Return whether there is nothing to do on the way out.

    Of a request that has failed, Django stores no session.
    """
    is_new = SIGNED_IN in vars(visit.request) or visit.names_unjudged
    return response.status_code == FAILED or not (is_new or visit.is_undecided or visit.half)


def _answer(visit: Visit, response: Any) -> Any:
    """Return ``response``, or where its half-login is led instead."""
    if _is_through(visit, response):
        return response
    request = visit.request
    was_settled = visit.is_settled and not visit.is_answered
    if visit.settle() or was_settled:
        # Whoever was refused by the view was logged in before it, and comes back to it.
        asked_for = navigation.here(request) if was_settled else ""
        return _settled(visit, _led_to_by(request, response) or asked_for, response) or response
    if visit.is_undecided:
        is_refused = navigation.is_refused(request, response)
        return _unavailable(request, response) if is_refused else response
    if visit.is_answered or HALF not in visit.session or not _is_led(visit, response):
        return response
    if navigation.has_credential(request):
        return response
    login = navigation.login_asked_by(request, response)
    next_url = (login and navigation.next_in(login)) or navigation.here(request)
    return _lead(visit, next_url, response)


def _is_led(visit: Visit, response: Any) -> bool:
    """Return whether ``response`` refuses, or is the first page of a session that lacks a step."""
    request = visit.request
    is_page = request.method in navigation.SAFE and navigation.takes_page(request, response)
    if visit.is_new and is_page:
        return not navigation.is_login(request.path)
    return navigation.is_refused(request, response)


def _settled(visit: Visit, next_url: str, response: Any = None) -> HttpResponse | None:
    """Return what stands for ``response`` to a login of another view, unless that is good."""
    if visit.is_undecided:
        return _unavailable(visit.request, response)
    return _lead(visit, next_url, response) if visit.half is not None else None


def _led_to_by(request: HttpRequest, response: Any) -> str:
    """Return where the view that has signed in leads: there it goes on after the code."""
    url = urljoin(request.path, response.get("Location", ""))
    if not response.has_header("Location"):
        return request.get_full_path() if request.method in navigation.SAFE else ""
    is_page = navigation.is_local(request, url) and not navigation.is_login(urlsplit(url).path)
    return url if is_page else ""


def _lead(visit: Visit, next_url: str, response: Any = None) -> HttpResponse:
    """Lead a half-login to its next step, or tell a program that there is one.

    It stands for ``response``, if there is one.
    """
    is_enrollment = visit.half is not None and visit.half.is_enrollment
    visit.is_answered = True
    if navigation.takes_page(visit.request, response):
        return navigation.to_step(is_enrollment, next_url)
    error = EnrollmentRequired() if is_enrollment else SecondFactorRequired()
    return navigation.refusal(error, status=401)


def _take_step(request: Any, user: AbstractBaseUser) -> HttpResponse:
    """Begin the half-login of ``user``, whose password was right, and lead on.

    The row is read again: a transaction around the form may have taken back what was in memory,
    a new hash of the password, and a challenge must be made upon what is stored.
    """
    data = request.POST if REDIRECT_FIELD_NAME in request.POST else request.GET
    next_url = data.get(REDIRECT_FIELD_NAME, "")
    row: Any = account_by("pk", user.pk) or user
    row.backend = backend_of(user)
    visit: Visit = request.totp_visit
    visit.half, _ = first_step(request, row, at=visit.at, login_url=request.path)
    if visit.half is None:  # not any more
        is_local = navigation.is_local(request, next_url)
        return HttpResponseRedirect(next_url if is_local else request.path)
    return _lead(visit, next_url)


def _unavailable(request: HttpRequest, response: Any = None) -> HttpResponse:
    """Tell that nobody can be let in now, because nobody can tell who needs a second factor."""
    error = PolicyUnavailable()
    if not navigation.takes_page(request, response):
        return navigation.refusal(error, status=503)
    return HttpResponse(str(error), status=503, content_type="text/plain; charset=utf-8")
