"""django-simple-history sees each row go, and foreign keys of the project do what they say."""

import pytest
from django.db.models.signals import post_delete, pre_delete

from django_totp.models import BackupCode, Totp
from tests.field.history.models import Printout, Ticket
from tests.field.journey import test_journey  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def enrolled(person):
    person.enroll()
    totp = Totp.objects.get(user=person.user)
    Ticket.objects.create(totp=totp)
    Printout.objects.create(code=totp.backup_codes.first())
    return person


def test_a_rotation_is_in_the_history(enrolled):
    enrolled.rotate()
    assert BackupCode.history.filter(history_type="-").count() == 10
    assert Printout.objects.get().code is None
    assert Ticket.objects.exists()


def test_the_end_is_in_the_history(enrolled):
    assert enrolled.signed_in("totp-disable").status == 204
    assert Totp.history.filter(history_type="-").count() == 1
    assert BackupCode.history.filter(history_type="-").count() == 10
    assert not Ticket.objects.exists()
    assert Printout.objects.get().code is None


@pytest.mark.parametrize("signal", [pre_delete, post_delete])
def test_signals_of_deletion_are_sent_once_for_each_row(enrolled, signal):
    gone = []

    def note(instance, **kwargs):
        gone.append((type(instance), instance.pk))

    signal.connect(note)
    try:
        enrolled.signed_in("totp-disable")
    finally:
        signal.disconnect(note)
    ours = [row for row in gone if row[0] in {Totp, BackupCode}]
    assert len(ours) == len(set(ours)) == 11
