"""A remedy is applied: it asks first, is logged, and is written into two histories."""

from typing import Any

from django import forms
from django.apps import apps
from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import CharField, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from django_totp.events import acting
from django_totp.exceptions import TotpError
from django_totp.operations.support import current_users, refusal
from django_totp.users import name_of

from .remedies import Remedy

SELECTION_LIMIT = 100  # a page; more at once is rather a slip than support
THEMES = ("unfold", "jazzmin")  # which have no look of their own for Django's plain forms
TEMPLATE = "admin/django_totp/totp/confirmation.html"
SEEN = "seen"

# A field of no model, for the theme to say what its form field looks like.
REASON = CharField(
    name="reason",
    verbose_name=gettext_lazy("Reason"),
    help_text=gettext_lazy("For the history of the user and the log. Put no secret here."),
    max_length=200,
    blank=True,
)


class AppliesRemedies:
    """The part of a ``ModelAdmin`` that applies remedies to the users of selected rows."""

    admin_site: Any
    opts: Any
    media: Any
    message_user: Any
    formfield_for_dbfield: Any

    def _seal(self, row: Any) -> str:
        """Return what the confirmation page says of ``row`` for us: which one was shown."""
        return str(row.pk)

    def _named(self, row: Any) -> str:
        """Return what the confirmation page calls ``row``."""
        return name_of(row.user)

    def _apply(self, remedy: Remedy, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        """Ask for confirmation or, where that is given, apply ``remedy`` to the selected users."""
        chosen = list(queryset.prefetch_related(None)[: SELECTION_LIMIT + 1])
        if not 1 <= len(chosen) <= SELECTION_LIMIT:
            text = _("Select from 1 to %(limit)d entries that still exist.")
            self.message_user(request, text % {"limit": SELECTION_LIMIT}, messages.ERROR)
            return None
        rows, refused = _allowed(remedy, request.user, chosen)
        form = self._reason_form(request)
        if rows and not form.is_valid():
            return self._confirmation(remedy, request, rows, refused, form)
        seen = [row for row in rows if self._was_seen(row, request)]
        done = [row for row in seen if _succeeds(remedy, request, row, form)]
        self._report(remedy, request, len(done), refused)
        return None

    def _was_seen(self, row: Any, request: HttpRequest) -> bool:
        """Return whether ``row`` is the one that was on the confirmation page.

        A form without the answer, from a project's own copy of the template, is about what is
        there.
        """
        shown = request.POST.getlist(SEEN)
        return not shown or self._seal(row) in shown

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
        rows: list[Any],
        refused: list[tuple[str, Any]],
        form: forms.Form,
    ) -> HttpResponse:
        request.current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            "title": remedy.title,
            "remedy": remedy,
            "rows": rows,
            "names": [self._named(row) for row in rows],
            "refused": refused,
            "seen": [self._seal(row) for row in rows],
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
                "%(count)d entry had changed meanwhile and was left alone.",
                "%(count)d entries had changed meanwhile and were left alone.",
                missed,
            )
            self.message_user(request, text % {"count": missed}, messages.WARNING)
        if refused:
            users = "; ".join(f"{name} ({reason})" for name, reason in refused)
            text = _("Left alone: %(users)s.")
            self.message_user(request, text % {"users": users}, messages.WARNING)


def _allowed(
    remedy: Remedy, administrator: Any, rows: list[Any]
) -> tuple[list[Any], list[tuple[str, Any]]]:
    """Return to which of ``rows`` the administrator may apply ``remedy``, each with its user as
    that is now; and the name of each other user with the reason.
    """
    users = current_users([row.user_id for row in rows], using=rows[0]._state.db)
    allowed, refused = [], []
    for row in rows:
        if row.user_id not in users:
            continue
        row.user = users[row.user_id]
        reason = refusal(administrator, row.user) if remedy.opens else ""
        if reason:
            refused.append((name_of(row.user), reason))
        else:
            allowed.append(row)
    return allowed, refused


def _succeeds(remedy: Remedy, request: HttpRequest, row: Any, form: forms.Form) -> bool:
    """Return whether ``remedy`` could be applied to the user of ``row``; record that it was."""
    reason = form.cleaned_data["reason"]
    try:
        with acting(request, request.user):
            remedy.apply(row, user=row.user, request=request, reason=reason)
    except TotpError:
        return False
    _log(remedy, request, row, reason)
    return True


def _log(remedy: Remedy, request: HttpRequest, row: Any, reason: str) -> None:
    """Write it into two histories: that of the user lasts when the row is gone."""
    LogEntry.objects.bulk_create(
        LogEntry(
            user_id=request.user.pk,  # type: ignore[misc]  # the type of a key is the model's
            content_type=ContentType.objects.get_for_model(one),
            object_id=str(one.pk),
            object_repr=name_of(row.user)[:200],
            action_flag=flag,
            change_message=f"{remedy.entry} {reason}".strip(),
        )
        for one, flag in ((row, remedy.flag), (row.user, CHANGE))
    )
