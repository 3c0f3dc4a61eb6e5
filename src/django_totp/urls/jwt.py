from django.urls import path

from django_totp.views import jwt

urlpatterns = [
    path("jwt/create/", jwt.JWTCreateView.as_view(), name="jwt-create"),
    path("jwt/totp/verify/", jwt.JWTTotpVerifyView.as_view(), name="jwt-totp-verify"),
    path("jwt/refresh/", jwt.JWTRefreshView.as_view(), name="jwt-refresh"),
    path("jwt/verify/", jwt.JWTVerifyView.as_view(), name="jwt-verify"),
]
