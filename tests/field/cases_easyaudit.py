"""django-easy-audit listens to all models, on SQLite: nobody finds the database locked."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections
from easyaudit.models import CRUDEvent

from django_totp.models import BackupCode
from tests.field.journey import test_journey  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)
THREADS = 4
ROUNDS = 5


def test_rotations_at_one_time(person):
    person.enroll()
    start = threading.Barrier(THREADS)

    def rotate():
        try:
            start.wait(20)
            return [person.signed_in("totp-rotate-backup-codes").status for _ in range(ROUNDS)]
        finally:
            connections.close_all()

    with ThreadPoolExecutor(THREADS) as pool:
        futures = [pool.submit(rotate) for _ in range(THREADS)]
    assert [status for future in futures for status in future.result()] == [200] * THREADS * ROUNDS
    assert BackupCode.objects.count() == 10


def test_no_secret_is_in_the_audit(person):
    person.enroll()
    person.rotate()
    kept = str(list(CRUDEvent.objects.values()))
    assert not [secret for secret in person.known if secret in kept]
