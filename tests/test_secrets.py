"""No password, code, token or secret shows where it is not meant to be.

Known secrets are planted, every endpoint is driven into success, refusal and crash, and then
everything that was written or sent is searched for them.
"""

import html
import io
import json
import logging
import pickle
import re
import sys
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlencode

import pyotp
import pytest
import time_machine
from django.apps import apps
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection
from django.urls import reverse
from django.utils import timezone
from django.utils.log import AdminEmailHandler
from django.views.debug import ExceptionReporter
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

import django_totp
from django_totp import (
    auth,
    backup_code_utils,
    challenges,
    devices,
    exceptions,
    oath,
    reauthentication,
    totp,
)
from django_totp.accounts import account_by
from django_totp.assurance import UNKNOWN, new_login
from django_totp.encryption import encrypt
from django_totp.models import BackupCode, Totp
from django_totp.views.base import SecretsFilter
from tests.endpoints import assert_error

PACKAGE = Path(django_totp.__file__).parent

# Eight digits: six of them may stand in any number by chance.
DIGITS = 8
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
PENDING_SECRET = "KRSXG5CTMVRXEZLUKRSXG5CTMVRXEZLU"
PASSWORD = "open-sesame & <quoted>"
BACKUP_CODES = ["7g9q-w2mz-k4xd-n8vt", "5h3c-r6ya-t1fb-p0je"]


class Planted:
    """Secrets by name, and where to look for them."""

    def __init__(self) -> None:
        self.secrets: dict[str, str] = {}

    def add(self, **secrets: Any) -> None:
        self.secrets |= {name: str(value) for name, value in secrets.items()}

    def found_in(self, *texts: Any) -> set[str]:
        """Return the names of the secrets that stand in ``texts``, in any usual spelling."""
        haystack = "\n".join(
            text.decode(errors="replace") if isinstance(text, bytes) else str(text)
            for text in texts
        )
        haystack += html.unescape(haystack) + unquote(haystack)
        spaceless = re.sub(r"[\s-]", "", haystack).lower()
        return {
            name
            for name, secret in self.secrets.items()
            if secret in haystack
            or json.dumps(secret)[1:-1] in haystack
            or quote(secret) in haystack
            or re.sub(r"[\s-]", "", secret).lower() in spaceless
        }


@pytest.fixture(autouse=True)
def clock() -> Iterator[Any]:
    with time_machine.travel(datetime(2031, 5, 4, 12, 0, 15, tzinfo=UTC), tick=False) as clock:
        yield clock


@pytest.fixture
def planted(settings: Any) -> Planted:
    planted = Planted()
    planted.add(
        password=PASSWORD,
        secret=SECRET,
        pending_secret=PENDING_SECRET,
        code=code(SECRET),
        pending_code=code(PENDING_SECRET),
        encryption_key=settings.TOTP_ENCRYPTION_KEY.decode(),
        secret_key=settings.SECRET_KEY,
        **{f"backup_code_{number}": value for number, value in enumerate(BACKUP_CODES)},
    )
    return planted


def code(secret: str) -> str:
    return pyotp.TOTP(secret, digits=DIGITS).at(int(time.time()))


def enroll(user: Any, secret: str) -> Totp:
    return Totp.objects.create(user=user, secret_key=encrypt(secret), digits=DIGITS)


@pytest.fixture
def pending(make_user: Callable[..., Any]) -> Any:
    user = make_user("pending")
    enroll(user, PENDING_SECRET)
    return user


@pytest.fixture
def enrolled(make_user: Callable[..., Any]) -> Any:
    user = make_user("enrolled")
    user.set_password(PASSWORD)
    user.save()
    enroll(user, SECRET)
    backup_code_utils.store_backup_codes(user, BACKUP_CODES)
    return user


@pytest.fixture
def mails() -> Iterator[list[str]]:
    """Return what administrators are mailed about errors, in text and in HTML."""
    mails: list[str] = []

    class Handler(AdminEmailHandler):
        def send_mail(self, subject, message, *args, html_message=None, **kwargs):
            mails.extend([subject, message, html_message])

    handler = Handler(include_html=True)
    handler.setLevel(logging.ERROR)
    logger = logging.getLogger("django")
    logger.addHandler(handler)
    yield mails
    logger.removeHandler(handler)


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Return a function that gives all that was logged, at every level by every logger."""
    caplog.set_level(logging.DEBUG)
    formatter = logging.Formatter("%(message)s")

    def logged() -> list[str]:
        records = [*caplog.records]
        return [formatter.format(record) + repr(vars(record)) for record in records]

    return logged


@pytest.fixture
def requests(
    planted: Planted,
    pending: Any,
    enrolled: Any,
    sign_in: Callable[..., APIClient],
    login: Any,
    settings: Any,
) -> Callable[..., Any]:
    """Return a function that sends a request with good secrets to an endpoint by its name."""
    tokens = login(pending).json()
    pending.set_password(PASSWORD)
    pending.save()
    settings.TOTP_REQUIRED_FOR = ["everyone"]
    planted.add(owed_challenge=auth.next_step(pending).challenge)
    settings.TOTP_REQUIRED_FOR = []
    hour_ago = timezone.now() - timedelta(hours=1)
    Totp.objects.filter(user=enrolled).update(confirmed_at=hour_ago)
    planted.add(
        enrolled_refresh=RefreshToken.for_user(enrolled),
        challenge=auth.generate_challenge_token(enrolled),
        refresh=tokens["refresh"],
        access=tokens["access"],
        bearer=AccessToken.for_user(pending),
    )
    bodies = {
        "totp-create": {"password": PASSWORD},
        "totp-confirm": {"input_code": planted.secrets["pending_code"], "password": PASSWORD},
        "totp-disable": {"password": PASSWORD},
        "totp-rotate-backup-codes": {"backup_code": BACKUP_CODES[1]},
        "jwt-create": {
            enrolled.USERNAME_FIELD: enrolled.get_username(),
            "password": PASSWORD,
        },
        "jwt-totp-verify": {
            "totp_challenge_token": planted.secrets["challenge"],
            "otp_code": planted.secrets["code"],
        },
        "jwt-totp-create": {"totp_challenge_token": planted.secrets["owed_challenge"]},
        "jwt-totp-confirm": {
            "totp_challenge_token": planted.secrets["owed_challenge"],
            "input_code": planted.secrets["pending_code"],
        },
        "jwt-step-up": {
            "refresh": planted.secrets["enrolled_refresh"],
            "otp_code": planted.secrets["code"],
        },
        "jwt-refresh": {"refresh": planted.secrets["refresh"]},
        "jwt-verify": {"token": planted.secrets["access"]},
    }
    actors = {
        "totp-create": pending,
        "totp-confirm": pending,
        "totp-disable": enrolled,
        "totp-rotate-backup-codes": enrolled,
    }

    def send(name: str, form: str = "json", **changes: Any) -> Any:
        methods = ("pwd", "otp") if name == "totp-disable" else ()  # so a password is a proof
        client = sign_in(actors[name], *methods, age=301) if name in actors else APIClient()
        client.raise_request_exception = False
        planted.add(bearer=client.defaults.get("HTTP_AUTHORIZATION", "Bearer ???")[7:])
        body = bodies[name] | changes
        if form == "urlencoded":
            return client.post(reverse(name), urlencode(body), content_type=FORM)
        return client.post(reverse(name), body, format=form)

    return send


ALL = [
    "totp-create",
    "totp-confirm",
    "totp-disable",
    "totp-rotate-backup-codes",
    "jwt-create",
    "jwt-totp-verify",
    "jwt-refresh",
    "jwt-verify",
]
UNREAD = ["totp-create", "totp-disable", "totp-rotate-backup-codes"]  # without a proof, at least
KINDS = ["json", "multipart", "urlencoded"]
FORM = "application/x-www-form-urlencoded"

# Where each endpoint is made to crash: deep down, with its secrets in the frames above.
CRASHES = {
    "totp-create": "segno.make",
    "totp-confirm": "django_totp.models.Totp.move",
    "totp-disable": "django_totp.models.Totp.remove",
    "totp-rotate-backup-codes": "django_totp.models.Totp.move",
    "jwt-create": "django.contrib.auth.backends.ModelBackend.user_can_authenticate",
    "jwt-totp-verify": "django_totp.models.Totp.move",
    "jwt-refresh": "rest_framework_simplejwt.tokens.RefreshToken.check_exp",
    "jwt-verify": "rest_framework_simplejwt.tokens.UntypedToken.check_exp",
}


def crash(*args: Any, **kwargs: Any) -> Any:
    raise RuntimeError("It broke.")


@pytest.mark.slow
class TestCrashes:
    """DEBUG or not, JSON or form: no answer, log or report shows what came in."""

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("name", ALL)
    @pytest.mark.parametrize("debug", [True, False], ids=["debug", "production"])
    def test_show_nothing(
        self, settings, monkeypatch, planted, mails, logged, requests, debug, name, kind
    ):
        settings.DEBUG, settings.TOTP_REAUTHENTICATE = debug, True
        monkeypatch.setattr(CRASHES[name], crash)
        response = requests(name, kind)
        assert response.status_code == 500
        assert ("It broke." in response.content.decode()) is debug
        assert planted.found_in(response.content, response.headers) == set()
        assert "It broke." in mails[1]
        assert "It broke." in mails[2]
        assert planted.found_in(*mails) == set()
        assert planted.found_in(*logged()) == set()

    @pytest.mark.parametrize("place", ["_used", "_delete", "TrustedDevice"])
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("debug", [True, False], ids=["debug", "production"])
    def test_what_a_trusted_device_keeps_is_not_shown(
        self, settings, monkeypatch, planted, mails, logged, requests, enrolled, debug, kind, place
    ):
        """Neither where the login breaks after it, nor where it is itself what breaks."""
        settings.DEBUG, settings.TOTP_TRUSTED_DEVICE_MAX_AGE = debug, 86400
        user = account_by("pk", enrolled.pk)
        value = devices.trust(user, new_login(user, "pwd", "otp"))
        series, secret = value.split(".")[3:]
        planted.add(device=value, device_series=series, device_secret=secret)
        monkeypatch.setattr(f"django_totp.devices.{place}", crash)
        monkeypatch.setattr("django_totp.auth.challenges.make", lambda *args: "x")
        monkeypatch.setattr("django_totp.views.jwt.pair", crash)
        monkeypatch.setattr("django_totp.views.login.Response", crash)
        response = requests("jwt-create", kind, trusted_device=value)
        assert response.status_code == 500
        assert planted.found_in(response.content, *mails, *logged()) == set()
        assert mails

    def test_a_report_still_helps(self, monkeypatch, mails, requests):
        """It names the exception, the place and the variables, if not their values."""
        monkeypatch.setattr(CRASHES["jwt-totp-verify"], crash)
        requests("jwt-totp-verify", "urlencoded")
        report = mails[2]
        for word in ("RuntimeError", "finish_login", "otp_code", "attempts.py"):
            assert word in report

    @pytest.mark.parametrize("debug", [True, False], ids=["debug", "production"])
    def test_a_reporter_of_the_project_may_ask_the_filter(self, rf, settings, debug):
        """In production as with DEBUG, with a request or without one."""
        settings.DEBUG = debug
        secrets_filter = SecretsFilter()
        assert secrets_filter.is_active(None)
        assert secrets_filter.get_post_parameters(None) == {}
        request = rf.post("/?backup_code=12345678", {"otp_code": "12345678"})
        request.COOKIES = {"token": "12345678"}
        shown = ExceptionReporter(request, None, None, None)
        shown.filter = secrets_filter
        for text in (shown.get_traceback_text(), shown.get_traceback_html()):
            assert "12345678" not in text
            assert "otp_code" not in text
            assert "backup_code" not in text
        assert secrets_filter.get_safe_request_meta(None) == {}

    @pytest.mark.parametrize("media_type", [FORM, "multipart/form-data; boundary=B"])
    @pytest.mark.parametrize("name", [name for name in ALL if name not in UNREAD])
    @pytest.mark.parametrize("debug", [True, False], ids=["debug", "production"])
    def test_json_that_is_sent_as_a_form_shows_nothing(
        self, settings, monkeypatch, planted, mails, logged, requests, debug, name, media_type
    ):
        """As curl does: the whole of it is the name of one parameter, or is in the query."""
        settings.DEBUG = debug
        body = json.dumps({**planted.secrets, "uri": f"otpauth://{SECRET}"})
        if media_type != FORM:
            body = (
                f"--B\r\nContent-Disposition: form-data; name={body}\r\n\r\nx\r\n"
                f'--B\r\nContent-Disposition: form-data; name="f"; filename="{SECRET}"\r\n\r\n'
                f"x\r\n--B--\r\n"
            )
        monkeypatch.setattr("django_totp.views.base.TotpView.finalize_response", crash)
        client = APIClient(raise_request_exception=False)
        client.cookies[planted.secrets["code"]] = PASSWORD
        headers = {
            "HTTP_X_OWN": BACKUP_CODES[0],
            "HTTP_REFERER": f"/?code={planted.secrets['code']}",
        }
        client.credentials(**headers, HTTP_AUTHORIZATION=f"Bearer {planted.secrets['bearer']}")
        query = urlencode({"otp_code": planted.secrets["code"], PASSWORD: "x"})
        response = client.post(f"{reverse(name)}?{query}", body, content_type=media_type)
        assert response.status_code == 500
        assert "It broke." in mails[2]
        assert planted.found_in(*mails, response.content) == set()
        assert planted.found_in(*logged()) == set()

    def test_a_missing_key_shows_nothing(self, settings, planted, mails, logged, requests):
        settings.TOTP_ENCRYPTION_KEY = None
        for name in ("totp-create", "totp-confirm", "jwt-totp-verify"):
            assert requests(name).status_code == 500
        assert "TOTP_ENCRYPTION_KEY is not set" in mails[1]
        assert planted.found_in(*mails, *logged()) == set()


@pytest.mark.slow
class TestFramesOfTheServices:
    """A project's own view gets Django's usual report: our frames in it show nothing either."""

    @pytest.fixture
    def shown(self, rf):
        """Return a function that calls a service which crashes, and gives what a report shows."""

        def shown(service, *args, **kwargs):
            try:
                service(*args, **kwargs)
            except Exception:
                reporter = ExceptionReporter(rf.post("/"), *sys.exc_info())
            frames = [
                frame
                for frame in reporter.get_traceback_frames()
                if Path(frame["filename"]).is_relative_to(PACKAGE)
            ]
            assert frames
            return [
                (frame["function"], name, value)
                for frame in frames
                for name, value in frame["vars"]
            ]

        return shown

    @pytest.mark.parametrize(
        "place",
        [
            "django_totp.models.Totp.move",
            "pyotp.otp.OTP.generate_otp",
            "django_totp.attempts.decrypt",
            "django_totp.encryption.resolve_fernet_keys",
            "cryptography.fernet.MultiFernet.encrypt",
            "django_totp.models.BackupCode.objects.bulk_create",
            "django.db.models.query.QuerySet.update",
            "segno.make",
            "django_totp.encryption._digest",
            "django.core.signing.loads",
            "django_totp.events.record",
            "django.contrib.auth.backends.ModelBackend.authenticate",
        ],
    )
    def test_show_nothing(
        self, monkeypatch, planted, shown, pending, enrolled, make_user, place, settings
    ):
        monkeypatch.setattr(oath, "generate_secret", lambda: SECRET)
        monkeypatch.setattr(totp, "generate_backup_codes", lambda: [*BACKUP_CODES])
        monkeypatch.setattr(backup_code_utils, "generate_backup_codes", lambda: [*BACKUP_CODES])
        otp_code, otp_code_of_pending = planted.secrets["code"], planted.secrets["pending_code"]
        challenges = [auth.generate_challenge_token(enrolled) for _ in range(2)]
        planted.add(challenge=challenges[0])
        user = make_user("new")
        settings.TOTP_REQUIRED_FOR = ["everyone"]
        owed = auth.next_step(pending).challenge
        planted.add(owed=owed)
        find = partial(account_by, "pk", enrolled.pk)
        calls = {
            "create": (totp.create_totp_setup, user),
            "confirm": (totp.confirm_totp_setup, pending, otp_code_of_pending),
            "verify": (totp.verify_totp_code, enrolled, otp_code),
            "store": (backup_code_utils.store_backup_codes, enrolled, BACKUP_CODES),
            "backup": (backup_code_utils.verify_backup_code, enrolled, BACKUP_CODES[0]),
            "rotate": (backup_code_utils.rotate_backup_codes, enrolled),
            "look": (auth.verify_challenge_token, challenges[0]),
            "look closer": (auth.get_user_from_challenge_token, challenges[0]),
            "finish": (partial(auth.finish_login, otp_code=otp_code), challenges[0]),
            "finish by backup": (
                partial(auth.finish_login, backup_code=BACKUP_CODES[1]),
                challenges[1],
            ),
            "step up": (partial(auth.step_up, find, UNKNOWN, otp_code=otp_code),),
            "step up by backup": (
                partial(auth.step_up, find, UNKNOWN, backup_code=BACKUP_CODES[1]),
            ),
            "next step": (auth.next_step, enrolled),
            "start owed": (auth.start_owed_enrollment, owed),
            "finish owed": (auth.finish_owed_enrollment, owed, otp_code_of_pending),
            "prove": (partial(reauthentication.reauthenticate, otp_code=otp_code), enrolled),
            "prove by backup": (
                partial(reauthentication.reauthenticate, backup_code=BACKUP_CODES[0]),
                enrolled,
            ),
            "prove by password": (
                partial(reauthentication.reauthenticate, password=PASSWORD),
                enrolled,
            ),
        }
        monkeypatch.setattr(place, crash)
        crashed = 0
        for name, (service, *args) in calls.items():
            try:
                variables = shown(service, *args)
            except UnboundLocalError:  # this one does not come to that place
                continue
            crashed += 1
            for function, variable, value in variables:
                assert planted.found_in(value) == set(), (name, function, variable)
        assert crashed

    def test_nor_does_the_transaction_that_confirms(
        self, monkeypatch, planted, shown, pending, settings
    ):
        """The challenge is read a second time there."""
        settings.TOTP_REQUIRED_FOR = ["everyone"]
        owed = auth.next_step(pending).challenge
        planted.add(owed=owed)
        user_of, calls = challenges.user_of, []

        def crash_at_second(*args):
            calls.append(args)
            return user_of(*args) if len(calls) == 1 else crash()

        monkeypatch.setattr(challenges, "user_of", crash_at_second)
        code = planted.secrets["pending_code"]
        variables = shown(auth.finish_owed_enrollment, owed, code)
        assert "still" in {function for function, _name, _value in variables}
        for function, variable, value in variables:
            assert planted.found_in(value) == set(), (function, variable)


# What each endpoint is sent to be refused: good secrets beside something that spoils them.
SPOILT = {
    "totp-confirm": [{"input_code": ["%(pending_code)s"]}, {"input_code": "%(pending_code)s" * 40}],
    "totp-disable": [{"password": "%(password)s "}, {"password": {"is": "%(password)s"}}],
    "totp-rotate-backup-codes": [
        {"backup_code": "", "otp_code": "%(code)s1"},
        {"backup_code": ["%(backup_code_1)s"]},
        {"otp_code": "%(code)s" * 40},
    ],
    "jwt-create": [{"password": "%(password)s "}, {"password": ["%(password)s"]}],
    "jwt-totp-verify": [
        {"backup_code": "%(backup_code_0)s"},
        {"otp_code": {"is": "%(code)s"}},
        {"otp_code": "%(code)s1"},
        {"otp_code": "", "backup_code": "%(backup_code_0)sx"},
        {"totp_challenge_token": "%(challenge)sx"},
        {"totp_challenge_token": ["%(challenge)s"]},
    ],
    "totp-create": [{"password": "%(password)s "}, {"password": ["%(password)s"]}],
    "jwt-totp-create": [
        {"totp_challenge_token": "%(challenge)s"},
        {"totp_challenge_token": ["%(owed_challenge)s"]},
    ],
    "jwt-totp-confirm": [
        {"totp_challenge_token": "%(owed_challenge)sx"},
        {"input_code": ["%(pending_code)s"]},
        {"input_code": "%(pending_code)s1"},
    ],
    "jwt-step-up": [
        {"refresh": "%(enrolled_refresh)sx"},
        {"refresh": ["%(enrolled_refresh)s"]},
        {"otp_code": "%(code)s1"},
        {"backup_code": "%(backup_code_0)s"},
    ],
    "jwt-refresh": [{"refresh": "%(access)s"}, {"refresh": ["%(refresh)s"]}],
    "jwt-verify": [{"token": "%(access)sx"}, {"token": {"is": "%(access)s"}}],
}


def filled(value: Any, secrets: dict[str, str]) -> Any:
    """Return ``value`` with the secrets in the place of their names."""
    if isinstance(value, str):
        return value % secrets
    if isinstance(value, list):
        return [filled(item, secrets) for item in value]
    return {key: filled(item, secrets) for key, item in value.items()}


def stored() -> list[Any]:
    """Return every row of every table, but for one of simplejwt's that is there to keep tokens."""
    with connection.cursor() as cursor:
        tables = {*connection.introspection.table_names(cursor)}
        tables -= {"token_blacklist_outstandingtoken"}
        rows: list[Any] = []
        for table in tables:
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608
            rows += cursor.fetchall()
    return rows


class TestAnswers:
    """Requests that succeed and that are refused, and what they leave behind."""

    @pytest.fixture(autouse=True)
    def _settings(self, settings):
        settings.DEBUG = True  # SQL is logged as well
        settings.TOTP_REAUTHENTICATE = True
        settings.CACHES = {
            "default": {
                "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
                "LOCATION": uuid.uuid4().hex,
            }
        }

    def left_behind(self, logged):
        dump = io.StringIO()
        kept = "token_blacklist.outstandingtoken"  # where simplejwt keeps tokens on purpose
        excluded = [kept] if apps.is_installed("rest_framework_simplejwt.token_blacklist") else []
        call_command("dumpdata", stdout=dump, exclude=excluded)
        cached = [pickle.loads(value) for value in cache._cache.values()]  # noqa: S301
        return [*logged(), *stored(), dump.getvalue(), *cache._cache, *cached]

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("name", ALL)
    def test_success(self, planted, logged, requests, name, kind):
        response = requests(name, kind)
        assert response.status_code in {200, 201, 204}
        meant = self.secrets_of(response)
        shown = planted.found_in(response.content, response.headers)
        assert all(planted.secrets[name] in meant.values() for name in shown), shown
        planted.add(**meant)
        assert planted.found_in(*self.left_behind(logged)) == set()

    def secrets_of(self, response):
        """Return what the answer itself hands out."""
        body = response.json() if response.content else {}
        names = ("secret", "otpauth_uri", "refresh", "access", "totp_challenge_token")
        secrets = {f"new {name}": body[name] for name in names if name in body}
        codes = enumerate(body.get("backup_codes", []))
        return secrets | {f"new code {number}": code for number, code in codes}

    @pytest.mark.parametrize(
        ("name", "spoilt"), [(name, body) for name, bodies in SPOILT.items() for body in bodies]
    )
    def test_refusal(self, planted, logged, requests, name, spoilt):
        response = requests(name, **filled(spoilt, planted.secrets))
        assert response.status_code in {400, 401, 403}
        assert_error(response, response.status_code)
        assert planted.found_in(response.content, response.headers) == set()
        assert planted.found_in(*self.left_behind(logged)) == set()

    @pytest.mark.parametrize("name", ALL)
    @pytest.mark.parametrize("body", ["[%s]", '"%s"', '{"a": "%s"', "%s"])
    def test_bodies_that_cannot_be_read(self, planted, logged, requests, api, name, body):
        text = body % " ".join([PASSWORD, *BACKUP_CODES, planted.secrets["code"]])
        response = api.post(reverse(name), text, content_type="application/json")
        assert response.status_code in {400, 401}
        assert planted.found_in(response.content, response.headers) == set()
        assert planted.found_in(*self.left_behind(logged)) == set()

    def test_waiting_and_throttled(self, settings, planted, logged, requests):
        settings.TOTP_FAILURE_LIMIT = 0
        assert requests("jwt-totp-verify", otp_code="1").status_code == 400
        waiting = requests("jwt-totp-verify")
        settings.TOTP_THROTTLE_RATE = "1/day"
        throttled = [requests("jwt-totp-verify") for _ in range(2)][-1]
        for response in (waiting, throttled):
            assert_error(response, 429)
            assert planted.found_in(response.content, response.headers) == set()
        assert planted.found_in(*self.left_behind(logged)) == set()


class TestAtRest:
    def test_the_search_finds_what_stands_in_the_clear(self, planted, enrolled):
        """Else every test here would pass."""
        clear = [f"{name}={value}" for name, value in planted.secrets.items()]
        assert planted.found_in(*clear) == set(planted.secrets)
        Totp.objects.update(secret_key=SECRET)
        assert planted.found_in(*stored()) == {"secret"}
        for spelling in (html.escape(PASSWORD), quote(PASSWORD), json.dumps({"p": PASSWORD})):
            assert planted.found_in(spelling) == {"password"}
        assert planted.found_in(BACKUP_CODES[0].upper().replace("-", " ")) == {"backup_code_0"}

    def test_representations(self, planted, enrolled, make_user):
        setup = totp.start_totp_setup(make_user("new"))
        planted.add(new_secret=setup.secret, uri=setup.otpauth_uri)
        rows = [*Totp.objects.all(), *BackupCode.objects.all(), setup]
        assert planted.found_in(*map(repr, rows), *map(str, rows)) == set()

    def test_errors(self, planted, enrolled, pending):
        attempts = [
            (totp.confirm_totp_setup, pending, "1" + planted.secrets["pending_code"]),
            (totp.confirm_totp_setup, enrolled, planted.secrets["code"]),
            (auth.finish_login, planted.secrets["code"]),
            (auth.get_user_from_challenge_token, planted.secrets["code"]),
        ]
        for function, *args in attempts:
            with pytest.raises(exceptions.TotpError) as error:
                function(*args)
            shown = "".join(traceback.format_exception(error.value)[-1:])
            assert planted.found_in(shown, repr(error.value), error.value.args) == set()

    def test_a_wrong_backup_code_is_not_quoted(self, enrolled):
        with pytest.raises(ValueError, match="ASCII") as error:
            backup_code_utils.store_backup_codes(enrolled, ["geheim-ß"])
        assert "geheim" not in str(error.value)

    def test_the_admin(self, planted, admin_client, enrolled, pending):
        pages = [admin_client.get(reverse("admin:django_totp_totp_changelist"))]
        for row in Totp.objects.all():
            pages.append(admin_client.get(reverse("admin:django_totp_totp_change", args=[row.pk])))
        assert {page.status_code for page in pages} == {200}
        texts = [page.content.decode() for page in pages]
        assert planted.found_in(*texts) == set()
        tokens = [*Totp.objects.values_list("secret_key", flat=True)]
        tokens += BackupCode.objects.values_list("code", flat=True)
        assert not any(token in text for token in tokens for text in texts)
