"""Our authentication class as drf-spectacular describes that of simplejwt."""

from drf_spectacular.contrib.rest_framework_simplejwt import SimpleJWTScheme


class JWTScheme(SimpleJWTScheme):  # type: ignore[no-untyped-call]
    """The same tokens in the same header, so the same scheme under the same name."""

    target_class = "django_totp.authentication.JWTAuthentication"
