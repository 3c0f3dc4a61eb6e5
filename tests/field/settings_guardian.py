from tests.field.settings_base import *  # noqa: F403
from tests.field.settings_base import INSTALLED_APPS as _APPS

INSTALLED_APPS = [*_APPS, "guardian"]
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "guardian.backends.ObjectPermissionBackend",
]
