"""What all pages share: who sees them, how often, and what must not be kept or shown."""

from typing import Any

from django.conf import settings
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.db import connections, transaction
from django.forms import Form
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic import TemplateView

from django_totp import navigation, rates
from django_totp.addresses import address_of, client_address, subnet
from django_totp.conf import conf
from django_totp.forms import problems_of
from django_totp.views.reports import SecretsFilter
from django_totp.visits import Visit, visit_of


class Page(TemplateView):
    """The base of our pages. No transaction is opened around them: see ``TotpView``.

    A referrer goes nowhere but to this site: without any, browsers send ``Origin: null``, which
    Django's protection against CSRF refuses.
    """

    decorators: tuple[Any, ...] = (sensitive_post_parameters(), csrf_protect, never_cache)
    is_public = False  # for Django's LoginRequiredMiddleware
    is_second_step = False  # or a page that half-logins are led to

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        view = super().as_view(**initkwargs)
        for decorate in cls.decorators:
            view = decorate(view)
        for alias in connections:
            view = transaction.non_atomic_requests(using=alias)(view)
        view.login_required = not cls.is_public  # type: ignore[attr-defined]
        return view

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        request.exception_reporter_filter = SecretsFilter()
        request.totp_client_address = client_address(address_of(request))  # type: ignore[attr-defined]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        visit_of(request)
        response = self.lead_on() or super().dispatch(request, *args, **kwargs)
        response.headers["Referrer-Policy"] = "same-origin"
        return response

    def lead_on(self) -> HttpResponse | None:
        """Return where somebody is led who has nothing to do here."""
        return None

    @property
    def visit(self) -> Visit:
        return visit_of(self.request)

    @property
    def next_url(self) -> str:
        """Return the page of this site to go on to, or an empty string."""
        data = self.request.POST if REDIRECT_FIELD_NAME in self.request.POST else self.request.GET
        url: str = data.get(REDIRECT_FIELD_NAME, "")
        return url if url and navigation.is_local(self.request, url) else ""

    def go_on(self) -> HttpResponse:
        """Lead to where the login was to lead."""
        return HttpResponseRedirect(self.next_url or resolve_url(settings.LOGIN_REDIRECT_URL))

    def show(self, form: Form | None = None, **told: Any) -> HttpResponse:
        """Return the page with what it is ``told``, and with the wait there is, if any."""
        status = told.pop("status", getattr(form, "status", 200))
        retry_after = told.setdefault("retry_after", getattr(form, "retry_after", None))
        context = self.get_context_data(form=form, **told)
        response = self.render_to_response(context, status=status)
        if retry_after is not None:
            response.headers["Retry-After"] = str(retry_after)
        return response

    def get_context_data(self, **told: Any) -> dict[str, Any]:
        problems = problems_of(told.get("form"))
        told["is_beside"] = not told.get("problem") and all(name for name, _ in problems)
        told["makes_codes"] = conf.TOTP_MAX_BACKUP_CODES > 0
        return super().get_context_data(next=self.next_url, problems=problems, **told)

    def subject(self) -> str | None:
        """Return the account that a request is about which is not signed in."""
        return None

    def refuse_to_hurry(self, **told: Any) -> HttpResponse | None:
        """Return the page that says to wait, if there were too many requests."""
        cls = type(self)
        seconds = rates.refused(f"{cls.__module__}.{cls.__qualname__}", self._limits())
        if seconds is None:
            return None
        problem = ngettext(
            "Too many requests. Try again in %(seconds)d second.",
            "Too many requests. Try again in %(seconds)d seconds.",
            seconds,
        ) % {"seconds": seconds}
        return self.show(status=429, retry_after=seconds, problem=problem, **told)

    def _limits(self) -> dict[str, str]:
        if self.user is not None:
            return {"TOTP_THROTTLE_RATE": rates.of_user(self.user.pk)}
        account, address = self.subject(), subnet(address_of(self.request))
        whom = rates.of_account(account, address) if account else rates.of_address(address)
        limits = {"TOTP_THROTTLE_RATE": whom}
        if address:  # behind a Unix socket, all the world would be one
            limits["TOTP_ADDRESS_THROTTLE_RATE"] = rates.of_all_at(address)
        return limits

    @property
    def user(self) -> Any:
        """Return who is signed in, or ``None``."""
        user = self.request.user
        return user if user.is_authenticated else None
