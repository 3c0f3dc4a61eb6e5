"""What other projects test with: codes, logins and rates, in tests and nowhere else."""

import subprocess
import sys
from datetime import UTC, datetime

import pytest
from asgiref.sync import async_to_sync
from django.core import mail
from django.test import AsyncClient, Client
from django.test.utils import _TestState
from django.urls import reverse
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import AccessToken

from django_totp.accounts import account_by
from django_totp.assurance import Standing, of_claims, standing
from django_totp.auth import end_sessions, finish_login, generate_challenge_token
from django_totp.backup_code_utils import verify_backup_code
from django_totp.conf import conf
from django_totp.exceptions import TooManyAttempts, TotpAlreadyExists, TotpNotEnrolled
from django_totp.models import Totp
from django_totp.testing import enroll, login, no_throttling, token_for
from django_totp.totp import disable_totp, start_totp_setup, verify_totp_code

from .browsing import VERIFY, assert_led
from .receivers import heard

ENGINES = ["db", "cache", "cached_db", "file", "signed_cookies"]

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.session_urls")]


@pytest.fixture
def app(user):
    return enroll(user)


class TestAuthenticator:
    def test_a_code_is_good_however_often(self, user, app):
        for _ in range(5):
            assert verify_totp_code(user, app.code())
        challenge = generate_challenge_token(user)
        assert finish_login(challenge, otp_code=app.code()) == user

    def test_a_wait_stays(self, settings, user, app):
        settings.TOTP_FAILURE_LIMIT = 0
        assert not verify_totp_code(user, app.wrong_code())
        with pytest.raises(TooManyAttempts):
            verify_totp_code(user, app.code())

    def test_a_code_that_is_never_good(self, user, app):
        assert not verify_totp_code(user, app.used_code())
        assert not verify_totp_code(user, app.used_code())
        assert not verify_totp_code(user, app.wrong_code())
        assert verify_totp_code(user, app.code())

    def test_a_code_is_still_good_once(self, user, app):
        code = app.code()
        assert verify_totp_code(user, code)
        assert not verify_totp_code(user, code)

    @pytest.mark.parametrize("seconds", [-86400, 29, 86400])
    def test_codes_follow_the_clock(self, user, app, time_machine, seconds):
        time_machine.move_to(2_000_000_000, tick=False)
        assert verify_totp_code(user, app.code())
        time_machine.shift(seconds)
        assert verify_totp_code(user, app.code())
        assert not verify_totp_code(user, app.used_code())
        assert not verify_totp_code(user, app.wrong_code())

    def test_the_settings_of_the_project(self, settings, user):
        settings.TOTP_DIGITS, settings.TOTP_PERIOD, settings.TOTP_ALGORITHM = 8, 60, "SHA256"
        app = enroll(user)
        settings.TOTP_DIGITS, settings.TOTP_PERIOD, settings.TOTP_ALGORITHM = 6, 30, "SHA1"
        assert len(app.code()) == len(app.wrong_code()) == 8
        assert verify_totp_code(user, app.code())
        assert not verify_totp_code(user, app.wrong_code())

    def test_backup_codes(self, settings, user, app):
        assert len(app.backup_codes) == conf.TOTP_MAX_BACKUP_CODES
        assert verify_backup_code(user, app.backup_codes[-1])
        assert not verify_backup_code(user, app.backup_codes[-1])

    def test_it_shows_nothing(self, app):
        assert app.secret not in repr(app)
        assert app.backup_codes[0] not in repr(app)


class TestEnroll:
    def test_since_a_day_and_told_to_nobody(self, settings, user):
        settings.TOTP_SEND_NOTICES = True
        with heard() as signals:
            enroll(user)
        assert signals == []
        assert mail.outbox == []
        totp = Totp.objects.get()
        assert totp.is_enabled
        assert user.totp == totp
        assert totp.created_at == totp.confirmed_at

    def test_without_backup_codes(self, settings, user):
        settings.TOTP_MAX_BACKUP_CODES = 0
        assert enroll(user).backup_codes == []

    def test_twice_is_an_error(self, user, app):
        with pytest.raises(TotpAlreadyExists):
            enroll(user)

    def test_what_was_begun_is_replaced(self, user):
        start_totp_setup(user)
        assert verify_totp_code(user, enroll(user).code())

    def test_again_after_the_end(self, user, app):
        disable_totp(user)
        assert enroll(user).secret != app.secret


@pytest.mark.parametrize("make_client", [Client, APIClient])
class TestLogin:
    def test_with_a_second_factor(self, user, app, make_client):
        client = make_client()
        login(client, user)
        assert client.get("/private/").status_code == 200
        assert client.get("/strict/").content == b"strict"

    def test_without(self, user, app, make_client):
        client = make_client()
        login(client, user, second_factor=False)
        assert_led(client.get("/private/"), VERIFY, "/private/")

    def test_where_there_is_none_to_be_given(self, user, make_client):
        client = make_client()
        with pytest.raises(TotpNotEnrolled):
            login(client, user)
        start_totp_setup(user)
        with pytest.raises(TotpNotEnrolled):
            login(client, user)
        assert "_auth_user_id" not in client.session

    def test_in_the_future(self, user, app, make_client):
        with pytest.raises(ValueError, match="not in the future"):
            login(make_client(), user, ago=-1)

    def test_on_the_edge(self, user, app, make_client, time_machine):
        """As the page says: a whole second is what a login tells."""
        time_machine.move_to(datetime.now(UTC).replace(microsecond=999_999), tick=False)
        client = make_client()
        login(client, user, ago=59)
        assert client.get("/strict/").content == b"strict"
        login(client, user, ago=61)
        assert_led(client.get("/strict/"), VERIFY, "/strict/")

    def test_without_where_there_is_none(self, user, make_client):
        client = make_client()
        login(client, user, second_factor=False)
        assert client.get("/private/").status_code == 200
        assert client.get("/guarded/").status_code == 302

    def test_long_ago(self, user, app, make_client):
        client = make_client()
        login(client, user, ago=61)
        assert client.get("/guarded/").content == b"guarded"
        assert_led(client.get("/strict/"), VERIFY, "/strict/")

    def test_before_the_enrollment(self, user, app, make_client):
        client = make_client()
        login(client, user, ago=2 * 86400)
        assert_led(client.get("/private/"), VERIFY, "/private/")

    @pytest.mark.parametrize("ago", [0, 5])
    def test_logins_that_were_ended(self, user, app, make_client, ago):
        before, after = make_client(), make_client()
        login(before, user, ago=ago)
        end_sessions(user)
        login(after, user)
        assert after.get("/private/").status_code == 200
        assert before.get("/private/").status_code == 302
        login(before, user, ago=60)
        assert before.get("/private/").status_code == 302

    @pytest.mark.parametrize("engine", ENGINES)
    def test_sessions_of_all_kinds(self, settings, tmp_path, user, app, make_client, engine):
        settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
        settings.SESSION_FILE_PATH = str(tmp_path)
        client = make_client()
        login(client, user)
        assert client.get("/strict/").content == b"strict"

    def test_it_replaces_the_one_before(self, user, app, make_client, make_user):
        client, bob = make_client(), make_user("bob")
        login(client, user)
        login(client, bob, second_factor=False)
        assert bob.get_username() in client.get("/private/").content.decode()
        login(client, user)
        assert client.get("/strict/").content == b"strict"


def test_an_async_client(user, app):
    client = AsyncClient()
    login(client, user)
    assert async_to_sync(client.get)("/strict/async/").content == b"async strict"


class TestToken:
    @pytest.mark.parametrize(
        ("second_factor", "ago", "worth"),
        [
            (True, 0, Standing.GOOD),
            (True, 3600, Standing.GOOD),
            (True, 2 * 86400, Standing.SECOND_FACTOR),
            (False, 0, Standing.SECOND_FACTOR),
        ],
    )
    def test_what_it_is_worth(self, user, app, second_factor, ago, worth):
        login = of_claims(
            AccessToken(token_for(user, second_factor=second_factor, ago=ago)).payload
        )
        assert login.stated
        assert login.has_second_factor is second_factor
        assert standing(account_by("pk", user.pk), login) is worth
        assert login.is_recent(ago + 10)
        assert not login.is_recent(ago - 10)

    @pytest.mark.parametrize("options", [{}, {"ago": 5}])
    def test_where_there_is_none_to_be_given(self, user, options):
        with pytest.raises(TotpNotEnrolled):
            token_for(user, **options)
        assert token_for(user, second_factor=False, **options)

    def test_at_an_endpoint(self, user, app):
        token = token_for(user)
        client = APIClient(HTTP_AUTHORIZATION=f"Bearer {token}")
        assert client.get(reverse("totp-status")).json()["is_totp_enabled"] is True

    def test_two_within_a_second_of_an_end(self, user, app):
        end_sessions(user)
        first, second = (of_claims(AccessToken(token_for(user)).payload) for _ in range(2))
        assert first.sid != second.sid
        for each in (first, second):
            assert standing(account_by("pk", user.pk), each) is Standing.GOOD


class TestThrottling:
    @pytest.fixture(autouse=True)
    def _rates(self, settings):
        settings.TOTP_THROTTLE_RATE = settings.TOTP_ADDRESS_THROTTLE_RATE = "1/minute"

    def statuses(self):
        client, body = APIClient(), {"totp_challenge_token": "none", "otp_code": "123456"}
        return [client.post(reverse("jwt-totp-verify"), body).status_code for _ in range(3)]

    def test_without_it_there_are_rates(self):
        assert self.statuses() == [400, 429, 429]

    def test_as_a_context_manager(self):
        with no_throttling():
            assert self.statuses() == [400, 400, 400]
        assert conf.TOTP_THROTTLE_RATE == "1/minute"

    def test_as_a_decorator(self):
        assert no_throttling()(self.statuses)() == [400, 400, 400]

    def test_of_a_coroutine(self):
        @no_throttling()
        async def rates():
            return conf.TOTP_THROTTLE_RATE, conf.TOTP_ADDRESS_THROTTLE_RATE

        assert async_to_sync(rates)() == (None, None)

    def test_the_wait_stays(self, settings, user, app):
        settings.TOTP_FAILURE_LIMIT = 0
        with no_throttling():
            verify_totp_code(user, app.wrong_code())
            body = {"totp_challenge_token": generate_challenge_token(user), "otp_code": app.code()}
            assert APIClient().post(reverse("jwt-totp-verify"), body).status_code == 429


class TestElsewhere:
    @pytest.fixture(autouse=True)
    def _elsewhere(self, app, monkeypatch):
        monkeypatch.delattr(_TestState, "saved_data")

    @pytest.mark.parametrize(
        "act",
        [
            lambda user, app: app.code(),
            lambda user, app: app.used_code(),
            lambda user, app: app.wrong_code(),
            lambda user, app: enroll(user),
            lambda user, app: login(Client(), user),
            lambda user, app: token_for(user),
            lambda user, app: no_throttling().enable(),
            lambda user, app: no_throttling()(lambda: None)(),
        ],
    )
    def test_it_refuses(self, user, app, act):
        with pytest.raises(RuntimeError, match="in tests alone"):
            act(user, app)

    def test_nothing_has_changed(self, user, app):
        for act in (enroll, token_for):
            with pytest.raises(RuntimeError):
                act(user)
        assert Totp.objects.count() == 1


def test_a_process_that_tests_nothing():
    """As a server that has imported it by mistake."""
    code = (
        "import django; django.setup()\n"
        "from django_totp.testing import no_throttling, token_for\n"
        "for act in (lambda: token_for(None), lambda: no_throttling().enable()):\n"
        "    try: act()\n"
        "    except RuntimeError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.count("in tests alone") == 2
