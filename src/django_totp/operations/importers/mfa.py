"""django-mfa."""

from typing import Any

from django.db.models import Q
from django.utils.module_loading import import_string

from .base import Device, Source, moment


class Mfa(Source):
    """The counter that was accepted last is stored once a code has logged in."""

    package, app = "django-mfa", "django_mfa"
    model = "django_mfa.Authenticator"
    columns = ("data", "last_used_at")
    codes = ("django_mfa.Authenticator", Q(type="recovery_codes"))

    def __init__(self, using: str | None = None) -> None:
        super().__init__(using)
        self.decrypt = import_string("django_mfa.crypto.decrypt")

    def condition(self) -> Q:
        return Q(type="totp")

    def used(self, row: Any) -> float:
        return moment(row.last_used_at)

    def device(self, row: Any) -> Device:
        secret = self.decrypt(row.data["secret"])
        return Device(secret, step=row.data.get("last_verified_counter"))
