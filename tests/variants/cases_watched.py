"""Foreign keys of the project to our rows, and receivers that listen to all models."""

import itertools
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from django_totp.backup_code_utils import rotate_backup_codes, store_backup_codes
from django_totp.models import BackupCode, Event, Moved, Totp
from django_totp.totp import disable_totp
from tests.rivals import at_once
from tests.variants.watched.models import CodeNote, Note, gone

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def noted_user(enrolled_user):
    Note.objects.create(totp=Totp.objects.get())
    CodeNote.objects.create(code=BackupCode.objects.first())
    gone.clear()
    return enrolled_user


def first_statements(captured):
    """Return the first statement of each transaction."""
    commands = [query["sql"].split()[0].upper() for query in captured]
    return [after for begin, after in itertools.pairwise(commands) if begin == "BEGIN"]


def test_removal_cascades_and_is_seen(noted_user):
    disable_totp(noted_user)
    for model in (Totp, BackupCode, Note, CodeNote):
        assert not model.objects.exists()
    assert gone.count(("before", "Totp")) == gone.count(("after", "Totp")) == 1
    assert gone.count(("after", "BackupCode")) == 10


def test_rotation_cascades_and_is_seen(noted_user):
    rotate_backup_codes(noted_user)
    assert (Totp.objects.count(), Note.objects.count(), CodeNote.objects.count()) == (1, 1, 0)
    assert gone.count(("after", "BackupCode")) == 10


def test_the_admin_resets(noted_user, django_user_model):
    fields = {django_user_model.USERNAME_FIELD: "root@example.com", "password": "x"}
    admin = Client()
    admin.force_login(django_user_model.objects.create_superuser(**fields))
    page = reverse("admin:django_totp_totp_changelist")
    [totp] = Totp.objects.all()
    body = {"action": "reset_two_factor", "_selected_action": [totp.pk]}
    form = admin.post(page, body).context["form"]
    hidden = {field.html_name: field.value() for field in form.hidden_fields()}
    assert admin.post(page, {**body, **hidden, "confirmed": "yes"}).status_code == 302
    assert not Note.objects.exists()
    assert ("after", "Totp") in gone


@pytest.mark.parametrize("act", [disable_totp, rotate_backup_codes])
def test_a_transaction_begins_with_a_write(noted_user, act):
    with CaptureQueriesContext(connection) as captured:
        act(noted_user)
    assert set(first_statements(captured)) <= {"UPDATE", "DELETE"}


def test_a_row_that_somebody_moved_is_not_removed(noted_user):
    totp = Totp.objects.get()
    Totp.objects.get().move(failures=1)
    with pytest.raises(Moved):
        totp.remove()
    assert BackupCode.objects.count() == 10


def test_pruning_cascades_and_is_seen(pending_user):
    old = datetime.now(UTC) - timedelta(days=40)
    Totp.objects.update(created_at=old)
    Event.objects.create(at=old, event="login")
    Note.objects.create(totp=Totp.objects.get())
    gone.clear()
    call_command("totp_prune", older_than=30, verbosity=0)
    for model in (Totp, Note, Event):
        assert not model.objects.exists()
    assert gone.count(("after", "Totp")) == gone.count(("after", "Event")) == 1


def test_many_rotate_at_once(noted_user):
    answers = at_once(*[partial(rotate_backup_codes, noted_user)] * 4)
    assert all(isinstance(answer, list) for answer in answers), answers
    store_backup_codes(noted_user, ["a", "b"])
    assert BackupCode.objects.count() == 2
