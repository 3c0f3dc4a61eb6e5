"""The two steps: between them the session holds who gave the right password, and nobody else."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.views import LoginView
from django.http import HttpResponseBase
from django.shortcuts import redirect
from django.views.generic import FormView

from .models import Device

KEY = "pending"


class FirstStep(LoginView):
    template_name = "floor/form.html"

    def form_valid(self, form: Any) -> Any:
        user = form.get_user()
        if not Device.objects.filter(user=user).exists():
            return super().form_valid(form)
        self.request.session[KEY] = [user.pk, user.backend]
        return redirect("second-step")


class CodeForm(forms.Form):
    otp_code = forms.CharField(required=False)
    backup_code = forms.CharField(required=False)


class SecondStep(FormView):  # type: ignore[type-arg]  # only its stub is generic
    template_name = "floor/form.html"
    form_class = CodeForm

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if KEY not in request.session:
            return redirect(settings.LOGIN_URL)
        return super().dispatch(request, *args, **kwargs)

    def form_valid(self, form: Any) -> Any:
        key, backend = self.request.session[KEY]
        device = Device.objects.select_related("user").get(user=key, user__is_active=True)
        if not device.accepts(**form.cleaned_data):
            form.add_error(None, "This code is not right.")
            return self.form_invalid(form)
        del self.request.session[KEY]
        login(self.request, device.user, backend=backend)
        return redirect(settings.LOGIN_REDIRECT_URL)
