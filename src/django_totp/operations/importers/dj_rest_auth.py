"""dj-rest-auth, its app ``dj_rest_auth.mfa``."""

from typing import Any

from django.conf import settings
from django.core.signing import Signer
from django.db.models import Q

from .base import Device, Source, moment

SALT = "dj-rest-auth-mfa-totp-secret"


class DjRestAuth(Source):
    """Secrets are signed with ``SECRET_KEY``: those under one that is gone cannot be read."""

    package, app = "dj-rest-auth", "dj_rest_auth.mfa"
    model = "dj_rest_auth_mfa.Authenticator"
    columns = ("data", "last_used_at")
    codes = ("dj_rest_auth_mfa.Authenticator", Q(type="recovery_codes"))

    def condition(self) -> Q:
        return Q(type="totp")

    def used(self, row: Any) -> float:
        return moment(row.last_used_at)

    def device(self, row: Any) -> Device:
        told = getattr(settings, "REST_AUTH", {})
        secret = Signer(salt=SALT).unsign(row.data["secret"])
        return Device(secret, told.get("MFA_TOTP_DIGITS", 6), told.get("MFA_TOTP_PERIOD", 30))
