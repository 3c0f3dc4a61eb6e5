"""django-mfa2."""

from typing import Any

from django.contrib.auth import get_user_model
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
        return "username" if hasattr(model, "username") else model.USERNAME_FIELD

    def device(self, row: Any) -> Device:
        return Device(row.properties["secret_key"])
