import hashlib
import time
from typing import Any

import pyotp
from cryptography.fernet import InvalidToken
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from django_totp.encryption import decrypt
from django_totp.models import Totp
from django_totp.permissions import HasRecentSecondFactor


@require_safe
@never_cache
def start(request: HttpRequest) -> HttpResponse:
    context = {"demo": None}
    if settings.DEBUG:
        context["demo"] = {
            "username": settings.DEMO_USERNAME,
            "editor": settings.DEMO_EDITOR,
            "password": settings.DEMO_PASSWORD,
        }
    return render(request, "playground/start.html", context)


@require_safe
def tools(request: HttpRequest) -> HttpResponse:
    return render(request, "playground/tools.html")


@require_safe
@never_cache
def demo_code(request: HttpRequest) -> JsonResponse:
    """Answer with what the authenticator app of a demo user shows now.

    Demo only: it stands in for a phone, and so hands the second factor to whoever asks. It
    knows the demo users, and nothing at all where ``DEBUG`` is off. Never build this elsewhere.
    """
    username = request.GET.get("username")
    if not settings.DEBUG or username not in {settings.DEMO_USERNAME, settings.DEMO_EDITOR}:
        raise Http404
    totp = Totp.objects.filter(user__username=username).first()
    return JsonResponse({"state": "none"} if totp is None else _authenticator(totp))


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
