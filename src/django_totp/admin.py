"""Enrollments in Django's admin: to look at, to reset, and to end a wait. No secret is shown."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.apps import apps
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.admin.utils import display_for_value, quote
from django.contrib.admin.views.main import ChangeList
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db.models import CharField, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, reverse
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, ngettext_lazy

from .exceptions import TotpError
from .models import Totp
from .operations.support import (
    CodeCount,
    State,
    act_upon,
    count_at_most,
    count_codes,
    current_users,
    identity_of,
    in_state,
    is_capped,
    refusal,
    refused_until,
    search_fields,
    search_users,
    state_of,
    waiting_until,
)
from .totp import disable_totp, end_wait
from .users import name_of

COUNT_LIMIT = 100_000  # users: tens of milliseconds
SEARCH_LIMIT = 1000
SELECTION_LIMIT = 100  # a page; more at once is rather a slip than support
THEMES = ("unfold", "jazzmin")  # which have no look of their own for Django's plain forms
TEMPLATE = "admin/django_totp/totp/confirmation.html"
SEEN = "seen"


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


# A field of no model, for the theme to say what its form field looks like.
REASON = CharField(
    name="reason",
    verbose_name=gettext_lazy("Reason"),
    help_text=gettext_lazy("For the history of the user and the log. Put no secret here."),
    max_length=200,
    blank=True,
)


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


def _model_admin() -> Any:
    """Return the class to derive from. Some of Unfold's pages work with its own alone."""
    if apps.is_installed("unfold"):
        return import_string("unfold.admin.ModelAdmin")
    return admin.ModelAdmin


@admin.register(Totp)
class TotpAdmin(_model_admin()):  # type: ignore[misc]  # what it is says the project
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
    )
    readonly_fields = fields
    ordering = ("-pk",)
    sortable_by = ()
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    search_help_text = gettext_lazy("Searching for the full name is fastest.")

    def get_search_fields(self, request: HttpRequest) -> Any:
        return self.search_fields or [f"user__{path}" for path in search_fields()]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        # A join would be searched twice, for the count and for the page.
        is_ours = search_term and not self.search_fields
        found = search_users(search_term, limit=SEARCH_LIMIT) if is_ours else None
        if found is None:
            plain: tuple[QuerySet[Any], bool] = super().get_search_results(
                request, queryset, search_term
            )
            return plain
        return queryset.filter(user__in=found), False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        # A join would be made for all the rows that a later page skips.
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.prefetch_related("user")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return type("TotpChangeList", (CountsCodes, super().get_changelist(request, **kwargs)), {})

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
        context = {"adoption": _adoption, **(extra_context or {})}
        page: HttpResponse = super().changelist_view(request, context)
        return page

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        context = {"show_delete": False, **(extra_context or {})}
        page: HttpResponse = super().change_view(request, object_id, form_url, context)
        return page

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        raise PermissionDenied

    @admin.display(description=gettext_lazy("user"))
    def username(self, totp: Totp) -> str:
        return name_of(totp.user)

    @admin.display(description=gettext_lazy("user"))
    def account(self, totp: Totp) -> str:
        # Django would show the str() of the user, which fails where there is no name.
        meta = totp.user._meta
        name = f"{self.admin_site.name}:{meta.app_label}_{meta.model_name}_change"
        try:
            url = reverse(name, args=[quote(totp.user.pk)])
        except NoReverseMatch:
            return name_of(totp.user)
        return format_html('<a href="{}">{}</a>', url, name_of(totp.user))

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

    @admin.display(description=gettext_lazy("backup codes"))
    def backup_codes_left(self, totp: Totp) -> str:
        return _("%(left)d of %(total)d left") % self._codes(totp)._asdict()

    @admin.action(permissions=["reset"], description=RESET.title)
    def reset_two_factor(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        return self._apply(RESET, request, queryset)

    @admin.action(permissions=["unlock"], description=UNLOCK.title)
    def end_the_wait(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        return self._apply(UNLOCK, request, queryset)

    def _apply(self, remedy: Remedy, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        """Ask for confirmation or, where that is given, apply ``remedy`` to the selected users."""
        chosen = list(queryset.prefetch_related(None)[: SELECTION_LIMIT + 1])
        if not 1 <= len(chosen) <= SELECTION_LIMIT:
            text = _("Select from 1 to %(limit)d enrollments that still exist.")
            self.message_user(request, text % {"limit": SELECTION_LIMIT}, messages.ERROR)
            return None
        totps, refused = _allowed(request.user, chosen)
        form = self._reason_form(request)
        if totps and not form.is_valid():
            return self._confirmation(remedy, request, totps, refused, form)
        seen = [totp for totp in totps if _was_seen(totp, request)]
        done = [totp for totp in seen if _succeeds(remedy, request, totp, form)]
        self._report(remedy, request, len(done), refused)
        return None

    def _reason_form(self, request: HttpRequest) -> forms.Form:
        """Return the form on the confirmation page, with what was typed there."""
        form = forms.Form(request.POST if "confirmed" in request.POST else None)
        form.fields["reason"] = field = self.formfield_for_dbfield(REASON, request)
        field.widget.attrs["class"] = f"{field.widget.attrs.get('class', '')} form-control".strip()
        return form

    def _confirmation(
        self,
        remedy: Remedy,
        request: HttpRequest,
        totps: list[Totp],
        refused: list[tuple[str, Any]],
        form: forms.Form,
    ) -> HttpResponse:
        request.current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            "title": remedy.title,
            "remedy": remedy,
            "totps": totps,
            "names": [name_of(totp.user) for totp in totps],
            "refused": refused,
            "seen": [_seal(totp) for totp in totps],
            "seen_name": SEEN,
            "form": form,
            "opts": self.opts,
            "media": self.media,
            "action_checkbox_name": ACTION_CHECKBOX_NAME,
            "cancel_url": request.get_full_path(),
        }
        themes = [theme for theme in THEMES if apps.is_installed(theme)]
        templates = [TEMPLATE.replace("confirmation", theme) for theme in themes]
        return TemplateResponse(request, [*templates, TEMPLATE], context)

    def _report(
        self, remedy: Remedy, request: HttpRequest, done: int, refused: list[tuple[str, Any]]
    ) -> None:
        missed = len(request.POST.getlist(ACTION_CHECKBOX_NAME)) - done - len(refused)
        if done:
            self.message_user(request, remedy.done % {"count": done}, messages.SUCCESS)
        if missed:
            text = ngettext(
                "%(count)d enrollment had changed meanwhile and was left alone.",
                "%(count)d enrollments had changed meanwhile and were left alone.",
                missed,
            )
            self.message_user(request, text % {"count": missed}, messages.WARNING)
        if refused:
            users = "; ".join(f"{name} ({reason})" for name, reason in refused)
            text = _("Left alone: %(users)s.")
            self.message_user(request, text % {"users": users}, messages.WARNING)

    def _codes(self, totp: Totp) -> CodeCount:
        if not hasattr(totp, "code_count"):
            totp.code_count = count_codes([totp], using=totp.database)[totp.pk]  # type: ignore[attr-defined]
        counted: CodeCount = totp.code_count  # type: ignore[attr-defined]
        return counted


def _allowed(administrator: Any, totps: list[Totp]) -> tuple[list[Totp], list[tuple[str, Any]]]:
    """Return which of ``totps`` the administrator may act upon; and the name of each other user
    with the reason.
    """
    users = current_users([totp.user_id for totp in totps], using=totps[0].database)
    allowed, refused = [], []
    for totp in totps:
        if totp.user_id not in users:
            continue
        totp.user = users[totp.user_id]  # type: ignore[assignment]  # the project's model
        reason = refusal(administrator, totp.user)
        if reason:
            refused.append((name_of(totp.user), reason))
        else:
            allowed.append(totp)
    return allowed, refused


def _seal(totp: Totp) -> str:
    """Return what the confirmation page says of ``totp`` for us: which enrollment it is."""
    return " ".join(map(str, identity_of(totp)))


def _was_seen(totp: Totp, request: HttpRequest) -> bool:
    """Return whether ``totp`` is the enrollment that was on the confirmation page.

    A form without the answer, from a project's own copy of the template, is about what is there.
    """
    shown = request.POST.getlist(SEEN)
    return not shown or _seal(totp) in shown


def _succeeds(remedy: Remedy, request: HttpRequest, totp: Totp, form: forms.Form) -> bool:
    """Return whether ``remedy`` could be applied to the user of ``totp``; record that it was."""
    reason = form.cleaned_data["reason"]
    told = f"administrator {request.user.pk}{reason and ': '}{reason}"
    try:
        act_upon(totp, remedy.service, user=totp.user, request=request, reason=told)
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
            object_repr=name_of(totp.user)[:200],
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
