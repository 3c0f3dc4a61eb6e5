"""django-otp, and django-two-factor-auth, which keeps its devices there."""

from typing import Any

from django.db.models import Q

from .base import Device, Source, Unsupported, base32


class Otp(Source):
    """A device counts its own time from ``t0`` on, and knows the drift of its clock.

    ``last_t`` is the step of the code that was accepted last, with the drift in it.
    """

    package, app = "django-otp", "django_otp.plugins.otp_totp"
    model = "otp_totp.TOTPDevice"
    columns = ("key", "step", "t0", "digits", "drift", "last_t")
    codes = ("otp_static.StaticToken", Q())

    def condition(self) -> Q:
        return Q(confirmed=True)

    def used(self, row: Any) -> int:
        return int(row.last_t * row.step)

    def device(self, row: Any) -> Device:
        if row.t0:
            raise Unsupported
        step = row.last_t if row.last_t >= 0 else None
        return Device(base32(bytes.fromhex(row.key)), row.digits, row.step, step, row.drift)
