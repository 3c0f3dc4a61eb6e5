"""Accounts in Django's admin: whose logins were ended, and who must enroll or is exempt."""

from django.contrib import admin

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
