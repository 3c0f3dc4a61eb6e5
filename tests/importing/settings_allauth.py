from tests.importing.settings_base import *  # noqa: F403
from tests.importing.settings_base import INSTALLED_APPS as _APPS
from tests.importing.settings_base import MIDDLEWARE as _MIDDLEWARE

INSTALLED_APPS = [*_APPS, "allauth", "allauth.account", "allauth.mfa"]
MFA_ADAPTER = "tests.importing.cases_allauth.Adapter"
MFA_TOTP_TOLERANCE = 1
MIDDLEWARE = [*_MIDDLEWARE, "allauth.account.middleware.AccountMiddleware"]
