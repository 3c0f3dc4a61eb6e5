from django.urls import path

from django_totp.views import jwt

urlpatterns = [
    path("jwt/create/", jwt.JWTCreateView.as_view(), name="jwt-create"),
    path("jwt/totp/verify/", jwt.JWTTotpVerifyView.as_view(), name="jwt-totp-verify"),
    path("jwt/totp/create/", jwt.JWTTotpCreateView.as_view(), name="jwt-totp-create"),
    path("jwt/totp/confirm/", jwt.JWTTotpConfirmView.as_view(), name="jwt-totp-confirm"),
    path("jwt/step_up/", jwt.JWTStepUpView.as_view(), name="jwt-step-up"),
    path("jwt/refresh/", jwt.JWTRefreshView.as_view(), name="jwt-refresh"),
    path("jwt/verify/", jwt.JWTVerifyView.as_view(), name="jwt-verify"),
]
