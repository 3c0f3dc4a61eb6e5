"""The page of an enrollment, and the one that shows the codes that come of it."""

from typing import Any
from urllib.parse import quote

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.functional import cached_property
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from django_totp import decorators, events, moments, navigation, sessions
from django_totp.assurance import assurance_of, new_login
from django_totp.auth import finish_owed_enrollment, start_owed_enrollment
from django_totp.challenges import challenged
from django_totp.conf import conf
from django_totp.exceptions import (
    InvalidChallenge,
    ReauthenticationRequired,
    TotpAlreadyExists,
    TotpError,
    TotpNotEnrolled,
)
from django_totp.forms import PasswordForm, SetupForm
from django_totp.reauthentication import FreshProof, reauthenticate
from django_totp.totp import (
    TotpSetup,
    confirm_totp_setup,
    pending_setup,
    start_totp_replacement,
    start_totp_setup,
)

from .base import Page
from .steps import StepPage

OUTDATED = _("The QR code that you saw is not valid any more. Scan this one.")
REPLACED = _("Your new authenticator app is set up. The old one does not work any more.")


class SetupPage(StepPage):
    """The enrollment: of somebody who is signed in, or as the end of a login that owes it.

    Who has a second factor replaces it here, and has given it a moment before. It begins when
    the page is shown. What the page shows is not kept: who comes back gets a new secret, and a
    typing error shows the same one again, because the page has sent it along.
    """

    template_name = "django_totp/setup.html"

    def lead_on_user(self) -> HttpResponse | None:
        if not self.has_factor or self.shown is not None:  # the proof was given at the start
            return None
        return decorators.refused(self.request, conf.TOTP_REAUTHENTICATE_MAX_AGE)

    def lead_on_half(self) -> HttpResponse | None:
        is_enrollment = self.half is not None and self.half.is_enrollment
        return None if is_enrollment else navigation.to_step(False, self.next_url)

    def head(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return HttpResponse()  # who does not look begins nothing

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if self.must_reauthenticate:
            return self.show(PasswordForm())
        return self.refuse_to_hurry() or self.begin()

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if self.must_reauthenticate:
            hurried = self.refuse_to_hurry(form=PasswordForm())
            return hurried or self._reauthenticate(PasswordForm(request.POST))
        hurried = self.refuse_to_hurry(form=SetupForm(), setup=self.shown)
        if hurried is not None:
            return hurried
        form = SetupForm(request.POST)
        return self._confirm(form) if form.is_valid() else self.show(form, setup=self.shown)

    def get_template_names(self) -> list[str]:
        return ["django_totp/password.html"] if self.must_reauthenticate else [self.template_name]

    @cached_property
    def is_replacement(self) -> bool:
        """Whether there is a second factor, which a new one is to take the place of."""
        if self.half is not None:
            return self.half.is_recovery
        return self.user is not None and self.has_factor

    def get_context_data(self, **told: Any) -> dict[str, Any]:
        return super().get_context_data(is_replacement=self.is_replacement, **told)

    @property
    def must_reauthenticate(self) -> bool:
        """Return whether the password is asked for again, as at ``totp/create/``."""
        if not conf.TOTP_REAUTHENTICATE or self.user is None or self.has_factor:
            return False
        return not assurance_of(self.request).is_recent(conf.TOTP_REAUTHENTICATE_MAX_AGE)

    def begin(self, problem: Any = "") -> HttpResponse:
        """Start an enrollment and show it."""
        try:
            setup = self._begun()
        except (InvalidChallenge, TotpAlreadyExists, TotpNotEnrolled, ReauthenticationRequired):
            return self.give_way()
        return self.show(SetupForm(), setup=setup, problem=problem)

    def give_way(self) -> HttpResponse:
        """Lead away from here: the login is over, or somebody else has changed the factor."""
        return self.begin_anew(self.half) if self.half else navigation.redirect(navigation.STATE)

    def _begun(self) -> TotpSetup:
        request, half = self.request, self.half
        if half is not None:
            return start_owed_enrollment(
                half.challenge, may_sign_in=half.may_sign_in, request=request
            )
        if self.is_replacement:
            login = assurance_of(request)
            proof = FreshProof(self.user, request, login=login)
            return start_totp_replacement(self.user, request=request, proof=proof, sid=login.sid)
        return start_totp_setup(self.user, request=request)

    @sensitive_variables("codes")
    def _confirm(self, form: SetupForm) -> HttpResponse:
        is_new = self.is_replacement  # before it is confirmed
        if self.shown is None and form.cleaned_data["secret"]:
            return self.begin(OUTDATED)
        try:
            codes = self._confirmed(form.cleaned_data["otp_code"])
        except (InvalidChallenge, TotpAlreadyExists):
            return self.give_way()
        except TotpNotEnrolled:
            return self.begin(OUTDATED)
        except TotpError as error:
            form.refuse(error, "otp_code")
            return self.show(form, setup=self.shown)
        return show_codes(self, codes, is_enrollment=True, done=str(REPLACED) if is_new else "")

    @sensitive_variables("code", "codes")
    def _confirmed(self, code: str) -> list[str]:
        request, half = self.request, self.half
        if half is None:
            login = assurance_of(request).named()
            proof = FreshProof(self.user, request, login=login)
            codes = confirm_totp_setup(self.user, code, request=request, sid=login.sid, proof=proof)
            # From when the request began: whoever ended all logins meanwhile has ended this one.
            sessions.step_up(request, login.stepped_up(at=self.visit.at))
            return codes
        user, login, codes = finish_owed_enrollment(
            half.challenge,
            code,
            methods=half.methods,
            may_sign_in=half.may_sign_in,
            request=request,
        )
        sessions.sign_in(request, user, login, half=half)
        events.logged_in(user, request, method="totp")
        return codes

    @cached_property
    @sensitive_variables("secret")
    def shown(self) -> TotpSetup | None:
        """The setup that the page has shown, if it is still the one."""
        secret = self.request.POST.get("secret", "")
        try:
            half = self.half
            user = (
                self.user
                if half is None
                else challenged(half.challenge, half.purpose, half.may_sign_in)
            )
        except InvalidChallenge:
            return None
        if not secret or not secret.isascii():
            return None
        return pending_setup(user, secret, in_recovery=half is not None and half.is_recovery)

    @sensitive_variables("form", "password")
    def _reauthenticate(self, form: PasswordForm) -> HttpResponse:
        if not form.is_valid():
            return self.show(form)
        try:
            reauthenticate(self.user, request=self.request, **form.cleaned_data)
        except TotpError as error:
            form.refuse(error, "password")
            return self.show(form)
        sessions.step_up(self.request, new_login(self.user, "pwd", at=self.visit.at))
        return navigation.redirect(navigation.SETUP, self.next_url)


@sensitive_variables("codes")
def show_codes(
    page: Page, codes: list[str], *, is_enrollment: bool = False, done: str = ""
) -> HttpResponse:
    """Return the page that shows new backup codes, this once, and what has been ``done``."""
    site, day = page.request.get_host(), moments.today().isoformat()
    caption = gettext("Backup codes for %(site)s, %(date)s") % {"site": site, "date": day}
    lines = [caption, "", *codes, ""]
    context = page.get_context_data(
        codes=codes,
        caption=caption,
        is_enrollment=is_enrollment,
        done=done,
        file="data:text/plain;charset=utf-8," + quote("\r\n".join(lines)),
        file_name=f"backup-codes-{site.partition(':')[0]}-{day}.txt",
        go_on=page.next_url or navigation.to(navigation.STATE),
    )
    return render(page.request, "django_totp/codes.html", context)
