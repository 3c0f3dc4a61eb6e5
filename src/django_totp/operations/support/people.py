"""Users as support looks for them, and whom an administrator may help."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import (
    FieldDoesNotExist,
    FieldError,
    MultipleObjectsReturned,
    ValidationError,
)
from django.db import router
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from django_totp.exceptions import TotpError
from django_totp.models import Totp, fetch
from django_totp.users import NOBODY as NO_USER
from django_totp.users import email_field

NOBODY = (*NO_USER, MultipleObjectsReturned)


class UserNotFound(TotpError):
    """No user goes by the given name or primary key, or more than one by the name."""

    code = "user_not_found"

    def __init__(self, field: str, value: object) -> None:
        super().__init__(field, value)
        self.field, self.value = field, value

    def __str__(self) -> str:
        return str(_("No single user has the %(field)s %(value)r.")) % vars(self)


def find_user(
    name: str | None = None, *, pk: str | None = None, using: str | None = None
) -> AbstractBaseUser:
    """Return the user whose ``USERNAME_FIELD`` is ``name``, or whose primary key reads ``pk``.

    Raise UserNotFound.
    """
    model = get_user_model()
    users: Any = model._default_manager.db_manager(using or router.db_for_write(Totp))
    try:
        if pk is None:
            user: AbstractBaseUser = _by_name(users, name)
        else:
            user = users.get(pk=model._meta.pk.to_python(pk))
    except NOBODY:
        field, value = (model.USERNAME_FIELD, name) if pk is None else ("primary key", pk)
        raise UserNotFound(field, value) from None
    return user


def current_users(pks: Iterable[Any], *, using: str) -> dict[Any, AbstractBaseUser]:
    """Return the users of these primary keys as they are in the database ``using`` now."""
    users = get_user_model()._base_manager.using(using).filter(pk__in=pks)
    return {user.pk: user for user in fetch(users)}


def users_by_key(keys: Iterable[str]) -> dict[str, AbstractBaseUser]:
    """Return the users whose primary keys read like ``keys``, by these: one query.

    Whoever is gone is not among them, and neither is a key that no user can have.
    """
    users = get_user_model()._base_manager.filter(pk__in=list(_pks(keys)))
    try:
        return {str(user.pk): user for user in fetch(users)}
    except NOBODY:
        return {}


def search_users(text: str, *, limit: int, using: str | None = None) -> list[Any] | None:
    """Return the primary keys of the users whose name is ``text``, or else of those whose name
    or e-mail address contains it.

    An index knows whole names; a part of one is looked for in all of them, once. Return
    ``None`` if more than ``limit`` users have it.
    """
    pks = get_user_model()._base_manager.using(using).order_by().values_list("pk", flat=True)
    paths = search_fields()
    found = list(pks.filter(_any_of(filter(_is_indexed, paths), "exact", text))[:limit])
    found = found or list(pks.filter(_any_of(paths, "icontains", text))[: limit + 1])
    return found if len(found) <= limit else None


def search_fields() -> list[str]:
    """Return where users are looked for: the name and, where it is another column, the e-mail
    address.

    A name that is a row of another table is known by what refers to that row.
    """
    names = dict.fromkeys([get_user_model().USERNAME_FIELD, email_field(get_user_model())])
    return [path for name in names if (path := _path_to_text(name))]


def refusal(administrator: Any, user: AbstractBaseUser) -> Any:
    """Return why ``administrator`` may not lift the second factor of ``user``, or "".

    Whoever has got hold of a session of the staff must not get on from there.
    """
    if administrator.pk == user.pk:
        return _("your own: ask another administrator")
    if getattr(user, "is_superuser", False) and not getattr(administrator, "is_superuser", False):
        return _("a superuser: ask another superuser")
    return ""


def _pks(keys: Iterable[str]) -> Iterator[Any]:
    to_python = get_user_model()._meta.pk.to_python
    for key in keys:
        with suppress(*NOBODY):
            yield to_python(key)


def _by_name(users: Any, name: str | None) -> AbstractBaseUser:
    if hasattr(users, "get_by_natural_key"):
        user: AbstractBaseUser = users.get_by_natural_key(name)
    else:  # a manager that is not Django's
        user = users.get(**{users.model.USERNAME_FIELD: name})
    return user


def _path_to_text(name: str) -> str:
    """Return the path from a user to what the column ``name`` holds; "" if there is no such."""
    try:
        field: Any = get_user_model()._meta.get_field(name)
    except FieldDoesNotExist:
        return ""
    path = [name]
    while field.is_relation:
        field = field.target_field
        path.append(field.name)
    return "__".join(path)


def _is_indexed(path: str) -> bool:
    field: Any = get_user_model()._meta.get_field(path.partition("__")[0])
    return bool(field.name == get_user_model().USERNAME_FIELD or field.unique or field.db_index)


def _any_of(paths: Iterable[str], lookup: str, text: str) -> Q:
    """Return the condition that one of ``paths`` fits ``text``; no number fits a word."""
    condition = Q(pk__in=[])
    for path in paths:
        fits = Q(**{f"{path}__{lookup}": text})
        try:
            get_user_model()._base_manager.filter(fits)
        except (FieldError, ValidationError, ValueError):
            continue
        condition |= fits
    return condition
