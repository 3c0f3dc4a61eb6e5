import hashlib
import time
from typing import Any

import pyotp
from cryptography.fernet import InvalidToken
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from django_totp.assurance import assurance_of
from django_totp.decorators import second_factor_required
from django_totp.encryption import decrypt
from django_totp.models import Totp
from django_totp.permissions import HasRecentSecondFactor

PATIENCE = 10  # seconds that a code of the session side counts as recent
DELETED = "Your notes are deleted. There were none: this is an example."


@require_safe
@never_cache
def start(request: HttpRequest) -> HttpResponse:
    return render(request, "playground/start.html")


@require_safe
@never_cache
def jwt(request: HttpRequest) -> HttpResponse:
    return render(request, "playground/jwt.html")


@require_safe
def tools(request: HttpRequest) -> HttpResponse:
    return render(request, "playground/tools.html")


# The session side. Nothing in these views knows of the second step: the middleware asks for it.


@require_safe
@never_cache
@login_required
def session(request: HttpRequest) -> HttpResponse:
    """Show who is signed in, and what the session says of that login."""
    login = assurance_of(request)
    age = max(int(time.time()) - (login.time or 0), 0)
    return render(request, "playground/session.html", {"login": login.claims, "age": age})


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@second_factor_required(max_age=PATIENCE)  # demo only: five minutes are what people bear
def danger(request: HttpRequest) -> HttpResponse:
    """Delete all notes, for who gave a second factor a moment ago. There are none."""
    if request.method == "POST":
        messages.success(request, DELETED)
        return redirect("session")
    return render(request, "playground/danger.html", {"patience": PATIENCE})


# The phone of the demo users. Never build this elsewhere: it hands the second factor to whoever
# asks. It knows the demo users, and nothing at all where ``DEBUG`` is off.


@require_safe
@never_cache
def demo_code(request: HttpRequest) -> JsonResponse:
    """Answer with what the authenticator app of a demo user shows now."""
    username = request.GET.get("username", "")
    if username not in _demo_users():
        raise Http404
    return JsonResponse(_app_of(username))


@require_safe
@never_cache
def demo_phone(request: HttpRequest) -> HttpResponse:
    """Show the same of all demo users, without a script."""
    apps = [{"username": username, **_app_of(username)} for username in _demo_users()]
    return render(request, "playground/phone.html", {"apps": apps})


class HasVeryRecentSecondFactor(HasRecentSecondFactor):
    """Demo only: nobody is patient enough for the five minutes."""

    max_age = 5


class NotesView(APIView):
    """The notes of the user. There are none: it is the permission that is shown here."""

    permission_classes = [HasRecentSecondFactor]

    @extend_schema(tags=["notes"], request=None, responses={204: None})
    def delete(self, request: Request) -> Response:
        """Delete all notes, for who gave a second factor a moment ago."""
        return Response(status=status.HTTP_204_NO_CONTENT)


class StrictNotesView(NotesView):
    permission_classes = [HasVeryRecentSecondFactor]


def _demo_users() -> list[str]:
    """Return the names of the demo users. Raise Http404 where ``DEBUG`` is off."""
    if not settings.DEBUG:
        raise Http404
    return [settings.DEMO_USERNAME, settings.DEMO_EDITOR, settings.DEMO_ADMIN]


def _app_of(username: str) -> dict[str, Any]:
    totp = Totp.objects.filter(user__username=username).first()
    return {"state": "none"} if totp is None else _authenticator(totp)


def _authenticator(totp: Totp) -> dict[str, Any]:
    try:
        secret = decrypt(totp.secret_key)
    except InvalidToken:
        return {"state": "unreadable"}
    digest = getattr(hashlib, totp.algorithm.lower())
    authenticator = pyotp.TOTP(secret, digits=totp.digits, interval=totp.period, digest=digest)
    now = time.time()
    step, elapsed = divmod(now, totp.period)
    return {
        "state": "pending" if totp.confirmed_at is None else "enabled",
        "code": authenticator.generate_otp(int(step)),
        "is_used": totp.last_used_step is not None and totp.last_used_step >= step,
        "period": totp.period,
        "seconds_left": round(totp.period - elapsed, 3),
    }
