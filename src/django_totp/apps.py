from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DjangoTotpConfig(AppConfig):
    """Registers the system checks, the notices and, for drf-spectacular, the API's schema."""

    name = "django_totp"
    verbose_name = _("Two-factor authentication")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks, devices, events, notices  # noqa: F401

        events.happened.connect(notices.hear)

        if self.apps is not None and self.apps.is_installed("drf_spectacular"):
            from . import schema  # noqa: F401
