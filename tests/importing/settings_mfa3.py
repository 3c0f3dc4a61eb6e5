from tests.importing.settings_base import *  # noqa: F403
from tests.importing.settings_base import INSTALLED_APPS as _APPS

INSTALLED_APPS = ["django.contrib.admin", *_APPS, "mfa"]
MFA_DOMAIN = "example.com"
MFA_SITE_TITLE = "Theirs"
MFA_TOTP_VALID_WINDOW = 1
