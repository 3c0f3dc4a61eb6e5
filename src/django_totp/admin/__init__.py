"""What Django's admin shows of users and lets support do for them. No secret is shown."""

from .accounts import AccountAdmin
from .devices import TrustedDeviceAdmin
from .enrollments import TotpAdmin
from .events import EventAdmin
from .remedies import ALLOW_RECOVERY, END_SESSIONS, REMOVE_DEVICES, RESET, STOP_RECOVERY, UNLOCK

__all__ = [
    "ALLOW_RECOVERY",
    "END_SESSIONS",
    "REMOVE_DEVICES",
    "RESET",
    "STOP_RECOVERY",
    "UNLOCK",
    "AccountAdmin",
    "EventAdmin",
    "TotpAdmin",
    "TrustedDeviceAdmin",
]
