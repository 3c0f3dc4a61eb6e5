"""What the pages of the admin share: they show what is known of users, one row for each, and change
nothing but by a remedy.
"""

from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.apps import apps
from django.contrib import admin
from django.contrib.admin.utils import display_for_value, quote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_totp.models import Account, Event
from django_totp.moments import as_configured
from django_totp.operations.support import search_fields, search_users
from django_totp.users import name_of

from .applying import AppliesRemedies
from .remedies import END_SESSIONS

SEARCH_LIMIT = 1000


def model_admin() -> Any:
    """Return the class to derive from. Some of Unfold's pages work with its own alone."""
    if apps.is_installed("unfold"):
        return import_string("unfold.admin.ModelAdmin")
    return admin.ModelAdmin


class SupportAdmin(AppliesRemedies, model_admin()):  # type: ignore[misc]  # what it is says the project
    """Shows rows that belong to one user each, and lets administrators help that user."""

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

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = super().get_fields(request, obj)
        return [*fields, "events"] if self._shows_events(request) else fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return [*super().get_readonly_fields(request, obj), "events"]

    def lookup_allowed(self, lookup: str, value: Any, request: Any = None) -> bool:
        # By default the query string may ask how a secret_key begins, letter by letter.
        return lookup in {"user", "user__exact"}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Asked with an object while a user is deleted: the row goes along. Alone it goes by no
        # more than a reset, and the delete view below is shut.
        return obj is not None

    def has_end_sessions_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("django_totp.end_sessions")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        context = {"show_delete": False, **(extra_context or {})}
        page: HttpResponse = super().change_view(request, object_id, form_url, context)
        return page

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        raise PermissionDenied

    @admin.display(description=gettext_lazy("user"))
    def username(self, row: Any) -> str:
        return name_of(row.user)

    @admin.display(description=gettext_lazy("user"))
    def account(self, row: Any) -> str:
        # Django would show the str() of the user, which fails where there is no name.
        meta = row.user._meta
        name = f"{self.admin_site.name}:{meta.app_label}_{meta.model_name}_change"
        try:
            url = reverse(name, args=[quote(row.user.pk)])
        except NoReverseMatch:
            return name_of(row.user)
        return format_html('<a href="{}">{}</a>', url, name_of(row.user))

    @admin.display(description=gettext_lazy("events"))
    def events(self, row: Any) -> str:
        url = reverse(f"{self.admin_site.name}:django_totp_event_changelist")
        query = urlencode({"user_pk": str(row.user_id)})
        return format_html('<a href="{}?{}">{}</a>', url, query, _("What happened"))

    @admin.display(description=gettext_lazy("logins count from"))
    def logins_count_from(self, row: Any) -> str:
        return self._moment(_account_of(row).valid_from)

    @admin.display(description=gettext_lazy("must enroll since"))
    def must_enroll_since(self, row: Any) -> str:
        return self._moment(_account_of(row).required_since)

    @admin.display(description=gettext_lazy("exempt until"))
    def exempt(self, row: Any) -> str:
        account = _account_of(row)
        day = display_for_value(account.exempt_until, self.get_empty_value_display())
        return f"{day} ({account.exempt_reason})" if account.exempt_until else day

    @admin.action(permissions=["end_sessions"], description=END_SESSIONS.title)
    def end_sessions(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        return self._apply(END_SESSIONS, request, queryset)

    def _shows_events(self, request: HttpRequest) -> bool:
        pages = self.admin_site._registry.get(Event)
        return pages is not None and pages.has_view_permission(request)

    def _moment(self, moment: datetime | None) -> str:
        return display_for_value(moment and as_configured(moment), self.get_empty_value_display())


def _account_of(row: Any) -> Account:
    """Return what is known of the user of ``row``, which may be that itself."""
    if isinstance(row, Account):
        return row
    return getattr(row.user, "totp_account", None) or Account()
