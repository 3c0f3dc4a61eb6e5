"""Events in Django's admin: what happened to whom, the newest first. Nothing can be changed."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.formats import date_format
from django.utils.functional import cached_property
from django.utils.text import format_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_totp.agents import described
from django_totp.events import EVENTS
from django_totp.models import Event
from django_totp.moments import local
from django_totp.operations.support import search_users, users_by_key
from django_totp.users import name_of

from .base import SEARCH_LIMIT, model_admin

NEWEST = 10_000  # events that can be paged through


class EventFilter(admin.SimpleListFilter):
    title = gettext_lazy("event")
    parameter_name = "event"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return [(event, event) for event in EVENTS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(event=self.value()) if self.value() else queryset


class NewestPaginator(Paginator):  # type: ignore[type-arg]  # no generic at run time
    """Pages through the newest events alone: to count all of them is to read all of them."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        number: int = rows.order_by()[:NEWEST].count()
        return number


class KnowsUsers(ChangeList):
    """A page of events. Who did what to whom is looked up for the rows of this page alone."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        users = _users_of(self.result_list)
        for event in self.result_list:
            event.users = users


@admin.register(Event)
class EventAdmin(model_admin()):  # type: ignore[misc]  # what it is says the project
    """Shows events to whom ``view_event`` is given."""

    ordering = ("-pk",)
    sortable_by = ()
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = NewestPaginator
    list_filter = (EventFilter,)
    search_help_text = format_lazy(
        gettext_lazy(
            "By the name of a user, or the key. The list ends after {limit} events: for older "
            "ones, search for a user."
        ),
        limit=NEWEST,
    )
    list_display = (
        "time",
        "event",
        "username",
        "done_by",
        "method",
        "reason",
        "address",
        "browser",
    )
    fields = (*list_display[:-1], "user_agent")
    readonly_fields = fields

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return type("EventChangeList", (KnowsUsers, super().get_changelist(request, **kwargs)), {})

    def get_search_fields(self, request: HttpRequest) -> Any:
        return self.search_fields or ["=user_pk"]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if self.search_fields or not search_term:
            plain: tuple[QuerySet[Any], bool] = super().get_search_results(
                request, queryset, search_term
            )
            return plain
        found = search_users(search_term, limit=SEARCH_LIMIT)
        if found is None:
            text = _("Too many users have that in their names. Type more of the name.")
            self.message_user(request, text, messages.WARNING)
        keys = {search_term.strip(), *map(str, found or [])}
        return queryset.filter(user_pk__in=keys), False

    def lookup_allowed(self, lookup: str, value: Any, request: Any = None) -> bool:
        return lookup in {"user_pk", "user_pk__exact", EventFilter.parameter_name}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description=gettext_lazy("time"))
    def time(self, event: Event) -> str:
        moment = local(event.at)
        return f"{date_format(moment)} {date_format(moment, 'H:i:s T')}"

    @admin.display(description=gettext_lazy("user"))
    def username(self, event: Event) -> str:
        return _name(event, event.user_pk) or self.get_empty_value_display()

    @admin.display(description=gettext_lazy("done by"))
    def done_by(self, event: Event) -> str:
        if not event.user_pk:
            return str(self.get_empty_value_display())
        if not event.actor_pk:
            return _("a command")
        return _("self") if event.actor_pk == event.user_pk else _name(event, event.actor_pk)

    @admin.display(description=gettext_lazy("browser"))
    def browser(self, event: Event) -> str:
        agent = event.user_agent
        return described(agent) if agent else str(self.get_empty_value_display())


def _name(event: Any, key: str) -> str:
    """Return what the user of ``key`` is called, or the key itself of one who is gone."""
    if not hasattr(event, "users"):
        event.users = _users_of([event])
    return name_of(event.users[key]) if key in event.users else key


def _users_of(events: list[Any]) -> Any:
    return users_by_key({key for event in events for key in (event.user_pk, event.actor_pk) if key})
