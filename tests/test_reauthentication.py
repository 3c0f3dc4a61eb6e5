"""Fresh proofs: which are enough, and beside which login one is asked for."""

import copy
import inspect
import uuid
from dataclasses import replace

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_login_failed
from django.test import RequestFactory
from rest_framework.request import Request

from django_totp import reauthentication
from django_totp.assurance import new_login
from django_totp.auth import finish_login
from django_totp.exceptions import ReauthenticationRequired, TooManyAttempts
from django_totp.models import Totp
from django_totp.reauthentication import FreshProof, reauthenticate


@pytest.fixture
def failed_logins():
    """Return the credentials and requests that Django was told of as failed logins."""
    calls = []

    def receive(sender, credentials, request, **arguments):
        calls.append((credentials, request))

    user_login_failed.connect(receive)
    yield calls
    user_login_failed.disconnect(receive)


@pytest.fixture
def proofs(secret, otp, backup_codes, password):
    return {"otp_code": otp(secret), "backup_code": backup_codes[0], "password": password}


@pytest.mark.parametrize("name", ["otp_code", "backup_code", "password"])
def test_each_proof_is_enough(enrolled_user, proofs, name):
    assert reauthenticate(enrolled_user, **{name: proofs[name]}) is None


@pytest.mark.parametrize("name", ["otp_code", "backup_code"])
def test_a_code_is_one_proof(enrolled_user, proofs, name):
    reauthenticate(enrolled_user, **{name: proofs[name]})
    with pytest.raises(ReauthenticationRequired):
        reauthenticate(enrolled_user, **{name: proofs[name]})


@pytest.mark.parametrize("name", ["otp_code", "backup_code", "password"])
def test_a_wrong_proof_is_not_enough(enrolled_user, name):
    with pytest.raises(ReauthenticationRequired):
        reauthenticate(enrolled_user, **{name: "wrong"})


def test_no_proof_is_not_enough(enrolled_user, failed_logins):
    with pytest.raises(ReauthenticationRequired):
        reauthenticate(enrolled_user)
    assert failed_logins == []


def test_a_wrong_code_beside_a_right_password_is_not_enough(enrolled_user, password):
    with pytest.raises(ReauthenticationRequired):
        reauthenticate(enrolled_user, otp_code="wrong", password=password)
    assert Totp.objects.get().failures == 1


def test_codes_wait_here_too(enrolled_user, proofs):
    Totp.objects.update(failures=100)
    with pytest.raises(TooManyAttempts):
        reauthenticate(enrolled_user, otp_code=proofs["otp_code"])
    assert reauthenticate(enrolled_user, backup_code=proofs["backup_code"]) is None


def test_the_password_of_somebody_else_is_not_enough(enrolled_user, make_user):
    other = make_user("grace")
    other.set_password("another password")
    other.save()
    with pytest.raises(ReauthenticationRequired):
        reauthenticate(enrolled_user, password="another password")


def test_the_user_whom_a_backend_finds_must_be_the_same(
    enrolled_user, make_user, password, monkeypatch
):
    users = [enrolled_user, make_user("grace")]
    for user, found in (users, reversed(users)):
        answer = lambda request, found=found, **_: found  # noqa: E731
        monkeypatch.setattr(reauthentication, "authenticate", answer)
        with pytest.raises(ReauthenticationRequired):
            reauthenticate(user, password=password)


def test_the_same_user_read_twice_is_the_same(user, password, monkeypatch):
    again = copy.copy(user)
    user.pk, again.pk = (uuid.UUID(int=1) for _ in range(2))
    monkeypatch.setattr(reauthentication, "authenticate", lambda request, **_: again)
    assert reauthenticate(user, password=password) is None


@pytest.mark.parametrize("function", [finish_login, reauthenticate])
def test_proofs_are_given_by_name_and_the_rest_as_the_caller_likes(function):
    first, *others = inspect.signature(function).parameters.values()
    assert first.kind == first.POSITIONAL_OR_KEYWORD
    assert {other.kind for other in others} == {first.KEYWORD_ONLY}


@pytest.mark.parametrize("wrap", [lambda request: request, Request])
def test_a_wrong_password_is_a_failed_login_to_django(enrolled_user, failed_logins, wrap):
    """So that what limits passwords, django-axes for one, limits them here as well."""
    request = RequestFactory().post("/")
    with pytest.raises(ReauthenticationRequired):
        reauthenticate(enrolled_user, password="wrong", request=wrap(request))
    [(credentials, told)] = failed_logins
    name = get_user_model().USERNAME_FIELD
    assert credentials[name] == enrolled_user.get_username()
    assert told is request


@pytest.mark.parametrize("reauthenticate", [False, True])
@pytest.mark.parametrize("device", ["", "7"])
def test_a_trusted_device_spares_no_proof_and_its_password_is_none(
    settings, enrolled_user, proofs, reauthenticate, device
):
    settings.TOTP_REAUTHENTICATE = reauthenticate
    totp, acts = Totp.objects.get(), []
    login = replace(new_login(enrolled_user, "pwd", "otp"), device=device)
    act = lambda totp, changes: acts.append(changes)  # noqa: E731
    for given in ({}, {"password": proofs["password"]}):
        proof = FreshProof(enrolled_user, login=login, **given)
        assert proof(totp, act) is (not device)
    settings.TOTP_REAUTHENTICATE_MAX_AGE = 0 if reauthenticate else 300
    proof = FreshProof(enrolled_user, login=login, password=proofs["password"])
    assert proof(totp, act) is (not device)
    proof = FreshProof(enrolled_user, login=login, backup_code=proofs["backup_code"])
    assert proof(totp, act)


def test_the_login_that_confirmed_has_given_a_code_whatever_it_came_from(enrolled_user, proofs):
    """One from a trusted device that has replaced the factor, with a code of the new one."""
    login = replace(new_login(enrolled_user, "pwd", "otp", at=1), device="7")
    Totp.objects.update(confirmed_sid=login.sid)
    assert FreshProof(enrolled_user, login=login)(Totp.objects.get(), lambda *told: None)
