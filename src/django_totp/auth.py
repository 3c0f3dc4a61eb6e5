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
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.hashers import check_password
from django.core import signing
from django.core.exceptions import ValidationError
from django.db import router
from django.utils.crypto import constant_time_compare
from django.views.decorators.debug import sensitive_variables

from . import events
from .adoption import adopted
from .attempts import Act, Guess, answer, move, read, read_enrolled, retried
from .backup_code_utils import BackupCodeGuess
from .conf import conf
from .exceptions import (
    ExpiredChallenge,
    InvalidBackupCode,
    InvalidChallenge,
    InvalidTotpCode,
    ReauthenticationRequired,
    TotpNotEnabled,
)
from .models import CLOCK_SKEW, Totp, fetch
from .totp import TotpGuess
from .users import is_active, session_hashes, username_of

PURPOSE = "totp_verification"


def is_totp_enabled(user: AbstractBaseUser) -> bool:
    """Return whether logins of ``user`` ask for a second factor."""
    return _enabled(read(user)) is not None


def generate_challenge_token(user: AbstractBaseUser) -> str:
    """Return a signed token which says that ``user`` has passed the first step of a login.

    It lives for ``TOTP_TOKEN_MAX_AGE`` seconds and until the login that it is used for.
    """
    return _challenge(user, _enabled(read(user)))


def challenge_if_enabled(user: AbstractBaseUser) -> str | None:
    """Return a challenge token, or ``None`` if ``user`` has no second factor."""
    totp = _enabled(read(user))
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
    guess = _guess(otp_code, backup_code)
    user = _user(claims, may_sign_in)
    totp = _enabled(_totp_of(user))
    if totp is None:
        raise TotpNotEnabled
    if not _is_current(claims, user, totp):
        raise InvalidChallenge
    if not answer(totp, guess, user, request):
        raise InvalidBackupCode if isinstance(guess, BackupCodeGuess) else InvalidTotpCode
    return user


@dataclass
class FreshProof:
    """What a call brings along to prove that it comes from the owner: the first that is given.

    It is a ``Proof`` for the services that change an enrollment: proof and change are decided on
    one and the same row. A row that is not enabled needs none.
    """

    user: AbstractBaseUser
    request: Any = None
    otp_code: str = field(default="", repr=False)
    backup_code: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @sensitive_variables()
    def __call__(self, totp: Totp, act: Act) -> bool:
        """Return whether the proof is good; if it is, ``act``. Raise Moved, TooManyAttempts."""
        if totp.is_enabled and (self.otp_code or self.backup_code):
            guess = _guess(self.otp_code or None, self.backup_code)
            return answer(totp, guess, self.user, self.request, act=act)
        if totp.is_enabled and not self.has_password:
            return False
        act(totp, {})
        return True

    @cached_property
    @sensitive_variables()
    def has_password(self) -> bool:
        """Whether the password is right. It is tried once, however often the row moves."""
        return bool(self.password) and _is_password(self.user, self.password, self.request)


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

    Raise ReauthenticationRequired if not, TooManyAttempts while TOTP codes wait, and
    TotpNotEnrolled if a code is given for a user who has no enrollment.
    """
    proof = FreshProof(user, request, otp_code, backup_code, password)
    if not (_is_right(proof) if otp_code or backup_code else proof.has_password):
        raise ReauthenticationRequired


@retried
def _is_right(proof: FreshProof) -> bool:
    totp = read_enrolled(proof.user)
    return totp.is_enabled and proof(totp, move)


@sensitive_variables("otp_code", "backup_code")
def _guess(otp_code: str | None, backup_code: str | None) -> Guess:
    return BackupCodeGuess(backup_code or "") if otp_code is None else TotpGuess(otp_code)


@sensitive_variables("password", "credentials")
def _is_password(user: AbstractBaseUser, password: str, request: Any) -> bool:
    credentials = {get_user_model().USERNAME_FIELD: username_of(user), "password": password}
    found = authenticate(getattr(request, "_request", request), **credentials)
    if found is None or found.pk != user.pk:
        facts = {"method": "password", "reason": "wrong"}
        events.record("verification_failed", user, request, level=logging.WARNING, **facts)
        return False
    _keep_hash(user, found, password)
    events.record("verified", user, request, method="password")
    return True


@sensitive_variables("password")
def _keep_hash(user: AbstractBaseUser, found: AbstractBaseUser, password: str) -> None:
    """Undo an upgrade of the password's hash, which would end the login that asks.

    Sessions and tokens are bound to the hash. The next login upgrades it again.
    """
    before, after = (getattr(one, "password", None) for one in (user, found))
    if before and after != before and check_password(password, before):  # not a new password
        users = get_user_model()._base_manager.using(found._state.db)
        users.filter(pk=user.pk, password=after).update(password=before)


def _challenge(user: AbstractBaseUser, totp: Totp | None) -> str:
    claims = {
        "user_id": user._meta.pk.value_to_string(user),
        "purpose": PURPOSE,
        "fingerprint": _fingerprint(next(session_hashes(user)), totp),
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
    is_ours = isinstance(claims, dict) and claims.get("purpose") == PURPOSE
    if not is_ours or _signed_at(str(token)) > time.time() + CLOCK_SKEW.total_seconds():
        raise InvalidChallenge
    return dict(claims)


def _signed_at(token: str) -> int:
    """Return when a token with a good signature was made, in seconds since the epoch."""
    return signing.b62_decode(token.rsplit(":", 2)[1])


def _user(
    claims: dict[str, Any], may_sign_in: Callable[[AbstractBaseUser], bool]
) -> AbstractBaseUser:
    """Return the user whom the claims name, with the enrollment: one query, on the primary."""
    model = get_user_model()
    users = model._default_manager.using(router.db_for_write(Totp))
    users = users.defer(None).select_related("totp")  # a manager may defer what it knows not
    try:
        found = users.filter(pk=model._meta.pk.to_python(claims["user_id"]))
        user: AbstractBaseUser | None = next(fetch(found), None)
    except (ValidationError, ValueError, KeyError):
        raise InvalidChallenge from None
    if user is None or not may_sign_in(user):
        raise InvalidChallenge
    return user


def _totp_of(user: AbstractBaseUser) -> Totp | None:
    """Return the enrollment that was read with ``user``."""
    return adopted(getattr(user, "totp", None))


def _enabled(totp: Totp | None) -> Totp | None:
    return totp if totp is not None and totp.is_enabled else None


def _is_current(claims: dict[str, Any], user: AbstractBaseUser, totp: Totp | None) -> bool:
    made_upon = str(claims.get("fingerprint"))
    return any(
        constant_time_compare(made_upon, _fingerprint(session_hash, totp))
        for session_hash in session_hashes(user)
    )


def _fingerprint(session_hash: str, totp: Totp | None) -> str:
    """Return a digest of what a challenge rests on. The session hash is what keeps it secret."""
    state = [session_hash]
    if totp is not None and totp.confirmed_at is not None:
        state += [str(totp.pk), totp.confirmed_at.isoformat(), str(totp.verifications)]
    return hashlib.sha256("\n".join(state).encode()).hexdigest()
