"""Every setting of this package, read from Django's settings at the moment it is asked for."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from django.conf import settings

T = TypeVar("T")


class Conf:
    """The settings of django-totp: one property each, with its default. Nothing is cached.

    ``None`` counts as not set, as ``os.getenv`` gives it, but where it has a meaning of its own.
    """

    def _get(self, name: str, default: T) -> T:
        value: T | None = getattr(settings, name, None)
        return default if value is None else value

    def _get_or_none(self, name: str, default: T) -> T | None:
        value: T | None = getattr(settings, name, default)
        return value

    @property
    def TOTP_ENCRYPTION_KEY(self) -> str | bytes | None:
        return self._get_or_none("TOTP_ENCRYPTION_KEY", None)

    @property
    def TOTP_ENCRYPTION_KEY_FALLBACKS(self) -> Sequence[str | bytes]:
        return self._get("TOTP_ENCRYPTION_KEY_FALLBACKS", [])

    @property
    def TOTP_ISSUER(self) -> str:
        return self._get("TOTP_ISSUER", "MyApp")

    @property
    def TOTP_MAX_BACKUP_CODES(self) -> int:
        return self._get("TOTP_MAX_BACKUP_CODES", 10)

    @property
    def TOTP_THROTTLE_RATE(self) -> str | None:
        return self._get_or_none("TOTP_THROTTLE_RATE", "10/minute")

    @property
    def TOTP_ADDRESS_THROTTLE_RATE(self) -> str | None:
        return self._get_or_none("TOTP_ADDRESS_THROTTLE_RATE", "60/minute")

    @property
    def TOTP_TOKEN_SALT(self) -> str:
        return self._get("TOTP_TOKEN_SALT", "django-totp-token-salt")

    @property
    def TOTP_TOKEN_MAX_AGE(self) -> int:
        return self._get("TOTP_TOKEN_MAX_AGE", 120)

    @property
    def TOTP_DIGITS(self) -> int:
        return self._get("TOTP_DIGITS", 6)

    @property
    def TOTP_PERIOD(self) -> int:
        return self._get("TOTP_PERIOD", 30)

    @property
    def TOTP_ALGORITHM(self) -> str:
        return self._get("TOTP_ALGORITHM", "SHA1")

    @property
    def TOTP_VALID_WINDOW(self) -> int:
        return self._get("TOTP_VALID_WINDOW", 1)

    @property
    def TOTP_SETUP_MAX_AGE(self) -> int:
        return self._get("TOTP_SETUP_MAX_AGE", 3600)

    @property
    def TOTP_FAILURE_LIMIT(self) -> int:
        return self._get("TOTP_FAILURE_LIMIT", 5)

    @property
    def TOTP_LOCKOUT_SECONDS(self) -> int:
        return self._get("TOTP_LOCKOUT_SECONDS", 30)

    @property
    def TOTP_LOCKOUT_MAX_SECONDS(self) -> int:
        return self._get("TOTP_LOCKOUT_MAX_SECONDS", 900)

    @property
    def TOTP_FAILURE_CAP(self) -> int | None:
        return self._get_or_none("TOTP_FAILURE_CAP", 100)

    @property
    def TOTP_REAUTHENTICATE(self) -> bool:
        return self._get("TOTP_REAUTHENTICATE", False)

    @property
    def TOTP_REAUTHENTICATE_MAX_AGE(self) -> int:
        return self._get("TOTP_REAUTHENTICATE_MAX_AGE", 300)

    @property
    def TOTP_REQUIRED_FOR(self) -> Sequence[str]:
        return self._get("TOTP_REQUIRED_FOR", [])

    @property
    def TOTP_GRACE_PERIOD(self) -> int:
        return self._get("TOTP_GRACE_PERIOD", 0)

    @property
    def TOTP_EXEMPT_BACKENDS(self) -> Sequence[str]:
        return self._get("TOTP_EXEMPT_BACKENDS", [])

    @property
    def TOTP_TRUSTED_DEVICE_MAX_AGE(self) -> int:
        return self._get("TOTP_TRUSTED_DEVICE_MAX_AGE", 0)

    @property
    def TOTP_RECOVERY_DELAY(self) -> int | None:
        return self._get_or_none("TOTP_RECOVERY_DELAY", None)

    @property
    def TOTP_RECOVERY_URL(self) -> str:
        return self._get("TOTP_RECOVERY_URL", "")

    @property
    def TOTP_SEND_NOTICES(self) -> bool:
        return self._get("TOTP_SEND_NOTICES", False)

    @property
    def TOTP_NOTICE_URL(self) -> str:
        return self._get("TOTP_NOTICE_URL", "")

    @property
    def TOTP_AUDIT_ALLOWED(self) -> Mapping[str, str]:
        return self._get("TOTP_AUDIT_ALLOWED", {})


conf = Conf()
