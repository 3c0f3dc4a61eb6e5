"""The receivers that let an administrator with a second factor be somebody else for a while."""

import time

from django.dispatch import receiver
from hijack.signals import hijack_ended, hijack_started

from django_totp.assurance import record
from django_totp.auth import is_totp_enabled


@receiver([hijack_started, hijack_ended])
def keep_second_factor(request, hijacker, **kwargs):
    """Say of the new session what the administrator has given: a code, if there is one to give."""
    if is_totp_enabled(hijacker):
        record(request, "pwd", "otp", at=time.time() - 3600)
