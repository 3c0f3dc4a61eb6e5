"""Enrollments in Django's admin: to look at, to reset, and to end a wait. No secret is shown."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.admin.utils import display_for_value
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, ngettext_lazy

from .exceptions import TotpError
from .models import Totp
from .operations.support import (
    State,
    count_at_most,
    count_codes,
    in_state,
    is_capped,
    search_users,
    state_of,
    waiting_until,
)
from .totp import disable_totp, end_wait

COUNT_LIMIT = 100_000  # users: tens of milliseconds
SEARCH_LIMIT = 1000
SELECTION_LIMIT = 100  # a page; more at once is rather a slip than support


@dataclass(frozen=True)
class Remedy:
    """What an action does for each of the selected users, and what it says."""

    action: str
    service: Callable[..., None]
    flag: int
    title: Any
    explanation: Any
    button: Any
    entry: str
    done: Any


RESET = Remedy(
    action="reset_two_factor",
    service=disable_totp,
    flag=DELETION,
    title=gettext_lazy("Reset two-factor authentication"),
    explanation=gettext_lazy(
        "These users will sign in with their password alone until they enroll again. Their "
        "authenticator apps and backup codes stop working."
    ),
    button=gettext_lazy("Yes, reset two-factor authentication"),
    entry="Reset two-factor authentication.",
    done=ngettext_lazy(
        "Two-factor authentication of %(count)d user was reset.",
        "Two-factor authentication of %(count)d users was reset.",
        "count",
    ),
)
UNLOCK = Remedy(
    action="end_the_wait",
    service=end_wait,
    flag=CHANGE,
    title=gettext_lazy("End the wait"),
    explanation=gettext_lazy(
        "The wrong codes of these users will be forgotten: TOTP codes are accepted again at once. "
        "Make sure that it was not somebody else who guessed."
    ),
    button=gettext_lazy("Yes, end the wait"),
    entry="Ended the wait after wrong TOTP codes.",
    done=ngettext_lazy(
        "The wait of %(count)d user was ended.",
        "The wait of %(count)d users was ended.",
        "count",
    ),
)


class ReasonForm(forms.Form):
    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        help_text=gettext_lazy("For the history of the user and the log. Put no secret here."),
        max_length=200,
        required=False,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
    )


class StateFilter(admin.SimpleListFilter):
    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return State.choices

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset.filter(in_state(State(value))) if value in State.values else queryset


class TotpChangeList(ChangeList):
    """A page of enrollments. Codes are counted for the rows of this page alone."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        counts = count_codes(self.result_list, using=self.queryset.db)
        for totp in self.result_list:
            totp.code_count = counts[totp.pk]


@admin.register(Totp)
class TotpAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Shows enrollments to whom ``view_totp`` is given; ``reset_totp`` and ``unlock_totp`` act."""

    actions = ("reset_two_factor", "end_the_wait")
    list_display = (
        "username",
        "state",
        "wait",
        "backup_codes_left",
        "last_verified_at",
    )
    list_filter = (StateFilter,)
    fields = (
        "user",
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
    )
    readonly_fields = fields
    ordering = ("-pk",)
    sortable_by = ()
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    search_help_text = gettext_lazy("Searching for the full name is fastest.")

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        return (f"user__{get_user_model().USERNAME_FIELD}",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        # A join would be searched twice, for the count and for the page.
        found = search_users(search_term, limit=SEARCH_LIMIT) if search_term else None
        if found is None:
            return super().get_search_results(request, queryset, search_term)
        return queryset.filter(user__in=found), False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        # A join would be made for all the rows that a later page skips.
        return super().get_queryset(request).prefetch_related("user")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return TotpChangeList

    def lookup_allowed(self, lookup: str, value: Any, request: Any = None) -> bool:
        # By default the query string may ask how a secret_key begins, letter by letter.
        return lookup in {StateFilter.parameter_name, "user", "user__exact"}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Asked with an object while a user is deleted: the enrollment goes along. Alone it
        # goes by a reset, and the delete view below is shut.
        return obj is not None

    def has_reset_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("django_totp.reset_totp")

    def has_unlock_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("django_totp.unlock_totp")

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return super().changelist_view(request, {"adoption": _adoption, **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        context = {"show_delete": False, **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        raise PermissionDenied

    @admin.display(description=gettext_lazy("user"))
    def username(self, totp: Totp) -> str:
        return str(totp.user.get_username())

    @admin.display(description=gettext_lazy("state"))
    def state(self, totp: Totp) -> str:
        return str(state_of(totp).label)

    @admin.display(description=gettext_lazy("waiting until"))
    def wait(self, totp: Totp) -> str:
        if is_capped(totp):
            return _("ended by hand")
        return display_for_value(waiting_until(totp), self.get_empty_value_display())

    @admin.display(description=gettext_lazy("backup codes"))
    def backup_codes_left(self, totp: Totp) -> str:
        count = (
            getattr(totp, "code_count", None) or count_codes([totp], using=totp.database)[totp.pk]
        )
        return _("%(left)d of %(total)d left") % count._asdict()

    @admin.action(permissions=["reset"], description=RESET.title)
    def reset_two_factor(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        return self._apply(RESET, request, queryset)

    @admin.action(permissions=["unlock"], description=UNLOCK.title)
    def end_the_wait(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        return self._apply(UNLOCK, request, queryset)

    def _apply(self, remedy: Remedy, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        """Ask for confirmation or, where that is given, apply ``remedy`` to the selected users."""
        totps = list(queryset[: SELECTION_LIMIT + 1])
        if not 1 <= len(totps) <= SELECTION_LIMIT:
            text = _("Select from 1 to %(limit)d enrollments that still exist.")
            self.message_user(request, text % {"limit": SELECTION_LIMIT}, messages.ERROR)
            return None
        form = ReasonForm(request.POST if "confirmed" in request.POST else None)
        if not form.is_valid():
            return self._confirmation(remedy, request, totps, form)
        reason = form.cleaned_data["reason"]
        done = [totp for totp in totps if _succeeds(remedy, request, totp, reason)]
        self._report(remedy, request, len(done))
        return None

    def _confirmation(
        self, remedy: Remedy, request: HttpRequest, totps: list[Totp], form: ReasonForm
    ) -> HttpResponse:
        request.current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            "title": remedy.title,
            "remedy": remedy,
            "totps": totps,
            "form": form,
            "opts": self.opts,
            "media": self.media,
            "action_checkbox_name": ACTION_CHECKBOX_NAME,
            "cancel_url": request.get_full_path(),
        }
        return TemplateResponse(request, "admin/django_totp/totp/confirmation.html", context)

    def _report(self, remedy: Remedy, request: HttpRequest, done: int) -> None:
        missed = len(request.POST.getlist(ACTION_CHECKBOX_NAME)) - done
        if done:
            self.message_user(request, remedy.done % {"count": done}, messages.SUCCESS)
        if missed:
            text = ngettext(
                "%(count)d enrollment had changed meanwhile and was left alone.",
                "%(count)d enrollments had changed meanwhile and were left alone.",
                missed,
            )
            self.message_user(request, text % {"count": missed}, messages.WARNING)


def _succeeds(remedy: Remedy, request: HttpRequest, totp: Totp, reason: str) -> bool:
    """Return whether ``remedy`` could be applied to the user of ``totp``; record that it was."""
    told = f"administrator {request.user.pk}{reason and ': '}{reason}"
    try:
        remedy.service(totp.user, request=request, reason=told, using=totp.database)
    except TotpError:
        return False
    _log(remedy, request, totp, reason)
    return True


def _log(remedy: Remedy, request: HttpRequest, totp: Totp, reason: str) -> None:
    """Write it into two histories: that of the user lasts when the enrollment is gone."""
    LogEntry.objects.bulk_create(
        LogEntry(
            user_id=request.user.pk,  # type: ignore[misc]  # the type of a key is the model's
            content_type=ContentType.objects.get_for_model(row),
            object_id=str(row.pk),
            object_repr=str(totp.user.get_username())[:200],
            action_flag=flag,
            change_message=f"{remedy.entry} {reason}".strip(),
        )
        for row, flag in ((totp, remedy.flag), (totp.user, CHANGE))
    )


def _adoption() -> str:
    enabled, users = map(_up_to_limit, count_at_most(COUNT_LIMIT))
    text = _("%(enabled)s of %(users)s users have two-factor authentication on.")
    return text % {"enabled": enabled, "users": users}


def _up_to_limit(count: int) -> str:
    text = number_format(count, force_grouping=True)
    return f"{text}+" if count >= COUNT_LIMIT else text
