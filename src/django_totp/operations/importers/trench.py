"""django-trench and django-trench-reboot."""

from typing import Any

from django.conf import settings
from django.db.models import Q

from .base import Device, Source

NAME = "app"  # of the method that is an authenticator app


class Trench(Source):
    """Its model may be the project's own, and the period of codes is in its settings."""

    package, app = "django-trench", "trench"
    columns = ("secret",)

    def __init__(self, using: str | None = None) -> None:
        self.settings: dict[str, Any] = getattr(settings, "TRENCH_AUTH", {})
        self.model = self.settings.get("USER_MFA_MODEL", "trench.MFAMethod")
        self.codes = (self.model, ~Q(_backup_codes=""))
        super().__init__(using)

    def condition(self) -> Q:
        return Q(name=NAME, is_active=True)

    def device(self, row: Any) -> Device:
        method = self.settings.get("MFA_METHODS", {}).get(NAME, {})
        return Device(row.secret, period=method.get("VALIDITY_PERIOD", 30))
