"""What Django's admin shows of users and lets support do for them. No secret is shown."""

from .accounts import AccountAdmin
from .devices import TrustedDeviceAdmin
from .enrollments import TotpAdmin
from .remedies import END_SESSIONS, REMOVE_DEVICES, RESET, UNLOCK

__all__ = [
    "END_SESSIONS",
    "REMOVE_DEVICES",
    "RESET",
    "UNLOCK",
    "AccountAdmin",
    "TotpAdmin",
    "TrustedDeviceAdmin",
]
