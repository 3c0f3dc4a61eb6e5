"""Redis as a cluster of three nodes, which the test starts at these ports."""

from tests.field.processes import free_ports
from tests.field.settings_base import *  # noqa: F403

CLUSTER = free_ports(6)
CACHES = {
    "default": {
        "BACKEND": "tests.field.cluster.ClusterCache",
        "LOCATION": f"redis://127.0.0.1:{CLUSTER[0]}",
    }
}
TOTP_THROTTLE_RATE = "5/minute"
