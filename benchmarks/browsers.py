"""People who log in by session, at one package: the worker of ``benchmarks.sessions``.

It reads commands from its input, one JSON list a line, and answers each with one line.
"""

import json
import logging
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from benchmarks.peers import KEY, PASSWORD, code_of, keep_away_from_the_next_step, wrong_code

MILLISECONDS = 1000
COMMANDS = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "ROLLBACK")
PAGE = "<!doctype html><title>Page</title><h1>{{ user.get_username }}</h1>"
APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
]
AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    AUTHENTICATION,
    "django.contrib.messages.middleware.MessageMiddleware",
]


class Package:
    """Django alone, and the second step that somebody writes by hand."""

    apps = ["django_totp"]  # for its tables: one row with a secret, one with each backup code
    middleware: list[str] = []
    settings: dict[str, Any] = {"TOTP_ENCRYPTION_KEY": KEY}
    login, verify = "/login/", "/code/"

    def urls(self) -> list[Any]:
        from django.urls import path

        from benchmarks import floor

        return [path("login/", floor.FloorLogin.as_view()), path("code/", floor.second_step)]

    def enroll(self, user: Any) -> tuple[str, list[str]]:
        from django_totp.totp import confirm_totp_setup, start_totp_setup

        secret = start_totp_setup(user).secret
        return secret, confirm_totp_setup(user, code_of(secret))

    def refresh(self, user: Any) -> None:
        """Let all codes of ``user`` be unused, and no wrong one be known."""
        from datetime import UTC, datetime

        from django.core.cache import cache

        from django_totp.models import BackupCode, Totp

        cache.clear()  # the throttle counts in it
        long_ago = datetime(2026, 1, 1, tzinfo=UTC)
        Totp.objects.update(
            last_used_step=None, failures=0, waiting_until=None, confirmed_at=long_ago
        )
        BackupCode.objects.update(is_used=False)

    def password(self, user: Any) -> dict[str, str]:
        return {"username": user.get_username(), "password": PASSWORD}

    def code(self, code: str) -> dict[str, str]:
        return {"otp_code": code}

    def backup(self, code: str) -> dict[str, str]:
        return {"backup_code": code}


class Ours(Package):
    middleware = ["django_totp.middleware.SecondFactorMiddleware"]
    login, verify = "/account/login/", "/account/two-factor/verify/"

    def urls(self) -> list[Any]:
        from django.urls import include, path

        return [path("account/", include("django_totp.urls.pages"))]


class TwoFactorAuth(Package):
    apps = [
        "django_otp",
        "django_otp.plugins.otp_static",
        "django_otp.plugins.otp_totp",
        "two_factor",
    ]
    middleware = ["django_otp.middleware.OTPMiddleware"]
    settings: dict[str, Any] = {}
    login = verify = "/account/login/"

    def urls(self) -> list[Any]:
        from django.urls import include, path
        from two_factor.urls import urlpatterns

        return [path("", include(urlpatterns))]

    def enroll(self, user: Any) -> tuple[str, list[str]]:
        import base64

        device = user.totpdevice_set.create(name="default", confirmed=True)
        codes = [f"code{number}" for number in range(10)]
        kept = user.staticdevice_set.create(name="backup")
        for code in codes:
            kept.token_set.create(token=code)
        return base64.b32encode(device.bin_key).decode(), codes

    def refresh(self, user: Any) -> None:
        from django_otp.plugins.otp_static.models import StaticToken

        fresh = {"throttling_failure_count": 0, "throttling_failure_timestamp": None}
        user.totpdevice_set.update(last_t=-1, **fresh)
        user.staticdevice_set.update(**fresh)
        device = user.staticdevice_set.get()
        StaticToken.objects.get_or_create(device=device, token="code0")

    def password(self, user: Any) -> dict[str, str]:
        form = super().password(user)
        return self._step("auth", {f"auth-{name}": value for name, value in form.items()})

    def code(self, code: str) -> dict[str, str]:
        return self._step("token", {"token-otp_token": code})

    def backup(self, code: str) -> dict[str, str]:
        return self._step("backup", {"backup-otp_token": code})

    def _step(self, name: str, form: dict[str, str]) -> dict[str, str]:
        return {"login_view-current_step": name, **form}


class Allauth(Package):
    apps = ["allauth", "allauth.account", "allauth.mfa"]
    middleware = ["allauth.account.middleware.AccountMiddleware"]
    settings = {
        "ACCOUNT_EMAIL_VERIFICATION": "none",
        "ACCOUNT_RATE_LIMITS": False,
        "AUTHENTICATION_BACKENDS": ["allauth.account.auth_backends.AuthenticationBackend"],
        "MFA_TOTP_TOLERANCE": 1,
    }
    login, verify = "/accounts/login/", "/accounts/2fa/authenticate/"

    def urls(self) -> list[Any]:
        from django.urls import include, path

        return [path("accounts/", include("allauth.urls"))]

    def enroll(self, user: Any) -> tuple[str, list[str]]:
        from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
        from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret

        secret = generate_totp_secret()
        TOTP.activate(user, secret)
        return secret, RecoveryCodes.activate(user).get_unused_codes()

    def refresh(self, user: Any) -> None:
        from allauth.mfa.models import Authenticator
        from django.core.cache import cache

        cache.clear()
        kept = Authenticator.objects.get(user=user, type="recovery_codes")
        kept.data["used_mask"] = 0
        kept.save()

    def password(self, user: Any) -> dict[str, str]:
        return {"login": user.get_username(), "password": PASSWORD}

    def code(self, code: str) -> dict[str, str]:
        return {"code": code}

    backup = code


PACKAGES = {
    "floor": Package,
    "ours": Ours,
    "two-factor-auth": TwoFactorAuth,
    "allauth-pages": Allauth,
}


def set_up(package: Package) -> None:
    """Configure a project with ``package``, its admin and one page."""
    import django
    from django.conf import settings

    settings.configure(
        **{
            "ALLOWED_HOSTS": ["testserver"],
            "CACHES": {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
            "DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
            "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
            "INSTALLED_APPS": [*APPS, *package.apps],
            "LOGIN_REDIRECT_URL": "/page/",
            "LOGIN_URL": package.login,
            "MIDDLEWARE": [*MIDDLEWARE, *package.middleware],
            "PASSWORD_HASHERS": ["django.contrib.auth.hashers.MD5PasswordHasher"],
            "ROOT_URLCONF": __name__,
            "SECRET_KEY": "of the benchmarks",
            "STATIC_URL": "static/",
            "TEMPLATES": [_templates()],
            "USE_TZ": True,
        },
        **package.settings,
    )
    django.setup()
    logging.disable()
    globals()["urlpatterns"] = [*package.urls(), *_urls()]


def _templates() -> dict[str, Any]:
    processors = ("template.context_processors.request", "contrib.auth.context_processors.auth")
    messages = "contrib.messages.context_processors.messages"
    return {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": [f"django.{one}" for one in (*processors, messages)]},
    }


def _urls() -> list[Any]:
    from django.contrib import admin
    from django.contrib.auth.decorators import login_required
    from django.http import HttpResponse
    from django.template import engines
    from django.urls import path

    template = engines["django"].from_string(PAGE)

    def page(request: Any) -> HttpResponse:
        return HttpResponse(template.render({}, request))

    return [
        path("page/", login_required(page)),
        path("open/", page),
        path("admin/", admin.site.urls),
    ]


class Person:
    """Somebody whose logins are measured."""

    def __init__(self, package: Package) -> None:
        from django.contrib.auth.models import User

        self.package = package
        self.user = User.objects.create_superuser("ada", password=PASSWORD)
        self.secret, self.codes = package.enroll(self.user)
        self.taken: dict[str, list[float]] = defaultdict(list)
        self.statements: dict[str, str] = {}

    def live(self, count: bool = False) -> None:
        """Log in by a code and look around, give a wrong code, log in by a backup code."""
        keep_away_from_the_next_step()
        package, browser = self.package, self._password(count)
        step = self._stepper(count)
        if package.verify != package.login:  # else the answer to the password is the form
            step("code form", lambda: browser.get(package.verify), 200)
        right = package.code(code_of(self.secret))
        step("code", lambda: browser.post(package.verify, right), 302)
        for name, url in (("first page", "/page/"), ("page", "/page/"), ("admin", "/admin/")):
            step(name, lambda url=url: browser.get(url), 200)
        other = self._password()
        wrong = package.code(wrong_code(self.secret))
        step("wrong code", lambda: other.post(package.verify, wrong), 200)
        package.refresh(self.user)
        backup = package.backup(self.codes[0])
        step("backup code", lambda: other.post(package.verify, backup), 302)
        step("anonymous page", lambda: self._browser().get("/open/"), 200)

    def _password(self, count: bool = False) -> Any:
        self.package.refresh(self.user)
        browser, form = self._browser(), self.package.password(self.user)
        login = self.package.login
        status = 200 if login == self.package.verify else 302
        self._stepper(count)("password", lambda: browser.post(login, form), status)
        return browser

    def _browser(self) -> Any:
        from django.test import Client

        return Client(headers={"User-Agent": "A browser"})

    def _stepper(self, count: bool) -> Callable[[str, Callable[[], Any], int], None]:
        return self._count if count else self._time

    def _time(self, name: str, do: Callable[[], Any], status: int) -> None:
        begin = time.process_time()
        response = do()
        self.taken[name].append(MILLISECONDS * (time.process_time() - begin))
        assert response.status_code == status, (name, response.status_code, response.content)

    def _count(self, name: str, do: Callable[[], Any], status: int) -> None:
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        with CaptureQueriesContext(connection) as queries:
            response = do()
        assert response.status_code == status, (name, response.status_code, response.content)
        commands = sum(query["sql"].startswith(COMMANDS) for query in queries)
        self.statements.setdefault(name, f"{len(queries) - commands} + {commands}")


def main() -> None:
    name = json.loads(sys.argv[2]).get("side", sys.argv[1])
    package = PACKAGES[name]()
    set_up(package)
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    person = Person(package)
    person.live(count=True)
    for line in sys.stdin:
        [times] = json.loads(line)
        person.taken.clear()
        for _ in range(times):
            person.live()
        medians = {name: statistics.median(taken) for name, taken in person.taken.items()}
        print(json.dumps([medians, person.statements]), flush=True)


if __name__ == "__main__":
    main()
