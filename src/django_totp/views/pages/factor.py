"""The pages about the own second factor, once there is one."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from django_totp import decorators, devices, navigation, policy
from django_totp.assurance import assurance_of
from django_totp.backup_code_utils import rotate_backup_codes
from django_totp.conf import conf
from django_totp.exceptions import ReauthenticationRequired, TotpError, TotpNotEnrolled
from django_totp.forms import ServiceForm
from django_totp.moments import aware, here, in_words, local, whole_minute
from django_totp.reauthentication import FreshProof
from django_totp.recovery import cancel_recovery_of
from django_totp.status import status_of
from django_totp.totp import disable_totp

from .base import Page
from .setup import show_codes


class StatePage(Page):
    """Whether the second factor is on, where to change that, and which devices are trusted."""

    template_name = "django_totp/state.html"

    def lead_on(self) -> HttpResponse | None:
        return decorators.ask_for_login(self.request) if self.user is None else None

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self.show(devices=self._devices())

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Remove trusted devices, or stop a recovery. It needs no second factor: it only closes."""
        return self.refuse_to_hurry(devices=self._devices()) or self._close()

    def _devices(self) -> list[tuple[Any, Any, Any]]:
        """Return the devices, each with its moments as they are shown."""
        rows = devices.devices_of(self.user)
        return [(row, local(row.last_used_at), local(row.expires_at)) for row in rows]

    def _close(self) -> HttpResponse:
        if "stop_recovery" in self.request.POST:
            cancel_recovery_of(self.user, request=self.request)
            navigation.tell(self.request, _("Nobody can set up a new app without a code now."))
        elif "all_devices" in self.request.POST:
            devices.remove_all(self.user, request=self.request)
            navigation.tell(self.request, _("No device is trusted any more."))
        elif devices.remove(self.user, self.request.POST.get("device", ""), request=self.request):
            navigation.tell(self.request, _("The device is trusted no more."))
        return navigation.redirect(navigation.STATE)

    def get_context_data(self, **told: Any) -> dict[str, Any]:
        status = status_of(self.user)
        ready_at = status["recovery_ready_at"]
        told["recovery_from"] = ready_at and in_words(whole_minute(here(aware(ready_at))))
        return super().get_context_data(**status, may_disable=self._may_disable(), **told)

    def _may_disable(self) -> bool:
        try:
            policy.refuse_to_disable(self.user)
        except TotpError:
            return False
        return True


class ChangingPage(StatePage):
    """A change of the second factor, which wants a recent one."""

    def lead_on(self) -> HttpResponse | None:
        return decorators.refused(self.request, conf.TOTP_REAUTHENTICATE_MAX_AGE)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self.refuse_to_hurry() or self._decide()

    def _decide(self) -> HttpResponse:
        proof = FreshProof(self.user, self.request, login=assurance_of(self.request))
        try:
            return self.change(proof)
        except (ReauthenticationRequired, TotpNotEnrolled):
            return navigation.redirect(navigation.STATE)
        except TotpError as error:
            form = ServiceForm({})
            form.refuse(error)
            return self.show(form)

    def change(self, proof: FreshProof) -> HttpResponse:
        """Do it, if ``proof`` allows it, and tell. Raise TotpError."""
        raise NotImplementedError


class BackupCodesPage(ChangingPage):
    """New backup codes in the place of the old ones, shown once."""

    template_name = "django_totp/backup_codes.html"

    @sensitive_variables("codes")
    def change(self, proof: FreshProof) -> HttpResponse:
        codes = rotate_backup_codes(self.user, request=self.request, proof=proof)
        return show_codes(self, codes)


class DisablePage(ChangingPage):
    """The end of the second factor."""

    template_name = "django_totp/disable.html"

    def change(self, proof: FreshProof) -> HttpResponse:
        disable_totp(self.user, request=self.request, proof=proof)
        navigation.tell(self.request, _("Two-factor authentication is off."))
        return navigation.redirect(navigation.STATE)
