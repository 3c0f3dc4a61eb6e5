"""Accounts in Django's admin: whose logins were ended, and who must enroll or is exempt."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from django_totp.models import Account

from .base import SupportAdmin


@admin.register(Account)
class AccountAdmin(SupportAdmin):
    """Shows accounts to whom ``view_account`` is given; ``end_sessions`` acts."""

    actions = ("end_sessions",)
    list_display = (
        "username",
        "logins_count_from",
        "must_enroll_since",
        "exempt_until",
        "exempt_reason",
    )
    fields = ("account", *list_display[1:])
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        # After an import everybody has a row, most of which say nothing that is shown here.
        rows: QuerySet[Any] = super().get_queryset(request)
        nothing = {"valid_from": None, "required_since": None, "exempt_until": None}
        return rows.exclude(imported_at__isnull=False, **nothing)
