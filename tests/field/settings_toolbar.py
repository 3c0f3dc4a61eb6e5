from tests.field.settings_base import *  # noqa: F403
from tests.field.settings_base import INSTALLED_APPS as _APPS
from tests.field.settings_base import MIDDLEWARE as _MIDDLEWARE

INSTALLED_APPS = [*_APPS, "django.contrib.staticfiles", "debug_toolbar"]
MIDDLEWARE = ["debug_toolbar.middleware.DebugToolbarMiddleware", *_MIDDLEWARE]
ROOT_URLCONF = "tests.field.urls_toolbar"


def show_toolbar(request):
    """Leave alone what carries passwords and codes."""
    return not request.path.startswith(("/api/totp/", "/api/jwt/"))


DEBUG_TOOLBAR_CONFIG = {"IS_RUNNING_TESTS": False, "SHOW_TOOLBAR_CALLBACK": show_toolbar}
