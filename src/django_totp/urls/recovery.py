from django.urls import path

from django_totp.views import recovery

urlpatterns = [
    path("totp/recovery/", recovery.RecoveryView.as_view(), name="totp-recovery-recovery"),
    path(
        "totp/recovery_confirm/",
        recovery.RecoveryConfirmView.as_view(),
        name="totp-recovery-recovery-confirm",
    ),
    path(
        "totp/recovery_cancel/",
        recovery.RecoveryCancelView.as_view(),
        name="totp-recovery-recovery-cancel",
    ),
]
