"""Rows as processes of django-totp 1.1.x write them, and dumps: what was on there is on here."""

import io
import json
import logging
from datetime import timedelta

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command
from django.db import connection
from django.urls import reverse

from django_totp import adoption, auth, backup_code_utils
from django_totp.backup_code_utils import rotate_backup_codes, verify_backup_code
from django_totp.encryption import decrypt, encrypt
from django_totp.exceptions import TotpAlreadyExists, TotpNotEnrolled
from django_totp.models import BackupCode, Totp
from django_totp.totp import confirm_totp_setup, create_totp_setup, disable_totp, verify_totp_code
from tests.rivals import act_after_reading

from .endpoints import BAD_BACKUP, assert_error

pytestmark = pytest.mark.django_db

OLD_CODE = "abcdef1234567890"  # as 1.1.x makes them


@pytest.fixture
def old_codes(pending_user):
    """Make the enrollment one of 1.1.x, and return its backup codes."""
    totp = Totp.objects.get()
    codes = [OLD_CODE, "0123456789abcdef"]
    BackupCode.objects.bulk_create(BackupCode(totp=totp, code=encrypt(code)) for code in codes)
    return codes


def row():
    return Totp.objects.get()


def digests():
    return [digest for (digest,) in BackupCode.objects.values_list("digest")]


def test_the_password_alone_does_not_log_in(login, user, old_codes, secret, otp):
    first = login(user).json()
    assert first["is_totp_enabled"] is True
    assert "access" not in first
    assert row().is_enabled
    assert None not in digests()
    assert login(user, otp_code=otp(secret)).status_code == 200
    assert login(user, backup_code=old_codes[0]).status_code == 200
    assert_error(login(user, backup_code=old_codes[0]), 400, BAD_BACKUP)


@pytest.mark.parametrize(
    "read",
    [
        auth.is_totp_enabled,
        auth.generate_challenge_token,
        lambda user: verify_totp_code(user, "wrong"),
        lambda user: verify_backup_code(user, "wrong"),
        rotate_backup_codes,
    ],
)
def test_any_read_adopts(user, old_codes, read):
    assert read(user) is not None
    assert row().confirmed_at == row().created_at
    assert None not in digests()
    assert auth.is_totp_enabled(user)


def test_what_is_on_is_neither_replaced_nor_confirmed_again(user, old_codes, secret, otp):
    with pytest.raises(TotpAlreadyExists):
        create_totp_setup(user)
    with pytest.raises(TotpAlreadyExists):
        confirm_totp_setup(user, otp(secret))


def test_an_enrollment_that_is_older_than_any_setup_is_on(user, old_codes, settings):
    settings.TOTP_SETUP_MAX_AGE = 0
    assert auth.is_totp_enabled(user)


def test_the_status_tells_it(user, old_codes, signed_in):
    status = signed_in.get(reverse("totp-status")).json()
    assert (status["is_totp_enabled"], status["backup_codes_remaining"]) == (True, 2)


def test_it_can_be_removed(user, old_codes):
    disable_totp(user)
    assert not Totp.objects.exists()
    assert not BackupCode.objects.exists()


def test_a_proof_is_needed(user, old_codes, signed_in, settings):
    settings.TOTP_REAUTHENTICATE = True
    assert_error(signed_in.post(reverse("totp-disable")), 403)
    assert_error(signed_in.post(reverse("totp-rotate-backup-codes")), 403)
    proof = {"backup_code": old_codes[0]}
    assert signed_in.post(reverse("totp-disable"), proof).status_code == 204


def test_a_row_that_somebody_moves_meanwhile_is_on_as_well(user, old_codes, monkeypatch):
    act_after_reading(monkeypatch, lambda: Totp.objects.update(version=7))
    assert auth.is_totp_enabled(user)
    assert auth.is_totp_enabled(user)
    assert row().is_enabled


def test_codes_of_an_old_process_on_a_confirmed_enrollment_are_found(enrolled_user, login):
    """It has rotated them, while others run 2.0 already."""
    BackupCode.objects.all().delete()
    BackupCode.objects.create(totp=row(), code=encrypt(OLD_CODE))
    assert login(enrolled_user, backup_code="wrong").status_code == 400
    assert login(enrolled_user, backup_code=OLD_CODE.upper()).status_code == 200
    assert login(enrolled_user, backup_code=OLD_CODE).status_code == 400
    assert None not in digests()


def test_the_same_code_twice_works_once(enrolled_user):
    BackupCode.objects.all().delete()
    for _ in range(2):
        BackupCode.objects.create(totp=row(), code=encrypt(OLD_CODE))
    assert verify_backup_code(enrolled_user, OLD_CODE)
    assert not verify_backup_code(enrolled_user, OLD_CODE)


STRANGE = Fernet(Fernet.generate_key()).encrypt(OLD_CODE.encode()).decode()


def test_a_code_that_gets_its_digest_from_somebody_else_after_it_was_looked_for_works(
    enrolled_user, monkeypatch
):
    totp = row()
    BackupCode.objects.filter(totp=totp).delete()
    BackupCode.objects.create(totp=totp, code=encrypt(OLD_CODE))

    def meanwhile_found(totp, code, look=backup_code_utils._spend):
        found = look(totp, code)
        adoption.give_digests(totp)
        return found

    monkeypatch.setattr(backup_code_utils, "_spend", meanwhile_found)
    assert verify_backup_code(enrolled_user, OLD_CODE)
    assert row().failures == 0


@pytest.mark.parametrize("token", ["no token", STRANGE], ids=["broken", "of another key"])
def test_a_code_that_no_key_reads_is_no_code(enrolled_user, backup_codes, token):
    BackupCode.objects.create(totp=row(), code=token)
    assert not verify_backup_code(enrolled_user, OLD_CODE)
    assert verify_backup_code(enrolled_user, backup_codes[0])
    assert digests().count(None) == 1


def test_a_setup_without_codes_stays_pending(pending_user, login):
    assert login(pending_user).json()["is_totp_enabled"] is False
    assert not row().is_enabled
    with pytest.raises(TotpNotEnrolled):
        rotate_backup_codes(pending_user)


def test_a_dump_of_1_1_is_loaded(user, secret, otp, login, tmp_path):
    moment = "2025-01-01T00:00:00Z"
    pk = user._meta.pk.value_to_string(user)
    enrollment = {"user": pk, "secret_key": encrypt(secret), "created_at": moment}
    code = {"totp": 7, "code": encrypt(OLD_CODE), "is_used": False, "created_at": moment}
    dump = tmp_path / "dump.json"
    dump.write_text(
        json.dumps(
            [
                {"model": "django_totp.totp", "pk": 7, "fields": enrollment},
                {"model": "django_totp.backupcode", "pk": 7, "fields": code},
            ]
        )
    )
    call_command("loaddata", dump, verbosity=0)
    assert login(user, otp_code=otp(secret)).status_code == 200
    assert login(user, backup_code=OLD_CODE).status_code == 200


def test_a_dump_of_2_0_is_loaded(enrolled_user, settings, secret, otp, tmp_path):
    settings.TOTP_FAILURE_LIMIT = 0
    verify_totp_code(enrolled_user, "wrong")
    before = row()
    dump = tmp_path / "dump.json"
    with dump.open("w") as out:
        call_command("dumpdata", "django_totp", stdout=out)
    Totp.objects.all().delete()
    call_command("loaddata", dump, verbosity=0)
    after = row()
    assert abs(after.waiting_until - before.waiting_until) < timedelta(milliseconds=1)  # JSON
    assert after.failures == 1
    assert call_command("dumpdata", "django_totp", format="xml", stdout=io.StringIO()) is None


def test_an_old_process_inserts_rows_into_the_new_table(user, secret, otp, login):
    """As Django writes them from the models of 1.1: without the columns that it does not know."""
    pk = user._meta.pk.get_db_prep_save(user.pk, connection)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO django_totp_totp (user_id, secret_key, created_at) "
            "VALUES (%s, %s, CURRENT_TIMESTAMP)",
            [pk, encrypt(secret)],
        )
        totp_id = Totp.objects.values_list("pk", flat=True).get()
        cursor.execute(
            "INSERT INTO django_totp_backupcode (totp_id, code, is_used, created_at) "
            "VALUES (%s, %s, %s, CURRENT_TIMESTAMP)",
            [totp_id, encrypt(OLD_CODE), False],
        )
    assert login(user).json()["is_totp_enabled"] is True
    assert login(user, otp_code=otp(secret)).status_code == 200
    assert login(user, backup_code=OLD_CODE).status_code == 200


def test_adoption_is_no_news(user, old_codes, caplog):
    caplog.set_level(logging.INFO, "django_totp")
    auth.is_totp_enabled(user)
    assert caplog.records == []


@pytest.mark.parametrize("name", ["totp-disable", "totp-create"])
def test_a_process_of_1_1_confirms_at_the_worst_moment(
    pending_user, secret, sign_in, monkeypatch, name
):
    """It moves no version, and yet what it has switched on is neither removed nor replaced."""
    signed_in = sign_in(pending_user, "pwd")  # which is no proof beside an enrollment
    totp = row()
    confirm = lambda: BackupCode.objects.create(totp=totp, code=encrypt(OLD_CODE))  # noqa: E731
    monkeypatch.setattr(adoption, "_has_codes", at_first(False, confirm, adoption._has_codes))
    assert signed_in.post(reverse(name)).status_code in (400, 403)
    assert row().is_enabled
    assert decrypt(row().secret_key) == secret
    assert BackupCode.objects.count() == 1


def at_first(answer, then, otherwise):
    """Return what gives ``answer`` once, after which ``then`` has come, and then does as before."""
    calls = []

    def has_codes(totp):
        calls.append(totp)
        if len(calls) > 1:
            return otherwise(totp)
        totp.has_codes = answer
        then()
        return answer

    return has_codes
