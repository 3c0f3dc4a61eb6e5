"""What a session holds of a login, in the middle of it and at its end.

A half-login is a challenge in a session that names no user. So whatever reads that session, here
or in another package, sees nobody, and no list of exempt paths exists to be forgotten. Its
challenge is that of ``challenges``: a new password, a new enrollment and its own success end it,
and so does its age. Who completes it is signed in as Django signs in, under a new session key.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import auth
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, load_backend
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.middleware.csrf import rotate_token
from django.views.decorators.debug import sensitive_variables

from . import assurance, challenges, device_cookie, events, recovery
from .assurance import Assurance, keep_in_session, new_login
from .auth import next_step
from .conf import conf
from .exceptions import PolicyUnavailable
from .users import is_active, session_hashes

HALF = "_django_totp_half"
ASK = "by mail"  # of a half-login whose user may ask for one
SIGNED_IN = "totp_signed_in"  # attribute of a request in which another view has signed in
KEYS = (SESSION_KEY, BACKEND_SESSION_KEY, HASH_SESSION_KEY)


@dataclass(frozen=True)
class HalfLogin:
    """What a session holds between the steps of a login.

    ``methods`` are those that were given, as far as they are known, to the ``backend`` that
    authenticated the user. ``login_url`` is the page to begin anew at.
    ``user`` is the user's key. ``is_told`` says that ``user_logged_in`` was sent before, and
    ``is_owned`` that the session has been the user's before, and so may hold what nobody else
    shall see. ``recovery`` is what the user may hope for without a code: to ask for a mail, or from
    when on to set up a new app (ISO 8601). ``by_password`` says that the password was given.
    """

    challenge: str = field(repr=False)
    purpose: str
    user: str
    backend: str
    methods: Sequence[str] = ()
    login_url: str = ""
    is_told: bool = False
    is_owned: bool = False
    recovery: str = ""
    by_password: bool = False

    @property
    def owner(self) -> str:
        """Return the user's key, if the session has been the user's before."""
        return self.user if self.is_owned else ""

    @property
    def is_enrollment(self) -> bool:
        """Return whether the challenge is to enroll, and not to verify."""
        return self.purpose == challenges.ENROLL

    @property
    def is_recovery(self) -> bool:
        """Return whether it is to enroll anew, in the place of an enrollment that there is."""
        return self.is_enrollment and bool(self.recovery)

    @property
    def may_sign_in(self) -> Callable[[AbstractBaseUser], bool]:
        """Return what the backend says of who may sign in."""
        if self.backend not in settings.AUTHENTICATION_BACKENDS:
            return lambda user: False  # it is gone since, and its sessions with it
        rule: Any = getattr(load_backend(self.backend), "user_can_authenticate", is_active)
        return rule  # type: ignore[no-any-return]


def is_exempt(session: Any) -> bool:
    """Return whether ``session`` was opened by a backend whose sessions are asked for nothing."""
    return session.get(BACKEND_SESSION_KEY) in conf.TOTP_EXEMPT_BACKENDS


@sensitive_variables("told")
def held_by(session: Any) -> HalfLogin | None:
    """Return the half-login in ``session``, whether its time is over or not."""
    told = session.get(HALF)
    try:
        return HalfLogin(**told)
    except TypeError:
        return None  # there is none, or one of another version


def half_login(session: Any) -> HalfLogin | None:
    """Return the half-login in ``session``, if its time is not over."""
    half = held_by(session)
    is_over = half is None or challenges.is_over(half.challenge, half.purpose)
    return None if is_over else half


def first_step(
    request: Any, user: AbstractBaseUser, *, at: float, login_url: str = ""
) -> tuple[HalfLogin | None, datetime | None]:
    """Begin the half-login that a password of ``user`` is, or sign in where that is enough.

    It is from a trusted device, too. Return it, and from when on who is signed in without a second
    factor must have one. ``at`` is when it began, in seconds since the epoch. Raise
    PolicyUnavailable.
    """
    backend = backend_of(user)
    step = next_step(user) if backend not in conf.TOTP_EXEMPT_BACKENDS else None
    if step is None or not step.challenge:
        sign_in(request, user, new_login(user, "pwd", at=at), backend=backend)
        events.logged_in(user, request, method="password")
        return None, None if step is None else step.required_from
    trusted = None if step.is_enrollment else device_cookie.recognize(request, user)
    if trusted is not None:
        sign_in(request, user, trusted.login(user, "pwd"), backend=backend)
        events.logged_in(user, request, method="trusted_device")
        return None, None
    purpose = challenges.ENROLL if step.is_enrollment else challenges.VERIFY
    half = begin(
        request,
        user,
        step.challenge,
        purpose,
        methods=["pwd"],
        by_password=True,
        login_url=login_url,
    )
    if request.session.session_key:
        request.session.cycle_key()
    return half, None


@sensitive_variables("challenge", "half")
def begin(
    request: Any,
    user: AbstractBaseUser,
    challenge: str,
    purpose: str,
    *,
    methods: Sequence[str] = (),
    is_told: bool = False,
    by_password: bool = False,
    login_url: str = "",
) -> HalfLogin:
    """Let the session hold a half-login of ``user``, and name nobody."""
    session, key = request.session, key_of(user)
    backend = session[BACKEND_SESSION_KEY] if is_told else backend_of(user)
    held = held_by(session)
    was_owned = held is not None and held.owner == key
    is_owned = is_told or was_owned or session.get(SESSION_KEY) == key
    _leave_to(session, key)
    for name in (*KEYS, assurance.SESSION_KEY):
        session.pop(name, None)
    half = HalfLogin(
        challenge,
        purpose,
        key,
        backend,
        [*methods],
        login_url,
        is_told,
        is_owned,
        outlook_of(user) if purpose == challenges.VERIFY else "",
        by_password,
    )
    session[HALF] = asdict(half)
    _forget_user(request)
    return half


@sensitive_variables("half", "challenge", "changed")
def turn(request: Any, half: HalfLogin, user: AbstractBaseUser, challenge: str) -> HalfLogin:
    """Let ``half`` go on with a ``challenge`` to enroll anew, under a new key of the session."""
    changed = replace(
        half,
        challenge=challenge,
        purpose=challenges.ENROLL,
        recovery=outlook_of(user),
        by_password=True,
    )
    request.session[HALF] = asdict(changed)
    request.session.cycle_key()
    return changed


def sign_in(
    request: Any,
    user: AbstractBaseUser,
    login: Assurance,
    *,
    backend: str = "",
    half: HalfLogin | None = None,
) -> None:
    """Sign in ``user``, who has given all that is asked for, and let the session state it.

    ``user_logged_in`` is sent once: not here if a ``half`` login was begun by its sender.
    """
    session = request.session
    _leave_to(session, key_of(user))
    session.pop(HALF, None)
    if half is not None and half.is_told:
        _resume(request, user, half.backend)
    else:
        auth.login(request, user, backend=(half.backend if half else backend) or None)  # type: ignore[arg-type]
        vars(request).pop(SIGNED_IN, None)
    request.totp_visit.judged = key_of(user)
    keep_in_session(request, login)


def step_up(request: Any, login: Assurance) -> None:
    """Let the session state ``login``, under a new key: whoever knew the old one has lost it."""
    keep_in_session(request, login)
    request.session.cycle_key()
    rotate_token(request)


def end(session: Any) -> None:
    """End the half-login in ``session``, with all that is there of its user."""
    half = held_by(session)
    if half is not None and half.owner:
        session.flush()
    else:
        session.pop(HALF, None)


def notice_login(request: Any, user: AbstractBaseUser) -> None:
    """Note that another view has called ``login()``: the middleware settles it.

    What the session has held of another person is dropped, as ``login()`` does where that person
    was signed in.
    """
    vars(request)[SIGNED_IN] = user
    held = held_by(request.session)
    if held is not None and held.owner not in ("", key_of(user)):
        for name in {*request.session.keys()}.difference(KEYS):
            del request.session[name]


def backend_of(user: AbstractBaseUser) -> str:
    """Return the backend that has authenticated ``user``. Raise ValueError if nobody can tell."""
    path: str | None = getattr(user, "backend", None)
    if path is None and len(settings.AUTHENTICATION_BACKENDS) == 1:
        return str(settings.AUTHENTICATION_BACKENDS[0])
    if path is None:
        raise ValueError(
            "There are several AUTHENTICATION_BACKENDS, and the user does not say by which of "
            "them: take users from authenticate(), or set user.backend."
        )
    return path


def key_of(user: AbstractBaseUser) -> str:
    """Return the primary key of ``user`` as a session has it."""
    return str(user._meta.pk.value_to_string(user))


def _resume(request: Any, user: AbstractBaseUser, backend: str) -> None:
    """Sign in again whom ``login()`` has signed in before, without telling it twice."""
    request.session.cycle_key()
    values = (key_of(user), backend, next(session_hashes(user)))
    for name, value in zip(KEYS, values, strict=True):
        request.session[name] = value
    request.user = user
    rotate_token(request)


def _forget_user(request: Any) -> None:
    """Let nobody be signed in in the rest of the request, however it asks."""

    async def auser() -> AnonymousUser:
        return AnonymousUser()

    request.user, request.auser = AnonymousUser(), auser


def outlook_of(user: AbstractBaseUser) -> str:
    """Return what ``user``, joined with what judges a login, may hope for who has no code."""
    begin = recovery.outlook_of(user)
    if begin is not None:
        return begin.isoformat()
    try:
        return ASK if recovery.may_ask(user) else ""
    except PolicyUnavailable:
        return ""


def _leave_to(session: Any, key: str) -> None:
    """Flush what ``session`` holds of anybody but the user whose key it is."""
    held = held_by(session)
    if {session.get(SESSION_KEY), held.owner if held else ""} - {None, "", key}:
        session.flush()
