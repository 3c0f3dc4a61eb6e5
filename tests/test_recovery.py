"""By mail and time to a new authenticator: for who has lost the old one."""

import re
import sys
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.tokens import default_token_generator
from django.core import mail, signing
from django.core.mail.backends.locmem import EmailBackend
from django.test import RequestFactory
from django.urls import reverse
from django.views.debug import ExceptionReporter
from rest_framework.test import APIClient

from django_totp import auth, recovery
from django_totp.accounts import account_by
from django_totp.assurance import Standing, new_login, standing
from django_totp.auth import (
    end_sessions,
    finish_owed_enrollment,
    generate_challenge_token,
    next_step,
    start_owed_enrollment,
)
from django_totp.backup_code_utils import store_backup_codes, verify_backup_code
from django_totp.conf import conf
from django_totp.encryption import decrypt
from django_totp.exceptions import (
    InvalidChallenge,
    InvalidRecoveryToken,
    InvalidTotpCode,
    MailUnavailable,
    RecoveryOff,
    RecoveryUnavailable,
    TotpAlreadyExists,
    TotpNotEnabled,
    TotpNotEnrolled,
)
from django_totp.models import Account, BackupCode, Moved, Totp
from django_totp.policy import is_named
from django_totp.totp import (
    confirm_totp_setup,
    disable_totp,
    start_totp_replacement,
    verify_totp_code,
)
from django_totp.users import email_field

from .browsing import PASSWORD, SETUP, VERIFY, Browser, assert_led
from .endpoints import assert_error, wrong_code
from .receivers import heard
from .rivals import at_once

NOON = datetime(2031, 5, 4, 12, 0, 10, tzinfo=UTC)
DELAY = 3 * 86400
PAGE, STATE = "two-factor-recovery", "two-factor"


@pytest.fixture(autouse=True)
def _on(settings, monkeypatch):
    """Switch it on, and let mails leave from the transaction of a test."""
    monkeypatch.setattr("django_totp.notices.sending._after_commit", lambda run: run())
    settings.TOTP_RECOVERY_DELAY = DELAY
    settings.TOTP_THROTTLE_RATE = settings.TOTP_ADDRESS_THROTTLE_RATE = None


@pytest.fixture
def clock(time_machine):
    time_machine.move_to(NOON, tick=False)
    return time_machine


@pytest.fixture
def owner(clock, enrolled_user):
    """Return the user, who has enrolled a day ago and has an address."""
    setattr(enrolled_user, email_field(enrolled_user), "ada@example.com")
    enrolled_user.save()
    Totp.objects.update(confirmed_at=NOON - timedelta(days=1))
    return enrolled_user


@pytest.fixture
def asked(owner):
    """Return the token that was mailed."""
    return ask(owner)


@pytest.fixture
def started(asked):
    """Return the token that stops the recovery which the first token has started."""
    recovery.start_recovery(asked, request=request())
    return mailed_token()


@pytest.fixture
def ready(started, owner, clock):
    """Return the owner, whose wait is over."""
    clock.shift(DELAY)
    return owner


def request():
    return RequestFactory().post("/", HTTP_USER_AGENT="Firefox/127.0 (Windows)")


def ask(user):
    recovery.request_recovery(generate_challenge_token(user), request=request())
    return mailed_token()


def mailed_token():
    [token] = re.findall(r"/two-factor/recovery/([^/\s]+)/", mail.outbox[-1].body)
    return token


def no_server(backend, messages):
    raise OSError


def row():
    return Totp.objects.get()


def challenge_of(user):
    return next_step(account_by("pk", user.pk)).recovery


class TestAsk:
    def test_a_link_is_mailed(self, asked):
        [letter] = mail.outbox
        assert letter.to == ["ada@example.com"]
        assert "http://testserver/account/two-factor/recovery/" in letter.body
        assert row().recovery_ready_at is None

    def test_off(self, settings, owner):
        settings.TOTP_RECOVERY_DELAY = None
        with pytest.raises(RecoveryOff):
            ask(owner)
        assert not mail.outbox

    def test_without_a_page_it_is_off(self, settings, owner):
        settings.ROOT_URLCONF = type("urls", (), {"urlpatterns": []})
        with pytest.raises(RecoveryOff):
            ask(owner)

    def test_a_page_of_the_project(self, settings, owner):
        settings.ROOT_URLCONF = type("urls", (), {"urlpatterns": []})
        settings.TOTP_RECOVERY_URL = "https://app.example.com/{action}?t={token}"
        recovery.request_recovery(generate_challenge_token(owner))
        [token] = re.findall(r"https://app\.example\.com/confirm\?t=(\S+)", mail.outbox[0].body)
        recovery.start_recovery(token)
        assert "https://app.example.com/cancel?t=" in mail.outbox[1].body

    @pytest.mark.parametrize("token", ["", "x", "a:b:c"])
    def test_without_a_challenge(self, owner, token):
        with pytest.raises(InvalidChallenge):
            recovery.request_recovery(token)

    def test_a_used_challenge(self, owner, secret, otp):
        token = generate_challenge_token(owner)
        verify_totp_code(owner, otp(secret))
        with pytest.raises(InvalidChallenge):
            recovery.request_recovery(token)
        assert not mail.outbox

    def test_one_mail_an_hour(self, owner, clock):
        ask(owner)
        clock.shift(3599)
        ask(owner)
        assert len(mail.outbox) == 1
        clock.shift(1)
        ask(owner)
        assert len(mail.outbox) == 2

    def test_whoever_must_have_a_factor_needs_an_administrator(self, settings, owner):
        settings.TOTP_REQUIRED_FOR = ["everyone"]
        with pytest.raises(RecoveryUnavailable):
            ask(owner)
        assert not mail.outbox

    def test_without_an_address(self, owner):
        setattr(owner, email_field(owner), "")
        owner.save()
        with pytest.raises(RecoveryUnavailable):
            ask(owner)

    def test_a_mail_that_fails_costs_no_hour(self, monkeypatch, owner):
        with monkeypatch.context() as patch:
            patch.setattr(EmailBackend, "send_messages", no_server)
            with pytest.raises(MailUnavailable):
                ask(owner)
        assert row().recovery_asked_at is None
        assert ask(owner)

    def test_the_login_may_still_be_finished(self, owner, secret, otp):
        from django_totp.auth import finish_login

        token = generate_challenge_token(owner)
        recovery.request_recovery(token, request=request())
        assert finish_login(token, otp_code=otp(secret)) == owner


class TestMailedToken:
    def test_it_starts_the_wait(self, owner, asked):
        ready_at = recovery.start_recovery(asked, request=request())
        assert ready_at == NOON + timedelta(seconds=DELAY) == row().recovery_ready_at
        assert "/two-factor/recovery/" in mail.outbox[1].body

    def test_twice_is_once(self, owner, asked, clock):
        first = recovery.start_recovery(asked)
        clock.shift(60)
        assert recovery.start_recovery(asked) == first
        assert len(mail.outbox) == 2

    def test_a_day(self, asked, clock):
        clock.shift(86400)
        recovery.start_recovery(asked)

    def test_longer_than_a_day(self, asked, clock):
        clock.shift(86401)
        with pytest.raises(InvalidRecoveryToken):
            recovery.start_recovery(asked)

    def test_the_newest_only(self, owner, asked, clock):
        clock.shift(3600)
        newer = ask(owner)
        with pytest.raises(InvalidRecoveryToken):
            recovery.start_recovery(asked)
        assert recovery.start_recovery(newer)

    @pytest.mark.parametrize(
        "event", ["code", "backup code", "password", "replacement", "enrollment", "inactive"]
    )
    def test_what_ends_it(self, owner, asked, secret, otp, backup_codes, event):
        if event == "code":
            assert verify_totp_code(owner, otp(secret))
        elif event == "backup code":
            assert verify_backup_code(owner, backup_codes[0])
        elif event == "password":
            owner.set_password("another one")
            owner.save()
        elif event == "replacement":
            confirm_totp_setup(owner, otp(start_totp_replacement(owner).secret))
        elif event == "enrollment":
            disable_totp(owner)
        else:
            owner.is_active = False
            owner.save()
        with pytest.raises(InvalidRecoveryToken):
            recovery.start_recovery(asked)

    def test_wrong_codes_do_not_end_it(self, owner, asked, secret):
        assert not verify_totp_code(owner, wrong_code(secret))
        assert recovery.start_recovery(asked)

    def test_it_is_no_password_reset_token_and_the_reverse(self, owner, asked):
        assert not default_token_generator.check_token(owner, asked)
        with pytest.raises(InvalidRecoveryToken):
            recovery.start_recovery(default_token_generator.make_token(owner))

    def test_nor_a_challenge_and_the_reverse(self, owner, asked, started):
        for token in (asked, started):
            with pytest.raises(InvalidChallenge):
                start_owed_enrollment(token)
        with pytest.raises(InvalidRecoveryToken):
            recovery.start_recovery(generate_challenge_token(owner))

    def test_the_two_are_not_the_same(self, asked, started):
        with pytest.raises(InvalidRecoveryToken):
            recovery.start_recovery(started)
        with pytest.raises(InvalidRecoveryToken):
            recovery.cancel_recovery(asked)

    def test_forged(self, owner):
        claims = {"user_id": str(owner.pk), "purpose": "totp_recovery", "fingerprint": "x"}
        for salt in ("other", conf.TOTP_TOKEN_SALT):
            with pytest.raises(InvalidRecoveryToken):
                recovery.start_recovery(signing.dumps(claims, salt=salt))

    def test_switched_off_meanwhile(self, settings, asked):
        settings.TOTP_RECOVERY_DELAY = None
        with pytest.raises(RecoveryOff):
            recovery.start_recovery(asked)

    def test_whoever_must_have_one_by_now(self, settings, asked):
        settings.TOTP_REQUIRED_FOR = ["everyone"]
        with pytest.raises(RecoveryUnavailable):
            recovery.start_recovery(asked)
        assert row().recovery_ready_at is None


class TestStop:
    def test_by_link(self, owner, started):
        recovery.cancel_recovery(started)
        assert row().recovery_ready_at is None
        assert "was stopped" in mail.outbox[-1].body

    def test_the_link_is_good_once(self, owner, started):
        recovery.cancel_recovery(started)
        with pytest.raises(InvalidRecoveryToken):
            recovery.cancel_recovery(started)

    def test_the_link_is_good_as_long_as_the_recovery(self, owner, started, clock):
        clock.shift(DELAY + 6 * 86400)
        recovery.cancel_recovery(started)
        assert not challenge_of(owner)

    def test_a_new_password_does_not_keep_the_owner_from_it(self, owner, started):
        owner.set_password("a thief's")
        owner.save()
        recovery.cancel_recovery(started)
        assert row().recovery_ready_at is None

    def test_the_first_mail_does_not_start_it_again(self, owner, asked, started, clock):
        recovery.cancel_recovery(started)
        with pytest.raises(InvalidRecoveryToken):
            recovery.start_recovery(asked)
        sent = len(mail.outbox)
        clock.shift(3599)
        ask_again = partial(recovery.request_recovery, generate_challenge_token(owner))
        ask_again()
        assert len(mail.outbox) == sent

    @pytest.mark.parametrize("kind", ["code", "backup code"])
    @pytest.mark.parametrize("wait", [0, DELAY, DELAY + 86400])
    def test_by_any_right_code(self, owner, started, secret, otp, backup_codes, clock, kind, wait):
        clock.shift(wait)
        if kind == "code":
            assert verify_totp_code(owner, otp(secret))
        else:
            assert verify_backup_code(owner, backup_codes[0])
        assert row().recovery_ready_at is None
        assert "was stopped" in mail.outbox[-1].body
        clock.shift(DELAY)
        assert not challenge_of(owner)

    def test_not_by_a_wrong_one(self, ready, secret):
        assert not verify_totp_code(ready, wrong_code(secret))
        assert challenge_of(ready)

    def test_by_who_is_signed_in(self, owner, started):
        recovery.cancel_recovery_of(owner)
        assert row().recovery_ready_at is None

    def test_also_a_mail_that_is_on_its_way(self, owner, asked):
        recovery.cancel_recovery_of(owner)
        with pytest.raises(InvalidRecoveryToken):
            recovery.start_recovery(asked)

    def test_where_there_is_nothing(self, owner, user):
        recovery.cancel_recovery_of(owner)
        assert row().recovery_asked_at is None
        assert not mail.outbox

    def test_also_where_recovery_is_off(self, settings, owner, started):
        settings.TOTP_RECOVERY_DELAY = None
        recovery.cancel_recovery(started)
        assert row().recovery_ready_at is None


class TestEnrollAnew:
    @pytest.fixture
    def begun(self, ready):
        """Return the challenge, and the secret that was handed out."""
        challenge = challenge_of(ready)
        return challenge, start_owed_enrollment(challenge).secret

    def test_not_before_the_wait_is_over(self, owner, started, clock):
        clock.shift(DELAY - 1)
        assert not challenge_of(owner)
        clock.shift(1)
        assert challenge_of(owner)

    def test_for_seven_days(self, ready, clock):
        clock.shift(7 * 86400 - 1)
        assert challenge_of(ready)
        clock.shift(1)
        assert not challenge_of(ready)

    def test_not_for_who_must_have_a_factor_by_now(self, settings, ready):
        settings.TOTP_REQUIRED_FOR = ["everyone"]
        assert is_named(ready)
        assert not challenge_of(ready)

    def test_not_where_nobody_can_tell_that(self, settings, ready):
        settings.TOTP_REQUIRED_FOR = ["tests.nowhere.predicate"]
        assert not challenge_of(ready)

    def test_not_where_it_was_switched_off(self, settings, ready):
        settings.TOTP_RECOVERY_DELAY = None
        assert not challenge_of(ready)

    def test_the_factor_is_never_off(self, ready, begun, secret, otp):
        assert row().is_enabled
        assert decrypt(row().secret_key) == secret
        assert verify_totp_code(ready, otp(secret))

    def test_confirming_swaps_the_factor(self, ready, begun, secret, otp, clock, backup_codes):
        challenge, new = begun
        user, login, codes = finish_owed_enrollment(challenge, otp(new))
        assert (user, decrypt(row().secret_key)) == (ready, new)
        assert row().recovery_ready_at is None
        assert len(codes) == BackupCode.objects.count() == 10
        assert "without a code" in mail.outbox[-1].body
        clock.shift(60)
        assert not verify_totp_code(user, otp(secret))
        assert not verify_backup_code(user, backup_codes[0])
        assert verify_totp_code(user, otp(new))
        assert standing(account_by("pk", user.pk), login) is Standing.GOOD

    def test_it_ends_all_other_logins(self, ready, begun, otp, clock):
        challenge, new = begun
        others = [
            new_login(ready, "pwd", "otp"),
            new_login(ready, "pwd", "otp", at=(NOON - timedelta(days=9)).timestamp()),
        ]
        finish_owed_enrollment(challenge, otp(new))
        clock.shift(5)
        user = account_by("pk", ready.pk)
        assert [standing(user, one) for one in others] == [Standing.OUTDATED] * 2

    def test_the_login_is_ended_by_who_ends_all_later(self, ready, begun, otp, clock):
        challenge, new = begun
        _user, login, _codes = finish_owed_enrollment(challenge, otp(new))
        clock.shift(2)
        end_sessions(ready)
        assert standing(account_by("pk", ready.pk), login) is Standing.OUTDATED

    def test_one_that_is_stopped_a_moment_before_the_setup(self, monkeypatch, ready):
        def late(*args, **kwargs):
            recovery.cancel_recovery_of(ready)
            return real(*args, **kwargs)

        challenge, real = challenge_of(ready), auth.start_totp_replacement
        monkeypatch.setattr(auth, "start_totp_replacement", late)
        with pytest.raises(InvalidChallenge):
            start_owed_enrollment(challenge)
        assert row().replacement == ""

    def test_wrong_codes(self, ready, begun, otp):
        challenge, new = begun
        with pytest.raises(InvalidTotpCode):
            finish_owed_enrollment(challenge, wrong_code(new))
        assert finish_owed_enrollment(challenge, otp(new))

    def test_once(self, ready, begun, otp):
        challenge, new = begun
        finish_owed_enrollment(challenge, otp(new))
        with pytest.raises(InvalidChallenge):
            finish_owed_enrollment(challenge, otp(new, offset=1))
        with pytest.raises(InvalidChallenge):
            start_owed_enrollment(challenge)

    @pytest.mark.parametrize("event", ["code", "link", "password", "end", "inactive", "replaced"])
    def test_what_ends_the_challenge(self, ready, started, begun, secret, otp, event):
        challenge, new = begun
        if event == "code":
            assert verify_totp_code(ready, otp(secret))
        elif event == "link":
            recovery.cancel_recovery(started)
        elif event == "password":
            ready.set_password("another one")
            ready.save()
        elif event == "end":
            end_sessions(ready)
        elif event == "inactive":
            type(ready)._default_manager.update(is_active=False)
        else:
            confirm_totp_setup(ready, otp(start_totp_replacement(ready).secret))
        with pytest.raises(InvalidChallenge):
            finish_owed_enrollment(challenge, otp(new))
        with pytest.raises(InvalidChallenge):
            start_owed_enrollment(challenge)

    def test_what_was_begun_is_good_in_no_other_way(self, ready, begun, otp):
        """Else who has stolen a login, and the password, could do without the wait."""
        _challenge, new = begun
        with pytest.raises(TotpAlreadyExists):
            confirm_totp_setup(ready, otp(new))

    def test_nor_in_another_recovery(self, ready, started, begun, otp, clock):
        _challenge, new = begun
        recovery.cancel_recovery(started)
        clock.shift(1)
        recovery.allow_recovery(ready)
        with pytest.raises(TotpAlreadyExists):
            finish_owed_enrollment(challenge_of(ready), otp(new))

    def test_a_replacement_of_the_owner_is_not_confirmed_by_it(self, ready, otp):
        challenge = challenge_of(ready)
        mine = start_totp_replacement(ready).secret
        with pytest.raises(TotpAlreadyExists):
            finish_owed_enrollment(challenge, otp(mine))
        assert confirm_totp_setup(ready, otp(mine))

    def test_signals(self, asked, owner, clock, otp):
        with heard() as signals:
            recovery.start_recovery(asked)
            clock.shift(DELAY)
            challenge = challenge_of(owner)
            finish_owed_enrollment(challenge, otp(start_owed_enrollment(challenge).secret))
        names = [name for name, _ in signals]
        assert names == ["totp_recovery_started", "totp_recovery_succeeded"]


class TestAllow:
    def test_at_once(self, owner, otp):
        recovery.allow_recovery(owner)
        challenge = challenge_of(owner)
        assert finish_owed_enrollment(challenge, otp(start_owed_enrollment(challenge).secret))

    def test_the_factor_stays_until_then(self, owner, secret, otp):
        recovery.allow_recovery(owner)
        assert row().is_enabled
        assert verify_totp_code(owner, otp(secret))
        assert not challenge_of(owner)

    def test_also_where_recovery_is_off_and_for_who_must_have_one(self, settings, owner):
        settings.TOTP_RECOVERY_DELAY, settings.TOTP_REQUIRED_FOR = None, ["everyone"]
        recovery.allow_recovery(owner)
        assert challenge_of(owner)

    def test_it_is_mailed(self, owner):
        recovery.allow_recovery(owner, reason="lost")
        assert "An administrator" in mail.outbox[-1].body

    def test_of_who_has_none(self, user, pending_user):
        with pytest.raises(TotpNotEnrolled):
            recovery.allow_recovery(pending_user)

    def test_of_what_was_seen(self, owner, otp):
        seen = row()
        confirm_totp_setup(owner, otp(start_totp_replacement(owner).secret))
        with pytest.raises(TotpNotEnrolled):
            recovery.allow_recovery(owner, seen=seen)

    def test_what_the_user_starts_later_is_not_allowed(self, settings, owner, clock):
        recovery.allow_recovery(owner)
        recovery.cancel_recovery_of(owner)
        clock.shift(3600)
        recovery.start_recovery(ask(owner))
        clock.shift(DELAY)
        settings.TOTP_REQUIRED_FOR = ["everyone"]
        assert not challenge_of(owner)


class TestApi:
    def post(self, name, *, client=None, **body):
        return (client or APIClient()).post(reverse(name), body, format="json")

    def test_the_journey(self, owner, password, login, clock, otp, secret):
        asked = self.post(
            "totp-recovery-recovery",
            totp_challenge_token=login(owner).json()["totp_challenge_token"],
        )
        assert (asked.status_code, asked.json()) == (202, {})
        begun = self.post("totp-recovery-recovery-confirm", token=mailed_token())
        assert (begun.status_code, begun.json()) == (202, {"ready_at": "2031-05-07T12:00:10Z"})
        assert "totp_recovery_challenge_token" not in login(owner).json()
        clock.shift(DELAY)
        answer = login(owner).json()
        assert answer.keys() == {
            "is_totp_enabled",
            "totp_challenge_token",
            "totp_recovery_challenge_token",
        }
        token = answer["totp_recovery_challenge_token"]
        setup = self.post("jwt-totp-create", totp_challenge_token=token)
        assert setup.status_code == 201
        new = setup.json()["secret"]
        done = self.post("jwt-totp-confirm", totp_challenge_token=token, input_code=otp(new))
        assert done.json().keys() == {"backup_codes", "refresh", "access"}
        refreshed = self.post("jwt-refresh", refresh=done.json()["refresh"])
        assert refreshed.status_code == 200
        clock.shift(60)
        assert login(owner, otp_code=otp(secret)).status_code == 400
        assert login(owner, otp_code=otp(new)).status_code == 200

    def test_the_challenge_to_enroll_opens_nothing_else(self, ready, secret, otp):
        token = challenge_of(ready)
        answer = self.post("jwt-totp-verify", totp_challenge_token=token, otp_code=otp(secret))
        assert_error(answer, 400)
        assert_error(self.post("totp-recovery-recovery", totp_challenge_token=token), 400)

    @pytest.mark.parametrize("name", ["recovery", "recovery-confirm"])
    def test_off(self, settings, owner, asked, name):
        settings.TOTP_RECOVERY_DELAY = None
        body = {"token": asked, "totp_challenge_token": generate_challenge_token(owner)}
        answer = self.post(f"totp-recovery-{name}", **body)
        assert assert_error(answer, 404)["code"] == "recovery_unavailable"

    @pytest.mark.parametrize("name", ["recovery", "recovery-confirm"])
    def test_whoever_must_have_a_factor(self, settings, owner, asked, name):
        settings.TOTP_REQUIRED_FOR = ["everyone"]
        body = {"token": asked, "totp_challenge_token": generate_challenge_token(owner)}
        answer = self.post(f"totp-recovery-{name}", **body)
        assert assert_error(answer, 403)["code"] == "recovery_unavailable"

    @pytest.mark.parametrize("name", ["recovery-confirm", "recovery-cancel"])
    @pytest.mark.parametrize("token", ["x", "a:b:c", "x" * 4096])
    def test_a_bad_token(self, owner, name, token):
        answer = self.post(f"totp-recovery-{name}", token=token)
        assert assert_error(answer, 400)["code"] == "invalid_recovery_token"

    def test_a_mail_that_fails(self, monkeypatch, owner, login):
        monkeypatch.setattr(EmailBackend, "send_messages", no_server)
        token = login(owner).json()["totp_challenge_token"]
        answer = self.post("totp-recovery-recovery", totp_challenge_token=token)
        assert assert_error(answer, 503)["code"] == "mail_unavailable"

    def test_stop_by_link_with_a_stale_header(self, owner, started):
        stale = APIClient(HTTP_AUTHORIZATION="Bearer junk")
        answer = self.post("totp-recovery-recovery-cancel", client=stale, token=started)
        assert answer.status_code == 204
        assert row().recovery_ready_at is None

    def test_stop_by_who_is_signed_in(self, owner, started, sign_in):
        client = sign_in(owner)
        status = client.get(reverse("totp-status")).json()
        ready_at = datetime.fromisoformat(status["recovery_ready_at"])
        assert ready_at == NOON + timedelta(seconds=DELAY)
        assert self.post("totp-recovery-recovery-cancel", client=client).status_code == 204
        assert row().recovery_ready_at is None
        assert client.get(reverse("totp-status")).json()["recovery_ready_at"] is None
        assert self.post("totp-recovery-recovery-cancel", client=client).status_code == 204

    def test_nobody_stops_it_without_a_token(self, owner, started):
        assert_error(self.post("totp-recovery-recovery-cancel"), 401)
        assert_error(self.post("totp-recovery-recovery-cancel", token=""), 401)
        assert row().recovery_ready_at is not None

    def test_somebody_else_stops_nothing(self, owner, started, make_user, sign_in):
        client = sign_in(make_user("eve"))
        assert self.post("totp-recovery-recovery-cancel", client=client).status_code == 204
        assert row().recovery_ready_at is not None


@pytest.mark.urls("tests.session_urls")
class TestPages:
    @pytest.fixture
    def browser(self, owner):
        return Browser(owner)

    def page(self, token):
        return reverse(PAGE, args=[token])

    def test_the_journey(self, browser, clock, otp, secret):
        browser.password(next_url="/private/")
        page = browser.client.get(reverse(VERIFY))
        assert "Lost your phone?" in page.content.decode()
        told = browser.client.post(reverse(VERIFY), {"recovery": "1"})
        assert "a mail is on its way" in told.content.decode()
        link = self.page(mailed_token())
        client = Browser(browser.user).client
        looked = client.get(link)
        assert "Begin the wait" in looked.content.decode()
        assert row().recovery_ready_at is None
        assert "From May 7, 2031" in client.post(link).content.decode()
        clock.shift(DELAY)
        late = Browser(browser.user)
        late.password()
        assert "Set up a new app" in late.client.get(reverse(VERIFY)).content.decode()
        led = late.client.post(reverse(VERIFY), {"recovery": "1", "next": "/private/"})
        assert_led(led, SETUP, "/private/")
        shown = late.client.get(led["Location"])
        new = shown.context["setup"].secret
        assert "Set up a new authenticator app" in shown.content.decode()
        form = {"otp_code": wrong_code(new), "secret": new, "next": "/private/"}
        again = late.client.post(reverse(SETUP), form)
        assert again.context["setup"].secret == new
        done = late.client.post(reverse(SETUP), form | {"otp_code": otp(new)})
        assert "Your new authenticator app is set up." in done.content.decode()
        assert late.is_signed_in
        assert late.client.get("/private/").status_code == 200

    def test_the_page_that_stops_it(self, browser, started):
        client = Browser(browser.user).client
        looked = client.get(self.page(started))
        assert "Stop it" in looked.content.decode()
        assert row().recovery_ready_at is not None
        assert "It is stopped" in client.post(self.page(started)).content.decode()
        assert row().recovery_ready_at is None
        assert client.get(self.page(started)).status_code == 400

    def test_a_link_that_is_not_good_any_more(self, browser, asked, secret, otp):
        verify_totp_code(browser.user, otp(secret))
        answer = browser.client.get(self.page(asked))
        assert answer.status_code == 400
        assert "not valid any more" in answer.content.decode()

    def test_the_button_wants_a_csrf_token(self, browser, asked):
        from django.test import Client

        assert Client(enforce_csrf_checks=True).post(self.page(asked)).status_code == 403

    def test_a_code_during_the_wait_ends_it(self, browser, started, secret, otp):
        browser.password()
        assert "a backup code still works" in browser.client.get(
            reverse(VERIFY)
        ).content.decode().replace("A code or a backup code", "a backup code")
        browser.code(otp(secret))
        assert row().recovery_ready_at is None

    def test_the_page_says_that_it_was_switched_off(self, settings, browser, asked):
        settings.TOTP_RECOVERY_DELAY = None
        answer = browser.client.post(self.page(asked))
        assert answer.status_code == 404
        assert row().recovery_ready_at is None

    def test_nothing_is_offered_where_nobody_can_tell_who_must_have_one(self, settings, browser):
        settings.TOTP_REQUIRED_FOR = ["tests.nowhere.predicate"]
        browser.password()
        assert "Lost your phone?" not in browser.client.get(reverse(VERIFY)).content.decode()

    def test_off_there_is_no_word_of_it(self, settings, browser):
        settings.TOTP_RECOVERY_DELAY = None
        browser.password()
        assert "Lost your phone?" not in browser.client.get(reverse(VERIFY)).content.decode()
        answer = browser.client.post(reverse(VERIFY), {"recovery": "1"})
        assert answer.status_code == 404

    def test_allowed_it_is_there_all_the_same(self, settings, browser):
        settings.TOTP_RECOVERY_DELAY = None
        recovery.allow_recovery(browser.user)
        browser.password()
        assert "Set up a new app" in browser.client.get(reverse(VERIFY)).content.decode()

    def test_the_step_up_offers_nothing(self, browser, otp, secret):
        browser.password()
        browser.code(otp(secret))
        assert "Lost your phone?" not in browser.client.get(reverse(VERIFY)).content.decode()

    def test_a_half_login_that_is_over(self, browser, clock):
        browser.password()
        get_user_model().objects.update(password="!")
        over = browser.client.post(reverse(VERIFY), {"recovery": "1"})
        assert over.status_code == 400
        assert "Log in again" in over.content.decode()
        assert not mail.outbox

    def test_the_state_page_stops_it(self, browser, started, secret, otp):
        browser.password()
        Totp.objects.update(recovery_ready_at=None)
        browser.code(otp(secret))
        Totp.objects.update(recovery_ready_at=datetime(2031, 5, 7, tzinfo=UTC))
        assert "stop_recovery" in browser.client.get(reverse(STATE)).content.decode()
        led = browser.client.post(reverse(STATE), {"stop_recovery": "1"})
        assert_led(led, STATE)
        assert row().recovery_ready_at is None
        assert "Nobody can set up a new app" in browser.client.get(reverse(STATE)).content.decode()

    def test_a_login_of_another_view(self, browser, ready):
        browser.password("/accounts/login/", "/private/")
        wrong = browser.client.post(reverse(VERIFY), {"recovery": "1", "password": "wrong"})
        assert "This password is not right." in wrong.content.decode()
        led = browser.client.post(reverse(VERIFY), {"recovery": "1", "password": PASSWORD})
        assert_led(led, SETUP)

    def test_who_must_have_a_factor_is_told(self, settings, browser):
        settings.TOTP_REQUIRED_FOR = ["everyone"]
        browser.password()
        answer = browser.client.post(reverse(VERIFY), {"recovery": "1"})
        assert answer.status_code == 403
        assert "Ask an administrator." in answer.content.decode()


@pytest.mark.django_db(transaction=True)
class TestRaces:
    @pytest.fixture
    def owner(self, pending_user, backup_codes, settings):
        settings.TOTP_FAILURE_LIMIT = 1000
        setattr(pending_user, email_field(pending_user), "ada@example.com")
        pending_user.save()
        store_backup_codes(pending_user, backup_codes)
        return pending_user

    @pytest.mark.parametrize("attempt", range(3))
    def test_beside_a_right_code(self, owner, secret, otp, attempt):
        recovery.allow_recovery(owner)
        challenge = challenge_of(owner)
        new = start_owed_enrollment(challenge).secret
        finished, verified = at_once(
            partial(finish_owed_enrollment, challenge, otp(new)),
            partial(verify_totp_code, owner, otp(secret)),
        )
        if isinstance(finished, tuple):
            assert decrypt(row().secret_key) == new
            assert verified is False or isinstance(verified, Exception)
        else:
            assert verified is True
            assert decrypt(row().secret_key) == secret
        assert row().recovery_ready_at is None

    @pytest.mark.parametrize("attempt", range(3))
    def test_many_at_once_finish_one(self, owner, otp, attempt):
        recovery.allow_recovery(owner)
        challenge = challenge_of(owner)
        new = start_owed_enrollment(challenge).secret
        answers = at_once(*[partial(finish_owed_enrollment, challenge, otp(new))] * 6)
        assert [isinstance(one, tuple) for one in answers].count(True) == 1
        assert BackupCode.objects.count() == 10
        assert Account.objects.count() == 1

    def test_many_at_once_get_one_mail(self, owner):
        token = generate_challenge_token(owner)
        at_once(*[partial(recovery.request_recovery, token, request=request())] * 6)
        assert len(mail.outbox) == 1


class TestAgain:
    """Whoever finds that somebody else has moved the row reads it again."""

    @pytest.fixture
    def overtaken(self, monkeypatch):
        """Return a function that lets the next move come too late, once."""
        move, late = Totp.move, []

        def fail_once(totp, **fields):
            if late:
                late.pop()
                raise Moved
            move(totp, **fields)

        monkeypatch.setattr(Totp, "move", fail_once)
        return partial(late.append, "once")

    def test_ask(self, owner, overtaken):
        overtaken()
        assert ask(owner)

    def test_start(self, asked, overtaken):
        overtaken()
        assert recovery.start_recovery(asked) == row().recovery_ready_at

    def test_stop(self, started, overtaken):
        overtaken()
        recovery.cancel_recovery(started)
        assert row().recovery_ready_at is None

    def test_stop_by_who_is_signed_in(self, owner, started, overtaken):
        overtaken()
        recovery.cancel_recovery_of(owner)
        assert row().recovery_ready_at is None

    def test_allow(self, owner, overtaken):
        overtaken()
        recovery.allow_recovery(owner)
        assert row().is_recovery_allowed


class TestHour:
    def test_afterwards_there_is_another_mail(self, owner, asked, clock):
        clock.shift(recovery.BETWEEN_MAILS + timedelta(seconds=1))
        assert ask(owner) != asked
        assert len(mail.outbox) == 2

    def test_twice_in_one_moment(self, owner, asked):
        ask(owner)
        assert len(mail.outbox) == 1

    def test_a_clock_that_was_ahead_keeps_nobody_from_it(self, owner, clock):
        Totp.objects.update(recovery_asked_at=NOON + timedelta(days=365))
        assert ask(owner)


def test_who_stops_what_was_allowed_allows_nothing(settings, owner):
    recovery.allow_recovery(owner)
    recovery.cancel_recovery_of(owner)
    assert not row().is_recovery_allowed


def test_without_an_enrollment_there_is_nothing_to_recover(make_user):
    user = make_user("new")
    assert not recovery.is_possible(account_by("pk", user.pk))
    with pytest.raises(TotpNotEnabled):
        recovery.request_recovery(generate_challenge_token(user))


@pytest.mark.parametrize("service", ["request_recovery", "start_recovery", "cancel_recovery"])
@pytest.mark.parametrize(
    "place",
    [
        "django_totp.models.Totp.move",
        "django_totp.events.record",
        "django_totp.challenges.account_by",
        "django.core.signing.loads",
        "django_totp.recovery.reverse",
    ],
)
def test_a_report_shows_no_token(monkeypatch, rf, owner, asked, service, place):
    if service == "cancel_recovery":
        recovery.start_recovery(asked, request=request())
    challenge = generate_challenge_token(owner)
    token = {"request_recovery": challenge, "start_recovery": asked}.get(service, mailed_token())
    if service == "request_recovery":
        Totp.objects.update(recovery_asked_at=None)

    def crash(*args, **kwargs):
        raise RuntimeError

    monkeypatch.setattr(place, crash)
    try:
        getattr(recovery, service)(token, request=request())
    except RuntimeError:
        report = ExceptionReporter(rf.post("/"), *sys.exc_info())
        frames = report.get_traceback_frames()
        ours = [one for one in frames if "django_totp/" in one["filename"]]
        assert ours
        assert token not in str([one["vars"] for one in ours])
    else:
        assert (service, place) == ("cancel_recovery", "django_totp.recovery.reverse")


@pytest.mark.parametrize("act", ["action_of", "_link", "user_of"])
def test_nor_do_those_that_pages_and_mails_ask(monkeypatch, rf, asked, act):
    def crash(*args, **kwargs):
        raise RuntimeError

    monkeypatch.setattr("django_totp.recovery.challenges.challenge_subject", crash)
    monkeypatch.setattr("django_totp.recovery.reverse", crash)
    monkeypatch.setattr("django_totp.recovery.challenges.challenged", crash)
    given = {"_link": ("confirm", asked, None), "user_of": (asked, "confirm")}.get(act, (asked,))
    try:
        getattr(recovery, act)(*given)
    except RuntimeError:
        report = ExceptionReporter(rf.post("/"), *sys.exc_info())
    ours = [one for one in report.get_traceback_frames() if "recovery.py" in one["filename"]]
    assert asked not in str([one["vars"] for one in ours if "tests" not in one["filename"]])
