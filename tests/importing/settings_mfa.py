from tests.importing.settings_base import *  # noqa: F403
from tests.importing.settings_base import INSTALLED_APPS as _APPS

INSTALLED_APPS = [*_APPS, "django_mfa"]
MFA_SECRET_ENCRYPTION_KEYS = ["the key that they sign with"]
