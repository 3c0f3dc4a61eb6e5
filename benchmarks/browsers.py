"""Somebody who logs in by session, at one package: the worker of ``benchmarks.sessions``.

It reads commands from its input, as ``benchmarks.worker`` does. Each package keeps the limits on
guesses and requests that it comes with; before each login all of them are as if nothing was tried.
"""

import gc
import json
import sys
import time
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

from benchmarks import peers, worker

MILLISECONDS = 1000
PAGE = "<!doctype html><title>Page</title><h1>{{ user.get_username }}</h1>"
ANSWERS = {"password": 302, "code": 302, "backup code": 302}  # all others 200

Step = tuple[str, Callable[[], Any]]
Take = Callable[[Callable[[], Any]], tuple[Any, Any]]


class Package(peers.Peer):
    """A package with its pages. ``way`` leads from the password to the form for the code."""

    login, verify, verify_backup = "/login/", "/code/", "/code/"
    way: list[str] = ["/code/"]
    answers: dict[str, int] = {}

    def enroll_directly(self, user: Any) -> tuple[str, list[str]]:
        """Give ``user`` a second factor, and return its secret and the backup codes."""
        raise NotImplementedError

    def refresh(self, user: Any) -> None:
        """Let all codes of ``user`` be unused, and no wrong one be known."""
        raise NotImplementedError

    def password(self, user: Any) -> dict[str, str]:
        return {"username": user.get_username(), "password": peers.PASSWORD}

    def code(self, code: str) -> dict[str, str]:
        return {"otp_code": code}

    def backup(self, code: str) -> dict[str, str]:
        return {"backup_code": code}


class Floor(Package):
    """Django alone, and the second step that somebody writes by hand."""

    apps = ["benchmarks.floor"]

    def urls(self) -> list[Any]:
        from django.urls import path

        from benchmarks.floor import views

        return [
            path("login/", views.FirstStep.as_view()),
            path("code/", views.SecondStep.as_view(), name="second-step"),
        ]

    def enroll_directly(self, user: Any) -> tuple[str, list[str]]:
        from benchmarks.floor.models import Code, Device, digest_of

        secret, codes = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", backup_codes()
        device = Device.objects.create(user=user, secret=secret)
        Code.objects.bulk_create(Code(device=device, digest=digest_of(code)) for code in codes)
        return secret, codes

    def refresh(self, user: Any) -> None:
        from benchmarks.floor.models import Code, Device

        Device.objects.update(last_step=0, failures=0)
        Code.objects.update(is_used=False)


class Ours(Package):
    apps = ["django_totp"]
    middleware = ["django_totp.middleware.SecondFactorMiddleware"]
    settings = {"TOTP_ENCRYPTION_KEY": peers.KEY, "TOTP_ISSUER": "Benchmark"}
    login = "/account/login/"
    verify = verify_backup = "/account/two-factor/verify/"
    way = [verify]

    def urls(self) -> list[Any]:
        from django.urls import include, path

        return [path("account/", include("django_totp.urls.pages"))]

    def enroll_directly(self, user: Any) -> tuple[str, list[str]]:
        from django_totp.totp import confirm_totp_setup, start_totp_setup

        secret = start_totp_setup(user).secret
        return secret, confirm_totp_setup(user, peers.code_of(secret))

    def refresh(self, user: Any) -> None:
        from datetime import UTC, datetime

        from django.core.cache import cache

        from django_totp.models import BackupCode, Totp

        cache.clear()  # where requests are counted
        unused = {"last_used_step": None, "failures": 0, "waiting_until": None}
        Totp.objects.update(confirmed_at=datetime(2026, 1, 1, tzinfo=UTC), **unused)
        BackupCode.objects.update(is_used=False)


class TwoFactorAuth(Package):
    """It answers a right password with the form for the code: one request is less."""

    apps = [
        "django_otp",
        "django_otp.plugins.otp_static",
        "django_otp.plugins.otp_totp",
        "two_factor",
    ]
    middleware = ["django_otp.middleware.OTPMiddleware"]
    login = verify = verify_backup = "/account/login/"
    way: list[str] = []
    answers = {"password": 200}

    def urls(self) -> list[Any]:
        from django.urls import include, path
        from two_factor.urls import urlpatterns

        return [path("", include(urlpatterns))]

    def enroll_directly(self, user: Any) -> tuple[str, list[str]]:
        import base64

        device = user.totpdevice_set.create(name="default", confirmed=True)
        user.staticdevice_set.create(name="backup")
        return base64.b32encode(device.bin_key).decode(), backup_codes()

    def refresh(self, user: Any) -> None:
        fresh = {"throttling_failure_count": 0, "throttling_failure_timestamp": None}
        user.totpdevice_set.update(last_t=-1, **fresh)
        user.staticdevice_set.update(**fresh)
        device = user.staticdevice_set.get()
        device.token_set.all().delete()
        device.token_set.bulk_create(
            device.token_set.model(device=device, token=code) for code in backup_codes()
        )

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
        "AUTHENTICATION_BACKENDS": ["allauth.account.auth_backends.AuthenticationBackend"],
        "MFA_TOTP_TOLERANCE": 1,
    }
    login = "/accounts/login/"
    verify = verify_backup = "/accounts/2fa/authenticate/"
    way = [verify]

    def urls(self) -> list[Any]:
        from django.urls import include, path

        return [path("accounts/", include("allauth.urls"))]

    def enroll_directly(self, user: Any) -> tuple[str, list[str]]:
        from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
        from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret

        secret = generate_totp_secret()
        TOTP.activate(user, secret)
        return secret, RecoveryCodes.activate(user).get_unused_codes()

    def refresh(self, user: Any) -> None:
        from allauth.mfa.models import Authenticator
        from django.core.cache import cache

        cache.clear()  # where requests and the code that was used are kept
        kept = Authenticator.objects.get(user=user, type="recovery_codes")
        kept.data["used_mask"] = 0
        kept.save()

    def password(self, user: Any) -> dict[str, str]:
        return {"login": user.get_username(), "password": peers.PASSWORD}

    def code(self, code: str) -> dict[str, str]:
        return {"code": code}

    backup = code


class DjangoMfa(Package):
    """Behind Django's login view. Its middleware leads to the choice of a factor, and that on."""

    apps = ["django_mfa"]
    middleware = ["django_mfa.middleware.MfaMiddleware"]
    settings = {
        "MFA_FACTORS": ["totp", "recovery_codes"],
        "MFA_SECRET_ENCRYPTION_KEYS": [peers.KEY],
    }
    verify, verify_backup = "/mfa/verify/totp/", "/mfa/verify/recovery_codes/"
    way = ["/page/", "/mfa/verify/?next=/page/", verify]
    answers = {"wrong code": 400}

    def urls(self) -> list[Any]:
        from django.contrib.auth.views import LoginView
        from django.urls import include, path

        return [path("login/", LoginView.as_view()), path("mfa/", include("django_mfa.urls"))]

    def enroll_directly(self, user: Any) -> tuple[str, list[str]]:
        from django_mfa.adapters.recovery_codes import RecoveryCodesAdapter
        from django_mfa.adapters.totp import generate_secret
        from django_mfa.crypto import encrypt

        secret = generate_secret()
        user.mfa_authenticators.create(type="totp", data={"secret": encrypt(secret)})
        return secret, RecoveryCodesAdapter().generate(user)

    def refresh(self, user: Any) -> None:
        from django_mfa.models import RateLimitCounter

        RateLimitCounter.objects.all().delete()
        for kept in user.mfa_authenticators.all():
            kept.data.pop("last_verified_counter", None)
            kept.data |= {"used": []} if kept.type == "recovery_codes" else {}
            kept.save()

    def code(self, code: str) -> dict[str, str]:
        return {"code": code, "next": "/page/"}

    backup = code


def backup_codes() -> list[str]:
    return [f"backup{number}" for number in range(10)]


PACKAGES: dict[str, type[Package]] = {
    "floor": Floor,
    "ours": Ours,
    "two-factor-auth": TwoFactorAuth,
    "allauth": Allauth,
    "django-mfa": DjangoMfa,
}


def set_up(package: Package) -> None:
    """Configure a project with ``package``, its admin and two pages."""
    addresses = {"LOGIN_URL": package.login, "LOGIN_REDIRECT_URL": "/page/"}
    peers.set_up(package, **addresses)
    from benchmarks import urls

    urls.urlpatterns += _pages()


def _pages() -> list[Any]:
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
        self.user = User.objects.create_superuser("ada", password=peers.PASSWORD)
        self.secret, self.codes = package.enroll_directly(self.user)

    def live(self, times: int) -> list[dict[str, float]]:
        """Return for each of so many lives the CPU time of its steps in ms."""
        gc.collect()
        return [self._life(timed) for _ in range(times)]

    def count(self) -> dict[str, tuple[int, int]]:
        """Return the SQL statements and the transaction commands of each step."""
        return self._life(counted)

    def _life(self, take: Take) -> dict[str, Any]:
        peers.keep_away_from_the_next_step()
        taken = {}
        for name, do in chain(self._right(), self._wrong()):
            response, taken[name] = take(do)
            self._check(name, response)
        return taken

    def _right(self) -> Iterator[Step]:
        """Give the steps of a login by a code, and of what is looked at with it."""
        package = self.package
        package.refresh(self.user)
        browser, form = client(), package.password(self.user)
        yield "password", lambda: browser.post(package.login, form)
        if package.way:  # else the answer to the password is the form
            yield "code form", lambda: [browser.get(url) for url in package.way][-1]
        right = package.code(peers.code_of(self.secret))
        yield "code", lambda: browser.post(package.verify, right)
        yield "first page", lambda: browser.get("/page/")
        yield "page", lambda: browser.get("/page/")
        yield "admin", lambda: browser.get("/admin/")
        yield "anonymous page", lambda: client().get("/open/")

    def _wrong(self) -> Iterator[Step]:
        """Give a wrong code, and a backup code in the same session."""
        package = self.package
        package.refresh(self.user)
        browser = client()
        browser.post(package.login, package.password(self.user))
        wrong = package.code(peers.wrong_code(self.secret))
        yield "wrong code", lambda: browser.post(package.verify, wrong)
        package.refresh(self.user)
        backup = package.backup(self.codes[0])
        yield "backup code", lambda: browser.post(package.verify_backup, backup)
        self._check("page", browser.get("/page/"))

    def _check(self, name: str, response: Any) -> None:
        wanted = (ANSWERS | self.package.answers).get(name, 200)
        if response.status_code != wanted:
            raise RuntimeError(f"{name}: {response.status_code} {response.content[:500]!r}")


def client() -> Any:
    """Return a browser that has not been here before."""
    from django.test import Client

    return Client(headers={"User-Agent": "A browser"})


def timed(do: Callable[[], Any]) -> tuple[Any, float]:
    begin = time.process_time()
    response = do()
    return response, MILLISECONDS * (time.process_time() - begin)


def counted(do: Callable[[], Any]) -> tuple[Any, tuple[int, int]]:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as captured:
        response = do()
    commands = [query["sql"].split()[0].upper() for query in captured]
    of_transactions = sum(command in worker.TRANSACTION for command in commands)
    return response, (len(commands) - of_transactions, of_transactions)


def main() -> None:
    pipe, sys.stdout = sys.stdout, sys.stderr
    package = PACKAGES[json.loads(sys.argv[2])["package"]]()
    set_up(package)
    from django.db import connection

    name = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        worker.serve(Person(package), pipe)
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


if __name__ == "__main__":
    main()
