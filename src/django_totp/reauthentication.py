"""Fresh proofs: what changes a second factor asks for, beside the login that it comes from."""

import logging
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.hashers import check_password
from django.utils.functional import cached_property
from django.views.decorators.debug import sensitive_variables

from . import devices, events, threads
from .assurance import Assurance, gave_code, upgraded
from .attempts import Act, answer, move, read_enrolled, trusted
from .auth import guess_of
from .conf import conf
from .exceptions import ReauthenticationRequired
from .models import Totp
from .retrying import retried
from .users import username_of


@dataclass
class FreshProof:
    """What a call brings along to prove that it comes from the owner: the first that is given.

    It is a ``Proof`` for the services that change an enrollment: proof and change are decided on
    one and the same row. A row that is not enabled needs none, and neither does a ``login`` that
    gave the second factor, recently where ``TOTP_REAUTHENTICATE`` is on, or one that is unknown
    where it is off. A password proves nothing beside a login that has given no more, and a trusted
    device is no second factor here. Without a ``login`` a proof is always asked for.
    """

    user: AbstractBaseUser
    request: Any = None
    otp_code: str = field(default="", repr=False)
    backup_code: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    login: Assurance | None = None

    @sensitive_variables()
    def __call__(self, totp: Totp, act: Act) -> bool:
        """Return whether the proof is good; if it is, ``act``. Raise Moved, TooManyAttempts."""
        if not totp.is_enabled or self._is_spared(totp):
            return trusted(totp, act)
        if self.otp_code or self.backup_code:
            guess = guess_of(self.otp_code or None, self.backup_code)
            return answer(totp, guess, self.user, self.request, act=act)
        return self._may_use_password(totp) and self.has_password and trusted(totp, act)

    def _is_spared(self, totp: Totp) -> bool:
        """Return whether the login alone is proof enough."""
        if self.login is None:
            return False
        if not conf.TOTP_REAUTHENTICATE:
            return not self.login.stated or gave_code(self.login, totp)
        login = upgraded(self.login, totp)
        is_recent = login.is_recent(conf.TOTP_REAUTHENTICATE_MAX_AGE)
        return is_recent and gave_code(login, totp)

    def _may_use_password(self, totp: Totp) -> bool:
        return self.login is None or gave_code(self.login, totp)

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


@sensitive_variables("otp_code", "backup_code", "password", "proofs")
async def areauthenticate(
    user: AbstractBaseUser,
    *,
    otp_code: str = "",
    backup_code: str = "",
    password: str = "",
    request: Any = None,
) -> None:
    """See ``reauthenticate()``."""
    proofs = {"otp_code": otp_code, "backup_code": backup_code, "password": password}
    await threads.run(lambda: reauthenticate(user, **proofs, request=request))


@retried
def _is_right(proof: FreshProof) -> bool:
    totp = read_enrolled(proof.user)
    return totp.is_enabled and proof(totp, move)


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
        devices.rehashed(user, before=str(after), after=before)
