from tests.field.settings_base import *  # noqa: F403
from tests.field.settings_base import INSTALLED_APPS as _APPS
from tests.field.settings_base import MIDDLEWARE as _MIDDLEWARE

INSTALLED_APPS = [*_APPS, "django.contrib.staticfiles", "silk"]
MIDDLEWARE = ["silk.middleware.SilkyMiddleware", *_MIDDLEWARE]
ROOT_URLCONF = "tests.field.urls_silk"


def SILKY_INTERCEPT_FUNC(request):  # noqa: N802
    """Leave alone what carries passwords and codes."""
    return not request.path.startswith("/api/")
