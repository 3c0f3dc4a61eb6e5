from tests.field.settings_base import *  # noqa: F403
from tests.field.settings_base import INSTALLED_APPS as _APPS

INSTALLED_APPS = ["unfold", *_APPS, "django.contrib.staticfiles"]
