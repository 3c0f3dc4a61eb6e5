"""The contract, line by line: what a project written against this package relies on.

Nothing here reads the package's files, so it runs against an installed wheel just as well.
"""

import base64
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest
import time_machine
from cryptography.fernet import Fernet, InvalidToken
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.signing import BadSignature, SignatureExpired
from django.db import IntegrityError, models, transaction
from django.urls import include, path, reverse
from django.utils import timezone
from rest_framework.authentication import SessionAuthentication
from rest_framework.test import APIClient
from rest_framework.views import APIView
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from django_totp import auth, backup_code_utils, encryption, exceptions, signals, totp
from django_totp.models import BackupCode, Totp
from tests.endpoints import (
    BAD_BACKUP,
    BAD_CHALLENGE,
    BAD_CREDENTIALS,
    BAD_OTP,
    ENDPOINTS,
    EXISTS,
    GET,
    NO_SECRET,
    NOT_ENABLED,
    PATHS,
    SIGNED_IN,
    assert_error,
    wrong_code,
)

urlpatterns = [
    path("two/", include(("django_totp.urls", "x"), namespace="x")),
    path("two/", include(("django_totp.urls.jwt", "y"), namespace="y")),
    path("two/", include(("django_totp.urls.recovery", "z"), namespace="z")),
]

FIELDS = {
    "totp-create": ["password"],
    "totp-confirm": ["input_code", "password"],
    "totp-disable": ["otp_code", "backup_code", "password"],
    "totp-replace": ["otp_code", "backup_code", "password"],
    "totp-rotate-backup-codes": ["otp_code", "backup_code", "password"],
    "totp-recovery-recovery": ["totp_challenge_token"],
    "totp-recovery-recovery-confirm": ["token"],
    "totp-recovery-recovery-cancel": ["token"],
    "jwt-create": ["", "password"],  # the first is named as the user model has it
    "jwt-totp-verify": ["totp_challenge_token", "otp_code", "backup_code"],
    "jwt-totp-create": ["totp_challenge_token"],
    "jwt-totp-confirm": ["totp_challenge_token", "input_code"],
    "jwt-step-up": ["refresh", "otp_code", "backup_code"],
    "jwt-refresh": ["refresh"],
    "jwt-verify": ["token"],
}


@pytest.fixture(autouse=True)
def clock() -> Iterator[Any]:
    """Stop the clock in the middle of a time step: what takes a second there cannot flicker."""
    with time_machine.travel(datetime(2031, 5, 4, 12, 0, 15, tzinfo=UTC), tick=False) as clock:
        yield clock


@pytest.fixture
def url() -> Callable[[str], str]:
    return reverse


@pytest.fixture
def call(url, sign_in) -> Callable[..., Any]:
    """Return a function that calls an endpoint by its name, signed in as ``user`` if given."""

    def call(name, body=None, *, user=None, **extra):
        client = sign_in(user) if user else APIClient()
        if name in GET:
            return client.get(url(name), **extra)
        return client.post(url(name), body, format="json", **extra)

    return call


@pytest.fixture
def challenge(call, password) -> Callable[..., str]:
    """Return a function that takes the first step of a login and gives the challenge token."""

    def challenge(user):
        response = call("jwt-create", {user.USERNAME_FIELD: user.get_username(), **pw(password)})
        return response.json()["totp_challenge_token"]

    return challenge


@pytest.fixture
def finish(call, challenge) -> Callable[..., Any]:
    """Return a function that logs in in two steps and gives the answer to the second one."""

    def finish(user, *, token=None, **code):
        return call("jwt-totp-verify", {"totp_challenge_token": token or challenge(user), **code})

    return finish


@pytest.fixture
def unset(settings) -> Callable[[str], None]:
    """Return a function that leaves a setting to its default."""

    def unset(name):
        if hasattr(settings, name):
            delattr(settings, name)

    return unset


@pytest.fixture
def configure(settings, unset) -> Callable[[str, Any], None]:
    """Return a function that sets a setting, or with ``None`` leaves it to its default."""

    def configure(name, value):
        unset(name) if value is None else setattr(settings, name, value)

    return configure


@pytest.fixture
def patient(settings) -> None:
    """Switch the throttle off, where a test asks for more than its rate."""
    settings.TOTP_THROTTLE_RATE = settings.TOTP_ADDRESS_THROTTLE_RATE = None


def pw(password: str) -> dict[str, str]:
    return {"password": password}


def run_python(code: str, **environment: str) -> str:
    """Run ``code`` in a new process that sees the same packages, and return what it printed."""
    inherited = {name: value for name, value in os.environ.items() if "DJANGO" not in name}
    inherited["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class TestSettings:
    @pytest.mark.parametrize("as_type", [str, bytes])
    def test_the_encryption_key_may_be_text_or_bytes(self, settings, as_type):
        key = Fernet.generate_key()
        settings.TOTP_ENCRYPTION_KEY = key if as_type is bytes else key.decode()
        assert Fernet(key).decrypt(encryption.encrypt("secret").encode()) == b"secret"

    @pytest.mark.parametrize("key", [None, "", "short", b"short", "é" * 44, 7, ["list"]])
    def test_a_missing_or_malformed_encryption_key_says_how_to_make_one(self, settings, key):
        settings.TOTP_ENCRYPTION_KEY = key
        with pytest.raises(ImproperlyConfigured, match=r"python -c .*generate_fernet_key"):
            encryption.encrypt("secret")

    def test_the_encryption_key_is_required(self, unset):
        unset("TOTP_ENCRYPTION_KEY")
        with pytest.raises(ImproperlyConfigured, match="TOTP_ENCRYPTION_KEY"):
            encryption.resolve_fernet_key()

    def test_there_are_no_fallback_keys_by_default(self, settings, unset):
        unset("TOTP_ENCRYPTION_KEY_FALLBACKS")
        old = encryption.encrypt("secret")
        settings.TOTP_ENCRYPTION_KEY = Fernet.generate_key()
        with pytest.raises(InvalidToken):
            encryption.decrypt(old)

    def test_fallback_keys_decrypt_and_never_encrypt(self, settings):
        old_key, new_key = settings.TOTP_ENCRYPTION_KEY, Fernet.generate_key()
        old = encryption.encrypt("secret")
        settings.TOTP_ENCRYPTION_KEY = new_key
        settings.TOTP_ENCRYPTION_KEY_FALLBACKS = [old_key]
        assert encryption.decrypt(old) == "secret"
        assert Fernet(new_key).decrypt(encryption.encrypt("secret").encode()) == b"secret"

    @pytest.mark.parametrize("issuer", [None, "Ada & Söhne"])
    def test_issuer(self, configure, call, user, issuer):
        configure("TOTP_ISSUER", issuer)
        uri = urlsplit(call("totp-create", user=user).json()["otpauth_uri"])
        assert parse_qs(uri.query)["issuer"] == [issuer or "MyApp"]

    @pytest.mark.parametrize("count", [None, 3, 1])
    def test_number_of_backup_codes(self, configure, call, pending_user, secret, otp, count):
        configure("TOTP_MAX_BACKUP_CODES", count)
        response = call("totp-confirm", {"input_code": otp(secret)}, user=pending_user)
        assert len(set(response.json()["backup_codes"])) == (count or 10)
        rotated = call("totp-rotate-backup-codes", user=pending_user)
        assert len(set(rotated.json()["backup_codes"])) == (count or 10)

    def test_enrollment_works_without_backup_codes(
        self, settings, call, pending_user, secret, otp, finish, clock
    ):
        settings.TOTP_MAX_BACKUP_CODES = 0
        confirmed = call("totp-confirm", {"input_code": otp(secret)}, user=pending_user)
        assert confirmed.json() == {"backup_codes": []}
        assert auth.is_totp_enabled(pending_user)
        clock.shift(60)
        assert finish(pending_user, otp_code=otp(secret)).status_code == 200

    def test_ten_requests_a_minute_by_default(self, unset, call, user):
        unset("TOTP_THROTTLE_RATE")
        answers = [call("totp-status", user=user).status_code for _ in range(11)]
        assert answers == [200] * 10 + [429]

    @pytest.mark.parametrize("name", ENDPOINTS)
    def test_the_throttle_holds_for_each_endpoint_by_itself(self, settings, call, user, name):
        settings.TOTP_THROTTLE_RATE = "1/minute"
        signed_in = user if name in SIGNED_IN else None
        for other in set(ENDPOINTS) - {name}:
            call(other, {}, user=user if other in SIGNED_IN else None)
        assert call(name, {}, user=signed_in).status_code != 429
        assert call(name, {}, user=signed_in).status_code == 429

    @pytest.mark.parametrize("name", ENDPOINTS)
    def test_the_throttle_can_be_switched_off(self, settings, call, user, name):
        settings.TOTP_THROTTLE_RATE = None
        signed_in = user if name in SIGNED_IN else None
        answers = {call(name, {}, user=signed_in).status_code for _ in range(12)}
        assert 429 not in answers

    def test_who_is_signed_in_is_throttled_by_user(self, settings, call, user, make_user):
        settings.TOTP_THROTTLE_RATE = "1/minute"
        neighbour = make_user("bob")
        assert call("totp-status", user=user, REMOTE_ADDR="192.0.2.1").status_code == 200
        assert call("totp-status", user=user, REMOTE_ADDR="192.0.2.2").status_code == 429
        assert call("totp-status", user=neighbour, REMOTE_ADDR="192.0.2.1").status_code == 200

    def test_the_second_step_is_throttled_by_account(
        self, settings, finish, enrolled_user, make_user
    ):
        settings.TOTP_THROTTLE_RATE = "1/minute"
        tokens = [auth.generate_challenge_token(enrolled_user) for _ in range(2)]
        neighbour = auth.generate_challenge_token(make_user("bob"))
        assert_error(finish(None, token=tokens[0], otp_code="no code"), 400, BAD_OTP)
        assert_error(finish(None, token=tokens[1], otp_code="no code"), 429)
        assert_error(finish(None, token=neighbour, otp_code="no code"), 400, NOT_ENABLED)

    def test_strangers_are_throttled_by_address(self, settings, call):
        settings.TOTP_THROTTLE_RATE = "1/minute"
        assert call("jwt-verify", {"token": "x"}, REMOTE_ADDR="192.0.2.1").status_code == 401
        assert call("jwt-verify", {"token": "x"}, REMOTE_ADDR="192.0.2.1").status_code == 429
        assert call("jwt-verify", {"token": "x"}, REMOTE_ADDR="192.0.2.2").status_code == 401

    def test_challenge_tokens_are_salted(self, settings, unset, enrolled_user):
        unset("TOTP_TOKEN_SALT")
        token = auth.generate_challenge_token(enrolled_user)
        settings.TOTP_TOKEN_SALT = "django-totp-token-salt"
        assert auth.verify_challenge_token(token) == enrolled_user.pk
        settings.TOTP_TOKEN_SALT = "the project's own"
        with pytest.raises(BadSignature):
            auth.verify_challenge_token(token)
        own = auth.generate_challenge_token(enrolled_user)
        assert auth.verify_challenge_token(own) == enrolled_user.pk

    def test_a_deploy_check_asks_for_an_own_salt(self, settings, unset):
        def asks(**options):
            messages = checks.run_checks(**options)
            return any("TOTP_TOKEN_SALT" in f"{message.msg} {message.hint}" for message in messages)

        unset("TOTP_TOKEN_SALT")
        assert asks(include_deployment_checks=True)
        assert not asks()
        settings.TOTP_TOKEN_SALT = "the project's own"
        assert not asks(include_deployment_checks=True)

    @pytest.mark.parametrize("max_age", [None, 10])
    def test_challenge_tokens_expire(
        self, configure, clock, finish, challenge, enrolled_user, secret, otp, max_age
    ):
        configure("TOTP_TOKEN_MAX_AGE", max_age)
        token = challenge(enrolled_user)
        clock.shift((max_age or 120) + 1)
        assert_error(finish(None, token=token, otp_code=otp(secret)), 400, BAD_CHALLENGE)
        with pytest.raises(SignatureExpired):
            auth.verify_challenge_token(token)
        clock.shift(-2)
        assert finish(None, token=token, otp_code=otp(secret)).status_code == 200

    @pytest.mark.parametrize(
        ("override", "query", "parameters"),
        [
            ({}, {}, (6, 30, "sha1")),
            ({"TOTP_DIGITS": 8}, {"digits": ["8"]}, (8, 30, "sha1")),
            ({"TOTP_PERIOD": 60}, {"period": ["60"]}, (6, 60, "sha1")),
            ({"TOTP_ALGORITHM": "SHA256"}, {"algorithm": ["SHA256"]}, (6, 30, "sha256")),
            ({"TOTP_ALGORITHM": "SHA512"}, {"algorithm": ["SHA512"]}, (6, 30, "sha512")),
        ],
    )
    def test_each_enrollment_keeps_its_parameters(
        self, settings, unset, clock, call, finish, user, override, query, parameters
    ):
        for name in ("TOTP_DIGITS", "TOTP_PERIOD", "TOTP_ALGORITHM"):
            unset(name)
        for name, value in override.items():
            setattr(settings, name, value)
        created = call("totp-create", user=user).json()
        uri = parse_qs(urlsplit(created["otpauth_uri"]).query)
        assert uri == {"issuer": ["MyApp"], "secret": [created["secret"]], **query}
        parsed = pyotp.parse_uri(created["otpauth_uri"])
        assert (parsed.digits, parsed.interval, parsed.digest().name) == parameters
        confirmed = call("totp-confirm", {"input_code": parsed.now()}, user=user)
        assert confirmed.status_code == 200
        settings.TOTP_DIGITS, settings.TOTP_PERIOD, settings.TOTP_ALGORITHM = 7, 45, "SHA384"
        clock.shift(300)
        assert finish(user, otp_code=parsed.now()).status_code == 200

    @pytest.mark.parametrize(
        ("window", "accepted"), [(None, [-1, 0, 1]), (0, [0]), (2, [-2, -1, 0, 1, 2])]
    )
    def test_valid_window(
        self, configure, patient, finish, enrolled_user, secret, otp, window, accepted
    ):
        configure("TOTP_VALID_WINDOW", window)
        codes = {offset: otp(secret, offset=offset) for offset in range(-3, 4)}
        statuses = {
            offset: finish(enrolled_user, otp_code=codes[offset]).status_code
            for offset in [-3, 3, *range(-2, 3)]
        }
        assert sorted(offset for offset, status in statuses.items() if status == 200) == accepted

    @pytest.mark.parametrize("max_age", [None, 60])
    def test_a_pending_enrollment_expires(
        self, configure, clock, call, pending_user, secret, otp, max_age
    ):
        configure("TOTP_SETUP_MAX_AGE", max_age)
        clock.shift((max_age or 3600) + 1)
        late = call("totp-confirm", {"input_code": otp(secret)}, user=pending_user)
        assert_error(late, 400, NO_SECRET)
        assert call("totp-status", user=pending_user).json()["is_pending"] is False
        clock.shift(-2)
        in_time = call("totp-confirm", {"input_code": otp(secret)}, user=pending_user)
        assert in_time.status_code == 200

    @pytest.mark.parametrize("limit", [None, 0, 2])
    def test_failures_up_to_the_limit_cost_nothing(
        self, configure, patient, call, finish, enrolled_user, secret, otp, limit
    ):
        configure("TOTP_FAILURE_LIMIT", limit)
        free = 5 if limit is None else limit
        for _ in range(free):
            assert_error(finish(enrolled_user, otp_code=wrong_code(secret)), 400, BAD_OTP)
        assert_error(finish(enrolled_user, otp_code=wrong_code(secret)), 400, BAD_OTP)
        assert_error(finish(enrolled_user, otp_code=otp(secret)), 429)

    def test_a_right_code_within_the_limit_ends_the_count(
        self, unset, patient, clock, finish, enrolled_user, secret, otp
    ):
        unset("TOTP_FAILURE_LIMIT")
        for _ in range(3):
            for _ in range(5):
                assert_error(finish(enrolled_user, otp_code=wrong_code(secret)), 400, BAD_OTP)
            clock.shift(30)
            assert finish(enrolled_user, otp_code=otp(secret)).status_code == 200

    @pytest.mark.parametrize(
        ("first", "longest", "waits"),
        [
            (None, None, [30, 60, 120, 240, 480, 900, 900, 900]),
            (10, 50, [10, 20, 40, 50, 50]),
            (60, 20, [20, 20]),
        ],
    )
    def test_waits_double_up_to_the_maximum(
        self,
        settings,
        configure,
        patient,
        clock,
        finish,
        enrolled_user,
        secret,
        first,
        longest,
        waits,
    ):
        settings.TOTP_FAILURE_LIMIT = 0
        configure("TOTP_LOCKOUT_SECONDS", first)
        configure("TOTP_LOCKOUT_MAX_SECONDS", longest)
        for wait in waits:
            assert_error(finish(enrolled_user, otp_code=wrong_code(secret)), 400, BAD_OTP)
            refused = finish(enrolled_user, otp_code=wrong_code(secret))
            assert assert_error(refused, 429)["code"] == "too_many_attempts"
            assert refused["Retry-After"] == str(wait)
            clock.shift(wait)

    @pytest.mark.parametrize("cap", [None, 7])
    def test_the_cap_switches_totp_codes_off(
        self, settings, configure, clock, finish, enrolled_user, secret, otp, backup_codes, cap
    ):
        configure("TOTP_FAILURE_CAP", cap)
        settings.TOTP_THROTTLE_RATE = settings.TOTP_ADDRESS_THROTTLE_RATE = None
        settings.TOTP_LOCKOUT_SECONDS = settings.TOTP_LOCKOUT_MAX_SECONDS = 1
        for _ in range(cap or 100):
            assert_error(finish(enrolled_user, otp_code=wrong_code(secret)), 400, BAD_OTP)
            clock.shift(1)
        clock.shift(365 * 24 * 3600)
        refused = finish(enrolled_user, otp_code=otp(secret))
        assert assert_error(refused, 429)["code"] == "too_many_attempts"
        assert "Retry-After" not in refused
        assert finish(enrolled_user, backup_code=backup_codes[0]).status_code == 200
        assert finish(enrolled_user, otp_code=otp(secret)).status_code == 200

    def test_no_cap(self, settings, patient, clock, finish, enrolled_user, secret, otp):
        settings.TOTP_FAILURE_CAP = None
        Totp.objects.filter(user_id=enrolled_user.pk).update(failures=100_000)
        assert_error(finish(enrolled_user, otp_code=wrong_code(secret)), 400, BAD_OTP)
        clock.shift(900)
        assert finish(enrolled_user, otp_code=otp(secret)).status_code == 200

    def test_no_fresh_proof_is_asked_for_by_default(self, unset, call, enrolled_user):
        unset("TOTP_REAUTHENTICATE")
        assert call("totp-rotate-backup-codes", user=enrolled_user).status_code == 200
        assert call("totp-disable", user=enrolled_user).status_code == 204


class TestDataModel:
    def test_the_tables_have_their_names(self):
        assert Totp._meta.db_table == "django_totp_totp"
        assert BackupCode._meta.db_table == "django_totp_backupcode"
        assert {Totp._meta.app_label, BackupCode._meta.app_label} == {"django_totp"}

    def test_fields_of_an_enrollment(self, enrolled_user):
        field = Totp._meta.get_field("user")
        assert isinstance(field, models.OneToOneField)
        row = Totp.objects.get(user=enrolled_user)
        assert enrolled_user.totp == row
        assert isinstance(row.secret_key, str)
        assert row.created_at is not None
        assert row.confirmed_at is not None
        assert (row.digits, row.period, row.algorithm) == (6, 30, "SHA1")
        assert row.last_used_step is None

    def test_fields_of_a_backup_code(self, enrolled_user, backup_codes):
        rows = enrolled_user.totp.backup_codes.all()
        assert sorted(encryption.decrypt(row.code) for row in rows) == sorted(backup_codes)
        assert not any(row.is_used for row in rows)
        assert all(row.created_at for row in rows)
        assert isinstance(BackupCode._meta.get_field("totp"), models.ForeignKey)

    def test_digests_are_unique_within_an_enrollment(self, enrolled_user):
        row = enrolled_user.totp.backup_codes.first()
        row.pk = None
        with pytest.raises(IntegrityError), transaction.atomic():
            row.save(force_insert=True)

    def test_a_row_made_by_hand_is_a_pending_enrollment(self, user, secret, otp):
        row = Totp.objects.create(user=user, secret_key=encryption.encrypt(secret))
        assert row.confirmed_at is None
        assert not auth.is_totp_enabled(user)
        assert len(totp.confirm_totp_setup(user, otp(secret))) == 10
        assert auth.is_totp_enabled(user)

    def test_storing_backup_codes_confirms(self, pending_user):
        codes = ["first-code-0001", "second-code-0002"]
        assert backup_code_utils.store_backup_codes(pending_user, codes) == codes
        assert auth.is_totp_enabled(pending_user)
        assert backup_code_utils.verify_backup_code(pending_user, codes[1])

    def test_rotating_a_pending_enrollment_is_refused(self, call, pending_user):
        with pytest.raises(exceptions.TotpError, match=NO_SECRET):
            backup_code_utils.rotate_backup_codes(pending_user)
        assert_error(call("totp-rotate-backup-codes", user=pending_user), 400, NO_SECRET)
        assert not auth.is_totp_enabled(pending_user)

    def test_rows_go_with_their_user(self, enrolled_user):
        enrolled_user.delete()
        assert not Totp.objects.exists()
        assert not BackupCode.objects.exists()


class TestPythonApi:
    @pytest.mark.parametrize(
        ("module", "name", "parameters"),
        [
            ("totp", "generate_totp_secret", []),
            ("totp", "create_totp_setup", ["user"]),
            ("totp", "confirm_totp_setup", ["user", "input_code"]),
            ("totp", "verify_totp_code", ["user", "input_code"]),
            ("totp", "disable_totp", ["user"]),
            ("backup_code_utils", "generate_backup_codes", []),
            ("backup_code_utils", "store_backup_codes", ["user", "codes"]),
            ("backup_code_utils", "verify_backup_code", ["user", "input_code"]),
            ("backup_code_utils", "rotate_backup_codes", ["user"]),
            ("auth", "is_totp_enabled", ["user"]),
            ("auth", "generate_challenge_token", ["user"]),
            ("auth", "verify_challenge_token", ["token"]),
            ("auth", "get_user_from_challenge_token", ["token"]),
            ("encryption", "generate_fernet_key", []),
            ("encryption", "resolve_fernet_key", ["default"]),
            ("encryption", "encrypt", ["value"]),
            ("encryption", "decrypt", ["value"]),
        ],
    )
    def test_functions_take_what_they_took(self, module, name, parameters):
        function = getattr(import_module(f"django_totp.{module}"), name)
        signature = inspect.signature(function).parameters.values()
        positional = [p.name for p in signature if p.kind is p.POSITIONAL_OR_KEYWORD]
        assert positional == parameters
        assert all(p.default is not p.empty for p in signature if p.kind is p.KEYWORD_ONLY)

    def test_totp(self, user, otp, clock):
        svg = totp.create_totp_setup(user)
        assert svg.startswith("<svg")
        secret = encryption.decrypt(user.totp.secret_key)
        codes = totp.confirm_totp_setup(user, otp(secret))
        assert all(isinstance(code, str) for code in codes)
        clock.shift(30)
        assert totp.verify_totp_code(user, otp(secret)) is True
        assert totp.verify_totp_code(user, otp(secret)) is False
        assert totp.disable_totp(user) is None
        assert not auth.is_totp_enabled(user)

    def test_a_secret_has_160_bits_in_base32(self):
        secrets = {totp.generate_totp_secret() for _ in range(20)}
        assert len(secrets) == 20
        assert {len(base64.b32decode(secret)) for secret in secrets} == {20}

    def test_backup_codes(self, pending_user):
        codes = backup_code_utils.generate_backup_codes()
        assert backup_code_utils.store_backup_codes(pending_user, codes) == codes
        assert backup_code_utils.verify_backup_code(pending_user, codes[0]) is True
        assert backup_code_utils.verify_backup_code(pending_user, codes[0]) is False
        new = backup_code_utils.rotate_backup_codes(pending_user)
        assert not set(new) & set(codes)
        assert backup_code_utils.verify_backup_code(pending_user, codes[1]) is False
        assert backup_code_utils.verify_backup_code(pending_user, new[0]) is True

    def test_auth(self, enrolled_user, make_user):
        token = auth.generate_challenge_token(enrolled_user)
        assert auth.verify_challenge_token(token) == enrolled_user.pk
        assert auth.get_user_from_challenge_token(token) == enrolled_user
        assert auth.is_totp_enabled(enrolled_user) is True
        assert auth.is_totp_enabled(make_user("bob")) is False

    def test_encryption(self):
        token = encryption.encrypt("Süßes")
        assert isinstance(token, str)
        assert "Süßes" not in token
        assert encryption.decrypt(token) == "Süßes"
        assert isinstance(encryption.resolve_fernet_key(), bytes)

    def test_a_key_can_be_made_without_settings(self):
        code = (
            "from django_totp.encryption import generate_fernet_key; print(generate_fernet_key())"
        )
        assert Fernet(run_python(code))

    def test_a_key_can_be_resolved_without_settings(self):
        key = Fernet.generate_key().decode()
        code = f"from django_totp.encryption import resolve_fernet_key as r; print(r({key!r}))"
        assert run_python(code) == repr(key.encode())

    @pytest.mark.parametrize("configured", [True, False])
    def test_a_key_can_be_resolved_in_the_settings_module(self, tmp_path, configured):
        own, default = (Fernet.generate_key().decode() for _ in range(2))
        (tmp_path / "half_read.py").write_text(
            "from django_totp.encryption import resolve_fernet_key\n"
            + (f"TOTP_ENCRYPTION_KEY = {own!r}\n" if configured else "")
            + f"TOTP_ENCRYPTION_KEY = resolve_fernet_key({default!r})\n"
            "INSTALLED_APPS = ['django_totp']\n"
        )
        code = (
            f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
            "from django.conf import settings\n"
            "print(settings.TOTP_ENCRYPTION_KEY.decode(), settings.INSTALLED_APPS)"
        )
        printed = run_python(code, DJANGO_SETTINGS_MODULE="half_read")
        assert printed == f"{own if configured else default} ['django_totp']"

    def test_throttles(self):
        throttle = import_module("django_totp.throttle")
        scopes = {throttle.TotpUserThrottle.scope, throttle.TotpAnonThrottle.scope}
        assert len(scopes) == 2
        assert not scopes & {"user", "anon"}

    def test_signals_of_the_lifecycle(self, received, call, pending_user, secret, otp):
        call("totp-confirm", {"input_code": otp(secret)}, user=pending_user)
        call("totp-rotate-backup-codes", user=pending_user)
        call("totp-disable", user=pending_user)
        assert [name for name, _ in received] == [
            "totp_created",
            "backup_codes_rotated",
            "totp_disabled",
        ]
        assert all(kwargs["user"] == pending_user for _, kwargs in received)
        paths = [kwargs["request"].path.rsplit("/", 2)[1] for _, kwargs in received]
        assert paths == ["confirm", "rotate_backup_codes", "disable"]

    def test_signals_of_a_login(self, received, finish, enrolled_user, secret, otp):
        finish(enrolled_user, otp_code=wrong_code(secret))
        finish(enrolled_user, backup_code="wrong")
        finish(enrolled_user, otp_code=otp(secret))
        assert [name for name, _ in received] == [
            "totp_verification_failed",
            "totp_verification_failed",
            "totp_login_success",
        ]
        assert all(kwargs["user"] == enrolled_user for _, kwargs in received)
        assert all("/jwt/totp/verify/" in kwargs["request"].path for _, kwargs in received)

    def test_signal_of_a_login_without_totp(self, received, call, user, password):
        call("jwt-create", {user.USERNAME_FIELD: user.get_username(), **pw(password)})
        [(name, kwargs)] = received
        assert name == "non_totp_login_success"
        assert kwargs["user"] == user
        assert kwargs["request"].path.endswith("/jwt/create/")

    def test_both_spellings_of_the_login_signals(self):
        assert signals.totp_login_success is signals.totp_login_succeeded
        assert signals.non_totp_login_success is signals.non_totp_login_succeeded

    @pytest.fixture
    def raising(self):
        """Connect a receiver to every signal that raises."""

        def raises(**kwargs):
            raise RuntimeError("A receiver of the project is broken.")

        for signal in SIGNALS.values():
            signal.connect(raises, weak=False)
        yield
        for signal in SIGNALS.values():
            signal.disconnect(raises)

    def test_a_raising_receiver_breaks_no_request(
        self, raising, call, finish, clock, make_user, password, pending_user, secret, otp
    ):
        codes = call("totp-confirm", {"input_code": otp(secret)}, user=pending_user)
        assert codes.status_code == 200
        clock.shift(30)
        assert_error(finish(pending_user, otp_code=wrong_code(secret)), 400, BAD_OTP)
        assert finish(pending_user, otp_code=otp(secret)).status_code == 200
        assert call("totp-rotate-backup-codes", user=pending_user).status_code == 200
        assert call("totp-disable", user=pending_user).status_code == 204
        bob = make_user("bob")
        login = call("jwt-create", {bob.USERNAME_FIELD: bob.get_username(), **pw(password)})
        assert login.status_code == 200

    def test_errors_form_one_tree_with_stable_codes(self):
        tree = _descendants(exceptions.TotpError)
        assert issubclass(exceptions.TotpError, ValueError)
        own_codes = [kind.code for kind in tree if "code" in vars(kind)]
        assert len(own_codes) == len(set(own_codes))
        assert all(code.isidentifier() for code in own_codes)
        assert issubclass(exceptions.InvalidChallenge, BadSignature)
        assert issubclass(exceptions.ExpiredChallenge, SignatureExpired)

    @pytest.mark.parametrize(
        ("function", "state", "argument", "sentence"),
        [
            (totp.create_totp_setup, "enrolled_user", (), EXISTS),
            (totp.confirm_totp_setup, "user", ("123456",), NO_SECRET),
            (totp.confirm_totp_setup, "enrolled_user", ("123456",), EXISTS),
            (totp.confirm_totp_setup, "pending_user", ("no code",), BAD_OTP),
            (totp.verify_totp_code, "user", ("123456",), NO_SECRET),
            (totp.disable_totp, "user", (), NO_SECRET),
            (backup_code_utils.store_backup_codes, "user", (["a"],), NO_SECRET),
            (backup_code_utils.verify_backup_code, "user", ("a",), NO_SECRET),
            (backup_code_utils.rotate_backup_codes, "user", (), NO_SECRET),
        ],
    )
    def test_errors_of_the_services(self, request, function, state, argument, sentence):
        user = request.getfixturevalue(state)
        with pytest.raises(exceptions.TotpError) as error:
            function(user, *argument)
        assert str(error.value) == sentence

    @pytest.mark.parametrize("token", ["", "junk", "a:b:c", None, 7])
    def test_a_forged_challenge(self, db, token):
        with pytest.raises(BadSignature, match=BAD_CHALLENGE):
            auth.get_user_from_challenge_token(token)

    @pytest.fixture
    def received(self):
        """Connect to every signal and return the list of what comes: name and arguments."""
        received: list[tuple[str, dict[str, Any]]] = []
        receivers = {
            name: lambda name=name, **kwargs: received.append((name, kwargs)) for name in SIGNALS
        }
        for name, signal in SIGNALS.items():
            signal.connect(receivers[name], weak=False)
        yield received
        for name, signal in SIGNALS.items():
            signal.disconnect(receivers[name])


SIGNALS = {
    name: getattr(signals, name)
    for name in [
        "totp_created",
        "totp_disabled",
        "backup_codes_rotated",
        "totp_login_success",
        "non_totp_login_success",
        "totp_verification_failed",
    ]
}


def _descendants(kind: type) -> list[Any]:
    return [kind, *(below for child in kind.__subclasses__() for below in _descendants(child))]


class TestHttpApi:
    """The table, under the plain names and under a namespace of the project."""

    @pytest.fixture(autouse=True, params=["plain", "namespaced"])
    def url(self, request, settings):
        if request.param == "plain":
            return reverse
        settings.ROOT_URLCONF = __name__
        spaces = {"jwt": "y", "totp-recovery": "z", "totp": "x"}
        return lambda name: reverse(
            next(f"{space}:{name}" for start, space in spaces.items() if name.startswith(start))
        )

    @pytest.mark.parametrize("name", ENDPOINTS)
    def test_paths(self, url, name):
        base = url("totp-status").removesuffix("totp/")
        assert url(name) == base + PATHS[name]

    @pytest.mark.parametrize("name", ENDPOINTS)
    def test_methods(self, url, sign_in, user, name):
        client = sign_in(user)
        others = {"get", "put", "patch", "delete"} if name not in GET else {"post", "put"}
        for method in others:
            assert_error(getattr(client, method)(url(name)), 405)

    def test_create(self, call, user):
        response = call("totp-create", user=user)
        assert response.status_code == 201
        body = response.json()
        assert set(body) == {"svg", "secret", "otpauth_uri"}
        assert body["svg"].startswith("<svg")
        assert body["svg"].endswith("</svg>")
        assert pyotp.parse_uri(body["otpauth_uri"]).secret == body["secret"]

    def test_create_replaces_a_pending_enrollment(self, call, pending_user, secret, otp):
        new = call("totp-create", user=pending_user).json()["secret"]
        assert new != secret
        old_code, new_code = otp(secret), otp(new)
        refused = call("totp-confirm", {"input_code": old_code}, user=pending_user)
        assert_error(refused, 400, BAD_OTP)
        accepted = call("totp-confirm", {"input_code": new_code}, user=pending_user)
        assert accepted.status_code == 200

    def test_create_does_not_touch_a_confirmed_enrollment(
        self, call, finish, enrolled_user, secret, otp
    ):
        assert_error(call("totp-create", user=enrolled_user), 400, EXISTS)
        assert finish(enrolled_user, otp_code=otp(secret)).status_code == 200

    def test_confirm(self, call, pending_user, secret, otp):
        response = call("totp-confirm", {"input_code": otp(secret)}, user=pending_user)
        assert response.status_code == 200
        assert set(response.json()) == {"backup_codes"}
        assert auth.is_totp_enabled(pending_user)

    def test_confirm_errors(self, call, make_user, pending_user, secret, otp):
        bob = make_user("bob")
        assert_error(call("totp-confirm", {"input_code": "123456"}, user=bob), 400, NO_SECRET)
        wrong = call("totp-confirm", {"input_code": wrong_code(secret)}, user=pending_user)
        assert_error(wrong, 400, BAD_OTP)
        right = {"input_code": otp(secret)}
        assert call("totp-confirm", right, user=pending_user).status_code == 200
        assert_error(call("totp-confirm", right, user=pending_user), 400, EXISTS)

    def test_disable(self, call, enrolled_user):
        response = call("totp-disable", user=enrolled_user)
        assert response.status_code == 204
        assert response.content == b""
        assert not auth.is_totp_enabled(enrolled_user)
        assert_error(call("totp-disable", user=enrolled_user), 400, NO_SECRET)

    def test_disable_removes_a_pending_enrollment(self, call, pending_user, secret, otp):
        assert call("totp-disable", user=pending_user).status_code == 204
        late = call("totp-confirm", {"input_code": otp(secret)}, user=pending_user)
        assert_error(late, 400, NO_SECRET)

    def test_rotate(self, call, finish, enrolled_user, backup_codes):
        response = call("totp-rotate-backup-codes", user=enrolled_user)
        assert response.status_code == 200
        assert set(response.json()) == {"backup_codes"}
        new = response.json()["backup_codes"]
        assert_error(finish(enrolled_user, backup_code=backup_codes[0]), 400, BAD_BACKUP)
        assert finish(enrolled_user, backup_code=new[0]).status_code == 200

    @pytest.mark.parametrize("state", ["user", "pending_user"])
    def test_rotate_without_an_enrollment(self, request, call, state):
        user = request.getfixturevalue(state)
        assert_error(call("totp-rotate-backup-codes", user=user), 400, NO_SECRET)

    def test_status(self, call, finish, user, otp, clock):
        nothing = {
            "is_totp_enabled": False,
            "is_pending": False,
            "created_at": None,
            "confirmed_at": None,
            "backup_codes_remaining": 0,
            "recovery_ready_at": None,
            "is_replacement_pending": False,
        }
        response = call("totp-status", user=user)
        assert (response.status_code, response.json()) == (200, nothing)
        created = datetime.now(UTC)
        secret = call("totp-create", user=user).json()["secret"]
        pending = call("totp-status", user=user).json()
        assert pending == nothing | {"is_pending": True, "created_at": pending["created_at"]}
        assert datetime.fromisoformat(pending["created_at"]) == created
        clock.shift(60)
        confirmed = datetime.now(UTC)
        codes = call("totp-confirm", {"input_code": otp(secret)}, user=user).json()["backup_codes"]
        finish(user, backup_code=codes[0])
        enabled = call("totp-status", user=user).json()
        assert datetime.fromisoformat(enabled.pop("created_at")) == created
        assert datetime.fromisoformat(enabled.pop("confirmed_at")) == confirmed
        assert enabled == {
            "is_totp_enabled": True,
            "is_pending": False,
            "backup_codes_remaining": 9,
            "recovery_ready_at": None,
            "is_replacement_pending": False,
        }

    def test_login_without_totp(self, call, user, password):
        response = call("jwt-create", {user.USERNAME_FIELD: user.get_username(), **pw(password)})
        assert response.status_code == 200
        body = response.json()
        assert set(body) == {"is_totp_enabled", "refresh", "access"}
        assert body["is_totp_enabled"] is False
        assert str(AccessToken(body["access"])["user_id"]) == str(user.pk)
        assert RefreshToken(body["refresh"])

    def test_login_with_a_pending_enrollment(self, call, pending_user, password):
        body = {pending_user.USERNAME_FIELD: pending_user.get_username(), **pw(password)}
        assert call("jwt-create", body).json()["is_totp_enabled"] is False

    def test_first_step(self, call, enrolled_user, password):
        body = {enrolled_user.USERNAME_FIELD: enrolled_user.get_username(), **pw(password)}
        response = call("jwt-create", body)
        assert response.status_code == 200
        assert set(response.json()) == {"is_totp_enabled", "totp_challenge_token"}
        assert response.json()["is_totp_enabled"] is True

    def test_bad_credentials_look_alike(self, call, make_user, enrolled_user, password):
        sleeper = make_user("eve", is_active=False)
        name = enrolled_user.USERNAME_FIELD
        attempts = [
            {name: enrolled_user.get_username(), "password": "wrong"},
            {name: "nobody@example.com", "password": password},
            {name: sleeper.get_username(), "password": password},
        ]
        answers = [call("jwt-create", attempt) for attempt in attempts]
        assert_error(answers[0], 401, BAD_CREDENTIALS)
        assert len({answer.content for answer in answers}) == 1
        assert len({str(sorted(answer.headers.items())) for answer in answers}) == 1

    @pytest.mark.parametrize("kind", ["otp_code", "backup_code"])
    def test_second_step(self, finish, enrolled_user, secret, otp, backup_codes, kind):
        code = {"otp_code": otp(secret), "backup_code": backup_codes[0]}[kind]
        response = finish(enrolled_user, **{kind: code})
        assert response.status_code == 200
        assert set(response.json()) == {"refresh", "access"}
        assert str(AccessToken(response.json()["access"])["user_id"]) == str(enrolled_user.pk)
        assert RefreshToken(response.json()["refresh"])

    @pytest.mark.parametrize(
        ("codes", "sentence"),
        [
            ({"otp_code": "123"}, BAD_OTP),
            ({"backup_code": "123"}, BAD_BACKUP),
            (
                {"otp_code": "1", "backup_code": "2"},
                "Provide only one of otp_code or backup_code, not both.",
            ),
            ({}, "Either otp_code or backup_code is required."),
        ],
    )
    def test_second_step_errors(self, finish, enrolled_user, codes, sentence):
        assert_error(finish(enrolled_user, **codes), 400, sentence)

    def test_second_step_with_a_forged_challenge(self, finish, enrolled_user, secret, otp):
        refused = finish(None, token="forged", otp_code=otp(secret))
        assert_error(refused, 400, BAD_CHALLENGE)

    def test_second_step_without_totp(self, finish, user):
        token = auth.generate_challenge_token(user)
        assert_error(finish(None, token=token, otp_code="123456"), 400, NOT_ENABLED)

    def test_refresh(self, call, user):
        response = call("jwt-refresh", {"refresh": str(RefreshToken.for_user(user))})
        assert response.status_code == 200
        assert set(response.json()) == {"access"}
        assert str(AccessToken(response.json()["access"])["user_id"]) == str(user.pk)

    def test_refresh_refuses(self, call, user):
        for token in ("junk", str(AccessToken.for_user(user))):
            assert_error(call("jwt-refresh", {"refresh": token}), 401)

    def test_verify(self, call, user):
        for token in (AccessToken.for_user(user), RefreshToken.for_user(user)):
            response = call("jwt-verify", {"token": str(token)})
            assert (response.status_code, response.json()) == (200, {})
        assert_error(call("jwt-verify", {"token": "junk"}), 401)


class TestPromisesOfTheHttpApi:
    @pytest.mark.parametrize("name", sorted(SIGNED_IN))
    def test_strangers_get_401(self, call, db, name):
        response = call(name, {})
        assert_error(response, 401)
        assert response["WWW-Authenticate"]

    @pytest.mark.parametrize("name", sorted(SIGNED_IN))
    def test_strangers_get_403_where_there_is_no_challenge(self, monkeypatch, call, db, name):
        monkeypatch.setattr(APIView, "authentication_classes", (SessionAuthentication,))
        assert_error(call(name, {}), 403)

    @pytest.mark.parametrize(
        ("name", "field"),
        [
            ("totp-confirm", "input_code"),
            ("jwt-create", "password"),
            ("jwt-totp-verify", "totp_challenge_token"),
            ("jwt-refresh", "refresh"),
            ("jwt-verify", "token"),
        ],
    )
    def test_field_errors_stay_keyed_beside_detail_and_code(self, call, user, name, field):
        body = assert_error(call(name, {}, user=user if name in SIGNED_IN else None), 400)
        assert body[field] == ["This field is required."]

    def test_the_wait(self, patient, clock, finish, enrolled_user, secret, otp):
        for _ in range(6):
            finish(enrolled_user, otp_code=wrong_code(secret))
        clock.shift(1)
        before = Totp.objects.values().get()
        refused = finish(enrolled_user, otp_code=otp(secret))
        body = assert_error(refused, 429)
        assert body["code"] == "too_many_attempts"
        assert refused["Retry-After"] == "29"
        assert "29 seconds" in body["detail"]
        assert Totp.objects.values().get() == before  # neither evaluated nor counted
        clock.shift(29)
        assert finish(enrolled_user, otp_code=otp(secret)).status_code == 200

    def test_the_throttle(self, settings, call, user):
        settings.TOTP_THROTTLE_RATE = "1/minute"
        call("totp-status", user=user)
        response = call("totp-status", user=user)
        assert assert_error(response, 429)["code"] == "throttled"
        assert 0 < int(response["Retry-After"]) <= 60

    def test_a_backup_code_ends_the_wait(
        self, patient, finish, enrolled_user, secret, otp, backup_codes
    ):
        for _ in range(6):
            finish(enrolled_user, otp_code=wrong_code(secret))
        assert finish(enrolled_user, otp_code=otp(secret)).status_code == 429
        assert finish(enrolled_user, backup_code=backup_codes[0]).status_code == 200
        assert finish(enrolled_user, otp_code=otp(secret)).status_code == 200

    def test_the_shape_of_generated_codes(self):
        codes = [code for _ in range(20) for code in backup_code_utils.generate_backup_codes()]
        symbols = set("".join(codes)) - {"-"}
        assert len(set(codes)) == 200
        assert {tuple(map(len, code.split("-"))) for code in codes} == {(4, 4, 4, 4)}
        assert len(symbols) == 32  # 16 symbols of 5 bits: 80
        for look_alikes in ("0o", "1il", "uv"):
            assert len(symbols & set(look_alikes)) <= 1
        assert symbols == {symbol.lower() for symbol in symbols}

    def test_wrong_replayed_and_malformed_codes_look_alike(
        self, patient, finish, enrolled_user, secret, otp
    ):
        assert finish(enrolled_user, otp_code=otp(secret)).status_code == 200
        codes = [wrong_code(secret), otp(secret), "12345", "no code", "١٢٣٤٥٦"]
        answers = [finish(enrolled_user, otp_code=code) for code in codes]
        assert_error(answers[0], 400, BAD_OTP)
        assert len({answer.content for answer in answers}) == 1
        assert len({str(sorted(answer.headers.items())) for answer in answers}) == 1

    @pytest.mark.parametrize("digits", ["０１２３４５６７８９", "٠١٢٣٤٥٦٧٨٩", "𝟎𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖𝟗"])
    def test_a_right_code_in_other_digits_is_wrong(
        self, finish, enrolled_user, secret, otp, digits
    ):
        """Else each spelling of a code could be spent once."""
        spelling = otp(secret).translate(str.maketrans("0123456789", digits))
        assert_error(finish(enrolled_user, otp_code=spelling), 400, BAD_OTP)

    def test_wrong_replayed_and_malformed_backup_codes_look_alike(
        self, patient, finish, enrolled_user, backup_codes
    ):
        assert finish(enrolled_user, backup_code=backup_codes[0]).status_code == 200
        codes = ["abcd-efgh-jkmn-pqrs", backup_codes[0], "ä", "-", "a" * 200]
        answers = [finish(enrolled_user, backup_code=code) for code in codes]
        assert_error(answers[0], 400, BAD_BACKUP)
        assert len({answer.content for answer in answers}) == 1

    def test_an_enrollment_that_no_key_can_read(
        self, settings, patient, caplog, call, finish, enrolled_user, secret, otp, backup_codes
    ):
        settings.TOTP_ENCRYPTION_KEY = Fernet.generate_key()
        row = Totp.objects.get()
        for _ in range(7):
            assert_error(finish(enrolled_user, otp_code=otp(secret)), 400, BAD_OTP)
            assert_error(finish(enrolled_user, backup_code=backup_codes[0]), 400, BAD_BACKUP)
        row.refresh_from_db()
        assert row.failures == 0
        errors = [r for r in caplog.records if r.levelname == "ERROR" and r.name == "django_totp"]
        assert errors
        assert all(str(row.pk) in record.getMessage() for record in errors)
        assert call("totp-status", user=enrolled_user).json()["is_totp_enabled"] is True
        assert call("totp-disable", user=enrolled_user).status_code == 204

    @pytest.mark.parametrize("characters", [" leading and trailing ", "é" * 4096, "\t", "x" * 4096])
    def test_passwords_are_taken_verbatim(self, call, make_user, password, characters):
        user = make_user("bob")
        user.set_password(characters)
        user.save()
        name = {user.USERNAME_FIELD: user.get_username()}
        assert call("jwt-create", name | pw(characters)).status_code == 200
        for other in (characters.strip(), characters + " ", " " + characters):
            if other != characters:
                assert call("jwt-create", name | pw(other)).status_code in (400, 401)

    def test_user_names_may_be_as_long_as_the_model_allows(self, call, make_user, password):
        user = make_user("bob")
        length = user._meta.get_field(user.USERNAME_FIELD).max_length
        setattr(user, user.USERNAME_FIELD, "a" * (length - 12) + "@example.com")
        user.save()
        body = {user.USERNAME_FIELD: user.get_username(), **pw(password)}
        assert call("jwt-create", body).status_code == 200
        too_long = body | {user.USERNAME_FIELD: "a" + user.get_username()}
        assert call("jwt-create", too_long).status_code in (400, 401)

    @pytest.mark.parametrize("name", sorted({*ENDPOINTS} - GET))
    @pytest.mark.parametrize(
        "body",
        ["[]", "[{}]", '"text"', "7", "null", "true", "{", "\ufeff{}", "NaN", "[" * 50_000],
        ids=lambda body: body[:9],
    )
    def test_bodies_that_are_not_objects(self, hostile, name, body):
        response = hostile(name, body)
        assert_error(response, 400)

    @pytest.mark.parametrize("body", ["[]", "null", "{", "text"])
    def test_create_reads_no_body_unless_it_asks_for_a_password(self, url, sign_in, user, body):
        response = sign_in(user).post(url("totp-create"), body, content_type="application/json")
        assert response.status_code == 201

    @pytest.mark.parametrize(("name", "field"), [(n, f) for n, fs in FIELDS.items() for f in fs])
    @pytest.mark.parametrize(
        "value",
        [
            "null",
            "true",
            "[]",
            "{}",
            "123456",
            "9" * 5000,
            "-1e999",
            '"nul\\u0000"',
            '"\\ud800"',
            '"١٢٣٤٥٦"',
            '"' + "1" * 60_000 + '"',
            '"' + "1" * 1_000_000 + '"',
            "[" * 900 + "]" * 900,
            '{"a":' * 90 + "1" + "}" * 90,
        ],
        ids=lambda value: value[:9],
    )
    def test_values_that_are_not_strings_or_absurd(self, hostile, user, name, field, value):
        field = field or user.USERNAME_FIELD
        others = {other or user.USERNAME_FIELD: "x" for other in FIELDS[name]}
        others.pop(field)
        if name != "jwt-create":
            others = {other: text for other, text in others.items() if "challenge" in other}
        fields = [f"{json.dumps(other)}: {json.dumps(text)}" for other, text in others.items()]
        response = hostile(name, "{" + ", ".join([*fields, f'"{field}": {value}']) + "}")
        assert_error(response, response.status_code)
        assert response.status_code in range(400, 500)

    @pytest.fixture
    def hostile(self, settings, patient, url, sign_in, enrolled_user):
        """Return a function that posts a text as JSON where its values matter."""
        settings.TOTP_REAUTHENTICATE = True

        def hostile(name, body):
            if name in {"totp-create", "totp-confirm"}:
                totp.disable_totp(enrolled_user)
                totp.create_totp_setup(enrolled_user)
            client = sign_in(enrolled_user) if name in SIGNED_IN else APIClient()
            return client.post(url(name), body.encode(), content_type="application/json")

        return hostile

    @pytest.mark.parametrize("spelling", ["{0} {1}", "{0}-{1}", " {0}{1} "])
    def test_spaces_and_dashes_in_a_totp_code(self, finish, enrolled_user, secret, otp, spelling):
        code = otp(secret)
        typed = spelling.format(code[:3], code[3:])
        assert finish(enrolled_user, otp_code=typed).status_code == 200

    def test_spelling_of_a_backup_code(self, finish, enrolled_user, backup_codes):
        spellings = [
            backup_codes[0].upper(),
            backup_codes[1].replace("-", ""),
            f" {backup_codes[2].replace('-', ' ')} ",
        ]
        for typed in spellings:
            assert finish(enrolled_user, backup_code=typed).status_code == 200

    def test_no_answer_with_a_secret_is_kept(self, call, finish, challenge, user, otp, clock):
        created = call("totp-create", user=user)
        secret = created.json()["secret"]
        confirmed = call("totp-confirm", {"input_code": otp(secret)}, user=user)
        rotated = call("totp-rotate-backup-codes", user=user)
        clock.shift(30)
        logged_in = finish(user, otp_code=otp(secret))
        refreshed = call("jwt-refresh", {"refresh": logged_in.json()["refresh"]})
        for response in (created, confirmed, rotated, logged_in, refreshed):
            assert response.status_code in (200, 201)
            assert "no-store" in response["Cache-Control"]

    @pytest.mark.parametrize("name", ["totp-disable", "totp-rotate-backup-codes"])
    class TestReauthentication:
        @pytest.fixture(autouse=True)
        def _on(self, settings):
            settings.TOTP_REAUTHENTICATE = True

        @pytest.fixture
        def act(self, url, sign_in, clock):
            """Return a function that calls with a login whose second factor is not recent."""

            def act(name, body, *, user):
                hour_ago = timezone.now() - timedelta(hours=1)
                Totp.objects.filter(confirmed_at__isnull=False).update(confirmed_at=hour_ago)
                client = sign_in(user, "pwd", "otp", age=300)
                return client.post(url(name), body, format="json")

            return act

        @pytest.mark.parametrize("kind", ["otp_code", "backup_code", "password"])
        def test_a_fresh_proof(
            self, act, enrolled_user, secret, otp, backup_codes, password, name, kind
        ):
            proofs = {
                "otp_code": otp(secret),
                "backup_code": backup_codes[0],
                "password": password,
            }
            response = act(name, {kind: proofs[kind]}, user=enrolled_user)
            assert response.status_code in (200, 204)

        @pytest.mark.parametrize(
            "body", [{}, {"otp_code": "0"}, {"backup_code": "0"}, {"password": "wrong"}]
        )
        def test_no_proof(self, act, enrolled_user, name, body):
            refused = assert_error(act(name, body, user=enrolled_user), 403)
            assert refused["code"] == "reauthentication_required"
            assert auth.is_totp_enabled(enrolled_user)

        def test_a_recent_second_factor(self, url, finish, enrolled_user, secret, otp, name):
            access = finish(enrolled_user, otp_code=otp(secret)).json()["access"]
            client = APIClient(HTTP_AUTHORIZATION=f"Bearer {access}")
            assert client.post(url(name)).status_code in (200, 204)


class TestSecurityPromises:
    def test_1_a_code_is_accepted_once(
        self, patient, finish, challenge, enrolled_user, secret, otp
    ):
        tokens = [challenge(enrolled_user) for _ in range(3)]
        assert finish(None, token=tokens[0], otp_code=otp(secret)).status_code == 200
        assert finish(enrolled_user, otp_code=otp(secret)).status_code == 400
        assert totp.verify_totp_code(enrolled_user, otp(secret)) is False

    def test_1_a_code_kills_those_before_it(self, patient, finish, enrolled_user, secret, otp):
        assert finish(enrolled_user, otp_code=otp(secret, offset=1)).status_code == 200
        for offset in (-1, 0, 1):
            refused = finish(enrolled_user, otp_code=otp(secret, offset=offset))
            assert_error(refused, 400, BAD_OTP)

    def test_1_the_code_that_confirmed_does_not_log_in(
        self, call, finish, pending_user, secret, otp
    ):
        call("totp-confirm", {"input_code": otp(secret)}, user=pending_user)
        assert_error(finish(pending_user, otp_code=otp(secret)), 400, BAD_OTP)

    def test_1_a_backup_code_is_accepted_once(self, finish, enrolled_user, backup_codes):
        assert finish(enrolled_user, backup_code=backup_codes[0]).status_code == 200
        assert_error(finish(enrolled_user, backup_code=backup_codes[0]), 400, BAD_BACKUP)

    def test_1_codes_of_other_accounts_are_refused(
        self, patient, finish, make_user, enrolled_user, secret, otp, backup_codes
    ):
        mallory = make_user("mallory")
        Totp.objects.create(
            user=mallory, secret_key=encryption.encrypt(totp.generate_totp_secret())
        )
        backup_code_utils.store_backup_codes(mallory, ["her-own-code-0001"])
        assert_error(finish(mallory, backup_code=backup_codes[0]), 400, BAD_BACKUP)
        assert_error(finish(mallory, otp_code=otp(secret)), 400, BAD_OTP)
        assert finish(enrolled_user, backup_code=backup_codes[0]).status_code == 200

    def test_2_guesses_are_counted_whatever_the_path_address_and_token(
        self, settings, call, finish, enrolled_user, secret, otp
    ):
        settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
        settings.TOTP_REAUTHENTICATE = True
        for number in range(2):
            wrong = wrong_code(secret)
            finish(enrolled_user, otp_code=wrong)
            call("totp-disable", {"otp_code": wrong}, user=enrolled_user)
            token = auth.generate_challenge_token(enrolled_user)
            body = {"totp_challenge_token": token, "otp_code": wrong}
            call("jwt-totp-verify", body, REMOTE_ADDR=f"192.0.2.{number}")
        assert finish(enrolled_user, otp_code=otp(secret)).status_code == 429
        proof = {"otp_code": otp(secret)}
        assert call("totp-disable", proof, user=enrolled_user).status_code == 429

    def test_2_guesses_at_backup_codes_are_counted(
        self, patient, finish, enrolled_user, secret, otp
    ):
        for _ in range(6):
            assert_error(finish(enrolled_user, backup_code="abcd-abcd"), 400, BAD_BACKUP)
        assert finish(enrolled_user, otp_code=otp(secret)).status_code == 429

    def test_2_guesses_at_confirmation_are_counted(self, patient, call, pending_user, secret, otp):
        for _ in range(6):
            guess = {"input_code": wrong_code(secret)}
            assert_error(call("totp-confirm", guess, user=pending_user), 400, BAD_OTP)
        right = {"input_code": otp(secret)}
        assert_error(call("totp-confirm", right, user=pending_user), 429)

    def test_2_success_on_one_account_leaves_the_count_of_another(
        self, patient, clock, call, finish, make_user, enrolled_user, secret, otp
    ):
        mallory = make_user("mallory")
        own = call("totp-create", user=mallory).json()["secret"]
        call("totp-confirm", {"input_code": otp(own)}, user=mallory)
        clock.shift(30)
        for _ in range(5):
            finish(enrolled_user, otp_code=wrong_code(secret))
        assert finish(mallory, otp_code=otp(own)).status_code == 200
        finish(enrolled_user, otp_code=wrong_code(secret))
        assert finish(enrolled_user, otp_code=otp(secret)).status_code == 429

    @pytest.mark.parametrize("second", ["otp_code", "backup_code"])
    def test_3_a_challenge_token_works_for_one_login(
        self, clock, finish, challenge, enrolled_user, secret, otp, backup_codes, second
    ):
        token = challenge(enrolled_user)
        assert finish(None, token=token, backup_code=backup_codes[0]).status_code == 200
        code = {"otp_code": otp(secret), "backup_code": backup_codes[1]}[second]
        assert_error(finish(None, token=token, **{second: code}), 400, BAD_CHALLENGE)
        assert finish(enrolled_user, **{second: code}).status_code == 200  # nothing was used up

    def test_3_a_typing_error_does_not_burn_the_challenge_token(
        self, finish, challenge, enrolled_user, secret, otp
    ):
        token = challenge(enrolled_user)
        assert_error(finish(None, token=token, otp_code=wrong_code(secret)), 400, BAD_OTP)
        assert_error(finish(None, token=token, backup_code="wrong"), 400, BAD_BACKUP)
        assert finish(None, token=token, otp_code=otp(secret)).status_code == 200

    @pytest.mark.parametrize("change", ["password", "inactive", "deleted", "re-enrolled"])
    def test_3_a_change_of_the_account_ends_the_challenge(
        self, clock, call, finish, challenge, enrolled_user, secret, otp, change
    ):
        token = challenge(enrolled_user)
        codes = {"otp_code": otp(secret)}
        if change == "password":
            enrolled_user.set_password("another")
            enrolled_user.save()
        elif change == "inactive":
            enrolled_user.is_active = False
            enrolled_user.save()
        elif change == "deleted":
            enrolled_user.delete()
        else:
            totp.disable_totp(enrolled_user)
            assert_error(finish(None, token=token, **codes), 400, NOT_ENABLED)
            new = call("totp-create", user=enrolled_user).json()["secret"]
            call("totp-confirm", {"input_code": otp(new)}, user=enrolled_user)
            clock.shift(30)
            codes = {"otp_code": otp(new)}
        assert_error(finish(None, token=token, **codes), 400, BAD_CHALLENGE)
        with pytest.raises(BadSignature):
            auth.verify_challenge_token(token)

    def test_3_a_challenge_is_no_access_token(self, url, call, challenge, enrolled_user):
        token = challenge(enrolled_user)
        client = APIClient(HTTP_AUTHORIZATION=f"Bearer {token}")
        for name in SIGNED_IN:
            method = client.get if name in GET else client.post
            assert method(url(name)).status_code == 401
        assert call("jwt-verify", {"token": token}).status_code == 401
        assert call("jwt-refresh", {"refresh": token}).status_code == 401

    @pytest.mark.parametrize("kind", [AccessToken, RefreshToken])
    def test_3_a_json_web_token_is_no_challenge(self, finish, enrolled_user, secret, otp, kind):
        token = str(kind.for_user(enrolled_user))
        assert_error(finish(None, token=token, otp_code=otp(secret)), 400, BAD_CHALLENGE)

    def test_4_nothing_is_stored_in_the_clear(self, enrolled_user, secret, backup_codes):
        rows = [*Totp.objects.values(), *BackupCode.objects.values()]
        for plain in (secret, *backup_codes, *(code.replace("-", "") for code in backup_codes)):
            assert plain.lower() not in str(rows).lower()

    def test_5_keys_rotate_without_downtime(
        self, settings, finish, enrolled_user, secret, otp, backup_codes
    ):
        old_key, new_key = settings.TOTP_ENCRYPTION_KEY, Fernet.generate_key()
        settings.TOTP_ENCRYPTION_KEY = new_key
        settings.TOTP_ENCRYPTION_KEY_FALLBACKS = [old_key]
        assert finish(enrolled_user, otp_code=otp(secret, offset=-1)).status_code == 200
        assert finish(enrolled_user, backup_code=backup_codes[0]).status_code == 200
        call_command("totp_reencrypt", verbosity=0)
        settings.TOTP_ENCRYPTION_KEY_FALLBACKS = []
        assert finish(enrolled_user, otp_code=otp(secret)).status_code == 200
        assert finish(enrolled_user, backup_code=backup_codes[1]).status_code == 200
        assert_error(finish(enrolled_user, backup_code=backup_codes[0]), 400, BAD_BACKUP)
