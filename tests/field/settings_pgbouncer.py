"""PostgreSQL behind PgBouncer in transaction mode, which the test starts at this port."""

from tests import services
from tests.field.processes import free_ports
from tests.field.settings_base import *  # noqa: F403

[PGBOUNCER] = free_ports(1)
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": f"{services.NAME}_pgbouncer",
        "HOST": "127.0.0.1",
        "PORT": PGBOUNCER,
        "DISABLE_SERVER_SIDE_CURSORS": True,
    }
}
