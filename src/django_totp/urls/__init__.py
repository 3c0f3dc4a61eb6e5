from django.urls import path

from django_totp.views import api

urlpatterns = [
    path("totp/", api.TotpStatusView.as_view(), name="totp-status"),
    path("totp/create/", api.TotpCreateView.as_view(), name="totp-create"),
    path("totp/confirm/", api.TotpConfirmView.as_view(), name="totp-confirm"),
    path("totp/replace/", api.TotpReplaceView.as_view(), name="totp-replace"),
    path("totp/disable/", api.TotpDisableView.as_view(), name="totp-disable"),
    path(
        "totp/rotate_backup_codes/",
        api.TotpRotateBackupCodesView.as_view(),
        name="totp-rotate-backup-codes",
    ),
    path("totp/devices/", api.TotpDevicesView.as_view(), name="totp-devices"),
    path("totp/devices/<id>/", api.TotpDeviceView.as_view(), name="totp-device"),
]
