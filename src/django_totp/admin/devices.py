"""Trusted devices in Django's admin: whose they are, and an end to them. No value is shown."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from django_totp.devices import is_live
from django_totp.models import TrustedDevice
from django_totp.users import name_of

from .base import SupportAdmin
from .remedies import REMOVE_DEVICES


@admin.register(TrustedDevice)
class TrustedDeviceAdmin(SupportAdmin):
    """Shows devices to whom ``view_trusteddevice`` is given; ``end_sessions`` removes them."""

    actions = ("remove_devices",)
    list_display = ("username", "name", "spares_code", "trusted_since", "last_used", "until")
    fields = ("account", *list_display[1:])
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.prefetch_related("user__totp", "user__totp_account")

    @admin.display(description=gettext_lazy("spares a code"), boolean=True)
    def spares_code(self, device: TrustedDevice) -> bool:
        return is_live(device)

    @admin.display(description=gettext_lazy("trusted since"))
    def trusted_since(self, device: TrustedDevice) -> str:
        return self._moment(device.created_at)

    @admin.display(description=gettext_lazy("last used"))
    def last_used(self, device: TrustedDevice) -> str:
        return self._moment(device.last_used_at)

    @admin.display(description=gettext_lazy("trusted until"))
    def until(self, device: TrustedDevice) -> str:
        return self._moment(device.expires_at)

    @admin.action(permissions=["end_sessions"], description=REMOVE_DEVICES.title)
    def remove_devices(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        return self._apply(REMOVE_DEVICES, request, queryset)

    def _named(self, row: Any) -> str:
        return f"{name_of(row.user)}: {row.name}" if row.name else name_of(row.user)
