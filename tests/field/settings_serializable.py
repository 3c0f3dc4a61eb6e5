"""PostgreSQL at SERIALIZABLE, as distributed PostgreSQLs run all transactions."""

from tests import services
from tests.field.settings_base import *  # noqa: F403

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": f"{services.NAME}_serializable",
        # Django's isolation_level is that of its transactions, and not of single statements.
        "OPTIONS": {"options": "-c default_transaction_isolation=serializable"},
    }
}
TOTP_THROTTLE_RATE = TOTP_ADDRESS_THROTTLE_RATE = None
TOTP_FAILURE_LIMIT = 1000
