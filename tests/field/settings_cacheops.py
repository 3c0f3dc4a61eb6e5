from tests import services
from tests.field.settings_base import *  # noqa: F403
from tests.field.settings_base import INSTALLED_APPS as _APPS

INSTALLED_APPS = ["cacheops", *_APPS]
CACHEOPS_REDIS = services.REDIS_URL
CACHEOPS = {"contenttypes.*": None, "*.*": {"ops": "all", "timeout": 60}}


def CACHEOPS_PREFIX(query):  # noqa: N802
    """Keep what runs at one time apart."""
    return f"{services.NAME}:"
