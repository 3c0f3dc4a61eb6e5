from tests.importing.settings_base import *  # noqa: F403
from tests.importing.settings_base import INSTALLED_APPS as _APPS

INSTALLED_APPS = [*_APPS, "dj_rest_auth", "dj_rest_auth.mfa"]
REST_AUTH = {"TOKEN_MODEL": None}
