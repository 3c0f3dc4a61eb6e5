"""Signals. Each is sent with ``request`` (``None`` outside a request) and ``user``.

The sender is the class of the user. Receivers that raise are logged by Django
(``send_robust``) and never break what they watch.
"""

from django.dispatch import Signal

# An enrollment was confirmed.
totp_created = Signal()

# A new authenticator has taken the place of the old one.
totp_replaced = Signal()

# Who has lost the authenticator may enroll anew after a while, as a mail has told.
totp_recovery_started = Signal()

# So a new authenticator has taken the place of the old one. All other logins were ended.
totp_recovery_succeeded = Signal()

# An enrollment was removed: by its user, or by an administrator's reset.
totp_disabled = Signal()

# All logins of a user were ended. A reset does so too, and sends ``totp_disabled``.
sessions_ended = Signal()

# The backup codes were replaced by a new set.
backup_codes_rotated = Signal()

# A login ended, with tokens or a session, after a second factor. Also sent with ``method``.
totp_login_success = totp_login_succeeded = Signal()

# A login ended, with tokens or a session, and the user has no second factor.
non_totp_login_success = non_totp_login_succeeded = Signal()

# A code was evaluated and refused. Also sent with ``method`` ("totp" or "backup_code").
totp_verification_failed = Signal()
