"""docs/python-api.md, signals.md and logging.md: the examples run, the lists are compared."""

import ast
import doctest
import importlib
import inspect
import io
import logging.config
import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any
from unittest import mock

import pyotp
import pytest
import time_machine
from django.contrib.auth.base_user import AbstractBaseUser
from django.core import mail
from django.dispatch import Signal
from django.test import RequestFactory, override_settings
from django.utils import timezone
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import RefreshToken

import django_totp
from django_totp import devices, recovery, signals
from django_totp.accounts import account_by
from django_totp.assurance import new_login
from django_totp.auth import (
    end_sessions,
    finish_owed_enrollment,
    generate_challenge_token,
    next_step,
    start_owed_enrollment,
)
from django_totp.backup_code_utils import BackupCodeGuess, rotate_backup_codes
from django_totp.conf import conf
from django_totp.encryption import decrypt, generate_fernet_key
from django_totp.exceptions import ReauthenticationRequired
from django_totp.factor import Confirmation, Recovery, Succession, TotpGuess
from django_totp.models import Totp, TrustedDevice
from django_totp.operations import importers
from django_totp.operations.export import Export
from django_totp.operations.importers import SOURCES
from django_totp.operations.support import end_exemption, exempt
from django_totp.reauthentication import reauthenticate
from django_totp.totp import (
    confirm_totp_setup,
    disable_totp,
    end_wait,
    start_totp_replacement,
    start_totp_setup,
)
from django_totp.users import email_field
from tests import markdown
from tests.former.models import TABLES, TOTPDevice

SOURCE = Path(django_totp.__file__).parent


class App:
    """An authenticator app that never shows a code twice."""

    def __init__(self, user: AbstractBaseUser, traveller: Any) -> None:
        self.user, self.traveller = user, traveller

    def code(self) -> str:
        self.traveller.shift(30)
        secret = decrypt(Totp.objects.get(user=self.user).secret_key)
        return pyotp.TOTP(secret).at(int(time.time()))


def _documented_functions() -> dict[tuple[str, str], str]:
    """Return the section of each function by module and name."""
    modules = markdown.sections(markdown.read("docs/python-api.md"), 2)
    return {
        (module, name): section
        for module, text in modules.items()
        for name, section in markdown.sections(text, 3).items()
    }


def test_the_examples_of_the_python_api(user: AbstractBaseUser) -> None:
    page = markdown.read("docs/python-api.md")
    session = "\n".join(markdown.blocks(page, "pycon"))
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    complaints = io.StringIO()
    with time_machine.travel(0x70000000, tick=False) as traveller:
        names = {"user": user, "app": App(user, traveller)}
        test = doctest.DocTestParser().get_doctest(session, names, "python-api.md", None, 0)
        failed, tried = doctest.DocTestRunner(optionflags=flags).run(test, out=complaints.write)
    assert not failed, complaints.getvalue()
    assert tried == session.count(">>> ") > 40


@pytest.mark.parametrize(("module", "name"), _documented_functions())
def test_signatures_are_those_of_the_source(module: str, name: str) -> None:
    signature, *_ = markdown.blocks(_documented_functions()[module, name], "python")
    function = getattr(importlib.import_module(module), name)
    [documented] = ast.parse(f"def {signature.strip()}: ...").body
    if inspect.isclass(function):  # its constructor is made of its fields
        names = [argument.arg for argument in documented.args.args]
        assert names == list(inspect.signature(function).parameters)
        return
    [source] = ast.parse(inspect.getsource(function)).body
    assert isinstance(source, ast.FunctionDef)
    assert isinstance(documented, ast.FunctionDef)
    assert documented.name == name
    assert ast.unparse(documented.args) == ast.unparse(source.args)
    assert ast.unparse(documented.returns) == ast.unparse(source.returns)


def test_the_example_of_throttles() -> None:
    module = markdown.sections(markdown.read("docs/python-api.md"), 2)["django_totp.throttle"]
    [example] = markdown.blocks(module, "python")
    view = markdown.run(example)["ReportView"]()
    assert [type(throttle).__name__ for throttle in view.get_throttles()] == ["TotpThrottle"]


def test_every_signal_is_documented() -> None:
    names = defaultdict(list)
    for name, signal in vars(signals).items():
        if isinstance(signal, Signal):
            names[id(signal)].append(name)
    documented = [
        markdown.code(f"{name} {other}")
        for name, other, *_ in markdown.rows(markdown.read("docs/signals.md"))
    ]
    assert sorted(map(sorted, documented)) == sorted(map(sorted, names.values()))


@pytest.fixture
def disconnected() -> Iterator[None]:
    """Forget, after the test, the receivers that an example has connected."""
    all_signals = [signal for signal in vars(signals).values() if isinstance(signal, Signal)]
    before = [list(signal.receivers) for signal in all_signals]
    yield
    for signal, receivers in zip(all_signals, before, strict=True):
        signal.receivers = receivers
        signal.sender_receivers_cache.clear()


@pytest.mark.usefixtures("disconnected")
def test_the_example_receiver_tells_somebody(user: AbstractBaseUser) -> None:
    user.is_staff = True
    [example] = markdown.blocks(markdown.read("docs/signals.md"), "python")
    names = markdown.run(example)

    setup = start_totp_setup(user)
    confirm_totp_setup(user, pyotp.TOTP(setup.secret).now())
    rotate_backup_codes(user)
    disable_totp(user)

    assert [message.to for message in mail.outbox] == [["security@example.com"]] * 3
    assert [message.subject for message in mail.outbox] == [
        names["NEWS"][signal]
        for signal in (signals.totp_created, signals.backup_codes_rotated, signals.totp_disabled)
    ]


@pytest.mark.usefixtures("disconnected")
@override_settings(TOTP_THROTTLE_RATE=None)
def test_signals_have_the_arguments_that_are_documented(user: AbstractBaseUser) -> None:
    documented = {
        getattr(signals, markdown.code(name)[0]): {"user", "request", *markdown.code(more)[:1]}
        for name, *_, more in markdown.rows(markdown.read("docs/signals.md"))
    }
    seen = []

    def keep(signal: Signal, sender: type, **arguments: Any) -> None:
        seen.append((signal, sender, arguments))

    for signal in documented:
        signal.connect(keep)
    _live(user)

    assert {signal: set(arguments) for signal, _, arguments in seen} == documented
    assert {sender for _, sender, _ in seen} == {type(user)}
    assert {arguments["user"] for *_, arguments in seen} == {user}
    methods = {arguments["method"] for *_, arguments in seen if "method" in arguments}
    assert methods == {"totp", "backup_code", "trusted_device"}


def _live(user: AbstractBaseUser) -> None:
    """Do as ``user`` everything that sends a signal or is logged, in every way that there is."""
    app = pyotp.TOTP(start_totp_setup(user).secret)
    _first_step(user, "correct horse battery staple")
    _first_step(user, "a wrong one")
    code = app.now()
    [backup_code, *_] = confirm_totp_setup(user, code)
    for codes in (
        {"otp_code": code},
        {"otp_code": "12345"},
        {"otp_code": _wrong_code(app)},
        {"backup_code": "12345"},
        {"otp_code": app.at(int(time.time()) + 30)},
        {"backup_code": backup_code},
    ):
        _second_step(user, **codes)
    with override_settings(TOTP_ENCRYPTION_KEY=generate_fernet_key()):
        _second_step(user, otp_code=app.now())
    Totp.objects.filter(user_id=user.pk).update(last_used_step=2**33)  # by a clock that was ahead
    _second_step(user, otp_code=app.now())
    end_wait(user)
    _step_up(user, otp_code=app.now())
    _step_up(user, backup_code=rotate_backup_codes(user)[0])
    for _ in range(conf.TOTP_FAILURE_LIMIT + 2):
        _second_step(user, otp_code="12345")
    end_wait(user)
    for _ in range(conf.TOTP_FAILURE_LIMIT + 1):
        _second_step(user, backup_code="12345")
    end_wait(user)
    with pytest.raises(ReauthenticationRequired):
        reauthenticate(user, password="a wrong one")
    reauthenticate(user, password="correct horse battery staple")
    with override_settings(TOTP_TRUSTED_DEVICE_MAX_AGE=86400):
        _trust_devices(user)
    app = pyotp.TOTP(start_totp_replacement(user).secret)
    backup_code = confirm_totp_setup(user, app.now())[0]
    _recover(user, app, backup_code)
    end_sessions(user)
    exempt(user, date.max, reason="")
    end_exemption(user)
    disable_totp(user)
    _move(user)


def _move(user: AbstractBaseUser) -> None:
    """Come from each source, and leave again."""
    TOTPDevice.objects.create(user_id=user.pk, key="ab" * 20)
    with (
        mock.patch.dict(SOURCES, dict.fromkeys(SOURCES, SOURCES["otp"])),
        mock.patch.object(importers.base, "_model", TABLES.__getitem__),
    ):
        for source in SOURCES:
            tallies = importers.import_factors(source, again={user.pk})
            assert [tally.imported for tally in tallies] == [0, 1]
            assert len(list(Export())) == 1
            disable_totp(user)


def _recover(user: AbstractBaseUser, app: pyotp.TOTP, backup_code: str) -> None:
    """Begin a recovery and stop it by each kind of code; bring one that is allowed to its end."""
    setattr(user, email_field(user), "ada@example.org")
    user.save()
    for codes in ({"otp_code": app.at(int(time.time()) + 30)}, {"backup_code": backup_code}):
        with mock.patch("django_totp.notices.sending._after_commit", lambda run: run()):
            recovery.request_recovery(generate_challenge_token(user), request=_request())
        [token] = re.findall(r"/two-factor/recovery/([^/\s]+)/", mail.outbox[-1].body)
        with mock.patch("django_totp.notices.sending._after_commit", lambda run: run()):
            recovery.start_recovery(token, request=_request())
        Totp.objects.filter(user_id=user.pk).update(recovery_asked_at=None)
        _second_step(user, **codes)
    recovery.allow_recovery(user)
    challenge = next_step(user).recovery
    app = pyotp.TOTP(start_owed_enrollment(challenge).secret)
    finish_owed_enrollment(challenge, app.now())


def _request() -> Any:
    return RequestFactory().post("/")


def _first_step(user: AbstractBaseUser, password: str, **told: str) -> None:
    body = {user.USERNAME_FIELD: user.get_username(), "password": password, **told}
    APIClient().post("/api/jwt/create/", body, format="json")


def _second_step(user: AbstractBaseUser, **codes: str) -> None:
    body = {"totp_challenge_token": generate_challenge_token(user), **codes}
    APIClient().post("/api/jwt/totp/verify/", body, format="json")


def _trust_devices(user: AbstractBaseUser) -> None:
    """Make trusted devices, use them, and end them in every way that is told."""
    password = "correct horse battery staple"

    def trust(ago: int = 0) -> str:
        row = account_by("pk", user.pk)
        login = new_login(row, "pwd", "otp")
        return devices.trust(row, replace(login, time=int(time.time()) - ago))

    used = trust()
    for _ in range(2):
        _first_step(user, password, trusted_device=used)
    _first_step(user, password, trusted_device=trust(ago=86400))
    changed = trust()
    Totp.objects.filter(user_id=user.pk).update(confirmed_at=timezone.now())
    _first_step(user, password, trusted_device=changed)
    for remove in (devices.remove_all, lambda user: devices.remove(user, _only_device())):
        trust()
        remove(user)


def _only_device() -> str:
    return str(TrustedDevice.objects.get().pk)


def _step_up(user: AbstractBaseUser, **codes: str) -> None:
    body = {"refresh": str(RefreshToken.for_user(user)), **codes}
    assert APIClient().post("/api/jwt/step_up/", body, format="json").status_code == 200


def _wrong_code(app: pyotp.TOTP) -> str:
    right = {app.at(int(time.time()) + 30 * offset) for offset in range(-2, 3)}
    return next(code for code in (f"{number:06}" for number in range(9)) if code not in right)


def _event_rows() -> dict[str, tuple[set[int], set[str], set[str]]]:
    """Return the level, the methods and the reasons of each event that the page lists."""
    return {
        markdown.code(event)[0]: (
            {getattr(logging, level)},
            set(markdown.code(method)),
            set(markdown.code(reason)),
        )
        for event, level, method, reason, _ in markdown.rows(markdown.read("docs/logging.md"))
    }


def _recorded_events() -> set[str]:
    """Return the first argument of every call of ``record`` in the source."""
    calls = (
        node
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"record", "events.record"}
    )
    names = {call.args[0].value for call in calls if isinstance(call.args[0], ast.Constant)}
    return names | {
        guess.success for guess in (BackupCodeGuess, Confirmation, Recovery, Succession, TotpGuess)
    }


def test_every_event_is_documented() -> None:
    assert set(_event_rows()) == _recorded_events()


@override_settings(TOTP_THROTTLE_RATE=None)
def test_events_have_the_fields_that_are_documented(
    user: AbstractBaseUser, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "django_totp"):
        _live(user)
    seen: dict[str, tuple[set[int], set[str], set[str]]] = {}
    for record in caplog.records:
        if record.name == "django_totp" and hasattr(record, "event"):
            levels, *fields = seen.setdefault(record.event, (set(), set(), set()))
            levels.add(record.levelno)
            for name, values in zip(("method", "reason"), fields, strict=True):
                values |= {getattr(record, name, "")} - {""}
    assert seen == _event_rows()


def test_the_example_of_logging_shows_events() -> None:
    [example] = markdown.blocks(markdown.read("docs/logging.md"), "python")
    script = f"""{example}
import logging.config
logging.config.dictConfig(LOGGING)
logging.getLogger("django_totp").info("login user_pk='1'")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True
    )
    assert done.stderr.endswith(" INFO django_totp login user_pk='1'\n")
