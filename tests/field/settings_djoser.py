from tests.field.settings_base import *  # noqa: F403
from tests.field.settings_base import INSTALLED_APPS as _APPS

INSTALLED_APPS = [*_APPS, "rest_framework.authtoken", "djoser"]
ROOT_URLCONF = "tests.field.urls_djoser"
