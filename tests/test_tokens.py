"""Tokens of simplejwt that say what their login is worth."""

from dataclasses import replace

import pytest
from rest_framework_simplejwt.exceptions import InvalidToken
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from django_totp.assurance import UNKNOWN, Assurance, of_claims
from django_totp.auth import end_sessions
from django_totp.tokens import claims_in, pair, restate, restate_as, rotated, token_pair

LOGIN = Assurance(("pwd", "otp", "mfa"), 1_900_000_000, "x", stated=True)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clock(time_machine):
    time_machine.move_to(1_900_000_015, tick=False)
    return time_machine


def stated(text, kind=AccessToken):
    return of_claims(kind(text).payload)


def test_a_pair_states_the_login(user):
    tokens = pair(user, LOGIN)
    assert stated(tokens["access"]) == stated(tokens["refresh"], RefreshToken) == LOGIN


def test_a_pair_of_ones_own(user):
    tokens = token_pair(user, "face", "pin")
    assert stated(tokens["access"]).methods == ("face", "pin", "mfa")
    assert stated(tokens["access"]).time == 1_900_000_015


def test_a_pair_in_the_second_in_which_logins_were_ended(user):
    end_sessions(user)
    assert stated(token_pair(user, "pwd")["access"]).time == 1_900_000_016


@pytest.mark.parametrize("is_on", [True, False])
def test_last_login(monkeypatch, user, is_on):
    monkeypatch.setattr(api_settings, "UPDATE_LAST_LOGIN", is_on)
    token_pair(user, "pwd")
    user.refresh_from_db()
    assert (user.last_login is not None) is is_on


def test_an_unknown_login_leaves_a_token_as_it_is(user):
    token = RefreshToken.for_user(user)
    token["amr"] = ["sms"]
    before = {**token.payload}
    restate(token, UNKNOWN)
    assert token.payload == before
    restate(token, LOGIN)
    assert token.payload == before | LOGIN.claims


def test_the_claims_of_another_token_and_none_beside(user):
    token = RefreshToken.for_user(user)
    token["tenant"] = "blue"
    restate(token, LOGIN)
    assert claims_in(token) == LOGIN.claims
    restate_as(token, {"amr": ["sms"]})
    assert claims_in(token) == {"amr": ["sms"]}
    assert token["tenant"] == "blue"


def test_a_device_is_stated_and_taken_back(user):
    token = RefreshToken.for_user(user)
    by_device = replace(LOGIN, device="7")
    restate(token, by_device)
    assert claims_in(token) == by_device.claims
    assert token.access_token["device"] == "7"
    restate(token, LOGIN)
    assert claims_in(token) == LOGIN.claims
    assert "device" not in token
    restate(token, Assurance(time=1))
    assert claims_in(token) == LOGIN.claims


def test_a_rotated_token_is_another_one_that_says_the_same(clock, user):
    old = RefreshToken.for_user(user)
    old["tenant"] = "blue"
    before = {**old.payload}
    clock.shift(60)
    copy = RefreshToken(str(old))
    restate(copy, LOGIN)
    tokens = rotated(copy, uses_up=False)
    new = RefreshToken(tokens["refresh"])
    assert new["tenant"] == AccessToken(tokens["access"])["tenant"] == "blue"
    assert new["jti"] != before["jti"]
    assert new["exp"] == before["exp"] + 60
    assert new["iat"] == before["iat"] + 60
    assert of_claims(new.payload) == stated(tokens["access"]) == LOGIN


class Blacklisting(RefreshToken):
    """A token whose blacklist says what the test wants."""

    says = None
    asked = 0

    def blacklist(self):
        type(self).asked += 1
        return self.says


@pytest.mark.parametrize(
    ("says", "is_first"), [((object(), True), True), (None, True), ((object(), False), False)]
)
def test_a_token_is_used_up_once(monkeypatch, user, says, is_first):
    monkeypatch.setattr(Blacklisting, "says", says)
    monkeypatch.setattr(Blacklisting, "asked", 0)
    token = Blacklisting.for_user(user)
    if is_first:
        assert rotated(token, uses_up=True)
    else:
        with pytest.raises(InvalidToken):
            rotated(token, uses_up=True)
    assert Blacklisting.asked == 1


def test_a_token_that_is_kept_is_not_blacklisted(monkeypatch, user):
    monkeypatch.setattr(Blacklisting, "asked", 0)
    rotated(Blacklisting.for_user(user), uses_up=False)
    assert Blacklisting.asked == 0
