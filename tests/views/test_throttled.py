"""Whom a request counts for: nobody is held up by what somebody else does elsewhere."""

from datetime import timedelta
from functools import partial

import pytest
from django.core.cache.backends.locmem import LocMemCache
from django.urls import reverse
from rest_framework.test import APIClient
from rest_framework.throttling import BaseThrottle
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from django_totp import spelling
from django_totp.auth import generate_challenge_token
from django_totp.views import throttled
from django_totp.views.api import TotpConfirmView
from django_totp.views.jwt import JWTVerifyView
from tests.endpoints import (
    BAD_BACKUP,
    ENDPOINTS,
    LOGIN,
    SIGNED_IN,
    assert_error,
    wrong_code,
)

HOME, CAFE = {"REMOTE_ADDR": "203.0.113.1"}, {"REMOTE_ADDR": "198.51.100.1"}
TOKENS = {"jwt-refresh": ("refresh", RefreshToken), "jwt-verify": ("token", AccessToken)}
FORM = "application/x-www-form-urlencoded"


class SilentCache(LocMemCache):
    """A cache that cannot be reached, behind a client that swallows its errors."""

    def add(self, *arguments, **options):
        return None

    get_many = touch = delete = add


@pytest.fixture
def once(settings):
    """Let one request of a client pass, and no more from one address."""
    settings.TOTP_THROTTLE_RATE = settings.TOTP_ADDRESS_THROTTLE_RATE = "1/minute"


@pytest.fixture
def guess(call, user):
    """Return a function that tries a wrong password from somewhere, and gives the status."""

    def guess(name=None, **extra):
        body = {user.USERNAME_FIELD: name or user.get_username(), "password": "wrong"}
        return call("jwt-create", body, **extra).status_code

    return guess


@pytest.fixture
def finish(call):
    """Return a function that takes the second step of a user with a code from somewhere."""

    def finish(user, codes, **extra):
        body = {"totp_challenge_token": generate_challenge_token(user), **codes}
        return call("jwt-totp-verify", body, **extra)

    return finish


class TestNobody:
    """What no handler takes uses up nobody's rate."""

    @pytest.fixture
    def client_of(self, signed_in):
        return lambda name: signed_in if name in SIGNED_IN else APIClient()

    @pytest.mark.usefixtures("once", "user")
    @pytest.mark.parametrize(
        "method", ["get", "head", "put", "patch", "delete", "options", "trace"]
    )
    @pytest.mark.parametrize("name", sorted({*ENDPOINTS} - {"totp-status"}))
    def test_other_methods(self, call, client_of, name, method):
        for _ in range(3):
            answer = client_of(name).generic(method.upper(), reverse(name))
            assert answer.status_code == (200 if method == "options" else 405)
        assert call(name, {}, client=client_of(name)).status_code not in {405, 429}

    @pytest.mark.usefixtures("once", "enrolled_user")
    @pytest.mark.parametrize("media_type", ["text/plain", "image/png", "text/xml", "x"])
    @pytest.mark.parametrize(
        "name", [*sorted(LOGIN), "totp-confirm", "totp-disable", "totp-rotate-backup-codes"]
    )
    def test_an_unknown_media_type(self, settings, call, client_of, name, media_type):
        settings.TOTP_REAUTHENTICATE = True
        for _ in range(3):
            refused = client_of(name).post(reverse(name), "x", content_type=media_type)
            assert assert_error(refused, 415)["code"] == "unsupported_media_type"
        assert call(name, {}, client=client_of(name)).status_code not in {415, 429}

    @pytest.mark.usefixtures("once")
    def test_a_body_that_no_handler_reads_does_not_matter(self, signed_in):
        post = partial(signed_in.post, reverse("totp-create"), "{}", content_type="text/plain")
        assert [post().status_code for _ in range(2)] == [201, 429]

    @pytest.mark.usefixtures("once")
    def test_a_throttle_of_the_project_gives_nothing_back(self, monkeypatch, signed_in):
        class Own(BaseThrottle):
            def allow_request(self, request, view):
                return True

        monkeypatch.setattr(TotpConfirmView, "throttle_classes", (Own,))
        refused = signed_in.post(reverse("totp-confirm"), "x", content_type="text/plain")
        assert_error(refused, 415)


class TestUnreadableBodies:
    """They count by address: whom they are about is not known."""

    @pytest.mark.usefixtures("db")
    @pytest.mark.parametrize(
        ("body", "media_type"), [("{", "application/json"), ("a&" * 1100, FORM)]
    )
    @pytest.mark.parametrize("name", sorted(LOGIN))
    def test_are_told_and_counted(self, settings, name, body, media_type):
        settings.TOTP_THROTTLE_RATE = "1/minute"
        post = partial(APIClient().post, reverse(name), body, content_type=media_type)
        assert assert_error(post(**HOME), 400)["code"] == "parse_error"
        assert_error(post(**HOME), 429)
        assert_error(post(**CAFE), 400)


class TestFirstStep:
    def test_counts_the_name_together_with_the_address(self, settings, guess):
        settings.TOTP_THROTTLE_RATE = "3/minute"
        assert [guess(**CAFE) for _ in range(4)] == [401, 401, 401, 429]
        assert guess(**HOME) == 401
        assert guess("neighbour@example.com", **CAFE) == 401

    @pytest.mark.parametrize(
        "name",
        [
            "ADA@example.com",
            " ada@example.com\t",
            "\uff41da@example.com",
            "a\u0301da@example.com",
            "\u00e1da@example.com",
            "ada\u200b@example.com",
        ],
    )
    @pytest.mark.usefixtures("once")
    def test_no_spelling_of_a_name_buys_a_guess(self, settings, guess, name):
        settings.TOTP_ADDRESS_THROTTLE_RATE = None
        assert guess("ada@example.com") == 401
        assert guess(name) == 429

    @pytest.mark.parametrize("name", ["", "\ud800", "?", 7, None, ["ada"], "x" * 60_000])
    def test_what_is_no_name_is_counted(self, settings, call, user, name):
        settings.TOTP_THROTTLE_RATE = "1/minute"
        post = partial(call, "jwt-create", {user.USERNAME_FIELD: name, "password": "x"})
        if name == "\ud800":
            body = f'{{"{user.USERNAME_FIELD}": "\\ud800", "password": "x"}}'
            post = partial(
                APIClient().post, reverse("jwt-create"), body, content_type="application/json"
            )
        assert [post().status_code in {400, 401}, post().status_code] == [True, 429]

    def test_many_names_buy_no_more_than_the_address_has(self, guess):
        answers = [guess(f"user{number}@example.com", **CAFE) for number in range(65)]
        assert answers == [401] * 60 + [429] * 5
        assert guess("user1@example.com", **HOME) == 401

    def test_who_is_held_up_does_not_use_up_the_address(self, guess):
        assert [guess(**CAFE) for _ in range(99)].count(401) == 10
        assert guess("neighbour@example.com", **CAFE) == 401

    @pytest.mark.parametrize(
        "forwarded",
        [
            "203.0.113.7:5000{}",
            "[2001:db8::{}]:443",
            "2001:db8::{0}:{0}",
            "[::ffff:203.0.113.7]:5000{}",
        ],
    )
    def test_no_form_of_an_address_buys_a_guess(self, settings, caplog, guess, forwarded):
        settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "NUM_PROXIES": 1}
        caplog.set_level("INFO", "django_totp")
        seen = [f"10.9.8.{number}, {forwarded.format(number)}" for number in range(1, 10)]
        answers = [guess(HTTP_X_FORWARDED_FOR=one) for one in seen * 2]
        assert answers == [401] * 10 + [429] * 8
        logged = {record.address for record in caplog.records if record.name == "django_totp"}
        assert all(":5000" not in one and "]" not in one and "ffff" not in one for one in logged)

    def test_a_long_name_takes_no_time_to_fold(self, monkeypatch):
        looked_at = []
        monkeypatch.setattr(
            spelling.unicodedata, "normalize", lambda _, text: looked_at.append(text) or text
        )
        assert spelling.folded("a" + "\u0301\u0323" * 30_000) == "a"
        assert len(looked_at[0]) == spelling.LONGEST_NAME

    def test_names_without_letters_differ(self):
        assert spelling.folded("--") != spelling.folded("++")


class TestSecondStep:
    def test_somebody_with_the_password_does_not_keep_the_owner_out(
        self, finish, enrolled_user, backup_codes
    ):
        """Neither by wrong codes nor by using up a rate."""
        wrong = {"backup_code": "wrong"}
        answers = [finish(enrolled_user, wrong, **CAFE).status_code for _ in range(90)]
        assert answers == [400] * 10 + [429] * 80
        assert_error(finish(enrolled_user, wrong, **HOME), 400, BAD_BACKUP)
        assert finish(enrolled_user, {"backup_code": backup_codes[0]}, **HOME).status_code == 200

    def test_a_used_challenge_counts_for_its_account(
        self, settings, call, finish, enrolled_user, make_user, backup_codes
    ):
        settings.TOTP_THROTTLE_RATE = "1/minute"
        token = generate_challenge_token(enrolled_user)
        body = {"totp_challenge_token": token, "backup_code": backup_codes[0]}
        assert call("jwt-totp-verify", body).status_code == 200
        assert call("jwt-totp-verify", body).status_code == 429
        assert finish(make_user("neighbour"), {"otp_code": "1"}).status_code == 400

    def test_many_accounts_buy_no_more_than_the_address_has(self, settings, finish, make_user):
        settings.TOTP_ADDRESS_THROTTLE_RATE = "3/minute"
        users = [make_user(f"user{number}") for number in range(4)]
        answers = [finish(user, {"otp_code": "1"}).status_code for user in users]
        assert answers == [400, 400, 400, 429]

    def test_the_limit_of_the_account_holds_over_all_addresses(
        self, finish, enrolled_user, secret, otp
    ):
        for number in range(6):
            code = {"otp_code": wrong_code(secret)}
            finish(enrolled_user, code, REMOTE_ADDR=f"192.0.2.{number}")
        waiting = finish(enrolled_user, {"otp_code": otp(secret)}, **HOME)
        assert assert_error(waiting, 429)["code"] == "too_many_attempts"


@pytest.mark.parametrize("name", sorted(TOKENS))
class TestTokens:
    """Who comes with a signed token is counted as the user whom it names."""

    @pytest.fixture
    def send(self, call, name):
        field, kind = TOKENS[name]

        def send(token, **extra):
            text = token if isinstance(token, str) else str(kind.for_user(token))
            return call(name, {field: text}, **extra).status_code

        return send

    def test_many_users_behind_one_address(self, send, make_user):
        users = [make_user(f"user{number}") for number in range(30)]
        assert {send(user) for _ in range(3) for user in users} == {200}

    def test_a_user_is_counted_over_all_addresses(self, send, user, make_user):
        answers = [send(user, REMOTE_ADDR=f"192.0.2.{number}") for number in range(12)]
        assert answers == [200] * 10 + [429] * 2
        assert send(make_user("neighbour"), REMOTE_ADDR="192.0.2.11") == 200

    def test_a_form_is_a_body_too(self, call, name, user):
        field, kind = TOKENS[name]
        post = partial(call, name, form="multipart")
        for number in range(12):
            answer = post({field: str(kind.for_user(user))}, REMOTE_ADDR=f"192.0.2.{number}")
        assert answer.status_code == 429

    def test_a_forged_token_is_counted_by_address(self, send, user, name):
        token = str(TOKENS[name][1].for_user(user))[:-6] + "AAAAAA"
        assert [send(token, **CAFE) for _ in range(12)] == [401] * 10 + [429] * 2
        assert send(token, **HOME) == 401
        assert send(user, **CAFE) == 200

    @pytest.mark.parametrize("token", ["", "x", "a.b.c", "\x00", "é"])
    def test_what_is_no_token_is_counted_by_address(self, send, user, token):
        assert [send(token, **CAFE) for _ in range(12)][10:] == [429] * 2
        assert send(user, **CAFE) == 200

    def test_a_token_that_names_nobody_is_counted_by_address(self, send, name, user):
        token = TOKENS[name][1].for_user(user)
        del token[api_settings.USER_ID_CLAIM]
        send(str(token), **CAFE)
        assert [send(str(token), **CAFE) for _ in range(11)][9:] == [429] * 2
        assert send(user, **CAFE) == 200


@pytest.mark.parametrize("name", sorted(TOKENS))
def test_expired_tokens_of_neighbours_do_not_hold_each_other_up(call, clock, make_user, name):
    """They all come back after a weekend, and are told that they are not signed in."""
    field, kind = TOKENS[name]
    tokens = [str(kind.for_user(make_user(f"user{number}"))) for number in range(70)]
    clock.shift(timedelta(days=30))
    assert {call(name, {field: token}).status_code for token in tokens} == {401}


@pytest.mark.parametrize("name", sorted(TOKENS))
def test_an_expired_token_uses_up_nothing_of_its_owner(call, clock, user, name):
    """It may lie in an old log. Who finds it is elsewhere."""
    field, kind = TOKENS[name]
    old = str(kind.for_user(user))
    clock.shift(timedelta(days=30))
    thief = [call(name, {field: old}, REMOTE_ADDR="203.0.113.9") for _ in range(12)]
    assert [answer.status_code for answer in thief] == [401] * 10 + [429] * 2
    assert call(name, {field: str(kind.for_user(user))}).status_code == 200


def test_a_view_of_the_project_without_a_field_counts_by_address(monkeypatch, call, db):
    monkeypatch.setattr(JWTVerifyView, "signed_field", "")
    assert [call("jwt-verify", {"": "x"}).status_code for _ in range(11)] == [400] * 10 + [429]


def test_a_view_of_the_project_that_names_nobody_counts_by_address(settings, monkeypatch, call, db):
    settings.TOTP_THROTTLE_RATE = "1/minute"
    monkeypatch.setattr(JWTVerifyView, "name_subject", throttled.ThrottledView.name_subject)
    assert [call("jwt-verify", {"token": "x"}).status_code for _ in range(2)] == [401, 429]


@pytest.mark.parametrize("name", ENDPOINTS)
def test_a_silent_cache_locks_nobody_out(settings, caplog, call, signed_in, name):
    settings.CACHES = {"default": {"BACKEND": f"{__name__}.SilentCache"}}
    client = signed_in if name in SIGNED_IN else APIClient()
    assert 429 not in {call(name, {}, client=client).status_code for _ in range(12)}
    assert "not throttled" in caplog.text


def test_the_wait_is_a_whole_number_that_the_body_can_carry(settings, clock, guess, call, user):
    settings.TOTP_THROTTLE_RATE = "1/minute"
    guess()
    clock.shift(0.5)
    body = {user.USERNAME_FIELD: user.get_username(), "password": "wrong"}
    refused = call("jwt-create", body)
    assert_error(refused, 429)
    assert refused["Retry-After"] == "60"
