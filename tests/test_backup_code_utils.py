"""One-time backup codes: generate, store, verify, rotate."""

import base64
import logging
import re
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_totp import spelling
from django_totp.backup_code_utils import (
    ALPHABET,
    generate_backup_codes,
    rotate_backup_codes,
    store_backup_codes,
    verify_backup_code,
)
from django_totp.encryption import decrypt
from django_totp.exceptions import TooManyAttempts, TotpNotEnrolled
from django_totp.models import BackupCode, Totp
from django_totp.totp import confirm_totp_setup, disable_totp, verify_totp_code

from .receivers import heard
from .rivals import act_after_reading

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
WRONG = "0000-0000-0000-0000"


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.INFO, "django_totp")
    return caplog


@pytest.fixture
def waiting_user(enrolled_user, time_machine):
    """Return the enrolled user, whose TOTP codes wait for a minute."""
    time_machine.move_to(NOON, tick=False)
    Totp.objects.update(failures=7, waiting_until=NOON + timedelta(seconds=60))
    return enrolled_user


@pytest.fixture
def sent():
    with heard() as calls:
        yield calls


def totp():
    return Totp.objects.get()


def stored_codes():
    return sorted(decrypt(code.code) for code in BackupCode.objects.all())


# --- Generate ---


def test_a_code_is_four_groups_of_crockfords_symbols():
    group = f"[{ALPHABET}]{{4}}"
    for code in generate_backup_codes():
        assert re.fullmatch(f"{group}-{group}-{group}-{group}", code)


def test_the_alphabet_has_five_bits_a_symbol_and_no_look_alikes():
    assert len(set(ALPHABET)) == len(ALPHABET) == 32
    assert not set("ilou") & set(ALPHABET)


def test_a_code_has_80_bits(settings):
    """All 32 symbols occur at all 16 places: 16 times 5 bits."""
    settings.TOTP_MAX_BACKUP_CODES = 1000
    codes = [code.replace("-", "") for code in generate_backup_codes()]
    assert len(set(codes)) == 1000
    assert all(set(symbols) == set(ALPHABET) for symbols in zip(*codes, strict=True))


@pytest.mark.parametrize("number", [0, 1, 25])
def test_the_number_of_codes_is_a_setting(settings, number):
    settings.TOTP_MAX_BACKUP_CODES = number
    assert len(generate_backup_codes()) == number


# --- Spelling ---

GAPS = " \t\r\n-\u00a0\u200b\u2009\u2011\u2013\u2212\ufeff\u2060\ufe0f"  # what a phone pastes


@given(code=st.text(ALPHABET, min_size=1, max_size=20), data=st.data())
def test_all_spellings_of_a_code_are_one(code, data):
    gaps = st.text(GAPS, max_size=2)
    look_alikes = {"0": "0oO", "1": "1iIlL"}
    typed = "".join(
        data.draw(st.sampled_from(look_alikes.get(symbol, symbol + symbol.upper())))
        + data.draw(gaps)
        for symbol in code
    )
    assert spelling.backup_code(data.draw(gaps) + typed) == spelling.backup_code(code) == code


@given(st.one_of(st.text(), st.text(st.characters(max_codepoint=127))))
def test_a_code_is_printable_ascii(text):
    kept = spelling.bare(text)
    is_code = kept.isascii() and kept.isprintable() and kept != ""
    assert (spelling.backup_code(text) is not None) == is_code


@pytest.mark.parametrize(
    "value",
    ["", " - ", "abcd\0", "ａｂｃｄ", "straße", "\ud800", None, True, 1234, b"abcd", ["abcd"]],
    ids=repr,
)
def test_anything_else_is_no_code(value):
    assert spelling.backup_code(value) is None


# --- Store ---


def test_codes_are_stored_and_returned_as_they_are(enrolled_user):
    codes = ["first-code", "Second Code", "3!"]
    assert store_backup_codes(enrolled_user, codes) == codes
    assert stored_codes() == sorted(codes)
    assert all(verify_backup_code(enrolled_user, code) for code in codes)


def test_stored_codes_replace_the_old_ones(enrolled_user, backup_codes):
    store_backup_codes(enrolled_user, ["new-code"])
    assert not verify_backup_code(enrolled_user, backup_codes[0])
    assert verify_backup_code(enrolled_user, "new-code")


def test_storing_codes_confirms_a_pending_enrollment(pending_user, time_machine):
    time_machine.move_to(NOON, tick=False)
    store_backup_codes(pending_user, ["code"])
    assert totp().confirmed_at == NOON


def test_storing_codes_leaves_the_time_of_confirmation(enrolled_user):
    confirmed_at = totp().confirmed_at
    store_backup_codes(enrolled_user, ["code"])
    assert totp().confirmed_at == confirmed_at


def test_an_empty_set_of_codes_confirms_too(pending_user):
    assert store_backup_codes(pending_user, []) == []
    assert totp().is_enabled
    assert not BackupCode.objects.exists()


def test_two_spellings_of_one_code_are_stored_once(enrolled_user):
    codes = ["abcd-0001", "ABCD OOOL", "other"]
    assert store_backup_codes(enrolled_user, codes) == codes
    assert BackupCode.objects.count() == 2
    assert verify_backup_code(enrolled_user, codes[0])
    assert not verify_backup_code(enrolled_user, codes[1])


@pytest.mark.parametrize("bad", ["", "  ", "schlüssel", "１２３４", "tab\0"])
def test_a_code_that_cannot_be_typed_is_refused_and_nothing_is_changed(
    enrolled_user, backup_codes, bad
):
    before = Totp.objects.values().get()
    with pytest.raises(ValueError, match="ASCII"):
        store_backup_codes(enrolled_user, ["good", bad])
    assert Totp.objects.values().get() == before
    assert stored_codes() == sorted(backup_codes)


def test_without_an_enrollment_nothing_is_stored(user):
    with pytest.raises(TotpNotEnrolled):
        store_backup_codes(user, ["code"])


def test_of_two_sets_at_once_the_last_one_stands(enrolled_user, monkeypatch):
    act_after_reading(monkeypatch, partial(store_backup_codes, enrolled_user, ["first"]))
    store_backup_codes(enrolled_user, ["last"])
    assert stored_codes() == ["last"]


# --- Verify ---


def test_a_code_is_accepted_once(enrolled_user, backup_codes):
    assert verify_backup_code(enrolled_user, backup_codes[0]) is True
    assert verify_backup_code(enrolled_user, backup_codes[0]) is False
    assert BackupCode.objects.filter(is_used=True).count() == 1


def test_each_code_is_accepted(enrolled_user, backup_codes):
    assert all(verify_backup_code(enrolled_user, code) for code in backup_codes)


@pytest.mark.parametrize(
    "respell", [str.upper, lambda code: code.replace("-", ""), lambda code: f" {code} ".title()]
)
def test_spelling_buys_no_second_use(enrolled_user, backup_codes, respell):
    assert verify_backup_code(enrolled_user, respell(backup_codes[0]))
    assert not verify_backup_code(enrolled_user, backup_codes[0])


@pytest.mark.parametrize("code", [WRONG, "", "schlüssel", "\0", None, 12345678, "0" * 100_000])
def test_a_wrong_code_is_refused_and_counted(enrolled_user, code):
    assert verify_backup_code(enrolled_user, code) is False
    assert totp().failures == 1


def test_a_used_code_is_counted(enrolled_user, backup_codes):
    verify_backup_code(enrolled_user, backup_codes[0])
    verify_backup_code(enrolled_user, backup_codes[0])
    assert totp().failures == 1


def test_a_code_of_somebody_else_is_refused_and_stays_good(enrolled_user, backup_codes, make_user):
    other = make_user("grace")
    Totp.objects.create(user=other, secret_key="secret")
    store_backup_codes(other, ["code"])
    assert not verify_backup_code(enrolled_user, "code")
    assert verify_backup_code(other, "code")


def test_a_code_is_accepted_during_the_wait_and_ends_it(waiting_user, backup_codes, secret, otp):
    with pytest.raises(TooManyAttempts):
        verify_totp_code(waiting_user, otp(secret))
    assert verify_backup_code(waiting_user, backup_codes[0])
    assert (totp().failures, totp().waiting_until) == (0, None)
    assert verify_totp_code(waiting_user, otp(secret))


def test_a_wrong_code_during_the_wait_is_refused_and_not_counted(waiting_user):
    assert not verify_backup_code(waiting_user, WRONG)
    assert totp().failures == 7


def test_wrong_codes_make_totp_codes_wait(enrolled_user, secret, otp):
    for _ in range(6):
        verify_backup_code(enrolled_user, WRONG)
    with pytest.raises(TooManyAttempts):
        verify_totp_code(enrolled_user, otp(secret))


def test_a_code_is_noted_as_a_verification(enrolled_user, backup_codes, time_machine):
    time_machine.move_to(NOON, tick=False)
    before = totp()
    verify_backup_code(enrolled_user, backup_codes[0])
    assert totp().verifications == before.verifications + 1
    assert totp().last_verified_at == NOON
    assert totp().last_used_step == before.last_used_step


def test_a_pending_enrollment_accepts_no_code(pending_user, sent):
    assert verify_backup_code(pending_user, WRONG) is False
    assert totp().failures == 0
    assert sent == []


def test_without_an_enrollment_there_is_nothing_to_verify(user):
    with pytest.raises(TotpNotEnrolled):
        verify_backup_code(user, WRONG)


def test_a_code_is_found_under_a_fallback_key(enrolled_user, backup_codes, settings):
    settings.TOTP_ENCRYPTION_KEY_FALLBACKS = [settings.TOTP_ENCRYPTION_KEY]
    settings.TOTP_ENCRYPTION_KEY = base64.urlsafe_b64encode(b"n" * 32)
    assert verify_backup_code(enrolled_user, backup_codes[0])
    assert not verify_backup_code(enrolled_user, backup_codes[0])


def test_where_the_key_was_lost_no_code_is_accepted_and_none_is_counted(
    enrolled_user, backup_codes, settings, log
):
    settings.TOTP_ENCRYPTION_KEY = base64.urlsafe_b64encode(b"n" * 32)
    assert verify_backup_code(enrolled_user, backup_codes[0]) is False
    assert totp().failures == 0
    assert f"secret of TOTP enrollment {totp().pk}" in log.text


def test_a_code_without_a_digest_is_found_and_gets_one(enrolled_user):
    store_backup_codes(enrolled_user, ["code", "other"])
    BackupCode.objects.update(digest=None)
    assert not verify_backup_code(enrolled_user, "another")
    assert verify_backup_code(enrolled_user, "code")
    assert not verify_backup_code(enrolled_user, "code")
    assert not BackupCode.objects.filter(digest=None).exists()


def test_of_two_uses_of_one_code_at_once_one_is_accepted(enrolled_user, backup_codes, monkeypatch):
    answers, use = [], partial(verify_backup_code, enrolled_user, backup_codes[0])
    act_after_reading(monkeypatch, lambda: answers.append(use()))
    answers.append(use())
    assert answers == [True, False]


def test_a_code_is_not_lost_when_the_row_was_moved(enrolled_user, backup_codes, monkeypatch):
    """It is spent in one transaction with the move, and so not spent if that fails."""
    act_after_reading(monkeypatch, partial(verify_backup_code, enrolled_user, WRONG))
    assert verify_backup_code(enrolled_user, backup_codes[0])
    assert BackupCode.objects.filter(is_used=True).count() == 1
    assert totp().failures == 0


def test_a_verification_is_told_without_the_code(enrolled_user, backup_codes, sent, log):
    verify_backup_code(enrolled_user, backup_codes[0])
    verify_backup_code(enrolled_user, WRONG)
    right, wrong = log.records
    assert (right.event, right.method) == ("verified", "backup_code")
    assert (wrong.event, wrong.method, wrong.reason) == (
        "verification_failed",
        "backup_code",
        "wrong",
    )
    [(name, arguments)] = sent
    assert (name, arguments["method"]) == ("totp_verification_failed", "backup_code")
    assert not [code for code in (*backup_codes, WRONG) if code in log.text]


# --- Rotate ---


def test_a_rotation_gives_a_new_set_and_ends_the_old_one(enrolled_user, backup_codes):
    verify_backup_code(enrolled_user, backup_codes[0])
    codes = rotate_backup_codes(enrolled_user)
    assert len(codes) == 10
    assert stored_codes() == sorted(codes)
    assert not verify_backup_code(enrolled_user, backup_codes[1])
    assert verify_backup_code(enrolled_user, codes[0])


def test_a_rotation_leaves_the_count_and_the_wait(waiting_user, settings):
    """Whoever is signed in would else end the wait for guesses at the code."""
    before = totp()
    rotate_backup_codes(waiting_user)
    assert (totp().failures, totp().waiting_until) == (before.failures, before.waiting_until)


def test_a_rotation_to_no_codes_leaves_the_second_factor_on(enrolled_user, settings):
    settings.TOTP_MAX_BACKUP_CODES = 0
    assert rotate_backup_codes(enrolled_user) == []
    assert not BackupCode.objects.exists()
    assert totp().is_enabled


def test_a_rotation_confirms_nothing(pending_user, sent):
    with pytest.raises(TotpNotEnrolled):
        rotate_backup_codes(pending_user)
    assert not totp().is_enabled
    assert not BackupCode.objects.exists()
    assert sent == []


def test_without_an_enrollment_there_is_nothing_to_rotate(user):
    with pytest.raises(TotpNotEnrolled):
        rotate_backup_codes(user)


def test_of_two_rotations_at_once_the_last_one_stands(enrolled_user, monkeypatch):
    act_after_reading(monkeypatch, partial(rotate_backup_codes, enrolled_user))
    codes = rotate_backup_codes(enrolled_user)
    assert stored_codes() == sorted(codes)


def test_a_rotation_after_a_removal_is_refused(enrolled_user, monkeypatch):
    act_after_reading(monkeypatch, partial(disable_totp, enrolled_user))
    with pytest.raises(TotpNotEnrolled):
        rotate_backup_codes(enrolled_user)


def test_a_rotation_is_told_without_the_codes(enrolled_user, sent, log):
    codes = rotate_backup_codes(enrolled_user)
    [(name, arguments)] = sent
    assert (name, arguments["user"], arguments["request"]) == (
        "backup_codes_rotated",
        enrolled_user,
        None,
    )
    assert [record.event for record in log.records] == ["backup_codes_rotated"]
    assert not [code for code in codes if code in log.text]


def test_the_codes_of_a_confirmation_are_verified(pending_user, secret, otp):
    codes = confirm_totp_setup(pending_user, otp(secret))
    assert all(verify_backup_code(pending_user, code) for code in codes)
