"""django-allauth, its app ``allauth.mfa``."""

from typing import Any

from django.conf import settings
from django.db.models import Q
from django.utils.module_loading import import_string

from .base import Device, Source, moment


class Allauth(Source):
    """How codes are made is a setting there, and which were used is in the cache alone."""

    package, app = "django-allauth", "allauth.mfa"
    model = "mfa.Authenticator"
    columns = ("data", "last_used_at")
    codes = ("mfa.Authenticator", Q(type="recovery_codes"))

    def __init__(self, using: str | None = None) -> None:
        super().__init__(using)
        self.decrypt = import_string("allauth.mfa.utils.decrypt")

    def condition(self) -> Q:
        return Q(type="totp")

    def used(self, row: Any) -> float:
        return moment(row.last_used_at)

    @property
    def ahead(self) -> int:
        return getattr(settings, "MFA_TOTP_TOLERANCE", 0)

    def device(self, row: Any) -> Device:
        secret = self.decrypt(row.data["secret"])
        digits = getattr(settings, "MFA_TOTP_DIGITS", 6)
        return Device(secret, digits, getattr(settings, "MFA_TOTP_PERIOD", 30))
