"""drf-totp, whose settings are called like ours."""

from typing import Any

from django.db.models import ExpressionWrapper, F, Q, TextField

from django_totp.conf import conf
from django_totp.encryption import decrypt

from .base import Device, Source

PREFIX = "fernet$"


class DrfTotp(Source):
    """Its field decrypts as it reads, and raises over one bad row: it is read as text.

    Our keys are tried, the fallbacks too, of which it knows nothing.
    """

    package, app = "drf-totp", "drf_totp"
    model = "drf_totp.TOTPAuth"
    columns = ("secret", "last_used_step")
    codes = ("drf_totp.TOTPBackupCode", Q(used_at=None))

    def __init__(self, using: str | None = None) -> None:
        super().__init__(using)
        as_text = ExpressionWrapper(F("otp_base32"), output_field=TextField())
        self.devices = self.devices.annotate(secret=as_text)

    def condition(self) -> Q:
        return Q(otp_verified=True)

    @property
    def ahead(self) -> int:
        return conf.TOTP_VALID_WINDOW

    def device(self, row: Any) -> Device:
        secret, is_encrypted = row.secret.removeprefix(PREFIX), row.secret.startswith(PREFIX)
        plain = decrypt(secret) if is_encrypted else secret
        return Device(plain, conf.TOTP_DIGITS, conf.TOTP_PERIOD, row.last_used_step)
