"""Where the database ends one of two transactions that met: whoever lost tries again."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, connections, transaction

from django_totp.models import BackupCode, Totp
from tests.endpoints import wrong_code
from tests.field.journey import test_journey as journey

pytestmark = pytest.mark.django_db(transaction=True)
AT_ONCE = 6


def at_once(*acts):
    """Return the statuses of requests that begin together."""
    start = threading.Barrier(len(acts))

    def take(act):
        try:
            start.wait(20)
            return act().status
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(acts)) as pool:
        return sorted(pool.map(take, acts))


def test_journey(person, settings):
    settings.TOTP_FAILURE_LIMIT = 2
    journey(person)


def test_it_is_that_level():
    with connection.cursor() as cursor:
        cursor.execute("SHOW transaction_isolation")
        assert cursor.fetchone() == ("serializable",)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SHOW transaction_isolation")
        assert cursor.fetchone() == ("serializable",)


def test_a_code_is_good_for_one_of_many_logins(person):
    person.enroll()
    challenges = [person.challenge() for _ in range(AT_ONCE)]
    code = person.next_code()
    acts = [lambda one=one: person.second_step(one, otp_code=code) for one in challenges]
    assert at_once(*acts) == [200] + [400] * (AT_ONCE - 1)


def test_so_is_a_backup_code(person):
    person.enroll()
    challenges = [person.challenge() for _ in range(AT_ONCE)]
    code = person.codes[0]
    acts = [lambda one=one: person.second_step(one, backup_code=code) for one in challenges]
    assert at_once(*acts) == [200] + [400] * (AT_ONCE - 1)
    assert BackupCode.objects.filter(is_used=True).count() == 1


def test_wrong_codes_are_all_counted(person):
    person.enroll()
    challenge, wrong = person.challenge(), wrong_code(person.secret)
    acts = [lambda: person.second_step(challenge, otp_code=wrong)] * AT_ONCE
    statuses = at_once(*acts)
    assert set(statuses) <= {400, 429}  # one that lost too often is asked to come again
    assert Totp.objects.get().failures == statuses.count(400)


def test_one_confirmation_of_many_gives_codes(person):
    person.keep(person.first_step())
    created = person.signed_in("totp-create")
    person.secret = created.body["secret"]
    code = {"input_code": person.next_code()}
    acts = [lambda: person.signed_in("totp-confirm", code)] * AT_ONCE
    assert at_once(*acts) == [200] + [400] * (AT_ONCE - 1)
    assert BackupCode.objects.count() == 10


def test_removal_beside_logins_and_rotation(person):
    person.enroll()
    challenges = [person.challenge() for _ in range(3)]
    codes = person.codes[:3]
    acts = [
        lambda one=one, code=code: person.second_step(one, backup_code=code)
        for one, code in zip(challenges, codes, strict=True)
    ]
    statuses = at_once(
        lambda: person.signed_in("totp-disable"),
        lambda: person.signed_in("totp-rotate-backup-codes"),
        *acts,
    )
    assert 204 in statuses
    assert set(statuses) <= {200, 204, 400, 403, 429}
    assert not Totp.objects.exists()
    assert not BackupCode.objects.exists()
