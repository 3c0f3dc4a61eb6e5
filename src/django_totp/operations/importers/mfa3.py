"""django-mfa3."""

from typing import Any

from django.conf import settings
from django.db.models import Q

from .base import Device, Source


class Mfa3(Source):
    """It stores the last code and no time: one that was used goes before one that was not."""

    package, app = "django-mfa3", "mfa"
    model = "mfa.MFAKey"
    columns = ("secret", "last_code")
    codes = ("mfa.MFAKey", Q(method="recovery"))

    def condition(self) -> Q:
        return Q(method="TOTP")

    def used(self, row: Any) -> bool:
        return bool(row.last_code)

    @property
    def ahead(self) -> int:
        return getattr(settings, "MFA_TOTP_VALID_WINDOW", 0)

    def device(self, row: Any) -> Device:
        return Device(row.secret)
