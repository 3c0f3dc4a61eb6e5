"""The asynchronous twins: each is its synchronous one, from the thread of the ORM."""

import ast
import inspect
import sys
from pathlib import Path

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.sessions.backends.db import SessionStore
from django.test import AsyncRequestFactory, Client
from django.views.debug import ExceptionReporter

import django_totp
from django_totp import assurance, auth, backup_code_utils, reauthentication, totp
from django_totp.exceptions import InvalidTotpCode, ReauthenticationRequired, TotpNotEnrolled
from django_totp.models import Totp

from .endpoints import wrong_code

TWINS = {
    "ais_totp_enabled": auth,
    "afinish_login": auth,
    "averify_totp_code": totp,
    "averify_backup_code": backup_code_utils,
    "areauthenticate": reauthentication,
    "aassurance_of": assurance,
    "arecord": assurance,
}

pytestmark = pytest.mark.django_db


def run(name, *args, **kwargs):
    return async_to_sync(getattr(TWINS[name], name))(*args, **kwargs)


@pytest.mark.parametrize("name", TWINS)
def test_a_twin_takes_and_returns_what_the_other_does(name):
    ours, theirs = (getattr(TWINS[name], each) for each in (name, name.removeprefix("a")))
    assert inspect.iscoroutinefunction(inspect.unwrap(ours))
    assert inspect.signature(ours) == inspect.signature(theirs)
    assert ours.__doc__ == f"See ``{name.removeprefix('a')}()``."


def test_there_are_no_more_and_no_fewer():
    there = set()
    for path in Path(django_totp.__file__).parent.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        there |= {one.name for one in tree.body if isinstance(one, ast.AsyncFunctionDef)}
    assert there - {"run"} == set(TWINS)


def test_who_has_a_second_factor(enrolled_user, make_user):
    assert run("ais_totp_enabled", enrolled_user) is True
    assert run("ais_totp_enabled", make_user("bob")) is False


def test_a_code_is_good_once(enrolled_user, otp, secret):
    code = otp(secret)
    assert run("averify_totp_code", enrolled_user, code) is True
    assert run("averify_totp_code", enrolled_user, code) is False
    assert Totp.objects.get().failures == 1


def test_a_backup_code_is_good_once(enrolled_user, backup_codes):
    assert run("averify_backup_code", enrolled_user, backup_codes[0]) is True
    assert run("averify_backup_code", enrolled_user, backup_codes[0]) is False


def test_errors_are_those_of_the_other(make_user):
    with pytest.raises(TotpNotEnrolled):
        run("averify_totp_code", make_user("bob"), "123456")


def test_the_second_step(enrolled_user, otp, secret):
    token = auth.generate_challenge_token(enrolled_user)
    with pytest.raises(InvalidTotpCode):
        run("afinish_login", token, otp_code=wrong_code(secret))
    assert run("afinish_login", token, otp_code=otp(secret)) == enrolled_user
    token = auth.generate_challenge_token(enrolled_user)
    with pytest.raises(auth.InvalidChallenge):
        run("afinish_login", token, otp_code=otp(secret, offset=1), may_sign_in=lambda user: False)


def test_a_proof(enrolled_user, password, backup_codes):
    assert run("areauthenticate", enrolled_user, password=password) is None
    assert run("areauthenticate", enrolled_user, backup_code=backup_codes[0]) is None
    with pytest.raises(ReauthenticationRequired):
        run("areauthenticate", enrolled_user, backup_code=backup_codes[0])
    with pytest.raises(ReauthenticationRequired):
        run("areauthenticate", enrolled_user, password="wrong")


def test_what_a_login_is_worth(enrolled_user):
    request = AsyncRequestFactory().get("/")
    request.user, request.session = enrolled_user, SessionStore()
    assert run("aassurance_of", request).stated is False
    recorded = run("arecord", request, "pwd", "hwk", at=1_000_000_000)
    assert recorded == run("aassurance_of", request)
    assert recorded.methods == ("pwd", "hwk", "mfa")
    assert recorded.time == 1_000_000_000


def test_a_user_who_is_read_when_asked_for(enrolled_user):
    """``request.user`` asks the database, which async code must not do by itself."""
    client = Client()
    client.force_login(enrolled_user)
    request = AsyncRequestFactory().get("/")
    request.session = SessionStore(client.session.session_key)
    AuthenticationMiddleware(lambda request: None).process_request(request)

    async def view():
        with pytest.raises(Exception, match="async context"):
            assurance.assurance_of(request)
        return await assurance.aassurance_of(request)

    assert async_to_sync(view)().stated is False


@pytest.mark.parametrize(
    ("name", "place", "given"),
    [
        ("averify_totp_code", "django_totp.totp.answer", {"input_code": "SECRET"}),
        ("averify_backup_code", "django_totp.backup_code_utils.answer", {"input_code": "SECRET"}),
        ("areauthenticate", "django_totp.reauthentication._is_right", {"otp_code": "SECRET"}),
        ("areauthenticate", "django_totp.reauthentication._is_right", {"backup_code": "SECRET"}),
        ("areauthenticate", "django_totp.reauthentication._is_password", {"password": "SECRET"}),
    ],
)
def test_a_report_shows_no_code(monkeypatch, rf, enrolled_user, name, place, given):
    def crash(*args, **kwargs):
        raise RuntimeError

    monkeypatch.setattr(place, crash)
    shown = _variables(rf, name, enrolled_user, **given)
    assert "SECRET" not in shown


@pytest.mark.parametrize("place", ["claims_of", "user_of"])
def test_a_report_shows_no_token(monkeypatch, rf, enrolled_user, place):
    def crash(*args, **kwargs):
        raise RuntimeError

    token = auth.generate_challenge_token(enrolled_user)
    monkeypatch.setattr(f"django_totp.challenges.{place}", crash)
    shown = _variables(rf, "afinish_login", token, otp_code="SECRET")
    assert token not in shown
    assert "SECRET" not in shown


def _variables(rf, name, *args, **kwargs):
    """Return what an error report shows of all frames but those of this file and of ``crash``."""

    async def view():
        await getattr(TWINS[name], name)(*args, **kwargs)

    try:
        async_to_sync(view)()
    except RuntimeError:
        report = ExceptionReporter(rf.post("/"), *sys.exc_info())
    frames = [one for one in report.get_traceback_frames() if one["filename"] != __file__]
    assert any("asgiref" in one["filename"] for one in frames)
    assert any(one["filename"].endswith("django_totp/threads.py") for one in frames)
    return str([one["vars"] for one in frames])
