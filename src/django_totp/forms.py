"""The forms of the pages, for pages of the project's own as well."""

from typing import Any

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS
from django.utils.translation import gettext_lazy as _

from .exceptions import (
    InvalidBackupCode,
    InvalidTotpCode,
    MailUnavailable,
    PolicyUnavailable,
    ReauthenticationRequired,
    RecoveryOff,
    RecoveryUnavailable,
    TooManyAttempts,
    TotpError,
    TotpRequired,
)

CODE_LENGTH, PASSWORD_LENGTH, SECRET_LENGTH = 255, 4096, 255
# What people are told, where the sentence for programs would not help them.
SENTENCES = {
    InvalidTotpCode: _(
        "This code is not right, or it has been used. Type the one that your app shows now."
    ),
    InvalidBackupCode: _("This backup code is not right, or it has been used. Try another one."),
    ReauthenticationRequired: _("This password is not right."),
}

STATUSES = {
    TooManyAttempts: 429,
    PolicyUnavailable: 503,
    MailUnavailable: 503,
    TotpRequired: 403,
    RecoveryOff: 404,
    RecoveryUnavailable: 403,
}


def problems_of(form: forms.BaseForm | None) -> list[tuple[str, str]]:
    """Return what is wrong with ``form``: the field, or an empty string, and a sentence."""
    if form is None:
        return []
    return [
        ("" if name == NON_FIELD_ERRORS else name, str(error))
        for name, errors in form.errors.items()
        for error in errors
    ]


def status_of(error: TotpError) -> int:
    """Return the HTTP status of a page that tells ``error``: 200 where it asks again."""
    return next((status for kind, status in STATUSES.items() if isinstance(error, kind)), 200)


class ServiceForm(forms.Form):
    """A form whose fields a service decides on: what that raises is told beside the field."""

    retry_after: int | None = None
    status = 200

    def refuse(self, error: TotpError, field: str | None = None) -> None:
        """Show what ``error`` says, at ``field`` or, if there is none, above all."""
        self.add_error(field, str(SENTENCES.get(type(error), str(error))))
        self.status = status_of(error)
        if isinstance(error, TooManyAttempts):
            self.retry_after = error.retry_after


class SecondFactorForm(ServiceForm):
    """One code: of the authenticator app, or else a backup code."""

    otp_code = forms.CharField(
        label=_("Code from your authenticator app"), max_length=CODE_LENGTH, required=False
    )
    backup_code = forms.CharField(
        label=_("One of your backup codes"), max_length=CODE_LENGTH, required=False
    )

    @property
    def wants_backup_code(self) -> bool:
        """Return whether it goes on with a backup code: one was wrong, or other codes wait."""
        return self.status == 429 or "backup_code" in self.errors

    def clean(self) -> dict[str, Any]:
        codes = {name: code for name, code in self.cleaned_data.items() if code}
        if self.errors:
            return self.cleaned_data
        if not codes:
            self.add_error("otp_code", _("Type the code that your authenticator app shows."))
        elif len(codes) > 1:
            self.add_error("backup_code", _("Type only one of the two codes."))
        return codes


class SetupForm(ServiceForm):
    """The first code of an authenticator app, and the secret that it was set up with.

    The secret is what the page has shown. It lets the page show the same again after a typing
    error, and tells a page apart whose secret another one has replaced.
    """

    otp_code = forms.CharField(label=_("Code from your authenticator app"), max_length=CODE_LENGTH)
    secret = forms.CharField(max_length=SECRET_LENGTH, required=False, widget=forms.HiddenInput)


class PasswordForm(ServiceForm):
    """The password again, where ``TOTP_REAUTHENTICATE`` asks for it."""

    password = forms.CharField(label=_("Password"), strip=False, max_length=PASSWORD_LENGTH)
