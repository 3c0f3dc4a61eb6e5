from tests.field.settings_base import *  # noqa: F403
from tests.field.settings_base import INSTALLED_APPS as _APPS
from tests.field.settings_base import REST_FRAMEWORK as _REST_FRAMEWORK

INSTALLED_APPS = [*_APPS, "drf_standardized_errors"]
REST_FRAMEWORK = {
    **_REST_FRAMEWORK,
    "EXCEPTION_HANDLER": "drf_standardized_errors.handler.exception_handler",
}
