"""What a login is worth: its methods and its time, and whether that is enough for its account.

A login is stated by four claims: ``amr`` (its methods, RFC 8176), ``auth_time`` (when the second
factor was given, else the first: OpenID Connect Core section 2), ``acr`` (``aal1`` or ``aal2``,
after NIST SP 800-63B) and ``sid``, a random name. A token carries them from the login to the last
refresh, and a session holds the same. Nothing decays and nothing is rewritten: whoever asks
compares the time. What is not stated by all four is unknown: it is never a second factor, and
never recent. A fifth, ``device``, is there where a trusted device stood in for the code: then
``auth_time`` is when that was given, long ago, and the login is never recent either.

``standing`` is the one judge. A login is outdated if it is from before the moment from which on
the account lets logins count (``Account.valid_from``): whole seconds are what tokens tell, so one
of that very second is too old, and ``new_login`` gives a new one the next second. It lacks the
second factor if it is from before the enrollment, or states that it never gave one. The login
that confirmed the enrollment has given one, in that very moment (``upgraded``). Where there is
no enrollment, ``policy`` tells whether there must be one.
"""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, TypeGuard

from django.contrib.auth.base_user import AbstractBaseUser

from . import policy, threads
from .adoption import adopted
from .exceptions import EnrollmentRequired, LoginOutdated, SecondFactorRequired, TotpError
from .models import Account, Totp, related
from .moments import CLOCK_SKEW, past

SESSION_KEY = "_django_totp"
STATED = "totp_stated"  # attribute of a request in which a login was stated
LONGEST_SID = 64
LEVELS = {False: "aal1", True: "aal2"}
# The kinds of factor of the methods of RFC 8176 section 2: any two of them are multi-factor.
KINDS = {
    **dict.fromkeys(("pwd", "pin", "kba"), "something known"),
    **dict.fromkeys(("otp", "hwk", "swk", "sc", "sms", "tel", "pop"), "something held"),
    **dict.fromkeys(("face", "fpt", "iris", "retina", "vbm"), "something of the body"),
}
BASIC = "rest_framework.authentication.BasicAuthentication"
SESSION = "rest_framework.authentication.SessionAuthentication"


class Standing(Enum):
    """What a login is worth to its account: that it is enough, or what is wrong with it."""

    GOOD = None
    OUTDATED = LoginOutdated
    SECOND_FACTOR = SecondFactorRequired
    ENROLLMENT = EnrollmentRequired


@dataclass(frozen=True)
class Assurance:
    """How somebody logged in: by which ``methods``, at what ``time`` and under which name.

    ``time`` is in seconds since the epoch. ``device`` is the key of the trusted device that
    stood in for a code, if one did. An assurance that is not ``stated`` is unknown: it has no
    methods, and its time is what little is known of it.
    """

    methods: tuple[str, ...] = ()
    time: int | None = None
    sid: str = ""
    stated: bool = False
    device: str = ""

    @property
    def has_second_factor(self) -> bool:
        """Return whether two kinds of factor were given."""
        return "mfa" in self.methods

    @property
    def claims(self) -> dict[str, Any]:
        """Return the claims that state it in a token."""
        claims = {
            "amr": list(self.methods),
            "auth_time": self.time,
            "acr": LEVELS[self.has_second_factor],
            "sid": self.sid,
        }
        return {**claims, "device": self.device} if self.device else claims

    def is_recent(self, max_age: int, *, at: float | None = None) -> bool:
        """Return whether it is stated to be less than ``max_age`` seconds old.

        One by a trusted device is not, even if the code of that was given just now.
        """
        if not self.stated or self.time is None or self.device:
            return False
        age = (time.time() if at is None else at) - self.time
        return -CLOCK_SKEW.total_seconds() <= age < max_age

    def named(self) -> "Assurance":
        """Return it with a name, if it has none: an enrollment remembers the one of its login."""
        return self if self.sid else replace(self, sid=secrets.token_urlsafe(16))

    def stepped_up(self, *, at: float | None = None) -> "Assurance":
        """Return what it is once the second factor is given, ``at`` seconds since the epoch.

        That is now, if not told. The first factor is whatever has opened the login, known or
        not. It gets no older by it, and needs no trusted device any more.
        """
        given = int(time.time() if at is None else at)
        return _login(*self.methods, "otp", "mfa", at=max(given, self.time or 0), sid=self.sid)


UNKNOWN = Assurance()


def assurance_of(request: Any) -> Assurance:
    """Return what the credential that authenticated ``request`` states, and nothing beside it.

    ``request`` is Django's or REST framework's. A session that is sent along with a token says
    nothing about that token.
    """
    claims = getattr(getattr(request, "auth", None), "payload", None)
    if isinstance(claims, dict):
        return of_claims(claims)
    if is_by_session(request):
        return of_session(request)
    if _descends_from(getattr(request, "successful_authenticator", None), BASIC):
        return Assurance(("pwd",), int(time.time()), stated=True)
    return UNKNOWN


async def aassurance_of(request: Any) -> Assurance:
    """See ``assurance_of()``."""
    return await threads.run(lambda: assurance_of(request))


def is_by_session(request: Any) -> bool:
    """Return whether it is a session that has authenticated ``request``.

    REST framework leaves ``auth`` on Django's own request, whatever has authenticated it.
    """
    if not hasattr(request, "successful_authenticator"):  # Django's own request
        return not hasattr(request, "auth") and hasattr(request, "session")
    return _descends_from(request.successful_authenticator, SESSION)


def of_claims(claims: Mapping[str, Any], *, at: float | None = None) -> Assurance:
    """Return what the claims of a token state. Those of others state no more than ``iat``."""
    now = time.time() if at is None else at
    stated = _stated(claims, now)
    if stated is not None:
        return stated
    issued = claims.get("iat")
    return Assurance(time=issued if _is_past(issued, now) else None)


def of_session(request: Any) -> Assurance:
    """Return what the session of ``request`` states of the user who is signed in by it.

    A session that another view has opened is unknown, and as old as can be, unless the
    middleware saw when that was.
    """
    user: Any = getattr(request, "user", None)
    if not getattr(user, "is_authenticated", False):
        return UNKNOWN
    return in_session(getattr(request, "session", {}), user)


def in_session(session: Any, user: AbstractBaseUser) -> Assurance:
    """Return what ``session`` states of ``user``, who is signed in by it."""
    told = session.get(SESSION_KEY)
    if not isinstance(told, dict) or told.get("user") != str(user.pk):
        return Assurance(time=0)
    now = time.time()
    begun = told.get("auth_time")
    return _stated(told, now) or Assurance(time=begun if _is_past(begun, now) else 0)


def record(request: Any, *methods: str, at: float | None = None) -> Assurance:
    """State in the session of ``request`` that its user has just logged in by ``methods``.

    They are those of RFC 8176, such as ``"pwd"``, ``"otp"`` or ``"hwk"``. For sessions that
    another package has opened: with a passkey, say, or for an identity provider. It was ``at`` so
    many seconds since the epoch, if not now: one from long ago is no recent one.
    """
    login = new_login(request.user, *methods, at=at)
    keep_in_session(request, login)
    return login


async def arecord(request: Any, *methods: str, at: float | None = None) -> Assurance:
    """See ``record()``."""
    return await threads.run(lambda: record(request, *methods, at=at))


def keep_in_session(request: Any, login: Assurance) -> None:
    """Let the session of ``request`` state ``login`` of its user, or only when that was."""
    claims = login.claims if login.stated else {"auth_time": login.time}
    vars(getattr(request, "_request", request))[STATED] = True
    request.session[SESSION_KEY] = {**claims, "user": str(request.user.pk)}


def new_login(user: AbstractBaseUser, *methods: str, at: float | None = None) -> Assurance:
    """Return the assurance of a login of ``user`` by ``methods``.

    It began ``at`` so many seconds since the epoch, or now: before ``user`` was read, so that
    it is ended by whoever ends all logins meanwhile. Logins of a second in which others were
    ended are from the next one.
    """
    return _login(*methods, at=counted(user, time.time() if at is None else at))


def counted(user: AbstractBaseUser, at: float) -> int:
    """Return the second that a factor of ``user`` counts from which was given ``at``.

    That is the next one, in the second in which logins were ended or a factor was confirmed: a
    clock that is a little behind must not date it back before that. ``at`` is in seconds since
    the epoch.
    """
    begin = max(int(at), _earliest(user) or 0)
    since = _since(totp_of(user))
    is_near = since is not None and since <= begin + CLOCK_SKEW.total_seconds()
    return max(begin, since or 0) if is_near else begin


def gave_second_factor(login: Assurance, totp: Totp) -> bool:
    """Return whether ``login`` states that it gave the second factor which ``totp`` is."""
    login = upgraded(login, totp)
    return login.has_second_factor and not _is_before(login, _since(totp))


def gave_code(login: Assurance, totp: Totp) -> bool:
    """Return whether ``login`` gave that factor itself, and no trusted device stood in for it."""
    return gave_second_factor(login, totp) and not upgraded(login, totp).device


def upgraded(login: Assurance, totp: Totp | None) -> Assurance:
    """Return ``login`` with the second factor that it has given if it confirmed ``totp``."""
    since = _since(totp)
    if totp is None or since is None or not login.sid or login.sid != totp.confirmed_sid:
        return login
    if login.has_second_factor and not _is_before(login, since):
        return login
    return login.stepped_up(at=since)


def standing(user: AbstractBaseUser, login: Assurance) -> Standing:
    """Return what ``login`` is worth to the account of ``user``: of one from ``accounts``.

    Raise PolicyUnavailable if nobody can tell who must have a second factor.
    """
    if is_outdated(user, login):
        return Standing.OUTDATED
    totp = totp_of(user)
    if totp is None or not totp.is_enabled:
        return Standing.ENROLLMENT if policy.owes(user) else Standing.GOOD
    return Standing.GOOD if _suffices(login, totp) else Standing.SECOND_FACTOR


def is_outdated(user: AbstractBaseUser, login: Assurance) -> bool:
    """Return whether ``login`` is, or may be, from before the logins of ``user`` were ended."""
    return _is_before(login, _earliest(user))


def is_ended(user: AbstractBaseUser, login: Assurance) -> bool:
    """Return whether ``login`` is known to be from before the logins of ``user`` were ended."""
    return bool(login.time) and is_outdated(user, login)


def judge(user: AbstractBaseUser, login: Assurance) -> None:
    """Raise LoginOutdated, SecondFactorRequired or EnrollmentRequired, unless ``login`` is good."""
    error: type[TotpError] | None = standing(user, login).value
    if error is not None:
        raise error


def totp_of(user: AbstractBaseUser) -> Totp | None:
    """Return the enrollment of ``user``, as it was read with the user, if so."""
    return adopted(related(Totp, user))


def _suffices(login: Assurance, totp: Totp) -> bool:
    """Return whether ``login`` gave the factor that ``totp`` is, or is unknown and younger."""
    since = _since(totp)
    is_foreign = not login.stated and since is not None and not _is_before(login, since + 1)
    return is_foreign or gave_second_factor(login, totp)


def _is_before(login: Assurance, second: int | None) -> bool:
    """Return whether ``login`` is, or may be, from before ``second``, if there is one."""
    return second is not None and (login.time is None or login.time < second)


def _since(totp: Totp | None) -> int | None:
    """Return the second in which ``totp`` was confirmed, or ``None`` if it was not."""
    if totp is None or totp.confirmed_at is None:
        return None
    return int(past(totp.confirmed_at).timestamp())


def _earliest(user: AbstractBaseUser) -> int | None:
    """Return the first second whose logins count, or ``None`` if all do."""
    account: Account | None = related(Account, user)
    if account is None or account.valid_from is None:
        return None
    return int(account.valid_from.timestamp()) + 1


def _stated(claims: Mapping[str, Any], now: float) -> Assurance | None:
    """Return what well-formed claims state, or ``None`` if anything about them is odd."""
    methods, at, level, sid = (claims.get(name) for name in ("amr", "auth_time", "acr", "sid"))
    device = claims.get("device", "")
    if not isinstance(methods, list) or not all(isinstance(each, str) for each in methods):
        return None
    if not _is_name(sid) or not _is_past(at, now):
        return None
    if "device" in claims and not _is_name(device):
        return None
    stated = Assurance(tuple(methods), at, sid, stated=True, device=device)
    return stated if level == LEVELS[stated.has_second_factor] else None


def _is_name(sid: object) -> TypeGuard[str]:
    """Return whether ``sid`` is one that the column of the confirming login can hold.

    The key of a device has no other form.
    """
    if not isinstance(sid, str) or not 0 < len(sid) <= LONGEST_SID:
        return False
    return sid.isascii() and sid.isprintable()


def _is_past(moment: object, now: float) -> bool:
    """Return whether ``moment`` is a whole number of seconds that no clock is still to reach."""
    if not isinstance(moment, int) or isinstance(moment, bool):
        return False
    return 0 <= moment <= now + CLOCK_SKEW.total_seconds()


def _login(*methods: str, at: int, sid: str = "") -> Assurance:
    """Return a stated login, with ``mfa`` where its methods are of two kinds or more."""
    kinds = {KINDS[method] for method in methods if method in KINDS}
    each = dict.fromkeys([*methods, *["mfa"] * (len(kinds) > 1)])
    return Assurance(tuple(each), at, sid or secrets.token_urlsafe(16), stated=True)


def _descends_from(authenticator: object, name: str) -> bool:
    """Return whether an object is of a class that may not even be imported here."""
    bases = type(authenticator).__mro__
    return any(f"{base.__module__}.{base.__qualname__}" == name for base in bases)
