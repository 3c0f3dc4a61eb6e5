"""The page that a mail about a recovery leads to. To look at it changes nothing."""

from typing import Any

from django.http import HttpRequest, HttpResponse

from django_totp import navigation, recovery
from django_totp.challenges import CANCEL, RECOVER, challenge_subject
from django_totp.exceptions import InvalidRecoveryToken, TotpError
from django_totp.forms import status_of
from django_totp.moments import here, in_words, whole_minute

from .base import Page


class RecoveryPage(Page):
    """The button that starts a recovery, or the one that stops it: as the mailed token says."""

    template_name = "django_totp/recovery.html"
    is_public = hides_token = True

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        # The view is found: what is left are reports, which show it. See ``hide_token``.
        request.path_info = request.path_info.replace(self.kwargs["token"], navigation.HIDDEN)

    def lead_on(self) -> HttpResponse | None:
        self.visit.is_answered = True  # whoever was signed in here: the mail has led to this page
        return None

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self.refuse_to_hurry() or self._answer(act=False)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self.refuse_to_hurry() or self._answer(act=True)

    def subject(self) -> str | None:
        token = self.kwargs["token"]
        return challenge_subject(token, RECOVER) or challenge_subject(token, CANCEL)

    def get_context_data(self, **told: Any) -> dict[str, Any]:
        """Add what the token is for, or was: it may not be good any more."""
        action = recovery.action_of(self.kwargs["token"])
        return super().get_context_data(action=action, **told)

    def _answer(self, *, act: bool) -> HttpResponse:
        token = self.kwargs["token"]
        action = recovery.action_of(token)
        try:
            recovery.user_of(token, action)
            told = self._act(action) if act else {}
        except InvalidRecoveryToken as error:
            return self.show(problem=str(error), is_over=True, status=400)
        except TotpError as error:
            return self.show(problem=str(error), status=status_of(error))
        return self.show(is_done=act, **told)

    def _act(self, action: str) -> dict[str, Any]:
        token, request = self.kwargs["token"], self.request
        if action == recovery.CONFIRM_ACTION:
            ready_at = recovery.start_recovery(token, request=request)
            return {"ready_from": in_words(whole_minute(here(ready_at)))}
        recovery.cancel_recovery(token, request=request)
        return {}
