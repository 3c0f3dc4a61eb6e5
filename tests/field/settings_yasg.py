from tests.field.settings_base import *  # noqa: F403
from tests.field.settings_base import INSTALLED_APPS as _APPS
from tests.field.settings_base import REST_FRAMEWORK as _REST_FRAMEWORK

INSTALLED_APPS = [*(app for app in _APPS if app != "drf_spectacular"), "drf_yasg"]
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": _REST_FRAMEWORK["DEFAULT_AUTHENTICATION_CLASSES"]
}
ROOT_URLCONF = "tests.field.urls_yasg"
