import re
from pathlib import Path

from tests.field.settings_base import *  # noqa: F403
from tests.field.settings_base import INSTALLED_APPS as _APPS
from tests.field.settings_base import MIDDLEWARE as _MIDDLEWARE

INSTALLED_APPS = [*_APPS, "django.contrib.staticfiles", "silk"]
MIDDLEWARE = ["silk.middleware.SilkyMiddleware", *_MIDDLEWARE]
ROOT_URLCONF = "tests.field.urls_silk"

# As the documentation says to.
_PROSE = Path(__file__).parents[2] / "docs" / "security.md"
_CODE = re.search(r"`SILKY_INTERCEPT_FUNC = (lambda [^`]+)`", _PROSE.read_text(encoding="utf-8"))
SILKY_INTERCEPT_FUNC = eval(" ".join(_CODE[1].split()))  # noqa: S307
