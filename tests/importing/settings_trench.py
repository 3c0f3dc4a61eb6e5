from tests.importing.settings_base import *  # noqa: F403
from tests.importing.settings_base import INSTALLED_APPS as _APPS

INSTALLED_APPS = [*_APPS, "trench"]
TRENCH_AUTH = {
    "MFA_METHODS": {"app": {"HANDLER": "trench.backends.application.ApplicationMessageDispatcher"}}
}
