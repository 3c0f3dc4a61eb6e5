from tests.field.settings_base import *  # noqa: F403
from tests.field.settings_base import INSTALLED_APPS as _APPS
from tests.field.settings_base import MIDDLEWARE as _MIDDLEWARE

INSTALLED_APPS = [*_APPS, "simple_history", "tests.field.history"]
MIDDLEWARE = [*_MIDDLEWARE, "simple_history.middleware.HistoryRequestMiddleware"]
