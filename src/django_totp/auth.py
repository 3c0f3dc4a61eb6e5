"""The second factor of a login: is it on, and the challenge token between the two steps.

A challenge token is a signed statement that the first step has been passed. It names the user
and carries a fingerprint of what it was made upon: the session auth hash (so a changed password
ends it), the enrollment (so a new one ends it) and the number of verifications (so its own
success, and any other, ends it). The fingerprint is compared with the very row that the code
is then counted on, and that row is moved by compare-and-swap: of two logins with one token,
even with two right codes at one moment, the second finds the row moved, reads it again, and
the fingerprint no longer fits. Wrong codes change none of the three: a typing error costs
no new login.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator
from typing import Any

from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core import signing
from django.core.exceptions import ValidationError
from django.db import router
from django.utils.crypto import constant_time_compare
from django.views.decorators.debug import sensitive_variables

from . import events
from .attempts import retried
from .backup_code_utils import answer_backup_code, verify_backup_code
from .conf import conf
from .exceptions import (
    ExpiredChallenge,
    InvalidBackupCode,
    InvalidChallenge,
    InvalidTotpCode,
    ReauthenticationRequired,
    TotpNotEnabled,
)
from .models import Totp
from .totp import answer_totp_code, verify_totp_code

PURPOSE = "totp_verification"


def is_totp_enabled(user: AbstractBaseUser) -> bool:
    """Return whether logins of ``user`` ask for a second factor."""
    return _enabled(Totp.objects.find(user)) is not None


def generate_challenge_token(user: AbstractBaseUser) -> str:
    """Return a signed token which says that ``user`` has passed the first step of a login.

    It lives for ``TOTP_TOKEN_MAX_AGE`` seconds and until the login that it is used for.
    """
    return _challenge(user, _enabled(Totp.objects.find(user)))


def challenge_if_enabled(user: AbstractBaseUser) -> str | None:
    """Return a challenge token, or ``None`` if ``user`` has no second factor."""
    totp = _enabled(Totp.objects.find(user))
    return _challenge(user, totp) if totp else None


@sensitive_variables("token")
def verify_challenge_token(token: str) -> Any:
    """Return the primary key of the user of a challenge token that is good for a login.

    Raise InvalidChallenge (a BadSignature), or ExpiredChallenge (a SignatureExpired).
    """
    return get_user_from_challenge_token(token).pk


@sensitive_variables("token", "claims")
def get_user_from_challenge_token(token: str) -> AbstractBaseUser:
    """Return the user of a challenge token that is good for a login.

    Raise InvalidChallenge if it is not, or not any more: it is forged or used, the user is
    deleted or inactive, the password or the enrollment has changed. Raise ExpiredChallenge if
    it is too old.
    """
    claims = _claims(token)
    user = _user(claims, is_active)
    if not _is_current(claims, user, _enabled(_totp_of(user))):
        raise InvalidChallenge
    return user


def challenge_subject(token: object) -> str | None:
    """Return whom an unexpired challenge token names, used or not, or ``None`` if it is forged.

    For counting requests only: it says nothing about whether the token still opens anything.
    """
    try:
        return str(_claims(token)["user_id"])
    except (InvalidChallenge, KeyError):
        return None


def is_active(user: AbstractBaseUser) -> bool:
    """Return whether ``user`` may sign in, as far as Django knows."""
    return user.is_active


@retried
@sensitive_variables("otp_code", "backup_code", "token", "claims")
def finish_login(
    token: str,
    *,
    otp_code: str | None = None,
    backup_code: str | None = None,
    may_sign_in: Callable[[AbstractBaseUser], bool] = is_active,
    request: Any = None,
) -> AbstractBaseUser:
    """Return the user of ``token`` if the code is right; the token and the code are used up.

    Raise InvalidChallenge, ExpiredChallenge, TotpNotEnabled, InvalidTotpCode,
    InvalidBackupCode or TooManyAttempts. Call it outside of any transaction, or the error
    may take the count of wrong codes with it.
    """
    claims = _claims(token)
    user = _user(claims, may_sign_in)
    totp = _enabled(_totp_of(user))
    if totp is None:
        raise TotpNotEnabled
    if not _is_current(claims, user, totp):
        raise InvalidChallenge
    if otp_code is not None:
        if not answer_totp_code(totp, user, otp_code, request):
            raise InvalidTotpCode
    elif not answer_backup_code(totp, user, backup_code or "", request):
        raise InvalidBackupCode
    return user


@sensitive_variables("otp_code", "backup_code", "password")
def reauthenticate(
    user: AbstractBaseUser,
    *,
    otp_code: str = "",
    backup_code: str = "",
    password: str = "",
    request: Any = None,
) -> None:
    """Return if one of the proofs, the first that is given, is good for ``user``.

    Raise ReauthenticationRequired if not, and TooManyAttempts while TOTP codes wait.
    """
    if otp_code:
        proven = verify_totp_code(user, otp_code, request=request)
    elif backup_code:
        proven = verify_backup_code(user, backup_code, request=request)
    else:
        proven = bool(password) and _is_password(user, password, request)
    if not proven:
        raise ReauthenticationRequired


@sensitive_variables("password", "credentials")
def _is_password(user: AbstractBaseUser, password: str, request: Any) -> bool:
    name = get_user_model().USERNAME_FIELD
    credentials = {name: user.get_username(), "password": password}
    found = authenticate(getattr(request, "_request", request), **credentials)
    if found is None or found.pk != user.pk:
        facts = {"method": "password", "reason": "wrong"}
        events.record("verification_failed", user, request, level=logging.WARNING, **facts)
        return False
    events.record("verified", user, request, method="password")
    return True


def _challenge(user: AbstractBaseUser, totp: Totp | None) -> str:
    claims = {
        "user_id": user._meta.pk.value_to_string(user),
        "purpose": PURPOSE,
        "fingerprint": _fingerprint(user.get_session_auth_hash(), totp),
    }
    return signing.dumps(claims, salt=conf.TOTP_TOKEN_SALT)


def _claims(token: object) -> dict[str, Any]:
    """Return what a challenge token says. Its signature is good; nothing else is checked yet."""
    try:
        claims = signing.loads(
            str(token), salt=conf.TOTP_TOKEN_SALT, max_age=conf.TOTP_TOKEN_MAX_AGE
        )
    except signing.SignatureExpired:
        raise ExpiredChallenge from None
    except (signing.BadSignature, ValueError):
        raise InvalidChallenge from None
    if not isinstance(claims, dict) or claims.get("purpose") != PURPOSE:
        raise InvalidChallenge
    return claims


def _user(
    claims: dict[str, Any], may_sign_in: Callable[[AbstractBaseUser], bool]
) -> AbstractBaseUser:
    """Return the user whom the claims name, with the enrollment: one query, on the primary."""
    model = get_user_model()
    users = model._default_manager.using(router.db_for_write(Totp)).select_related("totp")
    try:
        found = users.filter(pk=model._meta.pk.to_python(claims["user_id"]))
    except (ValidationError, ValueError, KeyError):
        raise InvalidChallenge from None
    user: AbstractBaseUser | None = next(iter(found), None)
    if user is None or not may_sign_in(user):
        raise InvalidChallenge
    return user


def _totp_of(user: AbstractBaseUser) -> Totp | None:
    """Return the enrollment that was read with ``user``."""
    return getattr(user, "totp", None)


def _enabled(totp: Totp | None) -> Totp | None:
    return totp if totp is not None and totp.is_enabled else None


def _is_current(claims: dict[str, Any], user: AbstractBaseUser, totp: Totp | None) -> bool:
    made_upon = str(claims.get("fingerprint"))
    return any(
        constant_time_compare(made_upon, _fingerprint(session_hash, totp))
        for session_hash in _session_hashes(user)
    )


def _session_hashes(user: AbstractBaseUser) -> Iterator[str]:
    yield user.get_session_auth_hash()
    yield from user.get_session_auth_fallback_hash()


def _fingerprint(session_hash: str, totp: Totp | None) -> str:
    """Return a digest of what a challenge rests on. The session hash is what keeps it secret."""
    state = [session_hash]
    if totp is not None and totp.confirmed_at is not None:
        state += [str(totp.pk), totp.confirmed_at.isoformat(), str(totp.verifications)]
    return hashlib.sha256("\n".join(state).encode()).hexdigest()
