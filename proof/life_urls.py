"""The URLs of people who log in by session, and a way to a new password through the mailbox."""

from django.contrib.auth import views
from django.urls import path

from proof import session_urls

urlpatterns = [
    *session_urls.urlpatterns,
    path("reset/", views.PasswordResetView.as_view(), name="password_reset"),
    path("reset/sent/", views.PasswordResetDoneView.as_view(), name="password_reset_done"),
    path(
        "reset/<uidb64>/<token>/",
        views.PasswordResetConfirmView.as_view(),
        name="password_reset_confirm",
    ),
    path(
        "reset/done/",
        views.PasswordResetCompleteView.as_view(),
        name="password_reset_complete",
    ),
]
