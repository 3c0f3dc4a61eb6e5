"""The pages of a login: the password, and the code."""

import logging
from datetime import UTC, datetime
from typing import Any

from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.debug import sensitive_variables

from django_totp import device_cookie, events, navigation, sessions
from django_totp.accounts import account_by
from django_totp.assurance import assurance_of, new_login, totp_of
from django_totp.auth import finish_login, recovery_challenge, step_up
from django_totp.challenges import challenged
from django_totp.conf import conf
from django_totp.exceptions import InvalidChallenge, LoginOutdated, TotpError, TotpNotEnabled
from django_totp.forms import SENTENCES, PasswordForm, SecondFactorForm, status_of
from django_totp.mixins import TwoStepMixin
from django_totp.moments import here, in_words, whole_minute
from django_totp.reauthentication import reauthenticate
from django_totp.recovery import request_recovery
from django_totp.spelling import folded

from .base import Page

OVER = (InvalidChallenge, LoginOutdated, TotpNotEnabled)  # the login has to begin anew


class LoginPage(TwoStepMixin, Page, LoginView):
    """The first step: name and password."""

    template_name = "django_totp/login.html"
    decorators = ()  # Django's view has the same

    @property
    def user(self) -> None:
        """Nobody is signed in here, and a session keeps nobody out."""

    def subject(self) -> str | None:
        return folded(self.request.POST.get("username", ""))

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        name = {"username": request.POST.get("username", "")}
        form = self.get_form_class()(request, initial=name)  # a bound one would authenticate
        return self.refuse_to_hurry(form=form) or LoginView.post(self, request, *args, **kwargs)

    def form_invalid(self, form: Any) -> HttpResponse:
        events.record(
            "login_failed", form.get_user(), self.request, level=logging.WARNING, method="password"
        )
        return super().form_invalid(form)

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return LoginView.get(self, request, *args, **kwargs)


class StepPage(Page):
    """A page that half-logins are led to, and those who are signed in come to as well."""

    is_public = is_second_step = True

    def lead_on(self) -> HttpResponse | None:
        self.visit.is_answered = True
        if "another" in self.request.POST and self.half is not None:
            return self.give_up(self.half)
        if self.user is not None:
            return self.lead_on_user()
        if self.half is not None:
            return self.lead_on_half()
        if self.visit.over is not None:
            return self.begin_anew(self.visit.over)
        return navigation.to_login(self.request, self.next_url)

    def lead_on_user(self) -> HttpResponse | None:
        raise NotImplementedError

    def lead_on_half(self) -> HttpResponse | None:
        raise NotImplementedError

    @property
    def half(self) -> sessions.HalfLogin | None:
        """Return the half-login that comes here, if it is one."""
        return None if self.user is not None else self.visit.half

    @property
    def has_factor(self) -> bool:
        totp = totp_of(self.user)
        return totp is not None and totp.is_enabled

    def subject(self) -> str | None:
        half = self.half
        return None if half is None else half.user

    def get_context_data(self, **told: Any) -> dict[str, Any]:
        return super().get_context_data(half=self.half, **told)

    def give_up(self, half: sessions.HalfLogin) -> HttpResponse:
        """End the half-login, for somebody who wants to log in as somebody else."""
        sessions.end(self.request.session)
        return navigation.to_login(self.request, self.next_url, half.login_url)

    def begin_anew(self, half: sessions.HalfLogin | None) -> HttpResponse:
        """Tell that the login has to begin anew, and where."""
        url = half.login_url if half is not None else ""
        login = navigation.to_login(self.request, self.next_url, url)["Location"]
        return render(self.request, "django_totp/over.html", {"login_url": login}, status=400)


class VerifyPage(StepPage):
    """The second step of a login, and the step-up of one that is complete: a code."""

    template_name = "django_totp/verify.html"

    def lead_on_user(self) -> HttpResponse | None:
        return None if self.has_factor else navigation.redirect(navigation.SETUP, self.next_url)

    def lead_on_half(self) -> HttpResponse | None:
        is_enrollment = self.half is not None and self.half.is_enrollment
        return navigation.to_step(True, self.next_url) if is_enrollment else None

    def get_context_data(self, **told: Any) -> dict[str, Any]:
        unit, count = _period()
        trust = {"trust_unit": unit, "trust_for": count}
        wants_trust = "trust_device" in self.request.POST
        told = {**_of_recovery(self.half), **trust, **told}
        return super().get_context_data(wants_trust=wants_trust, **told)

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self.show(SecondFactorForm())

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        form = SecondFactorForm(request.POST)
        hurried = self.refuse_to_hurry(form=SecondFactorForm())
        if hurried is None and self.half is not None and "recovery" in request.POST:
            return self._recover(self.half)
        if hurried is not None or not form.is_valid():
            return hurried or self.show(form)
        return self._answer(form)

    @sensitive_variables("codes")
    def _answer(self, form: SecondFactorForm) -> HttpResponse:
        codes, half = form.cleaned_data, self.half
        try:
            return self._step_up(codes) if half is None else self._finish(half, codes)
        except OVER:
            return self.begin_anew(half)
        except TotpError as error:
            form.refuse(error, next(iter(codes)))
            return self.show(form)

    @sensitive_variables("challenge", "password")
    def _recover(self, half: sessions.HalfLogin) -> HttpResponse:
        """Ask for a mail or, once the wait is over, lead to the setup of a new app."""
        try:
            user = challenged(half.challenge, half.purpose, half.may_sign_in)
            if not half.by_password:  # it may be a session from before, or of a link in a mail
                password = self.request.POST.get("password", "")
                reauthenticate(user, password=password, request=self.request)
            challenge = recovery_challenge(user)
            if challenge:
                self.visit.half = sessions.turn(self.request, half, user, challenge)
                return navigation.to_step(True, self.next_url)
            request_recovery(half.challenge, request=self.request)
        except OVER:
            return self.begin_anew(half)
        except TotpError as error:
            problem = SENTENCES.get(type(error), str(error))
            status = status_of(error)
            return self.show(SecondFactorForm(), problem=str(problem), status=status)
        return self.show(SecondFactorForm(), is_mailed=True)

    @sensitive_variables("codes")
    def _finish(self, half: sessions.HalfLogin, codes: dict[str, str]) -> HttpResponse:
        request, at = self.request, self.visit.at
        user = finish_login(half.challenge, may_sign_in=half.may_sign_in, request=request, **codes)
        login = new_login(user, *half.methods, "otp", "mfa", at=at)
        sessions.sign_in(request, user, login, half=half)
        events.logged_in(user, request, method=_method(codes))
        if "trust_device" in request.POST and "otp_code" in codes:
            device_cookie.trust(request, user, login)
        return self.go_on()

    @sensitive_variables("codes")
    def _step_up(self, codes: dict[str, str]) -> HttpResponse:
        login = assurance_of(self.request)
        user, login = step_up(self._find, login, request=self.request, **codes)
        sessions.step_up(self.request, login)
        events.record("stepped_up", user, self.request, method=_method(codes))
        return self.go_on() if self.next_url else navigation.redirect(navigation.STATE)

    def _find(self) -> Any:
        user = account_by("pk", self.user.pk)
        if user is None:
            raise LoginOutdated
        return user


def _of_recovery(half: sessions.HalfLogin | None) -> dict[str, Any]:
    """Return what the page says of a recovery: whether there may be one, and how far it is."""
    if half is None or not half.recovery:
        return {"may_recover": False}
    told = {"may_recover": True, "password_form": PasswordForm()}
    if half.recovery == sessions.ASK:
        return told
    ready_at = datetime.fromisoformat(half.recovery)
    is_ready = ready_at <= datetime.now(UTC)
    return {**told, "ready_from": in_words(whole_minute(here(ready_at))), "is_ready": is_ready}


def _period() -> tuple[str, int]:
    """Return for how long a device is trusted: a unit, and how many. None of them is never."""
    seconds = conf.TOTP_TRUSTED_DEVICE_MAX_AGE
    for unit, size in (("days", 86400), ("hours", 3600)):
        if seconds and seconds % size == 0:
            return unit, seconds // size
    return "minutes", -(-seconds // 60)


def _method(codes: dict[str, str]) -> str:
    return "backup_code" if "backup_code" in codes else "totp"
