import tempfile

from tests import services
from tests.field.settings_base import *  # noqa: F403
from tests.field.settings_base import INSTALLED_APPS as _APPS
from tests.field.settings_base import MIDDLEWARE as _MIDDLEWARE

# A file: several threads write.
_FILE = f"{tempfile.gettempdir()}/{services.NAME}_easyaudit.sqlite3"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": _FILE,
        "OPTIONS": {"timeout": 20},
        "TEST": {"NAME": _FILE},
    }
}
INSTALLED_APPS = [*_APPS, "easyaudit"]
MIDDLEWARE = [*_MIDDLEWARE, "easyaudit.middleware.easyaudit.EasyAuditMiddleware"]
