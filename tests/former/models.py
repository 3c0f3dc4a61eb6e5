"""Tables like those of other packages, with the columns that an import reads.

The packages cannot be installed together. tests/importing/ runs the import on their own tables.
"""

# ruff: noqa: DJ008

from django.conf import settings
from django.db import models


class Json(models.JSONField):
    """One whose check asks no database: tests of checks have none."""

    def check(self, **kwargs):
        return []


class Owned(models.Model):
    """What belongs to a user, who may be gone."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="+",
    )

    class Meta:
        abstract = True


class TOTPDevice(Owned):
    """django-otp's."""

    confirmed = models.BooleanField(default=True)
    key = models.CharField(max_length=80)
    step = models.PositiveSmallIntegerField(default=30)
    t0 = models.BigIntegerField(default=0)
    digits = models.PositiveSmallIntegerField(default=6)
    drift = models.SmallIntegerField(default=0)
    last_t = models.BigIntegerField(default=-1)


class StaticToken(models.Model):
    token = models.CharField(max_length=16)


class Authenticator(Owned):
    """That of allauth, of django-mfa and of dj-rest-auth."""

    type = models.CharField(max_length=20, default="totp")
    data = Json()
    last_used_at = models.DateTimeField(null=True)


class UserKeys(models.Model):
    """django-mfa2's."""

    username = models.CharField(max_length=50)
    properties = Json(null=True)
    key_type = models.CharField(max_length=25, default="TOTP")
    enabled = models.BooleanField(default=True)
    last_used = models.DateTimeField(null=True)


class MFAKey(Owned):
    """django-mfa3's."""

    method = models.CharField(max_length=8, default="TOTP")
    secret = models.TextField()
    last_code = models.CharField(max_length=32, blank=True)


class MFAMethod(Owned):
    """django-trench's."""

    name = models.CharField(max_length=255, default="app")
    secret = models.CharField(max_length=255)
    is_active = models.BooleanField(default=True)
    _backup_codes = models.TextField(blank=True)


class TOTPAuth(Owned):
    """drf-totp's."""

    otp_verified = models.BooleanField(default=True)
    otp_base32 = models.CharField(max_length=255, null=True)  # noqa: DJ001
    last_used_step = models.BigIntegerField(null=True)


class TOTPBackupCode(models.Model):
    used_at = models.DateTimeField(null=True)


TABLES = {
    "otp_totp.TOTPDevice": TOTPDevice,
    "otp_static.StaticToken": StaticToken,
    "mfa.Authenticator": Authenticator,
    "django_mfa.Authenticator": Authenticator,
    "dj_rest_auth_mfa.Authenticator": Authenticator,
    "mfa.User_Keys": UserKeys,
    "mfa.MFAKey": MFAKey,
    "trench.MFAMethod": MFAMethod,
    "drf_totp.TOTPAuth": TOTPAuth,
    "drf_totp.TOTPBackupCode": TOTPBackupCode,
}
