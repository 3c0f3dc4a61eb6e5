"""Who is signed in by a session, in one request: found out at the first look, and judged.

The one judge is ``assurance``. Whatever opened a session stated a second factor by ``record``, or
gave none. An outdated session is nobody's; one that lacks the second factor becomes a half-login.
"""

import time
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.contrib import auth
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, load_backend
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.hashers import check_password
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare
from django.utils.functional import cached_property
from django.views.decorators.debug import sensitive_variables

from . import assurance, challenges, device_cookie, events
from .accounts import account_by, join
from .assurance import Standing, keep_in_session, new_login
from .exceptions import PolicyUnavailable
from .sessions import (
    HALF,
    SIGNED_IN,
    HalfLogin,
    begin,
    end,
    half_login,
    held_by,
    is_exempt,
    key_of,
)
from .users import NOBODY, session_hashes

PURPOSES = {
    Standing.SECOND_FACTOR: challenges.VERIFY,
    Standing.ENROLLMENT: challenges.ENROLL,
}


class Visit:
    """Who is signed in in one request: found out at the first look, and once.

    ``half`` is the half-login that the session holds, ``is_new`` if it became one just now;
    ``over`` one whose time is over. ``is_settled`` says that another view or middleware has
    logged in, and that this has been judged. ``is_undecided`` says that nobody can tell now who
    must have a second factor. ``is_answered`` is set by who leads to the next step without help.
    ``judged`` is the key of the user whom the session may name.
    """

    half: HalfLogin | None = None
    over: HalfLogin | None = None
    judged: str | None = None
    is_new = is_settled = is_undecided = is_answered = False

    def __init__(self, request: HttpRequest) -> None:
        self.request: Any = request
        self.at = time.time()  # seconds since the epoch

    @property
    def session(self) -> Any:
        """Return the session, which a view may have put another one in the place of."""
        return self.request.session

    @cached_property
    def user(self) -> Any:
        """Return who is signed in, or an AnonymousUser."""
        if SIGNED_IN in vars(self.request):  # by a middleware: that is no session from before
            self.settle()
        user = vars(self).get("user") or self._look()
        self.request._cached_user = user  # where Django keeps what it has found
        return user

    @property
    def names_unjudged(self) -> bool:
        """Return whether the session, which has changed, names somebody whom nobody has judged.

        So a login is seen whose signal did not arrive.
        """
        session = self.session
        if self.is_undecided or not session.modified:
            return False
        return session.get(SESSION_KEY) not in (None, self.judged)

    def _look(self) -> Any:
        user = signed_in(self.request)
        if user is None:
            self._look_for_half()
            return AnonymousUser()
        try:
            worth = worth_of(self.session, user)
        except PolicyUnavailable:
            self.is_undecided = True
            return AnonymousUser()
        return self._accept(user) if worth is Standing.GOOD else self._refuse(user, worth)

    def _accept(self, user: AbstractBaseUser) -> AbstractBaseUser:
        self.judged = key_of(user)
        return user

    @sensitive_variables("challenge")
    def _refuse(self, user: AbstractBaseUser, worth: Standing) -> AnonymousUser:
        if worth is Standing.OUTDATED:
            self.session.flush()
        else:
            purpose = PURPOSES[worth]
            self.is_new = True
            challenge = challenges.make(user, purpose)
            methods = assurance.in_session(self.session, user).methods
            self.half = begin(self.request, user, challenge, purpose, methods=methods, is_told=True)
        return AnonymousUser()

    def _look_for_half(self) -> None:
        self.half, held = half_login(self.session), held_by(self.session)
        if held is not None and self.half is None:
            self.over = held
            end(self.session)

    def settle(self) -> bool:
        """Judge a login that another view or middleware has made in this request.

        Return whether there was one. A code is asked for as if nothing but the first factor were
        known of it, unless it states more. The row is read again: what the login has changed of it
        may have been rolled back.
        """
        told = vars(self.request).pop(SIGNED_IN, None)
        name = self.session.get(SESSION_KEY)
        is_told = told is not None and key_of(told) == name
        if name is None or not (is_told or self.names_unjudged):
            return False  # signed out again, or a login of another kind
        if not is_told and "user" not in vars(self):
            return not self.user.is_authenticated  # nobody has looked yet: it may be from before
        user: Any = told if is_told else auth.get_user(self.request)
        if user.is_authenticated:  # else Django has taken the session from nobody
            self._settle(_named_in(self.session) or _joined(user))
        return True

    def _settle(self, user: Any) -> None:
        self.half, self.is_settled = None, True
        self.session.pop(HALF, None)
        self.user = self.request.user = user
        try:
            self._judge_new(user)
        except PolicyUnavailable:
            self.session.flush()
            self.user = self.request.user = AnonymousUser()
            self.is_undecided = True

    def _judge_new(self, user: AbstractBaseUser) -> None:
        if not vars(self.request).get(assurance.STATED):
            self.session.pop(assurance.SESSION_KEY, None)  # that of a login before this one
        elif worth_of(self.session, user) is Standing.GOOD:
            self._accept(user)
            return
        login = new_login(user)
        worth = Standing.GOOD if is_exempt(self.session) else assurance.standing(user, login)
        if worth is Standing.GOOD:
            self._accept(user)
            keep_in_session(self.request, replace(login, stated=False))
        elif worth is not Standing.SECOND_FACTOR or not self._is_by_device(user):
            self.user = self._refuse(user, worth)

    def _is_by_device(self, user: AbstractBaseUser) -> bool:
        """Return whether a trusted device has stood in for the code that the login lacks."""
        if not device_cookie.has_of(self.request, user) or not self._gave_password(user):
            return False
        trusted = device_cookie.recognize(self.request, user)
        if trusted is None:
            return False
        self._accept(user)
        keep_in_session(self.request, trusted.login(user, "pwd"))
        events.logged_in(user, self.request, method="trusted_device")
        return True

    @sensitive_variables("password")
    def _gave_password(self, user: AbstractBaseUser) -> bool:
        """Return whether the form that has logged in had the password of ``user`` in it.

        A view of others does not tell how it has logged in: a link from a mail is no password.
        """
        try:
            password = self.request.POST.get("password", "")
        except Exception:
            return False  # the view has read the body in a way of its own
        stored: str = getattr(user, "password", "")  # a model may have none
        return bool(password and stored) and check_password(password, stored)


def visit_of(request: Any) -> Visit:
    """Return what the middleware has begun. Raise ImproperlyConfigured if it is not there."""
    visit: Visit | None = getattr(getattr(request, "_request", request), "totp_visit", None)
    if visit is None:
        raise ImproperlyConfigured(
            "This needs django_totp's middleware. Add "
            "'django_totp.middleware.SecondFactorMiddleware' to MIDDLEWARE, after "
            "'django.contrib.auth.middleware.AuthenticationMiddleware'."
        )
    return visit


def signed_in(request: Any) -> AbstractBaseUser | None:
    """Return the user whom the session names, with all that judges a login, or ``None``.

    It is whom ``django.contrib.auth.get_user`` returns. Where the backend finds its users as
    Django's does, they come with ours in one query; any other is asked as Django asks it.
    """
    path = request.session.get(BACKEND_SESSION_KEY)
    if SESSION_KEY not in request.session or path not in settings.AUTHENTICATION_BACKENDS:
        return None
    backend: Any = load_backend(path)
    if getattr(type(backend), "get_user", None) is not ModelBackend.get_user:
        user = auth.get_user(request)
        return _joined(user) if user.is_authenticated else None
    found = _named_in(request.session)
    if found is None or not backend.user_can_authenticate(found):
        return None
    return found if _verifies(request.session, found) else None


def worth_of(session: Any, user: AbstractBaseUser) -> Standing:
    """Return what ``session`` is worth to the account of ``user``, whom it names.

    Raise PolicyUnavailable.
    """
    login = assurance.in_session(session, user)
    if not is_exempt(session):
        return assurance.standing(user, replace(login, stated=True))
    return Standing.OUTDATED if assurance.is_outdated(user, login) else Standing.GOOD


def _named_in(session: Any) -> AbstractBaseUser | None:
    try:
        key = auth.get_user_model()._meta.pk.to_python(session[SESSION_KEY])
        return account_by("pk", key)
    except NOBODY:
        return None


def _verifies(session: Any, user: AbstractBaseUser) -> bool:
    """Return whether ``session`` is bound to the present password, and renew an older binding."""
    if not hasattr(user, "get_session_auth_hash"):
        return True
    bound = session.get(HASH_SESSION_KEY) or ""
    hashes = list(session_hashes(user))
    places = [place for place, one in enumerate(hashes) if constant_time_compare(bound, one)]
    if not bound or not places:
        session.flush()
        return False
    if places[0]:
        session.cycle_key()
        session[HASH_SESSION_KEY] = hashes[0]
    return True


def _joined(user: AbstractBaseUser) -> AbstractBaseUser:
    join(user)
    return user
