"""Users with all that judges a login: the enrollment, the account row, the groups that count."""

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import FieldDoesNotExist
from django.db import router
from django.db.models import Field, QuerySet

from . import policy
from .compiled import Compiled, compile_once, is_in_range, is_plain
from .models import Account, HasCodes, Totp, fetch, forget, relate, related
from .retrying import retried

HAS_CODES = "has_totp_codes"  # of a user whom ``accounts`` has read


def accounts() -> QuerySet[Any]:
    """Return the users on the primary, each with all that judges a login, in one query."""
    users = get_user_model()._default_manager.using(router.db_for_write(Totp))
    # A manager may defer, and a model may have an order of its own.
    rows = users.defer(None).select_related("totp", "totp_account").order_by()
    return policy.with_groups(rows.annotate(**{HAS_CODES: HasCodes("totp")}))


@retried
def account_by(name: str, value: Any) -> AbstractBaseUser | None:
    """Return the user whose field ``name`` is ``value``, or ``None``: one query.

    Raise what Django raises of a value that no user can have (``users.NOBODY``).
    """
    user: AbstractBaseUser | None = next(_rows_by(name, value), None)
    totp = None if user is None else related(Totp, user)
    if totp is not None:
        totp.has_codes = bool(vars(user)[HAS_CODES])
    return user


def join(user: AbstractBaseUser) -> None:
    """Let ``user`` have all that judges a login, as it is now: one query.

    A user whom the default manager hides has nothing from before, and is asked for again.
    """
    found = account_by("pk", user.pk)
    for model in (Totp, Account):
        forget(model, user) if found is None else relate(model, user, related(model, found))
    vars(user)[policy.IN_GROUP] = found and vars(found).get(policy.IN_GROUP)


def named_in(claims: Mapping[str, Any]) -> tuple[str, Any] | None:
    """Return the field and the value that the claims of a web token name a user by, if any."""
    jwt = getattr(settings, "SIMPLE_JWT", None) or {}
    claim = jwt.get("USER_ID_CLAIM", "user_id")
    return (jwt.get("USER_ID_FIELD", "id"), claims[claim]) if claim in claims else None


def _rows_by(name: str, value: Any) -> Iterator[Any]:
    field = _plain_field(name)
    prepared = None if field is None else field.get_prep_value(value)
    if field is None or not is_in_range(prepared):
        return fetch(accounts().filter(**{name: value}))
    compiled = _compiled(field, router.db_for_write(Totp), tuple(policy.groups()))
    return compiled.fetch(prepared) if compiled else fetch(accounts().filter(**{name: value}))


def _plain_field(name: str) -> "Field[Any, Any] | None":
    model = get_user_model()
    try:
        field: Any = model._meta.pk if name == "pk" else model._meta.get_field(name)
    except FieldDoesNotExist:
        return None  # a search by it will say so
    return field if is_plain(model._default_manager, field) else None


@functools.lru_cache(maxsize=32)
def _compiled(field: "Field[Any, Any]", using: str, groups: tuple[str, ...]) -> Compiled | None:
    """Return the query. It depends on the database, and on the groups that count."""
    return compile_once(accounts(), field)
