"""django-mfa2."""

from collections.abc import Iterable
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.db.models import Q

from .base import Device, Source, moment


class Mfa2(Source):
    """It knows users by their names, and takes codes of a quarter of an hour before and after."""

    package, app = "django-mfa2", "mfa"
    model = "mfa.User_Keys"
    columns = ("properties", "last_used")
    owner = "username"
    codes = ("mfa.User_Keys", Q(key_type="RECOVERY"))
    remark = (
        "django-mfa2 took codes that were 15 minutes old or early: the clocks of some phones may "
        "be far off, and their codes are refused here until they are set right."
    )

    def condition(self) -> Q:
        return Q(key_type="TOTP", enabled=True)

    def used(self, row: Any) -> float:
        return moment(row.last_used)

    @property
    def user_key(self) -> str:
        model = get_user_model()
        names = {field.name for field in model._meta.get_fields()}
        return "username" if "username" in names else model.USERNAME_FIELD

    def users(self, owners: Iterable[Any], using: str) -> dict[Any, AbstractBaseUser]:
        """Return the users that ``owners`` name, also where ``Ada`` is ``ada`` to the database.

        A database to which these are two names finds nobody in the second search.
        """
        names = list(owners)
        found = super().users(names, using)
        left = [name for name in names if name not in found]
        alike = super().users(left, using) if left else {}
        folded = {name.casefold(): user for name, user in alike.items()}
        more = {name: folded.get(name.casefold()) for name in left}
        return found | {name: user for name, user in more.items() if user is not None}

    def device(self, row: Any) -> Device:
        return Device(row.properties["secret_key"])
