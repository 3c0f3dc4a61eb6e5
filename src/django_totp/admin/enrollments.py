"""Enrollments in Django's admin: to look at, to reset, and to end a wait. No secret is shown."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import display_for_value
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_totp.models import Totp
from django_totp.operations.support import (
    CodeCount,
    State,
    count_at_most,
    count_codes,
    identity_of,
    in_state,
    is_capped,
    recovery_ready_at,
    refused_until,
    state_of,
    waiting_until,
)

from .base import SupportAdmin
from .remedies import ALLOW_RECOVERY, RESET, STOP_RECOVERY, UNLOCK

COUNT_LIMIT = 100_000  # users: tens of milliseconds


class StateFilter(admin.SimpleListFilter):
    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return State.choices

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset.filter(in_state(State(value))) if value in State.values else queryset


class CountsCodes(ChangeList):
    """A page of enrollments. Codes are counted for the rows of this page alone."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        counts = count_codes(self.result_list, using=self.queryset.db)
        for totp in self.result_list:
            totp.code_count = counts[totp.pk]


@admin.register(Totp)
class TotpAdmin(SupportAdmin):
    """Shows enrollments to whom ``view_totp`` is given; each action has a permission of its own."""

    actions = (
        "reset_two_factor",
        "allow_recovery",
        "stop_recovery",
        "end_the_wait",
        "end_sessions",
    )
    list_display = (
        "username",
        "state",
        "wait",
        "backup_codes_left",
        "last_verified_at",
    )
    list_filter = (StateFilter,)
    fields = (
        "account",
        "state",
        "created_at",
        "confirmed_at",
        "last_verified_at",
        "wait",
        "failures",
        "backup_codes_left",
        "verifications",
        "algorithm",
        "digits",
        "period",
        "recovery",
        "logins_count_from",
        "must_enroll_since",
        "exempt",
    )
    readonly_fields = fields

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return type("TotpChangeList", (CountsCodes, super().get_changelist(request, **kwargs)), {})

    def lookup_allowed(self, lookup: str, value: Any, request: Any = None) -> bool:
        is_filter = lookup == StateFilter.parameter_name
        return is_filter or super().lookup_allowed(lookup, value, request)

    def has_reset_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("django_totp.reset_totp")

    def has_allow_recovery_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("django_totp.allow_recovery")

    def has_unlock_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("django_totp.unlock_totp")

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        context = {"adoption": _adoption, **(extra_context or {})}
        page: HttpResponse = super().changelist_view(request, context)
        return page

    @admin.display(description=gettext_lazy("state"))
    def state(self, totp: Totp) -> str:
        return str(state_of(totp, self._codes(totp)).label)

    @admin.display(description=gettext_lazy("waiting until"))
    def wait(self, totp: Totp) -> str:
        if is_capped(totp):
            return _("ended by hand")
        if until := refused_until(totp):
            text = _("%(time)s, by a clock that was once ahead")
            return text % {"time": display_for_value(until, "")}
        return display_for_value(waiting_until(totp), self.get_empty_value_display())

    @admin.display(description=gettext_lazy("recovery"))
    def recovery(self, totp: Totp) -> str:
        begin = recovery_ready_at(totp)
        if begin is None:
            return str(self.get_empty_value_display())
        moment = display_for_value(begin, "")
        if totp.is_recovery_allowed:
            return _("from %(time)s on, allowed by an administrator") % {"time": moment}
        return _("from %(time)s on") % {"time": moment}

    @admin.display(description=gettext_lazy("backup codes"))
    def backup_codes_left(self, totp: Totp) -> str:
        return _("%(left)d of %(total)d left") % self._codes(totp)._asdict()

    @admin.action(permissions=["reset"], description=RESET.title)
    def reset_two_factor(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        return self._apply(RESET, request, queryset)

    @admin.action(permissions=["allow_recovery"], description=ALLOW_RECOVERY.title)
    def allow_recovery(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        return self._apply(ALLOW_RECOVERY, request, queryset)

    @admin.action(permissions=["allow_recovery"], description=STOP_RECOVERY.title)
    def stop_recovery(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        return self._apply(STOP_RECOVERY, request, queryset)

    @admin.action(permissions=["unlock"], description=UNLOCK.title)
    def end_the_wait(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        return self._apply(UNLOCK, request, queryset)

    def _seal(self, row: Totp) -> str:
        return " ".join(map(str, identity_of(row)))

    def _codes(self, totp: Totp) -> CodeCount:
        if not hasattr(totp, "code_count"):
            totp.code_count = count_codes([totp], using=totp.database)[totp.pk]  # type: ignore[attr-defined]
        counted: CodeCount = totp.code_count  # type: ignore[attr-defined]
        return counted


def _adoption() -> str:
    enabled, users = map(_up_to_limit, count_at_most(COUNT_LIMIT))
    text = _("%(enabled)s of %(users)s users have two-factor authentication on.")
    return text % {"enabled": enabled, "users": users}


def _up_to_limit(count: int) -> str:
    text = number_format(count, force_grouping=True)
    return f"{text}+" if count >= COUNT_LIMIT else text
