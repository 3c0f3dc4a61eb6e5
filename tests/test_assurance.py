"""What a login is worth: what claims and sessions state, and the one judge."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.test import override_settings
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.authentication import (
    BaseAuthentication,
    BasicAuthentication,
    SessionAuthentication,
)
from rest_framework.request import Request
from rest_framework.test import force_authenticate
from rest_framework_simplejwt.authentication import JWTStatelessUserAuthentication
from rest_framework_simplejwt.tokens import AccessToken

from django_totp import assurance
from django_totp.accounts import accounts, join
from django_totp.assurance import (
    UNKNOWN,
    Assurance,
    Standing,
    assurance_of,
    gave_code,
    gave_second_factor,
    judge,
    keep_in_session,
    new_login,
    of_claims,
    record,
    standing,
    upgraded,
)
from django_totp.exceptions import EnrollmentRequired, LoginOutdated, SecondFactorRequired
from django_totp.models import Account, Totp, relate
from django_totp.tokens import restate

NOW = 1_900_000_000
GOOD = {"amr": ["pwd", "otp", "mfa"], "auth_time": NOW, "acr": "aal2", "sid": "x"}


@pytest.fixture(autouse=True)
def clock(time_machine):
    time_machine.move_to(NOW, tick=False)
    return time_machine


def moment(second, fraction=0.0):
    return datetime.fromtimestamp(second, UTC) + timedelta(seconds=fraction)


SECONDS = st.integers(NOW - 3, NOW + 3)
MOMENTS = st.none() | st.builds(moment, SECONDS, st.sampled_from([0, 0.000001, 0.5, 0.999999]))
LOGINS = st.one_of(
    st.builds(Assurance, time=st.none() | SECONDS),
    st.builds(
        Assurance,
        st.sampled_from([("pwd",), ("pwd", "otp", "mfa"), ("otp",), ("mfa",), ()]),
        SECONDS,
        st.sampled_from(["a", "b"]),
        st.just(True),
        st.sampled_from(["", "7"]),
    ),
)


# --- Claims ---


def test_claims_are_read_as_they_are_written():
    login = Assurance(("pwd", "otp", "mfa"), NOW, "x", stated=True)
    assert login.claims == GOOD
    assert of_claims(GOOD) == login
    assert login.has_second_factor


def test_a_password_alone_is_stated_as_such():
    claims = {"amr": ["pwd"], "auth_time": NOW, "acr": "aal1", "sid": "x"}
    login = of_claims(claims)
    assert login.stated
    assert not login.has_second_factor
    assert login.claims == claims


ODD = {
    "amr": [None, "otp", {}, {"otp": 1}, [["otp"]], ["otp", 1], ("pwd", "mfa"), 7, True],
    "auth_time": [None, "1", 1.5, True, -1, 10**400, NOW + 6, [], {}],
    "acr": [None, "aal1", "aal3", "AAL2", 2, ["aal2"], True],
    "sid": [None, "", 7, True, ["x"], "x" * 65, "a\0b", "ä", "a\nb"],
    "device": [None, "", 7, True, ["x"], "x" * 65, "a\0b", "ä", "a\nb"],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in ODD.items() for value in values]
)
def test_a_claim_that_is_odd_states_nothing(name, value):
    assert of_claims({**GOOD, name: value, "iat": NOW - 9}) == Assurance(time=NOW - 9)


@pytest.mark.parametrize("name", GOOD)
def test_a_claim_that_is_missing_states_nothing(name):
    claims = {key: value for key, value in GOOD.items() if key != name}
    assert of_claims(claims) == UNKNOWN


def test_clocks_of_servers_may_differ_a_little():
    assert of_claims({**GOOD, "auth_time": NOW + 5}).stated
    assert of_claims({**GOOD, "sid": "x" * 64}).stated


@pytest.mark.parametrize("issued", [None, "1", 1.5, True, -1, 10**400, NOW + 6, []])
def test_a_foreign_token_with_an_odd_time_is_as_old_as_can_be(issued):
    assert of_claims({"iat": issued}).time is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(
    st.fixed_dictionaries(
        {name: st.just(value) | JSON for name, value in GOOD.items()},
        optional={"device": st.just("7") | JSON},
    ),
    JSON,
)
def test_whatever_claims_hold_they_are_read(claims, issued):
    login = of_claims({**claims, "iat": issued}, at=NOW)
    assert login.stated <= (login.claims == claims)
    assert login.stated or not (login.methods or login.sid or login.has_second_factor)
    assert login.time is None or (type(login.time) is int and 0 <= login.time <= NOW + 5)


@pytest.mark.parametrize(
    ("methods", "stated"),
    [
        (["pwd"], ["pwd"]),
        (["otp"], ["otp"]),
        (["pwd", "otp"], ["pwd", "otp", "mfa"]),
        (["hwk", "pin"], ["hwk", "pin", "mfa"]),
        (["face", "pwd"], ["face", "pwd", "mfa"]),
        (["pwd", "pin"], ["pwd", "pin"]),
        (["otp", "hwk"], ["otp", "hwk"]),
        (["pwd", "pwd"], ["pwd"]),
        (["mfa"], ["mfa"]),
        (["pwd", "user"], ["pwd", "user"]),
        (["mfa", "pwd", "otp"], ["mfa", "pwd", "otp"]),
    ],
)
def test_two_kinds_of_factor_are_multi_factor(rf, methods, stated):
    request = rf.get("/")
    request.session, request.user = {}, account_of()
    assert list(record(request, *methods).methods) == stated


def test_each_login_has_a_name_of_its_own(db, user):
    names = {new_login(user, "pwd").sid for _ in range(100)}
    assert len(names) == 100
    assert all(len(name) >= 20 for name in names)


# --- Recent ---


@pytest.mark.parametrize(
    ("age", "is_recent"), [(-6, False), (-5, True), (0, True), (299, True), (300, False)]
)
def test_recent_is_less_than_so_many_seconds_ago(age, is_recent):
    login = Assurance(("pwd",), NOW - age, "x", stated=True)
    assert login.is_recent(300) is is_recent
    assert login.is_recent(300, at=NOW) is is_recent


def test_what_is_unknown_is_never_recent():
    assert not Assurance(time=NOW).is_recent(300)
    assert not UNKNOWN.is_recent(300)
    assert not Assurance(stated=True).is_recent(300)


def test_a_login_from_a_trusted_device_is_stated_as_such():
    login = Assurance(("pwd", "otp", "mfa"), NOW, "x", stated=True, device="7")
    assert login.claims == {**GOOD, "device": "7"}
    assert of_claims(login.claims) == login
    assert login.has_second_factor


def test_a_login_from_a_trusted_device_is_never_recent():
    login = Assurance(("pwd", "otp", "mfa"), NOW, "x", stated=True, device="7")
    for max_age in (1, 300, 10**9):
        assert not login.is_recent(max_age)
    assert login.stepped_up().is_recent(1)


@given(LOGINS, MOMENTS.filter(bool), st.sampled_from(["", "a"]), SECONDS)
def test_a_device_is_no_second_factor_for_who_asks_for_a_code(login, confirmed_at, sid, at):
    """It is whatever the judge says of it; given anew, the factor is the login's own."""
    totp = Totp(pk=1, confirmed_at=confirmed_at, confirmed_sid=sid)
    assert gave_code(login, totp) <= gave_second_factor(login, totp)
    assert gave_code(login, totp) <= (not upgraded(login, totp).device)
    after = login.stepped_up(at=at)
    assert not after.device
    assert "device" not in after.claims


def test_a_step_up_keeps_the_name_and_takes_the_time():
    login = Assurance(("pwd",), NOW - 50, "x", stated=True)
    assert login.stepped_up() == Assurance(("pwd", "otp", "mfa"), NOW, "x", stated=True)
    assert login.stepped_up(at=NOW - 9).time == NOW - 9
    lent = Assurance(("pwd",), NOW + 1, "x", stated=True)
    assert lent.stepped_up().time == NOW + 1
    unknown = Assurance(time=NOW).stepped_up()
    assert unknown.methods == ("otp", "mfa")
    assert unknown.stated
    assert unknown.sid


# --- Where it is read ---


def request_by(rf, user, authentication, auth=None):
    """Return a request of REST framework that was authenticated by a class."""

    class Seen(authentication):
        def authenticate(self, request):
            return user, auth

    request = rf.get("/")
    request.session = {}
    return Request(request, authenticators=[Seen()])


@pytest.mark.django_db
class TestAssuranceOf:
    def test_a_token(self, rf, user):
        token = AccessToken.for_user(user)
        restate(token, new_login(user, "pwd", "otp"))
        request = request_by(rf, user, JWTStatelessUserAuthentication, token)
        assert assurance_of(request).claims == {name: token[name] for name in GOOD}

    def test_a_foreign_token(self, rf, user):
        token = AccessToken.for_user(user)
        request = request_by(rf, user, JWTStatelessUserAuthentication, token)
        assert assurance_of(request) == Assurance(time=NOW)

    def test_a_session_beside_a_token_says_nothing(self, rf, user):
        token = AccessToken.for_user(user)
        request = request_by(rf, user, JWTStatelessUserAuthentication, token)
        request._request.user = user
        record(request._request, "pwd", "otp")
        assert not assurance_of(request).stated

    def test_a_session_with_a_record(self, rf, user):
        request = request_by(rf, user, SessionAuthentication)
        request._request.user = user
        login = record(request._request, "pwd", "otp")
        assert assurance_of(request._request) == login
        assert assurance_of(request) == login

    def test_a_session_without_a_record_is_unknown_and_as_old_as_can_be(self, rf, user):
        request = request_by(rf, user, SessionAuthentication)
        request._request.user = user
        assert assurance_of(request._request) == Assurance(time=0)
        assert assurance_of(request) == Assurance(time=0)

    def test_what_authenticated_a_request_of_djangos_is_not_told(self, rf, user):
        """REST framework has been there, and a session may only lie beside the credential."""
        request = request_by(rf, user, BasicAuthentication)
        request._request.user = user
        record(request._request, "pwd", "otp")
        assert assurance_of(request).methods == ("pwd",)
        assert assurance_of(request._request) == UNKNOWN

    def test_the_record_of_somebody_else_does_not_count(self, rf, user, make_user):
        request = rf.get("/")
        request.session, request.user = {}, make_user("bob")
        record(request, "pwd", "otp")
        request.user = user
        assert assurance_of(request) == Assurance(time=0)

    @pytest.mark.parametrize("told", [None, 7, [], {}, {"user": "1"}, {**GOOD, "auth_time": "x"}])
    def test_an_odd_record_is_none(self, rf, user, told):
        request = rf.get("/")
        if isinstance(told, dict):
            told = {**told, "user": str(user.pk)}
        request.session, request.user = {assurance.SESSION_KEY: told}, user
        assert assurance_of(request) == Assurance(time=0)

    def test_basic_is_stated_to_be_a_password_now(self, rf, user):
        login = assurance_of(request_by(rf, user, BasicAuthentication))
        assert login == Assurance(("pwd",), NOW, stated=True)

    @pytest.mark.parametrize("auth", [None, "a key", object()])
    def test_another_credential_is_unknown(self, rf, user, auth):
        assert assurance_of(request_by(rf, user, BaseAuthentication, auth)) == UNKNOWN

    def test_nobody(self, rf):
        request = rf.get("/")
        request.session, request.user = {}, AnonymousUser()
        assert assurance_of(request) == UNKNOWN
        assert assurance_of(Request(request)) == UNKNOWN
        assert assurance_of(HttpRequest()) == UNKNOWN

    def test_a_forced_user_is_unknown(self, rf, user):
        request = rf.get("/")
        force_authenticate(request, user)
        assert assurance_of(Request(request)) == UNKNOWN

    def test_what_is_kept_is_what_was_stated(self, rf, user):
        request = rf.get("/")
        request.session, request.user = {}, user
        keep_in_session(request, Assurance(("pwd",), NOW - 3, "x", stated=True))
        assert assurance_of(request) == Assurance(("pwd",), NOW - 3, "x", stated=True)


# --- The judge ---


def account_of(*, valid_from=None, confirmed_at=None, sid="", required=False):
    """Return a user with rows that no database has seen."""
    user = get_user_model()(pk=1)
    totp = confirmed_at and Totp(pk=1, confirmed_at=confirmed_at, confirmed_sid=sid)
    since = moment(NOW - 10**6) if required else None
    relate(Totp, user, totp)
    relate(Account, user, Account(pk=1, valid_from=valid_from, required_since=since))
    return user


def expected(login, valid_from, confirmed_at, sid, required):
    """Return the standing, told as the contract tells it."""
    at = -1 if login.time is None else login.time
    if valid_from and at <= int(valid_from.timestamp()):
        return Standing.OUTDATED
    if confirmed_at is None:
        return Standing.ENROLLMENT if required else Standing.GOOD
    confirmed = int(confirmed_at.timestamp())
    if login.stated:
        is_good = login.sid == sid or ("mfa" in login.methods and at >= confirmed)
    else:
        is_good = at > confirmed
    return Standing.GOOD if is_good else Standing.SECOND_FACTOR


@given(LOGINS, MOMENTS, MOMENTS, st.sampled_from(["", "a"]), st.booleans())
def test_the_judge_over_all_its_inputs(login, valid_from, confirmed_at, sid, required):
    user = account_of(valid_from=valid_from, confirmed_at=confirmed_at, sid=sid, required=required)
    with override_settings(TOTP_REQUIRED_FOR=["everyone"] if required else []):
        assert standing(user, login) is expected(login, valid_from, confirmed_at, sid, required)


@given(LOGINS, MOMENTS.filter(bool), st.sampled_from(["", "a"]))
def test_only_the_login_that_confirmed_is_upgraded(login, confirmed_at, sid):
    totp = Totp(pk=1, confirmed_at=confirmed_at, confirmed_sid=sid)
    after = upgraded(login, totp)
    if not login.stated or login.sid != sid:
        assert after == login
    else:
        assert after.has_second_factor
        assert after.sid == login.sid
        assert after.time >= int(confirmed_at.timestamp())


def test_an_upgrade_says_when_the_factor_was_given():
    totp = Totp(pk=1, confirmed_at=moment(NOW - 10), confirmed_sid="x")
    before = Assurance(("pwd",), NOW - 20, "x", stated=True)
    assert upgraded(before, totp).time == NOW - 10
    later = Assurance(("pwd", "otp", "mfa"), NOW - 5, "x", stated=True)
    assert upgraded(later, totp) is later
    assert upgraded(before, None) is before
    assert upgraded(before, Totp(pk=1, confirmed_sid="x")) is before


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        ({"valid_from": moment(NOW)}, LoginOutdated),
        ({"confirmed_at": moment(NOW)}, SecondFactorRequired),
        ({"required": True}, EnrollmentRequired),
        ({}, None),
    ],
)
def test_the_judge_raises_what_is_wrong(settings, rows, error):
    settings.TOTP_REQUIRED_FOR = ["everyone"] if error is EnrollmentRequired else []
    login = Assurance(("pwd",), NOW, "x", stated=True)
    if error is None:
        judge(account_of(**rows), login)
    else:
        with pytest.raises(error):
            judge(account_of(**rows), login)


def test_a_new_login_is_good_in_the_second_in_which_others_were_ended():
    user = account_of(valid_from=moment(NOW, 0.9))
    login = new_login(user, "pwd")
    assert login.time == NOW + 1
    assert standing(user, login) is Standing.GOOD


@pytest.mark.django_db
class TestRows:
    def test_one_query_reads_all(self, enrolled_user, django_assert_num_queries):
        Account.objects.create(user=enrolled_user, valid_from=moment(NOW - 9))
        with django_assert_num_queries(1):
            user = accounts().get(pk=enrolled_user.pk)
            assert standing(user, new_login(user, "pwd")) is Standing.SECOND_FACTOR

    def test_one_query_also_where_there_are_no_rows(self, user, django_assert_num_queries):
        with django_assert_num_queries(1):
            user = accounts().get(pk=user.pk)
            assert standing(user, new_login(user, "pwd")) is Standing.GOOD

    def test_one_query_also_for_groups(self, settings, user, django_assert_num_queries):
        settings.TOTP_REQUIRED_FOR = ["group:editors", "group:authors"]
        with django_assert_num_queries(1):
            user = accounts().get(pk=user.pk)
            assert standing(user, new_login(user, "pwd")) is Standing.GOOD

    def test_a_user_at_hand_is_given_what_stands_now(self, enrolled_user):
        stale = get_user_model()._default_manager.get(pk=enrolled_user.pk)
        assert stale.totp.is_enabled
        Totp.objects.all().delete()
        Account.objects.create(user_id=stale.pk, valid_from=moment(NOW))
        join(stale)
        assert standing(stale, Assurance(time=NOW)) is Standing.OUTDATED
        assert standing(stale, Assurance(time=NOW + 1)) is Standing.GOOD

    def test_a_user_who_is_gone(self, user):
        stale = get_user_model()._default_manager.get(pk=user.pk)
        user.delete()
        join(stale)
        assert standing(stale, UNKNOWN) is Standing.GOOD

    @pytest.mark.parametrize("tz", [True, False])
    def test_the_time_zone_of_the_project(self, settings, enrolled_user, tz):
        settings.USE_TZ, settings.TIME_ZONE = tz, "Asia/Tokyo"
        Totp.objects.update(confirmed_at=timezone.now())
        user = accounts().get(pk=enrolled_user.pk)
        login = Assurance(("pwd", "otp", "mfa"), int(time.time()), "x", stated=True)
        assert standing(user, login) is Standing.GOOD
        earlier = Assurance(("pwd", "otp", "mfa"), int(time.time()) - 1, "x", stated=True)
        assert standing(user, earlier) is Standing.SECOND_FACTOR
