"""What a user is called and whether there is more to know, whatever model the project has.

Django asks of a user model little more than a primary key and ``USERNAME_FIELD``; the rest is
``AbstractBaseUser``'s, from which a model need not be derived.
"""

from collections.abc import Iterator
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db import DataError

# What a search for a user raises over a key that no user can have: a signed token may name any.
NOBODY = (DataError, ObjectDoesNotExist, OverflowError, TypeError, ValidationError, ValueError)


def name_of(user: AbstractBaseUser) -> str:
    """Return what people know ``user`` by: the name, else the e-mail address, else the key."""
    name = username_of(user)
    return str("" if name is None else name) or email_of(user) or str(user.pk)


def username_of(user: AbstractBaseUser) -> Any:
    """Return the value of ``USERNAME_FIELD``, of any type; ``None`` where there is none."""
    if hasattr(user, "get_username"):
        return user.get_username()
    return getattr(user, getattr(user, "USERNAME_FIELD", ""), None)


def email_of(user: AbstractBaseUser) -> str:
    """Return the e-mail address of ``user``, or an empty string."""
    return str(getattr(user, email_field(user), None) or "")


def email_field(user: AbstractBaseUser | type[AbstractBaseUser]) -> str:
    """Return what the model calls its e-mail address. It may have no such field."""
    if hasattr(user, "get_email_field_name"):
        return user.get_email_field_name()
    return str(getattr(user, "EMAIL_FIELD", None) or "email")


def is_active(user: AbstractBaseUser) -> bool:
    """Return whether ``user`` may sign in, as far as the model knows."""
    return bool(getattr(user, "is_active", True))


def session_hashes(user: AbstractBaseUser) -> Iterator[str]:
    """Yield what a session of ``user`` is verified by, under the present and the older keys.

    An empty string is all that there is where the model has no such hash: Django does not end
    the sessions of such a user either when the password changes.
    """
    if not hasattr(user, "get_session_auth_hash"):
        yield ""
        return
    yield user.get_session_auth_hash()
    if hasattr(user, "get_session_auth_fallback_hash"):
        yield from user.get_session_auth_fallback_hash()
