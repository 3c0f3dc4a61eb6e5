import json

from django.contrib.auth import aauthenticate, alogin
from django.http import JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import View

from django_totp.assurance import aassurance_of, arecord
from django_totp.auth import afinish_login, ais_totp_enabled
from django_totp.backup_code_utils import averify_backup_code
from django_totp.decorators import second_factor_required
from django_totp.exceptions import TotpError
from django_totp.mixins import SecondFactorRequiredMixin
from django_totp.reauthentication import areauthenticate
from django_totp.totp import averify_totp_code
from tests.field.urls_sessions import urlpatterns as _ours

CHECKS = {"otp_code": averify_totp_code, "backup_code": averify_backup_code}


async def who(request):
    user = await request.auser()
    login = await aassurance_of(request)
    has_factor = user.is_authenticated and await ais_totp_enabled(user)
    return JsonResponse([user.get_username(), has_factor, *login.methods], safe=False)


@csrf_exempt
async def step(request):
    """Take the second step of a login of the project's own, with the challenge of ours."""
    given = json.loads(request.body)
    try:
        user = await afinish_login(given.pop("challenge"), **given, request=request)
    except TotpError as error:
        return JsonResponse({"code": error.code}, status=400)
    return JsonResponse({"user": user.get_username()})


@csrf_exempt
async def check(request):
    user = await request.auser()
    [(kind, value)] = request.POST.items()
    try:
        is_right = await CHECKS[kind](user, value, request=request)
    except TotpError as error:
        return JsonResponse({"code": error.code}, status=429)
    return JsonResponse({"right": is_right})


@csrf_exempt
async def prove(request):
    try:
        await areauthenticate(await request.auser(), **request.POST.dict(), request=request)
    except TotpError as error:
        return JsonResponse({"code": error.code}, status=403)
    return JsonResponse({})


@csrf_exempt
async def passkey(request):
    """Log in as a package for passkeys does, and state it."""
    user = await aauthenticate(request, **request.POST.dict())
    await alogin(request, user)
    request.user = user
    login = await arecord(request, "hwk", "pin")
    return JsonResponse(login.methods, safe=False)


@second_factor_required(max_age=300)
async def strict(request):
    return JsonResponse({"user": (await request.auser()).get_username()})


class Guarded(SecondFactorRequiredMixin, View):
    async def get(self, request):
        return JsonResponse({"user": (await request.auser()).get_username()})


urlpatterns = [
    path("async/who/", who),
    path("async/step/", step),
    path("async/check/", check),
    path("async/prove/", prove),
    path("async/passkey/", passkey),
    path("async/strict/", strict),
    path("async/guarded/", Guarded.as_view()),
    *_ours,
]
