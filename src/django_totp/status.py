"""What a user is shown of the own enrollment."""

from datetime import datetime
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.db.models import Count, Q

from . import devices
from .adoption import give_digests, has_codes, lacks_digests
from .attempts import read
from .factor import replacement_of
from .models import Totp
from .moments import as_configured


def _recovery_ready_at(totp: Totp | None) -> datetime | None:
    begin = None if totp is None else totp.recovery_ready_at
    is_pending = totp is not None and totp.is_enabled and totp.is_recovery_pending
    return as_configured(begin) if begin is not None and is_pending else None


def status_of(user: AbstractBaseUser) -> dict[str, Any]:
    """Return whether the enrollment is on or pending, since when, and what goes with it.

    And how many devices are trusted, where there may be any: that costs a query more.
    """
    usable = Q(backup_codes__is_used=False, backup_codes__digest__isnull=False)
    unused = Count("backup_codes", filter=usable)
    totp = read(user, unused=unused, has_codes=has_codes(), has_undigested=lacks_digests())
    if totp is not None and totp.has_undigested:  # as processes of 1.1.x make them
        give_digests(totp)
        totp = read(user, unused=unused)
    current = totp if totp is not None and (totp.is_enabled or totp.is_pending) else None
    told = {
        "is_totp_enabled": current is not None and current.is_enabled,
        "is_pending": current is not None and current.is_pending,
        "created_at": current and current.created_at,
        "confirmed_at": current and current.confirmed_at,
        "backup_codes_remaining": vars(current)["unused"] if current else 0,
        "recovery_ready_at": _recovery_ready_at(current),
        "is_replacement_pending": current is not None and replacement_of(current) is not None,
    }
    return {**told, "trusted_devices": len(devices.devices_of(user))} if devices.is_on() else told
