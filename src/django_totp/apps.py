from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DjangoTotpConfig(AppConfig):
    """Registers the system checks and, where drf-spectacular is installed, the API's schema."""

    name = "django_totp"
    verbose_name = _("Two-factor authentication")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks, devices  # noqa: F401

        if self.apps is not None and self.apps.is_installed("drf_spectacular"):
            from . import schema  # noqa: F401
