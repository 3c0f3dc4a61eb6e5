"""The packages that are compared: how a project sets each up, and the life of one of its users.

In a life each operation happens once, in the same order, with the same strength of check. What a
package does not have is left out of its users' lives.
"""

import base64
import hashlib
import hmac
import json
import struct
import time
from typing import Any

PASSWORD = "correct horse battery staple"
KEY = base64.urlsafe_b64encode(b"32 bytes that are for tests only").decode()
PERIOD, MARGIN = 30, 3
OPERATIONS = [
    "create",
    "confirm",
    "login step 1",
    "wrong code",
    "right code",
    "first backup code",
    "rotate",
    "last backup code",
    "disable",
]

# --- Codes ---


def code_of(secret: str, steps: int = 0) -> str:
    """Return the TOTP code (RFC 6238) of ``secret``, ``steps`` time steps from now."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    step = int(time.time()) // PERIOD + steps
    digest = hmac.digest(key, struct.pack(">Q", step), hashlib.sha1)
    offset = digest[-1] & 15
    number = struct.unpack(">I", digest[offset : offset + 4])[0] & 0x7FFFFFFF
    return f"{number % 1_000_000:06}"


def wrong_code(secret: str) -> str:
    near = {code_of(secret, steps) for steps in range(-3, 4)}
    return next(code for number in range(9) if (code := f"{number:06}") not in near)


def keep_away_from_the_next_step() -> None:
    """Wait if the time step is about to end: the codes of a life must stay in their window."""
    left = PERIOD - time.time() % PERIOD
    if left < MARGIN:
        time.sleep(left)


def first_or_last(user: Any, codes: list[str], then: bool = False) -> tuple[str, str]:
    """Return what to try of a set of codes: of the first set what ``then`` is not tried.

    Every other user begins with the last one: what comes later in a life must not look slower.
    """
    is_first = bool(user.pk % 2) != then
    return ("first backup code", codes[0]) if is_first else ("last backup code", codes[-1])


# --- Set-up ---


class Peer:
    """A package in a project of its own. ``live`` is the life of one user."""

    apps: list[str] = []
    middleware: list[str] = []
    settings: dict[str, Any] = {}
    tables: list[str] = []

    def urls(self) -> list[Any]:
        raise NotImplementedError

    def enroll(self, call: Any, user: Any) -> Any:
        """Let ``user`` set up a second factor, with requests."""
        raise NotImplementedError

    def fill(self, user: Any) -> str:
        """Give ``user`` a second factor if there are any, without a request. Return the secret."""
        return ""

    def live(self, call: Any, user: Any) -> None:
        raise NotImplementedError


def set_up(peer: Peer, database: str = "", **settings: Any) -> None:
    """Configure Django for ``peer``: what ``startproject`` makes, and a JWT for authentication.

    ``database`` is the name of one that is filled already.
    """
    import django
    from django.conf import settings as django_settings

    from tests import services

    default = services.database() | {"CONN_MAX_AGE": None}
    if database:
        default["NAME"] = database
    defaults = {
        "ALLOWED_HOSTS": ["*"],
        "DATABASES": {"default": default},
        "INSTALLED_APPS": [
            "django.contrib.admin",
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "django.contrib.messages",
            *peer.apps,
        ],
        "MIDDLEWARE": [
            "django.middleware.security.SecurityMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
            "django.middleware.clickjacking.XFrameOptionsMiddleware",
            *peer.middleware,
        ],
        "TEMPLATES": [
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                    ]
                },
            }
        ],
        "REST_FRAMEWORK": {
            "DEFAULT_AUTHENTICATION_CLASSES": [
                "rest_framework_simplejwt.authentication.JWTAuthentication"
            ]
        },
        "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
        "EMAIL_BACKEND": "django.core.mail.backends.dummy.EmailBackend",
        # What is logged goes to a handler, but nowhere from there.
        "LOGGING": {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"null": {"class": "logging.NullHandler"}},
            "root": {"handlers": ["null"]},
        },
        "PASSWORD_HASHERS": ["django.contrib.auth.hashers.MD5PasswordHasher"],
        "ROOT_URLCONF": "benchmarks.urls",
        "SECRET_KEY": "only-for-benchmarks-and-long-enough-to-sign-with-HS256",
        "STATIC_URL": "static/",
        "USE_TZ": True,
    }
    django_settings.configure(**defaults | peer.settings | settings)
    django.setup()
    from benchmarks import urls

    urls.urlpatterns += peer.urls()


# --- The packages ---


class DjangoTotp(Peer):
    """Both versions: their HTTP API is the same."""

    apps = ["rest_framework", "django_totp"]
    settings = {
        "TOTP_ENCRYPTION_KEY": KEY,
        "TOTP_ISSUER": "Benchmark",
        "TOTP_THROTTLE_RATE": None,
        "TOTP_ADDRESS_THROTTLE_RATE": None,
    }
    tables = ["django_totp_totp", "django_totp_backupcode"]

    def urls(self) -> list[Any]:
        from django.contrib import admin
        from django.urls import include, path

        return [
            path("admin/", admin.site.urls),
            path("", include("django_totp.urls")),
            path("", include("django_totp.urls.jwt")),
        ]

    def enroll(self, call: Any, user: Any) -> tuple[str, str, list[str]]:
        """Return an ``Authorization`` header, the secret and the backup codes."""
        bearer = bearer_of(user)
        call("create", "/totp/create/", status=201, authorization=bearer)
        secret = self._secret(user)
        code = {"input_code": code_of(secret, -1)}
        confirmed = call("confirm", "/totp/confirm/", code, authorization=bearer)
        return bearer, secret, confirmed.json["backup_codes"]

    def live(self, call: Any, user: Any) -> None:
        bearer, secret, codes = self.enroll(call, user)
        challenge = self.first_step(call, user)
        self.verify(call, "wrong code", challenge, otp_code=wrong_code(secret), status=400)
        self.verify(call, "right code", challenge, otp_code=code_of(secret))
        self._use_one(call, user, codes)
        rotated = call("rotate", "/totp/rotate_backup_codes/", authorization=bearer)
        self._use_one(call, user, rotated.json["backup_codes"], then=True)
        call("disable", "/totp/disable/", status=204, authorization=bearer)

    def fill(self, user: Any) -> str:
        from django_totp.backup_code_utils import generate_backup_codes, store_backup_codes
        from django_totp.encryption import encrypt
        from django_totp.models import Totp
        from django_totp.totp import generate_totp_secret

        secret = generate_totp_secret()
        Totp.objects.create(user=user, secret_key=encrypt(secret))
        store_backup_codes(user, generate_backup_codes())
        return secret

    def first_step(self, call: Any, user: Any) -> str:
        credentials = {"username": user.username, "password": PASSWORD}
        return call("login step 1", "/jwt/create/", credentials).json["totp_challenge_token"]

    def verify(
        self, call: Any, operation: str, challenge: str, status: int = 200, **code: str
    ) -> None:
        body = {"totp_challenge_token": challenge, **code}
        call(operation, "/jwt/totp/verify/", body, status=status)

    def _use_one(self, call: Any, user: Any, codes: list[str], then: bool = False) -> None:
        operation, code = first_or_last(user, codes, then)
        self.verify(call, operation, self.first_step(call, user), backup_code=code)

    def _secret(self, user: Any) -> str:
        """Return what only the QR code of 1.1.3 shows."""
        from django_totp.encryption import decrypt
        from django_totp.models import Totp

        return decrypt(Totp.objects.get(user=user).secret_key)


class Simplejwt(Peer):
    """What everyone pays anyway: a token view without a second factor, and a view with nothing."""

    apps = ["rest_framework"]

    def urls(self) -> list[Any]:
        from django.urls import path
        from rest_framework.response import Response
        from rest_framework.views import APIView
        from rest_framework_simplejwt.views import TokenObtainPairView

        class BareView(APIView):
            authentication_classes = ()
            permission_classes = ()

            def post(self, request: Any) -> Response:
                return Response(request.data)

        return [path("token/", TokenObtainPairView.as_view()), path("bare/", BareView.as_view())]

    def live(self, call: Any, user: Any) -> None:
        credentials = {"username": user.username, "password": PASSWORD}
        call("token view", "/token/", credentials)
        call("bare view", "/bare/", credentials)


class DrfTotp(Peer):
    """A project of simplejwt that asks for a code at an endpoint of its own after the login."""

    apps = ["rest_framework", "drf_totp"]
    settings = {"TOTP_ENCRYPTION_KEY": KEY, "TOTP_THROTTLE_RATE": None}

    def urls(self) -> list[Any]:
        from django.urls import include, path
        from rest_framework_simplejwt.views import TokenObtainPairView

        return [
            path("token/", TokenObtainPairView.as_view()),
            path("", include("drf_totp.urls")),
        ]

    def live(self, call: Any, user: Any) -> None:
        bearer = bearer_of(user)

        def post(operation: str, name: str, token: str = "", status: int = 200) -> Any:
            body = {"token": token} if token else None
            return call(operation, f"/otp/{name}/", body, status, authorization=bearer).json

        secret = post("create", "generate")["secret"]
        post("confirm", "verify", code_of(secret, -1))
        codes = post("rotate", "backup-codes", code_of(secret))["backup_codes"]
        call("login step 1", "/token/", {"username": user.username, "password": PASSWORD})
        post("wrong code", "validate", wrong_code(secret), 400)
        post("right code", "validate", code_of(secret, 1))
        post("last backup code", "validate", codes[-1])
        post("first backup code", "validate", codes[0])
        post("disable", "disable", codes[1])


class DjangoMfa(Peer):
    """The JSON API, in a project whose login view starts a session."""

    apps = ["django_mfa"]
    middleware = ["django_mfa.middleware.MfaMiddleware"]
    settings = {
        "MFA_FACTORS": ["totp", "recovery_codes"],
        "MFA_SECRET_ENCRYPTION_KEYS": [KEY],
        "MFA_VERIFY_RATE_LIMIT": "1000000/5m",
        "MFA_VERIFY_IP_RATE_LIMIT": "1000000/5m",
    }

    def urls(self) -> list[Any]:
        from django.contrib.auth import authenticate, login
        from django.http import JsonResponse
        from django.urls import include, path
        from django.views.decorators.csrf import csrf_exempt

        @csrf_exempt
        def log_in(request: Any) -> JsonResponse:
            login(request, authenticate(request, **json.loads(request.body)))
            return JsonResponse({})

        return [
            path("login/", log_in),
            path("mfa/", include("django_mfa.urls")),
            path("api/", include("django_mfa.api.urls")),
        ]

    def live(self, call: Any, user: Any) -> None:
        session = self._log_in(call, user, "sign in")
        begun = call("create", "/api/enroll/totp/begin/", **session)
        secret = begun.json["secret_key"]
        enrolled = {"secret_key": secret, "code": code_of(secret, -1)}
        confirmed = call("confirm", "/api/enroll/totp/complete/", enrolled, 201, **session)
        codes = call("rotate", "/api/recovery-codes/", status=201, **session).json["codes"]
        session = self._log_in(call, user)
        self._verify(call, "wrong code", session, "totp", wrong_code(secret), 400)
        self._verify(call, "right code", session, "totp", code_of(secret))
        for which, code in (("last", codes[-1]), ("first", codes[0])):
            session = self._log_in(call, user)
            self._verify(call, f"{which} backup code", session, "recovery_codes", code)
        factor = f"/api/factors/{confirmed.json['authenticator']['id']}/"
        call("disable", factor, method="DELETE", **session)

    def _log_in(self, call: Any, user: Any, operation: str = "login step 1") -> dict[str, str]:
        """Return the headers that a browser with the session would send."""
        body = {"username": user.username, "password": PASSWORD}
        cookies = call(operation, "/login/", body).cookies
        pairs = "; ".join(f"{name}={value}" for name, value in cookies.items())
        return {"cookie": pairs, "x_csrftoken": cookies["csrftoken"]}

    def _verify(
        self,
        call: Any,
        operation: str,
        session: dict[str, str],
        factor: str,
        code: str,
        status: int = 200,
    ) -> None:
        call(operation, f"/api/verify/{factor}/complete/", {"code": code}, status, **session)


class Allauth(Peer):
    """Headless, as an app uses it: a session token in a header."""

    apps = ["allauth", "allauth.account", "allauth.mfa", "allauth.headless"]
    middleware = ["allauth.account.middleware.AccountMiddleware"]
    settings = {
        "ACCOUNT_EMAIL_VERIFICATION": "none",
        "ACCOUNT_RATE_LIMITS": False,
        "AUTHENTICATION_BACKENDS": ["allauth.account.auth_backends.AuthenticationBackend"],
        "HEADLESS_ONLY": True,
        "MFA_TOTP_TOLERANCE": 1,
    }
    path = "/_allauth/app/v1"

    def urls(self) -> list[Any]:
        from django.urls import include, path

        return [path("_allauth/", include("allauth.headless.urls"))]

    def live(self, call: Any, user: Any) -> None:
        session = self._log_in(call, user, "sign in", 200)
        again = {"password": PASSWORD}  # asked for before a change of factors
        call("reauthenticate", f"{self.path}/auth/reauthenticate", again, **session)
        totp = f"{self.path}/account/authenticators/totp"
        recovery = f"{self.path}/account/authenticators/recovery-codes"
        secret = call("create", totp, None, 404, "GET", **session).json["meta"]["secret"]
        call("confirm", totp, {"code": code_of(secret, -1)}, **session)
        codes = call("codes", recovery, None, 200, "GET", **session).json["data"]["unused_codes"]
        pending = self._log_in(call, user)
        self._verify(call, "wrong code", pending, wrong_code(secret), 400)
        self._verify(call, "right code", pending, code_of(secret))
        operation, code = first_or_last(user, codes)
        self._verify(call, operation, self._log_in(call, user), code)
        rotated = call("rotate", recovery, {}, **session).json["data"]["unused_codes"]
        operation, code = first_or_last(user, rotated, then=True)
        self._verify(call, operation, self._log_in(call, user), code)
        call("disable", totp, None, 200, "DELETE", **session)

    def _log_in(
        self, call: Any, user: Any, operation: str = "login step 1", status: int = 401
    ) -> dict[str, str]:
        body = {"username": user.username, "password": PASSWORD}
        answer = call(operation, f"{self.path}/auth/login", body, status)
        return {"x_session_token": answer.json["meta"]["session_token"]}

    def _verify(
        self, call: Any, operation: str, session: dict[str, str], code: str, status: int = 200
    ) -> None:
        call(operation, f"{self.path}/auth/2fa/authenticate", {"code": code}, status, **session)


class DjRestAuth(Peer):
    """With JWT, as in a project of simplejwt."""

    apps = ["rest_framework", "dj_rest_auth", "dj_rest_auth.mfa"]
    settings = {
        "REST_AUTH": {
            "JWT_AUTH_HTTPONLY": False,
            "SESSION_LOGIN": False,
            "TOKEN_MODEL": None,
            "USE_JWT": True,
        }
    }

    def urls(self) -> list[Any]:
        from dj_rest_auth.mfa.views import MFALoginView
        from django.urls import include, path

        return [
            path("login/", MFALoginView.as_view()),
            path("", include("dj_rest_auth.mfa.urls")),
        ]

    def live(self, call: Any, user: Any) -> None:
        signed_in = {"authorization": bearer_of(user)}
        begun = call("create", "/mfa/totp/activate/", None, 200, "GET", **signed_in).json
        secret = begun["secret"]
        body = {"activation_token": begun["activation_token"], "code": code_of(secret, -1)}
        confirmed = call("confirm", "/mfa/totp/activate/", body, **signed_in)
        codes = confirmed.json["recovery_codes"]
        token = self._log_in(call, user)
        self._verify(call, "wrong code", token, wrong_code(secret), 400)
        self._verify(call, "right code", token, code_of(secret))
        operation, code = first_or_last(user, codes)
        self._verify(call, operation, self._log_in(call, user), code)
        rotated = call("rotate", "/mfa/recovery-codes/regenerate/", **signed_in).json["codes"]
        operation, code = first_or_last(user, rotated, then=True)
        self._verify(call, operation, self._log_in(call, user), code)
        call("disable", "/mfa/totp/deactivate/", {"code": code_of(secret, 1)}, **signed_in)

    def _log_in(self, call: Any, user: Any) -> str:
        body = {"username": user.username, "password": PASSWORD}
        return call("login step 1", "/login/", body).json["ephemeral_token"]

    def _verify(self, call: Any, operation: str, token: str, code: str, status: int = 200) -> None:
        call(operation, "/mfa/verify/", {"ephemeral_token": token, "code": code}, status)


def bearer_of(user: Any) -> str:
    """Return an ``Authorization`` header that signs ``user`` in."""
    from rest_framework_simplejwt.tokens import AccessToken

    return f"Bearer {AccessToken.for_user(user)}"


PEERS: dict[str, type[Peer]] = {
    "ours": DjangoTotp,
    "released": DjangoTotp,
    "simplejwt": Simplejwt,
    "drf-totp": DrfTotp,
    "django-mfa": DjangoMfa,
    "allauth": Allauth,
    "dj-rest-auth": DjRestAuth,
}
