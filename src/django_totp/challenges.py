"""The challenge token between the two steps of a login.

A challenge token is a signed statement that the first step has been passed, and what for: to
verify the second factor, or to enroll where one is owed. It names the user and carries a
fingerprint of what it was made upon: the session auth hash (so a changed password ends it), the
moment from which on logins count (so whoever ends all of them ends it), the enrollment (so a new
one ends it) and the number of verifications (so its own success, and any other, ends it). One to
enroll rests on the recovery as well that lets somebody enroll anew. The
fingerprint is compared with the very row that the code is then counted on, and that row is moved
by compare-and-swap: of two logins with one token, even with two right codes at one moment, the
second finds the row moved, reads it again, and the fingerprint no longer fits. Wrong codes
change none of these: a typing error costs no new login.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core import signing
from django.core.exceptions import ValidationError
from django.utils.crypto import constant_time_compare
from django.views.decorators.debug import sensitive_variables

from .accounts import account_by
from .assurance import totp_of
from .conf import conf
from .exceptions import ExpiredChallenge, InvalidChallenge
from .models import Account, Totp, related
from .moments import CLOCK_SKEW
from .users import email_of, session_hashes

VERIFY, ENROLL = "totp_verification", "totp_enrollment"
RECOVER, CANCEL = "totp_recovery", "totp_recovery_cancellation"  # mailed: see ``recovery``
DAY = 24 * 60 * 60


def make(user: AbstractBaseUser, purpose: str) -> str:
    """Return a challenge token of ``user``, who is joined with what judges a login."""
    claims = {
        "user_id": user._meta.pk.value_to_string(user),
        "purpose": purpose,
        "fingerprint": _fingerprint(purpose, next(session_hashes(user)), user, totp_of(user)),
    }
    return signing.dumps(claims, salt=conf.TOTP_TOKEN_SALT)


@sensitive_variables("token", "claims")
def challenged(
    token: str, purpose: str, may_sign_in: Callable[[AbstractBaseUser], bool]
) -> AbstractBaseUser:
    """Return the user of a challenge token that is still good for ``purpose``."""
    claims = claims_of(token, purpose)
    user = user_of(claims, may_sign_in)
    if not is_current(claims, user, totp_of(user)):
        raise InvalidChallenge
    return user


def claims_of(token: object, purpose: str) -> dict[str, Any]:
    """Return what a challenge token says. Its signature is good; nothing else is checked yet."""
    try:
        claims = signing.loads(str(token), salt=conf.TOTP_TOKEN_SALT, max_age=_max_age(purpose))
    except signing.SignatureExpired:
        raise ExpiredChallenge from None
    except (signing.BadSignature, ValueError):
        raise InvalidChallenge from None
    is_ours = isinstance(claims, dict) and claims.get("purpose") == purpose
    if not is_ours or _signed_at(str(token)) > time.time() + CLOCK_SKEW.total_seconds():
        raise InvalidChallenge
    return dict(claims)


def is_over(token: object, purpose: str) -> bool:
    """Return whether the time of a challenge token is over, whoever has signed it."""
    try:
        age = time.time() - _signed_at(str(token))
    except (IndexError, ValueError):
        return True
    longest = _max_age(purpose)
    return longest is not None and not -CLOCK_SKEW.total_seconds() <= age <= longest


def challenge_subject(token: object, purpose: str = VERIFY) -> str | None:
    """Return whom an unexpired challenge token names, used or not, or ``None`` if it is forged.

    For counting requests only: it says nothing about whether the token still opens anything.
    """
    try:
        return str(claims_of(token, purpose)["user_id"])
    except (InvalidChallenge, KeyError):
        return None


def _max_age(purpose: str) -> int | None:
    """Return for how many seconds a challenge token lives, if not as long as what it rests on."""
    ages = {VERIFY: conf.TOTP_TOKEN_MAX_AGE, ENROLL: conf.TOTP_SETUP_MAX_AGE, RECOVER: DAY}
    return ages.get(purpose)


def _signed_at(token: str) -> int:
    """Return when a token with a good signature was made, in seconds since the epoch."""
    return signing.b62_decode(token.rsplit(":", 2)[1])


def user_of(
    claims: dict[str, Any], may_sign_in: Callable[[AbstractBaseUser], bool]
) -> AbstractBaseUser:
    """Return the user whom the claims name, with all that judges a login: one query."""
    try:
        key = get_user_model()._meta.pk.to_python(claims["user_id"])
        user = account_by("pk", key)
    except (ValidationError, ValueError, KeyError):
        raise InvalidChallenge from None
    if user is None or not may_sign_in(user):
        raise InvalidChallenge
    return user


def is_current(claims: dict[str, Any], user: AbstractBaseUser, totp: Totp | None) -> bool:
    """Return whether ``user`` and the enrollment are still what a challenge was made upon."""
    purpose, made_upon = str(claims.get("purpose")), str(claims.get("fingerprint"))
    return any(
        constant_time_compare(made_upon, _fingerprint(purpose, session_hash, user, totp))
        for session_hash in session_hashes(user)
    )


def _fingerprint(purpose: str, session_hash: str, user: AbstractBaseUser, totp: Totp | None) -> str:
    """Return a digest of what a challenge rests on. The session hash is what keeps it secret."""
    state = state_of(session_hash, user, totp)
    if totp is not None and totp.is_enabled:
        state += [str(totp.verifications)]
    if purpose == CANCEL:  # whoever reads the mail may have changed the password: it is stopped
        return digest_of([purpose, *state[-3:]])
    return digest_of([*state, *_recovery(purpose, user, totp)])


def _recovery(purpose: str, user: AbstractBaseUser, totp: Totp | None) -> list[str]:
    """Return what of a recovery a challenge rests on: the last mail, or what came of it."""
    if totp is None or not totp.is_enabled or purpose == VERIFY:
        return []
    if purpose == RECOVER:
        return [str(totp.recovery_asked_at), email_of(user)]
    return [str(totp.recovery_ready_at)]


def state_of(session_hash: str, user: AbstractBaseUser, totp: Totp | None) -> list[str]:
    """Return what the two factors of ``user`` are, in words that tell others apart."""
    state = [session_hash]
    account = related(Account, user)
    if account is not None and account.valid_from is not None:
        state += [account.valid_from.isoformat()]
    if totp is not None and totp.confirmed_at is not None:
        state += [str(totp.pk), totp.confirmed_at.isoformat()]
    return state


def digest_of(state: Sequence[str]) -> str:
    """Return a digest of ``state``."""
    return hashlib.sha256("\n".join(state).encode()).hexdigest()
