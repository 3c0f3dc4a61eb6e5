"""Mixins for views of the project: a guard, and a login in two steps."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from . import decorators, navigation
from .exceptions import PolicyUnavailable
from .forms import problems_of
from .moments import local
from .sessions import first_step
from .visits import visit_of


class SecondFactorRequiredMixin:
    """Let in whose login gave the second factor: ``decorators.second_factor_required``.

    It comes first among the bases of a view. With ``second_factor_max_age``, in seconds, the
    second factor has to be younger.
    """

    second_factor_max_age: int | None = None

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        view = super().as_view(**initkwargs)  # type: ignore[misc]
        max_age = initkwargs.get("second_factor_max_age", cls.second_factor_max_age)
        return decorators.second_factor_required(view, max_age=max_age)


class TwoStepMixin:
    """Make a login view of the project, a subclass of Django's ``LoginView``, one in two steps.

    It comes first among the bases. A right password signs in where nothing else is needed; else
    it begins a half-login, and leads to the second step or to the enrollment that is owed.
    """

    asks_second_factor = True  # for the side-door audit
    request: Any

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        view = super().as_view(**initkwargs)  # type: ignore[misc]
        view.login_required = False  # as Django's LoginView: a mixin may hide that it says so
        return view

    def get_context_data(self, **told: Any) -> dict[str, Any]:
        """Add what is wrong with the form, for a page that is made with our template."""
        context: dict[str, Any] = super().get_context_data(**told)  # type: ignore[misc]
        context.setdefault("problems", problems_of(context.get("form")))
        return context

    def form_valid(self, form: Any) -> HttpResponse:
        """Take the first step. Raise ImproperlyConfigured without the middleware."""
        visit, user = visit_of(self.request), form.get_user()
        try:
            half, begin = first_step(self.request, user, at=visit.at, login_url=self.request.path)
        except PolicyUnavailable as error:
            form.add_error(None, str(error))
            return self.form_invalid(form)  # type: ignore[attr-defined,no-any-return]
        if half is None:
            if begin is not None:
                navigation.tell(self.request, _required_from(begin))
            return HttpResponseRedirect(self.get_success_url())  # type: ignore[attr-defined]
        visit.half, visit.is_answered = half, True
        return navigation.to_step(half.is_enrollment, self._next_url())

    def _next_url(self) -> str:
        """Return where the login leads, or nothing if that is where all logins lead."""
        view: Any = self
        if view.get_redirect_url():
            return str(view.get_redirect_url())
        url = str(view.get_success_url())
        return "" if url == resolve_url(settings.LOGIN_REDIRECT_URL) else url


def _required_from(begin: datetime) -> str:
    return _(
        "From %(moment)s on, this account must have two-factor authentication. Set it up in time."
    ) % {"moment": date_format(local(begin), "SHORT_DATETIME_FORMAT")}
