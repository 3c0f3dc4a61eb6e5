"""What somebody writes by hand who needs a second step: Django's login, one SELECT, one UPDATE.

It has no limit on guesses, no challenge and no protection of a session that is there: it is what
no login in two steps can be cheaper than.
"""

import functools
import time
from typing import Any

from django import forms
from django.contrib.auth import login
from django.contrib.auth.views import LoginView
from django.http import HttpResponse, HttpResponseRedirect
from django.template import engines

from benchmarks.peers import PERIOD, code_of
from django_totp.backup_code_utils import BackupCodeGuess
from django_totp.encryption import decrypt
from django_totp.models import Totp

FORM = (
    "<!doctype html><title>Code</title><h1>Code</h1><form method=post>{% csrf_token %}"
    "{{ form.as_p }}<button>Continue</button></form>"
)


class CodeForm(forms.Form):
    otp_code = forms.CharField(required=False)
    backup_code = forms.CharField(required=False)


class FloorLogin(LoginView):
    template_name = "django_totp/login.html"

    def form_valid(self, form: Any) -> HttpResponse:
        user = form.get_user()
        if not Totp.objects.filter(user_id=user.pk).exists():
            return super().form_valid(form)
        self.request.session["pending"] = [user.pk, user.backend]
        return HttpResponseRedirect("/code/")


def second_step(request: Any) -> HttpResponse:
    """Ask for a code, and sign in who gives a right one."""
    key, backend = request.session["pending"]
    form = CodeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        totp = Totp.objects.select_related("user").get(user_id=key)
        if is_right(totp, form.cleaned_data):
            del request.session["pending"]
            login(request, totp.user, backend=backend)
            return HttpResponseRedirect("/page/")
        form.add_error("otp_code", "This code is not right.")
    return HttpResponse(_template().render({"form": form}, request))


@functools.cache
def _template() -> Any:
    return engines["django"].from_string(FORM)


def is_right(totp: Any, codes: dict[str, str]) -> bool:
    """Return whether a code is right and unused, and write that with one UPDATE."""
    rows = Totp.objects.filter(pk=totp.pk, version=totp.version)
    if codes["backup_code"]:
        return not BackupCodeGuess(codes["backup_code"]).evaluate(totp).refused
    step = int(time.time()) // PERIOD
    if codes["otp_code"] == code_of(decrypt(totp.secret_key)) and step != totp.last_used_step:
        return bool(rows.update(last_used_step=step, version=totp.version + 1))
    rows.update(failures=totp.failures + 1, version=totp.version + 1)
    return False
