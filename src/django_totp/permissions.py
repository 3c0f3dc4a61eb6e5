"""Permissions that ask for a second factor, or for a recent one, before a view does its work.

They read what the credential of a request states (``assurance_of``) and ask the database only
when they refuse: whether the account has a second factor at all. The answer is that of RFC 9470.

They raise where others return ``False``, for the sake of that answer. So one of them comes last
behind ``|``: ``IsAdminUser | HasRecentSecondFactor``.
"""

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.utils.functional import Promise
from rest_framework import status
from rest_framework.exceptions import APIException
from rest_framework.permissions import BasePermission

from .accounts import account_by, named_in
from .assurance import Assurance, assurance_of
from .auth import is_totp_enabled
from .conf import conf
from .exceptions import CONFIRM, CONFIRM_AGAIN, INSUFFICIENT, SET_UP, EnrollmentRequired
from .users import NOBODY


class Seconds(int):
    """A number in a body of errors, of which REST framework wants each to have a code."""

    code = INSUFFICIENT


class Refusal(APIException):
    """A 403 whose body has the ``code`` beside the ``detail``, whoever makes an answer of it."""

    status_code: int = status.HTTP_403_FORBIDDEN
    detail: Any
    max_age: int | None = None

    def __init__(self, sentence: str | Promise, code: str) -> None:
        super().__init__({"detail": str(sentence), "code": code}, code)


class EnrollmentMissing(Refusal):
    """The account has no second factor that could be asked for."""

    def __init__(self) -> None:
        super().__init__(SET_UP, EnrollmentRequired.code)


class SecondFactorMissing(Refusal):
    """The login lacks the second factor or, with ``max_age``, a recent one."""

    def __init__(self, sentence: str | Promise, max_age: int | None = None) -> None:
        super().__init__(sentence, INSUFFICIENT)
        self.max_age = max_age
        if max_age is not None:
            self.detail["max_age"] = Seconds(max_age)

    def challenge(self, description: str) -> None:
        """Make it the 401 of RFC 9470 section 3, which says how to come back."""
        told = {"error": INSUFFICIENT, "error_description": description, "acr_values": "aal2"}
        if self.max_age is not None:
            told["max_age"] = str(self.max_age)
        self.status_code = status.HTTP_401_UNAUTHORIZED
        self.auth_header = "Bearer " + ", ".join(f'{key}="{told[key]}"' for key in told)


class HasSecondFactor(BasePermission):
    """Let in whose login gave the second factor, however long ago."""

    sentence: str | Promise = CONFIRM
    description = "A second factor is required"  # for a header, and so in ASCII

    def has_permission(self, request: Any, view: Any) -> bool:
        """Return whether somebody is signed in. Raise a Refusal unless the login is enough."""
        if not getattr(request.user, "is_authenticated", False):
            return False
        if not self.is_enough(assurance_of(request)):
            raise self.refusal(request)
        return True

    def is_enough(self, login: Assurance) -> bool:
        """Return whether ``login`` states what is asked for."""
        return login.has_second_factor

    def refusal(self, request: Any) -> Refusal:
        """Return what is wrong with ``request``: with its account, or else with its login."""
        user = _row_of(request)
        if user is not None and not is_totp_enabled(user):
            return EnrollmentMissing()
        error = self.missing()
        if _claims_of(request) is not None:
            error.challenge(self.description)
        return error

    def missing(self) -> SecondFactorMissing:
        """Return the error of a login that is not enough."""
        return SecondFactorMissing(self.sentence)


class HasRecentSecondFactor(HasSecondFactor):
    """Let in whose login gave the second factor less than ``max_age`` seconds ago.

    That is ``TOTP_REAUTHENTICATE_MAX_AGE``, unless a subclass says otherwise.
    """

    sentence = CONFIRM_AGAIN
    description = "A recent second factor is required"
    max_age: int | None = None

    @property
    def seconds(self) -> int:
        """How old the second factor may be."""
        return conf.TOTP_REAUTHENTICATE_MAX_AGE if self.max_age is None else self.max_age

    def is_enough(self, login: Assurance) -> bool:
        return login.has_second_factor and login.is_recent(self.seconds)

    def missing(self) -> SecondFactorMissing:
        return SecondFactorMissing(self.sentence, self.seconds)


def _claims_of(request: Any) -> dict[str, Any] | None:
    """Return the claims of the JSON web token that authenticated ``request``, if one did."""
    claims = getattr(request.auth, "payload", None)
    return claims if isinstance(claims, dict) else None


def _row_of(request: Any) -> AbstractBaseUser | None:
    """Return the row of the user of ``request``, who may be no more than what a token says."""
    if isinstance(request.user, get_user_model()):
        return request.user
    field, key = named_in(_claims_of(request) or {}) or ("pk", None)
    if isinstance(key, bool) or not isinstance(key, str | int):
        return None  # a database takes some of these for numbers, and so for a user
    try:
        return account_by(field, key)
    except NOBODY:
        return None
