from django.urls import path

from django_totp.views.pages import factor, recovery, setup, steps

urlpatterns = [
    path("login/", steps.LoginPage.as_view(), name="two-factor-login"),
    path("two-factor/", factor.StatePage.as_view(), name="two-factor"),
    path("two-factor/verify/", steps.VerifyPage.as_view(), name="two-factor-verify"),
    path("two-factor/setup/", setup.SetupPage.as_view(), name="two-factor-setup"),
    path(
        "two-factor/backup-codes/",
        factor.BackupCodesPage.as_view(),
        name="two-factor-backup-codes",
    ),
    path(
        "two-factor/recovery/<str:token>/",
        recovery.RecoveryPage.as_view(),
        name="two-factor-recovery",
    ),
    path("two-factor/disable/", factor.DisablePage.as_view(), name="two-factor-disable"),
]
