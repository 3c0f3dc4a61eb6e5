"""What the tests of the HTTP API share: names, sentences, and how an error looks."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyotp

GET = {"totp-status"}
PATHS = {
    "totp-status": "totp/",
    "totp-create": "totp/create/",
    "totp-replace": "totp/replace/",
    "totp-confirm": "totp/confirm/",
    "totp-disable": "totp/disable/",
    "totp-rotate-backup-codes": "totp/rotate_backup_codes/",
    "totp-recovery-recovery": "totp/recovery/",
    "totp-recovery-recovery-confirm": "totp/recovery_confirm/",
    "totp-recovery-recovery-cancel": "totp/recovery_cancel/",
    "jwt-create": "jwt/create/",
    "jwt-totp-verify": "jwt/totp/verify/",
    "jwt-totp-create": "jwt/totp/create/",
    "jwt-totp-confirm": "jwt/totp/confirm/",
    "jwt-step-up": "jwt/step_up/",
    "jwt-refresh": "jwt/refresh/",
    "jwt-verify": "jwt/verify/",
}
ENDPOINTS = list(PATHS)
OPEN = {"totp-recovery-recovery", "totp-recovery-recovery-confirm"}
SIGNED_IN = {name for name in ENDPOINTS if name.startswith("totp-")} - OPEN
LOGIN = {name for name in ENDPOINTS if name.startswith("jwt-")} | OPEN

NO_SECRET = "User does not have an associated TOTP secret."
EXISTS = "TOTP already exists for this user."
BAD_OTP = "Invalid TOTP code."
BAD_BACKUP = "Invalid backup code."
BAD_CHALLENGE = "Invalid or expired challenge token."
NOT_ENABLED = "TOTP is not enabled for this user."
BAD_CREDENTIALS = "Invalid credentials."


def wrong_code(secret: str) -> str:
    """Return a code that ``secret`` has nowhere near the present."""
    now, generator = datetime.now(UTC), pyotp.TOTP(secret)
    near = {generator.at(now + timedelta(seconds=30 * offset)) for offset in range(-9, 10)}
    return next(code for number in range(99) if (code := f"{number:06}") not in near)


def assert_error(response: Any, status: int, detail: str | None = None) -> dict[str, Any]:
    """Check the shape that all our errors have, and return the body."""
    assert response.status_code == status, response.content
    body = response.json()
    for key in ("detail", "code"):
        assert isinstance(body[key], str)
        assert body[key]
    if detail is not None:
        assert body["detail"] == detail
    return body
