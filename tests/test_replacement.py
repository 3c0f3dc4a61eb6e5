"""Another authenticator in the place of the one there is, without a gap."""

import logging
from datetime import UTC, datetime, timedelta
from functools import partial

import pyotp
import pytest
from cryptography.fernet import Fernet
from django.urls import reverse
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from django_totp import factor
from django_totp.accounts import account_by
from django_totp.assurance import Assurance, Standing, new_login, standing
from django_totp.auth import generate_challenge_token, step_up, verify_challenge_token
from django_totp.backup_code_utils import verify_backup_code
from django_totp.encryption import decrypt, encrypt, made_at
from django_totp.exceptions import (
    InvalidChallenge,
    InvalidTotpCode,
    ReauthenticationRequired,
    TooManyAttempts,
    TotpAlreadyExists,
    TotpNotEnrolled,
)
from django_totp.models import BackupCode, Totp
from django_totp.operations.reencryption import reencrypt
from django_totp.reauthentication import FreshProof
from django_totp.tokens import restate
from django_totp.totp import (
    confirm_totp_setup,
    disable_totp,
    pending_setup,
    start_totp_replacement,
    start_totp_setup,
    verify_totp_code,
)

from .endpoints import EXISTS, NO_SECRET, assert_error, wrong_code
from .receivers import heard
from .rivals import at_once

NOON = datetime(2030, 1, 1, 12, 0, 10, tzinfo=UTC)


@pytest.fixture
def clock(time_machine):
    time_machine.move_to(NOON, tick=False)
    return time_machine


@pytest.fixture
def enrolled_user(clock, enrolled_user):
    """Return the user, who has enrolled a day ago."""
    Totp.objects.update(confirmed_at=NOON - timedelta(days=1))
    return enrolled_user


def new_secret(user, **options):
    return start_totp_replacement(user, **options).secret


def row():
    return Totp.objects.get()


class TestStart:
    def test_nothing_changes_until_it_is_confirmed(self, enrolled_user, secret, otp, backup_codes):
        before = row()
        setup = start_totp_replacement(enrolled_user)
        assert pyotp.parse_uri(setup.otpauth_uri).secret == setup.secret != secret
        assert (row().secret_key, row().confirmed_at) == (before.secret_key, before.confirmed_at)
        assert verify_totp_code(enrolled_user, otp(secret))
        assert verify_backup_code(enrolled_user, backup_codes[0])

    def test_the_secret_is_encrypted(self, enrolled_user):
        secret = new_secret(enrolled_user)
        assert secret not in row().replacement
        assert decrypt(row().replacement) == f"SHA1 6 30 {secret} login:"

    def test_without_an_enrollment(self, user):
        with pytest.raises(TotpNotEnrolled):
            start_totp_replacement(user)

    def test_of_a_pending_enrollment(self, pending_user):
        with pytest.raises(TotpNotEnrolled):
            start_totp_replacement(pending_user)
        assert row().replacement == ""

    def test_with_a_proof_that_is_not_good(self, enrolled_user):
        login = Assurance(("pwd",), int(NOON.timestamp()), "sid", stated=True)
        with pytest.raises(ReauthenticationRequired):
            start_totp_replacement(enrolled_user, proof=FreshProof(enrolled_user, login=login))
        assert row().replacement == ""

    def test_with_a_code_as_its_proof(self, enrolled_user, secret, otp):
        login = Assurance(("pwd",), int(NOON.timestamp()), "sid", stated=True)
        proof = FreshProof(enrolled_user, login=login, otp_code=otp(secret))
        start_totp_replacement(enrolled_user, proof=proof)
        assert row().replacement
        assert row().verifications == 1

    def test_the_settings_of_the_moment_are_its_own(self, settings, enrolled_user):
        settings.TOTP_DIGITS, settings.TOTP_PERIOD, settings.TOTP_ALGORITHM = 8, 60, "SHA256"
        app = pyotp.parse_uri(start_totp_replacement(enrolled_user).otpauth_uri)
        assert (row().digits, row().period, row().algorithm) == (6, 30, "SHA1")
        settings.TOTP_DIGITS, settings.TOTP_PERIOD, settings.TOTP_ALGORITHM = 6, 30, "SHA1"
        confirm_totp_setup(enrolled_user, app.at(NOON))
        assert (row().digits, row().period, row().algorithm) == (8, 60, "SHA256")

    def test_it_is_logged(self, caplog, enrolled_user):
        caplog.set_level(logging.INFO, "django_totp")
        start_totp_replacement(enrolled_user)
        assert [record.event for record in caplog.records] == ["replacement_started"]


class TestConfirm:
    def test_the_new_one_takes_the_place_of_the_old(
        self, clock, enrolled_user, secret, otp, backup_codes
    ):
        before, new = row(), new_secret(enrolled_user)
        codes = confirm_totp_setup(enrolled_user, otp(new))
        totp = row()
        assert (totp.pk, decrypt(totp.secret_key), totp.replacement) == (before.pk, new, "")
        assert totp.confirmed_at > before.confirmed_at
        clock.shift(60)
        assert not verify_totp_code(enrolled_user, otp(secret))
        assert verify_totp_code(enrolled_user, otp(new))
        assert not verify_backup_code(enrolled_user, backup_codes[0])
        assert verify_backup_code(enrolled_user, codes[0])
        assert BackupCode.objects.count() == len(codes)

    def test_its_code_is_used_up(self, enrolled_user, otp):
        new = new_secret(enrolled_user)
        confirm_totp_setup(enrolled_user, otp(new))
        assert not verify_totp_code(enrolled_user, otp(new))

    def test_a_code_of_the_old_one_does_not_confirm(self, enrolled_user, secret, otp):
        start_totp_replacement(enrolled_user)
        with pytest.raises(InvalidTotpCode):
            confirm_totp_setup(enrolled_user, otp(secret))
        assert decrypt(row().secret_key) == secret

    def test_wrong_codes_do_not_burn_it(self, enrolled_user, otp):
        new = new_secret(enrolled_user)
        for _ in range(3):
            with pytest.raises(InvalidTotpCode):
                confirm_totp_setup(enrolled_user, wrong_code(new))
        assert confirm_totp_setup(enrolled_user, otp(new))
        assert row().failures == 0

    def test_wrong_codes_are_counted_and_wait(self, settings, enrolled_user, otp, secret):
        settings.TOTP_FAILURE_LIMIT = 1
        new = new_secret(enrolled_user)
        for _ in range(2):
            with pytest.raises(InvalidTotpCode):
                confirm_totp_setup(enrolled_user, wrong_code(new))
        for code in (otp(new), otp(secret)):
            with pytest.raises(TooManyAttempts):
                confirm_totp_setup(enrolled_user, code)
        assert row().failures == 2

    def test_without_one(self, enrolled_user, secret, otp):
        with pytest.raises(TotpAlreadyExists):
            confirm_totp_setup(enrolled_user, otp(secret))
        assert row().verifications == row().failures == 0

    def test_one_that_is_gone_when_the_code_is_looked_at(self, monkeypatch, enrolled_user, otp):
        new, real = new_secret(enrolled_user), factor.replacement_of

        def and_drop_it(totp, **options):
            there = real(totp, **options)
            Totp.objects.update(replacement="")
            totp.refresh_from_db()
            return there

        monkeypatch.setattr("django_totp.totp.replacement_of", and_drop_it)
        with pytest.raises(TotpAlreadyExists):
            confirm_totp_setup(enrolled_user, otp(new))
        assert row().verifications == row().failures == 0

    @pytest.mark.parametrize("seconds", [3600, -6])
    def test_after_its_time(self, clock, enrolled_user, otp, seconds):
        new = new_secret(enrolled_user)
        clock.shift(seconds)
        with pytest.raises(TotpAlreadyExists):
            confirm_totp_setup(enrolled_user, otp(new))

    def test_just_in_time(self, clock, enrolled_user, otp):
        new = new_secret(enrolled_user)
        clock.shift(3599)
        assert confirm_totp_setup(enrolled_user, otp(new))

    def test_the_last_start_counts(self, enrolled_user, otp):
        first, second = new_secret(enrolled_user), new_secret(enrolled_user)
        with pytest.raises(InvalidTotpCode):
            confirm_totp_setup(enrolled_user, otp(first))
        assert confirm_totp_setup(enrolled_user, otp(second))

    def test_what_no_key_reads_is_none(self, settings, enrolled_user, otp):
        new = new_secret(enrolled_user)
        Totp.objects.update(replacement=Fernet(Fernet.generate_key()).encrypt(b"x").decode())
        with pytest.raises(TotpAlreadyExists):
            confirm_totp_setup(enrolled_user, otp(new))

    @pytest.mark.parametrize("text", ["", "SHA1 6 30", "SHA1 six 30 ABC", "a b c d e"])
    def test_what_is_no_factor_is_none(self, enrolled_user, otp, text):
        Totp.objects.update(replacement=encrypt(text))
        with pytest.raises(TotpAlreadyExists):
            confirm_totp_setup(enrolled_user, "123456")

    def test_without_backup_codes(self, settings, enrolled_user, otp):
        new = new_secret(enrolled_user)
        settings.TOTP_MAX_BACKUP_CODES = 0
        assert confirm_totp_setup(enrolled_user, otp(new)) == []
        assert not BackupCode.objects.exists()

    def test_a_removal_removes_it(self, enrolled_user):
        start_totp_replacement(enrolled_user)
        disable_totp(enrolled_user)
        start_totp_setup(enrolled_user)
        assert row().replacement == ""

    def test_one_signal_and_one_event(self, caplog, enrolled_user, otp):
        new = new_secret(enrolled_user)
        caplog.set_level(logging.INFO, "django_totp")
        with heard() as signals:
            confirm_totp_setup(enrolled_user, otp(new))
        assert [name for name, _ in signals] == ["totp_replaced"]
        assert [record.event for record in caplog.records] == ["replaced"]

    def test_a_page_may_show_it_again(self, enrolled_user, secret):
        new = new_secret(enrolled_user)
        assert pending_setup(enrolled_user, new).secret == new
        assert pending_setup(enrolled_user, secret) is None


class TestOlderLogins:
    """What rests on the old secret is outdated by being older."""

    @pytest.fixture
    def replace(self, enrolled_user, otp):
        def replace(sid=""):
            confirm_totp_setup(enrolled_user, otp(new_secret(enrolled_user)), sid=sid)
            return account_by("pk", enrolled_user.pk)

        return replace

    @pytest.mark.parametrize("ago", [0, 1, 3600])
    def test_they_owe_a_code(self, enrolled_user, replace, ago):
        """Also those of the very second in which it was confirmed."""
        old = new_login(enrolled_user, "pwd", "otp", at=NOON.timestamp() - ago)
        assert standing(replace(), old) is Standing.SECOND_FACTOR

    def test_the_one_that_confirms_stays(self, enrolled_user, replace):
        old = new_login(enrolled_user, "pwd", "otp", at=NOON.timestamp() - 60)
        assert standing(replace(sid=old.sid), old) is Standing.GOOD

    def test_a_login_of_the_same_second_is_a_new_one(self, clock, replace):
        user = replace()
        login = new_login(user, "pwd", "otp", at=NOON.timestamp())
        clock.shift(5)
        assert standing(user, login) is Standing.GOOD

    def test_a_step_up_in_that_second_is_good_as_well(self, clock, enrolled_user, replace, otp):
        old = new_login(enrolled_user, "pwd", "otp", at=NOON.timestamp() - 60)
        user = replace()
        code = otp(decrypt(row().secret_key), offset=1)
        user, login = step_up(partial(account_by, "pk", user.pk), old, otp_code=code)
        clock.shift(5)
        assert standing(user, login) is Standing.GOOD

    def test_challenges_are_dead(self, enrolled_user, replace):
        challenge = generate_challenge_token(enrolled_user)
        replace()
        with pytest.raises(InvalidChallenge):
            verify_challenge_token(challenge)


class TestApi:
    @pytest.fixture
    def client(self, enrolled_user, sign_in):
        return sign_in(enrolled_user, "pwd", "otp")

    def post(self, client, name, **body):
        return client.post(reverse(name), body, format="json")

    def test_the_journey(self, clock, client, enrolled_user, otp, login, secret):
        begun = self.post(client, "totp-replace")
        assert begun.status_code == 201
        assert begun["Cache-Control"] == "no-store"
        assert begun.json().keys() == {"svg", "secret", "otpauth_uri"}
        assert client.get(reverse("totp-status")).json()["is_replacement_pending"] is True
        assert login(enrolled_user, otp_code=otp(secret)).status_code == 200
        new = begun.json()["secret"]
        codes = self.post(client, "totp-confirm", input_code=otp(new))
        assert codes.status_code == 200
        assert len(codes.json()["backup_codes"]) == 10
        assert client.get(reverse("totp-status")).json()["is_replacement_pending"] is False
        clock.shift(60)
        assert_error(login(enrolled_user, otp_code=otp(secret)), 400)
        assert login(enrolled_user, otp_code=otp(new)).status_code == 200

    def test_refresh_of_the_others_and_of_the_one_that_confirms(
        self, clock, api, enrolled_user, login, otp, secret
    ):
        other = login(enrolled_user, otp_code=otp(secret)).json()
        clock.shift(60)
        own = login(enrolled_user, otp_code=otp(secret)).json()
        api.credentials(HTTP_AUTHORIZATION=f"Bearer {own['access']}")
        new = self.post(api, "totp-replace").json()["secret"]
        self.post(api, "totp-confirm", input_code=otp(new))
        api.credentials()
        refused = self.post(api, "jwt-refresh", refresh=other["refresh"])
        assert assert_error(refused, 401)["code"] == "second_factor_required"
        assert self.post(api, "jwt-refresh", refresh=own["refresh"]).status_code == 200
        clock.shift(60)
        stepped = self.post(api, "jwt-step-up", refresh=other["refresh"], otp_code=otp(new))
        assert stepped.status_code == 200

    def test_without_an_enrollment(self, user, sign_in):
        assert_error(self.post(sign_in(user), "totp-replace"), 400, NO_SECRET)

    def test_create_is_refused_as_before(self, client):
        assert_error(self.post(client, "totp-create"), 400, EXISTS)

    def test_a_login_with_the_password_alone_needs_a_proof(
        self, enrolled_user, sign_in, secret, otp
    ):
        client = sign_in(enrolled_user, "pwd")
        refused = self.post(client, "totp-replace")
        assert assert_error(refused, 403)["code"] == "reauthentication_required"
        assert self.post(client, "totp-replace", otp_code=otp(secret)).status_code == 201

    def test_where_reauthentication_is_on(self, settings, enrolled_user, sign_in, password):
        settings.TOTP_REAUTHENTICATE = True
        client = sign_in(enrolled_user, "pwd", "otp", age=600)
        assert_error(self.post(client, "totp-replace"), 403)
        assert self.post(client, "totp-replace", password=password).status_code == 201

    def test_tokens_state_the_new_factor(self, clock, enrolled_user, otp):
        """The confirming login is upgraded at its next refresh, to the moment it counts from."""
        refresh = RefreshToken.for_user(enrolled_user)
        login = new_login(enrolled_user, "pwd", "otp", at=NOON.timestamp() - 60)
        restate(refresh, login)
        confirm_totp_setup(enrolled_user, otp(new_secret(enrolled_user)), sid=login.sid)
        clock.shift(2)
        from rest_framework.test import APIClient

        answer = APIClient().post(reverse("jwt-refresh"), {"refresh": str(refresh)})
        told = AccessToken(answer.json()["access"])
        assert told["auth_time"] == int(row().confirmed_at.timestamp())


class TestKeys:
    @pytest.fixture
    def keys(self, settings):
        old, new = settings.TOTP_ENCRYPTION_KEY, Fernet.generate_key().decode()
        settings.TOTP_ENCRYPTION_KEY, settings.TOTP_ENCRYPTION_KEY_FALLBACKS = new, [old]
        return new

    def test_it_moves_to_the_first_key_and_keeps_its_age(
        self, settings, clock, enrolled_user, otp, request
    ):
        new = new_secret(enrolled_user)
        begun = made_at(row().replacement)
        clock.shift(1800)
        request.getfixturevalue("keys")
        tallies = {tally.name: tally.moved for tally in reencrypt()}
        assert tallies["replacements of TOTP enrollments"] == 1
        settings.TOTP_ENCRYPTION_KEY_FALLBACKS = []
        assert made_at(row().replacement) == begun
        clock.shift(1799)
        assert confirm_totp_setup(enrolled_user, otp(new))

    def test_no_word_of_what_is_not_there(self, enrolled_user, keys):
        names = {tally.name for tally in reencrypt()}
        assert names == {"TOTP enrollments", "backup codes"}


@pytest.mark.django_db(transaction=True)
class TestRaces:
    @pytest.fixture
    def enrolled_user(self, pending_user, backup_codes):
        from django_totp.backup_code_utils import store_backup_codes

        store_backup_codes(pending_user, backup_codes)
        return pending_user

    @pytest.fixture(autouse=True)
    def patient(self, settings):
        settings.TOTP_FAILURE_LIMIT = 1000

    def kinds(self, answers):
        return sorted(type(one).__name__ for one in answers)

    def test_one_of_many_confirmations_gives_codes(self, enrolled_user, otp):
        new = new_secret(enrolled_user)
        answers = at_once(*[partial(confirm_totp_setup, enrolled_user, otp(new))] * 8)
        assert self.kinds(answers).count("list") == 1
        assert set(self.kinds(answers)) <= {"list", "TotpAlreadyExists"}
        assert BackupCode.objects.count() == 10

    @pytest.mark.parametrize("attempt", range(3))
    def test_beside_a_login_with_the_old_one(self, enrolled_user, secret, otp, attempt):
        new = new_secret(enrolled_user)
        answers = at_once(
            partial(confirm_totp_setup, enrolled_user, otp(new)),
            *[partial(verify_totp_code, enrolled_user, otp(secret))] * 4,
        )
        assert isinstance(answers[0], list)
        assert answers[1:].count(True) <= 1
        assert decrypt(row().secret_key) == new

    @pytest.mark.parametrize("attempt", range(3))
    def test_beside_a_removal(self, enrolled_user, otp, attempt):
        new = new_secret(enrolled_user)
        at_once(
            partial(confirm_totp_setup, enrolled_user, otp(new)),
            partial(disable_totp, enrolled_user),
        )
        assert not Totp.objects.exists()
        assert not BackupCode.objects.exists()

    @pytest.mark.parametrize("attempt", range(3))
    def test_what_was_confirmed_is_what_is_on(self, enrolled_user, otp, attempt):
        new = new_secret(enrolled_user)
        confirmed, _restarted = at_once(
            partial(confirm_totp_setup, enrolled_user, otp(new)),
            partial(start_totp_replacement, enrolled_user),
        )
        if isinstance(confirmed, list):
            assert decrypt(row().secret_key) == new
        else:
            assert isinstance(confirmed, InvalidTotpCode)
