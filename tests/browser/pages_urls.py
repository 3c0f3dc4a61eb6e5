"""The URLs of a small project with our pages, and with a layout that is not ours."""

import re
from pathlib import Path

import rest_framework
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LogoutView
from django.http import HttpRequest, HttpResponse
from django.template import RequestContext, Template
from django.urls import include, path

from django_totp.decorators import second_factor_required

BOOTSTRAP = "static/rest_framework/css/bootstrap.min.css"

HOME = """<!doctype html><html lang="en"><title>Home</title><h1>Hello.</h1>
<form method="post" action="/logout/">{% csrf_token %}<button>Log out</button></form></html>"""


@login_required
def home(request: HttpRequest) -> HttpResponse:
    return HttpResponse(Template(HOME).render(RequestContext(request)))


@second_factor_required(max_age=300)
def vault(request: HttpRequest) -> HttpResponse:
    page = '<!doctype html><html lang="en"><title>Vault</title><h1>You are in.</h1></html>'
    return HttpResponse(page)


def foreign_style(request: HttpRequest) -> HttpResponse:
    style = (Path(rest_framework.__file__).parent / BOOTSTRAP).read_text()
    style = re.sub(r"@font-face ?{[^}]*}", "", style)  # of its icons, from elsewhere
    return HttpResponse(style, content_type="text/css")


def sizes(request: HttpRequest) -> HttpResponse:
    """Let what Bootstrap leaves as a browser draws it be as large as our audit wants it."""
    return HttpResponse("button, input, summary { min-height: 44px }", content_type="text/css")


urlpatterns = [
    path("account/", include("django_totp.urls.pages")),
    path("account/reset/", vault, name="password_reset"),
    path("vault/", vault),
    path("home/", home),
    path("logout/", LogoutView.as_view(next_page="two-factor-login")),
    path("foreign.css", foreign_style),
    path("sizes.css", sizes),
    path("favicon.ico", lambda request: HttpResponse(status=204)),
]
