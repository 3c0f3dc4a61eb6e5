"""Users with all that judges a login: the enrollment, the account row, the groups that count."""

import functools
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import FieldDoesNotExist
from django.db import router
from django.db.models import Field, QuerySet

from . import policy
from .compiled import Compiled, is_in_range, is_plain
from .models import Account, Totp, fetch, relate, related


def accounts() -> QuerySet[Any]:
    """Return the users on the primary, each with all that judges a login, in one query."""
    users = get_user_model()._default_manager.using(router.db_for_write(Totp))
    rows = users.defer(None).select_related("totp", "totp_account")  # a manager may defer
    return policy.with_groups(rows)


def account_by(name: str, value: Any) -> AbstractBaseUser | None:
    """Return the user whose field ``name`` is ``value``, or ``None``: one query.

    Raise what Django raises of a value that no user can have (``users.NOBODY``).
    """
    field = _plain_field(name)
    prepared = None if field is None else field.get_prep_value(value)
    if field is None or not is_in_range(prepared):
        return next(fetch(accounts().filter(**{name: value})), None)
    using, groups = router.db_for_write(Totp), tuple(policy.groups())
    return next(_compiled(field, using, groups).fetch(prepared), None)


def join(user: AbstractBaseUser) -> None:
    """Let ``user`` have all that judges a login, as it is now: one query."""
    found = account_by("pk", user.pk)
    for model in (Totp, Account):
        relate(model, user, found and related(model, found))
    vars(user)[policy.IN_GROUP] = found and vars(found).get(policy.IN_GROUP)


def _plain_field(name: str) -> "Field[Any, Any] | None":
    model = get_user_model()
    try:
        field: Any = model._meta.pk if name == "pk" else model._meta.get_field(name)
    except FieldDoesNotExist:
        return None  # a search by it will say so
    return field if is_plain(model._default_manager, field) else None


@functools.lru_cache(maxsize=32)
def _compiled(field: "Field[Any, Any]", using: str, groups: tuple[str, ...]) -> Compiled:
    """Return the query. It depends on the database, and on the groups that count."""
    return Compiled(accounts(), field)
