from tests.settings import *  # noqa: F403

_SQLITE = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
DATABASES = {"default": _SQLITE, "other": {**_SQLITE, "TEST": {"DEPENDENCIES": ["default"]}}}
DATABASE_ROUTERS = ["tests.variants.settings_routed.ByModel"]


class ByModel:
    """Decide by the model, where Django says which: its tables are in one database alone."""

    def allow_migrate(self, db, app_label, model_name=None, **hints):
        if model_name in {"totp", "backupcode", "account", "trusteddevice", "event"}:
            return db == "default"
        return None
