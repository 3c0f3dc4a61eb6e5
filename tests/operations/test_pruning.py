"""What has had its time goes, and what has not stays, whatever happens meanwhile."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.fernet import Fernet
from django.db import IntegrityError, OperationalError, connection
from django.db.models.signals import post_delete, pre_delete
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_totp.backup_code_utils import store_backup_codes
from django_totp.encryption import encrypt
from django_totp.models import BackupCode, Event, Totp, TrustedDevice
from django_totp.operations import pruning
from django_totp.operations.pruning import Tally, prune
from django_totp.totp import start_totp_setup
from tests.memory import peak_of

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
NOW = datetime(2030, 6, 1, 12, tzinfo=UTC)
NAMES = ["events", "trusted devices", "abandoned setups", "abandoned replacements"]


@pytest.fixture(autouse=True)
def _clock(time_machine):
    time_machine.move_to(NOW, tick=False)


@pytest.fixture
def clock(time_machine):
    return time_machine


def run(days=30, **options):
    """Return what was removed of each kind, and how often rows were left."""
    tallies = {tally.name: tally for tally in prune(days * DAY, **options)}
    assert list(tallies) == NAMES
    assert all(tally.seen == tally.total for tally in tallies.values())
    return {name: (tally.removed, tally.left) for name, tally in tallies.items() if tally.seen}


def add_events(*ages):
    """Write an event for each of ``ages``, in days."""
    Event.objects.bulk_create(Event(at=NOW - age * DAY, event="login") for age in ages)


def ages():
    return sorted(round((NOW - at) / DAY) for at in Event.objects.values_list("at", flat=True))


class TestEvents:
    def test_the_old_ones_go(self):
        add_events(29, 31, 0, 400, 30)
        assert run() == {"events": (2, 0)}
        assert ages() == [0, 29, 30]
        assert run() == {}

    @pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
    def test_batches_of_any_size(self, size):
        add_events(*range(60))
        add_events(*[45] * 5)  # at one moment
        assert run(batch_size=size) == {"events": (34, 0)}
        assert ages() == list(range(31))

    def test_nothing_is_loaded_where_nobody_watches(self):
        add_events(*range(31, 51))
        with CaptureQueriesContext(connection) as captured:
            run(batch_size=10)
        of_events = [query["sql"] for query in captured if "_event" in query["sql"]]
        assert sum(sql.startswith("DELETE") for sql in of_events) == 2
        assert not any("user_agent" in sql for sql in of_events)

    def test_who_watches_is_told(self):
        told = []

        def note(instance, **kwargs):
            told.append(instance.event)

        add_events(31, 32, 1)
        pre_delete.connect(note, sender=Event)
        try:
            assert run(batch_size=1) == {"events": (2, 0)}
        finally:
            pre_delete.disconnect(note, sender=Event)
        assert told == ["login", "login"]

    def test_two_runs_at_once(self):
        add_events(*range(31, 51))
        one, other = (prune(30 * DAY, batch_size=5) for _ in range(2))
        for first, second in zip(one, other, strict=True):
            counts = first, second
            if first.name == "events":
                removed = first.removed + second.removed
        assert {tally.name for tally in counts} == {NAMES[-1]}
        assert removed == 20
        assert ages() == []

    def test_a_table_that_keeps_its_rows_ends_the_run_all_the_same(self, monkeypatch):
        """As a rule or a trigger may have it."""
        monkeypatch.setattr(pruning.Rows, "_delete", lambda self, rows: 0)
        add_events(*range(31, 51))
        assert run(batch_size=3) == {"events": (0, 0)}

    def test_memory_stays_flat(self):
        def peak(count):
            add_events(*[31] * count)
            most = peak_of(prune(30 * DAY, batch_size=100))
            assert ages() == []
            return most

        peak(200)  # what is made once
        assert peak(8000) < 2 * peak(400)


class TestDevices:
    @pytest.fixture(autouse=True)
    def _devices(self, settings, user):
        settings.TOTP_TRUSTED_DEVICE_MAX_AGE = 30 * 86400

    def add(self, user, name, created, expires):
        moments = {"created_at": NOW - created * DAY, "last_used_at": NOW}
        expires_at = NOW + expires * DAY
        TrustedDevice.objects.create(
            user=user, name=name, series=name, expires_at=expires_at, **moments
        )

    def names(self):
        return list(TrustedDevice.objects.order_by("name").values_list("name", flat=True))

    def test_those_that_are_over(self, user):
        self.add(user, "new", 0, 30)
        self.add(user, "old", 29, 1)
        self.add(user, "over", 30, 0)
        self.add(user, "long over", 90, -60)
        assert run() == {"trusted devices": (2, 0)}
        assert self.names() == ["new", "old"]

    def test_by_a_lowered_setting(self, user, settings):
        settings.TOTP_TRUSTED_DEVICE_MAX_AGE = 10 * 86400
        self.add(user, "new", 9, 21)
        self.add(user, "old", 10, 20)
        assert run() == {"trusted devices": (1, 0)}
        assert self.names() == ["new"]


class TestSetups:
    @pytest.fixture
    def abandoned(self, make_user):
        """Return a function that gives a user with a setup of an hour ago, or of another age."""

        def abandoned(name, seconds=3601, **fields):
            totp = Totp.objects.create(user=make_user(name), secret_key=encrypt("S"), **fields)
            made = timezone.now() - timedelta(seconds=seconds)
            Totp.objects.filter(pk=totp.pk).update(created_at=made)
            return totp

        return abandoned

    def test_those_that_nobody_finished(self, abandoned):
        abandoned("ada")
        kept = [abandoned("grace", 3000), abandoned("emmy", confirmed_at=timezone.now())]
        assert run() == {"abandoned setups": (1, 0)}
        assert list(Totp.objects.order_by("pk")) == kept

    def test_the_setting_says_how_long(self, abandoned, settings):
        settings.TOTP_SETUP_MAX_AGE = 60
        abandoned("ada", 59)
        abandoned("grace", 61)
        assert run() == {"abandoned setups": (1, 0)}

    def test_one_from_the_future_is_no_older(self, abandoned):
        abandoned("ada", -(10**6))
        assert run() == {}

    def test_an_enrollment_of_1_1_is_on(self, abandoned):
        """It has codes, and nothing confirms it."""
        totp = abandoned("ada")
        BackupCode.objects.create(totp=totp, code=encrypt("12345678"), is_used=True)
        assert run() == {}
        assert Totp.objects.get() == totp

    @pytest.mark.parametrize("size", [1, 2, 5])
    def test_many(self, abandoned, size):
        for number in range(5):
            abandoned(f"user{number}")
        assert run(batch_size=size) == {"abandoned setups": (5, 0)}

    def meanwhile(self, monkeypatch, act):
        """Let ``act`` come between the look at a row and its end."""
        remove = Totp.remove

        def after(totp):
            act(totp)
            remove(totp)

        monkeypatch.setattr(Totp, "remove", after)

    def test_one_that_is_begun_anew_stays(self, abandoned, monkeypatch):
        user = abandoned("ada").user
        self.meanwhile(monkeypatch, lambda totp: start_totp_setup(user))
        assert run() == {"abandoned setups": (0, 1)}
        assert Totp.objects.get().is_pending

    def test_one_that_is_confirmed_stays(self, abandoned, monkeypatch):
        user = abandoned("ada").user
        self.meanwhile(monkeypatch, lambda totp: store_backup_codes(user, ["a"]))
        assert run() == {"abandoned setups": (0, 1)}
        assert Totp.objects.get().is_enabled
        assert BackupCode.objects.count() == 1

    def test_one_that_gets_codes_from_1_1_stays(self, abandoned, monkeypatch):
        abandoned("ada")
        self.meanwhile(
            monkeypatch, lambda totp: BackupCode.objects.create(totp=totp, code=encrypt("1"))
        )
        assert run() == {"abandoned setups": (0, 1)}
        assert BackupCode.objects.count() == 1

    def test_the_others_go_on(self, abandoned, monkeypatch):
        moving = abandoned("ada")
        abandoned("grace")
        self.meanwhile(
            monkeypatch, lambda totp: totp.pk == moving.pk and start_totp_setup(moving.user)
        )
        assert run() == {"abandoned setups": (1, 1)}

    def test_who_watches_is_told(self, abandoned):
        told = []

        def note(sender, instance, **kwargs):
            told.append((sender, instance.user_id))

        totp = abandoned("ada")
        post_delete.connect(note)
        try:
            assert run() == {"abandoned setups": (1, 0)}
        finally:
            post_delete.disconnect(note)
        assert told == [(Totp, totp.user_id)]

    def test_what_the_database_says_is_raised(self, abandoned, monkeypatch):
        abandoned("ada")

        def fail(totp):
            raise OperationalError("gone away")

        monkeypatch.setattr(Totp, "remove", fail)
        with pytest.raises(OperationalError):
            run()

    @pytest.mark.django_db(transaction=True)
    def test_one_that_the_database_makes_give_way_is_tried_again(self, abandoned, monkeypatch):
        abandoned("ada")
        remove, failures = Totp.remove, [IntegrityError(1451), OperationalError(1213)]

        def fail(totp):
            if failures:
                raise failures.pop()
            remove(totp)

        monkeypatch.setattr(Totp, "remove", fail)
        assert run() == {"abandoned setups": (1, 0)}


class TestReplacements:
    @pytest.fixture
    def replacing(self, enrolled_user):
        """Return a function that lets a replacement begin so many seconds ago."""

        def replacing(seconds, key=None):
            made = int(time.time()) - seconds
            key = key or Fernet.generate_key()  # it may be lost by now
            token = Fernet(key).encrypt_at_time(b"secret", made).decode()
            Totp.objects.update(replacement=token)

        return replacing

    def is_pending(self):
        return bool(Totp.objects.get().replacement)

    @pytest.mark.parametrize(
        ("seconds", "stays"), [(0, True), (3598, True), (3600, False), (10**8, False), (-60, True)]
    )
    def test_as_old_as_the_token(self, replacing, seconds, stays):
        replacing(seconds)
        assert run() == {"abandoned replacements": (not stays, 0)}
        assert self.is_pending() is stays
        assert Totp.objects.get().is_enabled

    @pytest.mark.parametrize("text", ["x", "no token at all", "é" * 20, "AAAA" * 30, "="])
    def test_what_is_no_token_goes(self, enrolled_user, text):
        Totp.objects.update(replacement=text)
        assert run() == {"abandoned replacements": (1, 0)}

    def test_one_that_is_begun_anew_stays(self, replacing, monkeypatch):
        replacing(3601)
        move = Totp.move

        def after(totp, **changes):
            rows = Totp.objects.filter(pk=totp.pk)
            rows.update(replacement="new", version=totp.version + 1)
            move(totp, **changes)

        monkeypatch.setattr(Totp, "move", after)
        assert run() == {"abandoned replacements": (0, 1)}
        assert Totp.objects.get().replacement == "new"


class TestDryRun:
    def test_it_counts_what_the_real_one_removes(self, make_user, enrolled_user, settings):
        settings.TOTP_TRUSTED_DEVICE_MAX_AGE = 86400
        add_events(31, 32, 1)
        moments = dict.fromkeys(["created_at", "last_used_at", "expires_at"], NOW - 40 * DAY)
        TrustedDevice.objects.create(user=enrolled_user, series="x", **moments)
        token = Fernet(Fernet.generate_key()).encrypt_at_time(b"s", 1).decode()
        Totp.objects.update(replacement=token)
        fresh = encrypt("s")
        Totp.objects.create(user=make_user("fresh"), secret_key="x", replacement=fresh)
        Totp.objects.create(user=make_user("grace"), secret_key="x")
        old = timezone.now() - 2 * DAY
        Totp.objects.filter(confirmed_at=None, replacement="").update(created_at=old)
        expected = dict(zip(NAMES, [(2, 0), (1, 0), (1, 0), (1, 0)], strict=True))
        before = list(Totp.objects.order_by("pk").values())
        assert run(dry_run=True) == expected
        assert list(Totp.objects.order_by("pk").values()) == before
        assert (Event.objects.count(), TrustedDevice.objects.count()) == (3, 1)
        assert run() == expected


class TestDatabases:
    def test_the_routers_name_them(self, settings):
        asked = []

        class Router:
            def db_for_write(self, model, **hints):
                asked.append(model)
                return "default"

        settings.DATABASE_ROUTERS = [Router()]
        run()
        assert {Event, TrustedDevice, Totp} <= set(asked)

    def test_a_table_that_is_elsewhere_is_left_out(self, settings):
        class Router:
            def allow_migrate(self, db, app_label, model_name=None, **hints):
                return model_name == "event"

        settings.DATABASE_ROUTERS = [Router()]
        add_events(31)
        assert [tally.name for tally in prune(30 * DAY, "default")] == ["events", "events"]
        assert ages() == []
        run()  # whoever names none has them all


def test_a_tally_starts_at_zero():
    assert Tally("events", 3) == Tally("events", 3, 0, 0, 0)
