from tests import services
from tests.field.settings_base import *  # noqa: F403
from tests.field.settings_base import INSTALLED_APPS as _APPS
from tests.field.settings_base import MIDDLEWARE as _MIDDLEWARE

DATABASES = {
    "default": {
        "ENGINE": "django_tenants.postgresql_backend",
        "NAME": f"{services.NAME}_tenants",
    }
}
DATABASE_ROUTERS = ["django_tenants.routers.TenantSyncRouter"]
ALLOWED_HOSTS = [".testserver"]
SHARED_APPS = ["django_tenants", "tests.field.tenants"]
TENANT_APPS = [app for app in _APPS if "admin" not in app]
INSTALLED_APPS = [*SHARED_APPS, *TENANT_APPS]
ROOT_URLCONF = "tests.field.urls_tenants"
MIDDLEWARE = ["django_tenants.middleware.main.TenantMainMiddleware", *_MIDDLEWARE]
TENANT_MODEL = "tenants.Company"
TENANT_DOMAIN_MODEL = "tenants.Domain"
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        "KEY_FUNCTION": "django_tenants.cache.make_key",
    }
}
