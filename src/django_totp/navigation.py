"""Where a browser is led, and what a program is told instead."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.apps import apps
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth.views import LoginView
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch, Resolver404, get_script_prefix, resolve, reverse
from django.utils.http import url_has_allowed_host_and_scheme, urlencode

from .exceptions import TotpError

LOGIN, VERIFY, SETUP = "two-factor-login", "two-factor-verify", "two-factor-setup"
STATE = "two-factor"
SAFE = ("GET", "HEAD")
HIDDEN = "hidden"
REFUSED = (401, 403)
BY_BROWSERS = ("", "basic", "digest", "negotiate", "ntlm")  # what they send by themselves


def wants_html(request: HttpRequest) -> bool:
    """Return whether ``request`` is a browser's that is going to show a page."""
    mode = request.headers.get("Sec-Fetch-Mode", "navigate")
    return mode == "navigate" and request.accepts("text/html")


def takes_page(request: HttpRequest, response: Any) -> bool:
    """Return whether a page can stand for ``response``: not for JSON, whatever was accepted."""
    kind = "" if response is None else response.get("Content-Type", "").partition(";")[0]
    return wants_html(request) and not kind.strip().endswith("json")


def has_credential(request: HttpRequest) -> bool:
    """Return whether ``request`` comes with a token, say, beside the session, and means that."""
    return request.headers.get("Authorization", "").partition(" ")[0].lower() not in BY_BROWSERS


def is_local(request: HttpRequest, url: str) -> bool:
    """Return whether ``url`` leads to this very site."""
    return url_has_allowed_host_and_scheme(
        url, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )


def here(request: HttpRequest) -> str:
    """Return the page to come back to: this one, or the one that has sent a form here."""
    if request.method in SAFE:
        return request.get_full_path()
    referrer = request.headers.get("Referer", "")
    if not referrer or not is_local(request, referrer):
        return ""
    return urlsplit(referrer)._replace(scheme="", netloc="", fragment="").geturl()


def to(name: str, next_url: str = "") -> str:
    """Return the URL of a page of ours that leads on to ``next_url``.

    Raise ImproperlyConfigured if the pages are not there.
    """
    try:
        url = reverse(name)
    except NoReverseMatch as error:
        raise ImproperlyConfigured(
            f"There is no page {name!r} to lead to. Add "
            "path('account/', include('django_totp.urls.pages')) to the URLs."
        ) from error
    return f"{url}?{urlencode({REDIRECT_FIELD_NAME: next_url})}" if next_url else url


def redirect(name: str, next_url: str = "") -> HttpResponse:
    """Lead to a page of ours, and from there on to ``next_url``."""
    return HttpResponseRedirect(to(name, next_url))


def to_step(is_enrollment: bool, next_url: str = "") -> HttpResponse:
    """Lead a half-login to its next step."""
    return redirect(SETUP if is_enrollment else VERIFY, next_url)


def login_url() -> str:
    """Return the login page of the project, or ours where it has none."""
    url = _resolved(settings.LOGIN_URL)
    parts = urlsplit(url)
    return url if parts.netloc or _view_at(parts.path) is not None else to(LOGIN)


def to_login(request: HttpRequest, next_url: str, url: str = "") -> HttpResponse:
    """Lead to the login page ``url``, or that of the project, and on to ``next_url``.

    A login page of another site needs to be told of which site that is.
    """
    parts = urlsplit(url or login_url())
    query = parse_qs(parts.query, keep_blank_values=True)
    if next_url:
        is_far = not is_local(request, parts.geturl())
        query[REDIRECT_FIELD_NAME] = [request.build_absolute_uri(next_url) if is_far else next_url]
    return HttpResponseRedirect(parts._replace(query=urlencode(query, doseq=True)).geturl())


def tell(request: Any, sentence: str) -> None:
    """Show ``sentence`` on the next page, where Django's messages are installed."""
    if apps.is_installed("django.contrib.messages"):
        messages.success(request, sentence, fail_silently=True)


def refusal(error: TotpError | None = None, *, status: int, **facts: Any) -> HttpResponse:
    """Tell a program why it is refused: by ``error``, or by the ``detail`` and ``code`` given."""
    told: dict[str, Any] = {"detail": str(error), "code": error.code} if error is not None else {}
    return JsonResponse(told | facts, status=status, headers={"Cache-Control": "no-store"})


def is_refused(request: HttpRequest, response: Any) -> bool:
    """Return whether ``response`` wants somebody to be signed in."""
    if response.status_code in REFUSED:
        return request.method in SAFE or not takes_page(request, response)
    return login_asked_by(request, response) is not None


def login_asked_by(request: HttpRequest, response: Any) -> str | None:
    """Return the URL of the login page that ``response`` redirects to, or ``None``."""
    url: str = response.get("Location", "")
    if not url or not 300 <= response.status_code < 400 or not is_local(request, url):
        return None
    has_way_back = next_in(url) == request.get_full_path()
    return url if has_way_back or is_login(urlsplit(url).path) else None


def is_login(path: str) -> bool:
    """Return whether a login page is at ``path``: the project's, ours, or that of an admin."""
    match = _view_at(path)
    if match is None:
        return False
    is_named = path == urlsplit(_resolved(settings.LOGIN_URL)).path
    return is_named or match.url_name == LOGIN or _is_login_view(match.func)


def next_in(url: str) -> str:
    """Return the page that the login page ``url`` leads on to."""
    return parse_qs(urlsplit(url).query).get(REDIRECT_FIELD_NAME, [""])[0]


def admin_site_of(view: Any) -> Any:
    """Return the admin site whose login ``view`` is, or ``None``."""
    site = getattr(view, "__self__", None)
    if site is None or view.__name__ != "login" or not apps.is_installed("django.contrib.admin"):
        return None
    from django.contrib.admin import AdminSite

    return site if isinstance(site, AdminSite) else None


def is_logout(request: Any) -> bool:
    """Return whether ``request`` is to be logged out, as the name of its URL tells.

    Many a logout does nothing for somebody who is not signed in: that of an admin, or allauth's.
    """
    return request.method == "POST" and "logout" in (request.resolver_match.url_name or "")


def hide_token(request: Any) -> None:
    """Let no log and no report show the token in the path of the page that a mail leads to.

    Django logs ``request.path`` and reports it; it finds the view by another attribute.
    """
    if ":" not in request.path_info:  # as in each signed token
        return
    match = _view_at(request.path)
    token = match and match.kwargs.get("token")
    if token and is_of_ours(match.func, "hides_token"):
        request.path = request.path.replace(token, HIDDEN)
        request.META["PATH_INFO"] = request.META.get("PATH_INFO", "").replace(token, HIDDEN)


def is_of_ours(view: Any, mark: str) -> bool:
    """Return whether the page ``view`` has that mark."""
    return bool(getattr(getattr(view, "view_class", None), mark, False))


def is_second_step(view: Any) -> bool:
    """Return whether ``view`` is a page that half-logins are led to."""
    return is_of_ours(view, "is_second_step")


def _resolved(name: Any) -> str:
    """Return where ``name`` leads, or an empty string if that is nowhere."""
    try:
        return resolve_url(name)
    except NoReverseMatch:
        return ""


def _view_at(path: str) -> Any:
    """Return what answers at ``path``, which has the prefix of the site, or ``None``."""
    prefix = get_script_prefix()
    try:
        return resolve(f"/{path.removeprefix(prefix)}") if path.startswith(prefix) else None
    except Resolver404:
        return None


def _is_login_view(view: Any) -> bool:
    cls = getattr(view, "view_class", None)
    is_class_based = isinstance(cls, type) and issubclass(cls, LoginView)
    return is_class_based or admin_site_of(view) is not None
