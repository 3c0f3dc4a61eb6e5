"""The admin pages, on a site of their own where users can be deleted as well."""

import logging
import re
from datetime import UTC, date, datetime, timedelta

import pytest
from django import forms
from django.contrib import admin
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.db.models import CharField, F
from django.template import TemplateSyntaxError
from django.test.utils import CaptureQueriesContext
from django.urls import path, reverse
from django.utils import timezone

from django_totp.admin import ALLOW_RECOVERY, AccountAdmin, TotpAdmin, applying, base, enrollments
from django_totp.backup_code_utils import store_backup_codes, verify_backup_code
from django_totp.encryption import encrypt
from django_totp.models import Account, BackupCode, Totp

from .receivers import connected, heard
from .rivals import act_after_reading

site = admin.AdminSite()
site.register(Totp, TotpAdmin)
site.register(Account, AccountAdmin)
site.register(get_user_model(), admin.ModelAdmin)
urlpatterns = [path("admin/", site.urls)]

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

LIST = "/admin/django_totp/totp/"
ACCOUNTS = "/admin/django_totp/account/"


def page_of(totp):
    return f"{LIST}{totp.pk}/change/"


@pytest.fixture
def admin_user(make_user):
    return make_user("root", is_staff=True, is_superuser=True)


@pytest.fixture
def superuser(client, admin_user):
    """Return a client that is signed in as a superuser."""
    client.force_login(admin_user)
    return client


@pytest.fixture
def staff(client, make_user):
    """Return a function that signs a member of the staff in who has the given permissions."""

    def staff(*codenames):
        user = make_user("grace", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        assert user.user_permissions.count() == len(codenames)
        client.force_login(user)
        return client

    return staff


@pytest.fixture
def enroll(make_user):
    """Return a function that gives a new user of that name an enabled enrollment."""

    def enroll(name, **fields):
        user = make_user(name)
        fields = {"confirmed_at": timezone.now(), **fields}
        return Totp.objects.create(user=user, secret_key=encrypt("S"), **fields)

    return enroll


@pytest.fixture
def totp(enrolled_user):
    return Totp.objects.get(user=enrolled_user)


@pytest.fixture
def apply(client):
    """Return a function that chooses an action for enrollments and, if told so, confirms it."""

    def apply(action, *totps, confirmed=True, url=LIST, **data):
        data |= {"action": action, "_selected_action": [totp.pk for totp in totps]}
        data |= {"confirmed": "yes"} if confirmed else {"index": "0", "select_across": "0"}
        return client.post(url, data)

    return apply


def text_of(response):
    assert response.status_code == 200
    return response.content.decode()


def names_on(response):
    """Return the users whom the rows of a list name."""
    return re.findall(r'class="field-username"><a[^>]*>(\w+)@example\.com<', text_of(response))


def name_field():
    return get_user_model().USERNAME_FIELD


def nobody_but(nameless):
    """Return a ``get_username`` that knows no name for one user."""
    known = get_user_model().get_username
    return lambda user: None if user.pk == nameless.pk else known(user)


def hidden_fields(page):
    """Return what the form on a confirmation page sends."""
    fields = {}
    for name, value in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page):
        fields.setdefault(name, []).append(value)
    return fields


def permission_to(codename):
    actions = {"reset_two_factor": "reset_totp", "end_the_wait": "unlock_totp"}
    return actions.get(codename, codename)


def test_the_default_site_has_enrollments_and_no_codes():
    assert isinstance(admin.site.get_model_admin(Totp), TotpAdmin)
    assert isinstance(admin.site.get_model_admin(Account), AccountAdmin)
    assert not admin.site.is_registered(BackupCode)


@pytest.mark.usefixtures("without_middleware")
class TestList:
    def test_a_row(self, superuser, totp, enrolled_user, backup_codes):
        verify_backup_code(enrolled_user, backup_codes[0])
        page = text_of(superuser.get(LIST))
        assert f'<a href="{page_of(totp)}">{enrolled_user.get_username()}</a>' in page
        assert '<td class="field-state">Enabled</td>' in page
        assert '<td class="field-wait">-</td>' in page
        assert '<td class="field-backup_codes_left">9 of 10 left</td>' in page

    def test_a_wait(self, superuser, enroll):
        until = timezone.now() + timedelta(hours=1)
        enroll("waiting", waiting_until=until, failures=7)
        enroll("capped", failures=100)
        waits = re.findall(r'class="field-wait">([^<]*)<', text_of(superuser.get(LIST)))
        assert waits[0] == "ended by hand"
        assert str(until.year) in waits[1]

    def test_no_wait_is_longer_than_the_longest(self, superuser, enroll):
        enroll("waiting", waiting_until=timezone.now() + timedelta(days=4000), failures=7)
        (wait,) = re.findall(r'class="field-wait">([^<]*)<', text_of(superuser.get(LIST)))
        assert str((timezone.now() + timedelta(days=4000)).year) not in wait

    def test_a_clock_that_was_once_ahead(self, superuser, enroll):
        enroll("ahead", last_used_step=datetime(2100, 1, 1, tzinfo=UTC).timestamp() // 30)
        (wait,) = re.findall(r'class="field-wait">([^<]*)<', text_of(superuser.get(LIST)))
        assert "2100" in wait or "2099" in wait  # in whichever time zone
        assert wait.endswith(", by a clock that was once ahead")

    def test_enrollments_of_1_1(self, superuser, enroll, django_assert_max_num_queries):
        for number in range(20):
            store_backup_codes(enroll(f"user{number}").user, ["a", "b"])
        Totp.objects.update(confirmed_at=None)
        BackupCode.objects.update(digest=None)
        with django_assert_max_num_queries(10):
            page = text_of(superuser.get(LIST))
        assert page.count('<td class="field-state">Enabled</td>') == 20
        assert page.count('<td class="field-backup_codes_left">2 of 2 left</td>') == 20
        assert len(names_on(superuser.get(LIST, {"state": "enabled"}))) == 20
        assert names_on(superuser.get(LIST, {"state": "pending"})) == []

    def test_a_user_without_a_name(self, superuser, totp, monkeypatch):
        monkeypatch.setattr(get_user_model(), "get_username", nobody_but(totp.user))
        get_user_model().objects.filter(pk=totp.user_id).update(email="post@example.com")
        for url in (LIST, page_of(totp)):
            assert ">post@example.com</a>" in text_of(superuser.get(url))

    def test_the_newest_come_first(self, superuser, enroll):
        for name in ("ada", "grace", "emmy"):
            enroll(name)
        assert names_on(superuser.get(LIST)) == ["emmy", "grace", "ada"]

    def test_statements_do_not_depend_on_the_number_of_rows(self, superuser, enroll):
        def statements():
            with CaptureQueriesContext(
                connection,
            ) as queries:
                superuser.get(LIST)
            return [query["sql"] for query in queries]

        store_backup_codes(enroll("ada").user, ["a", "b"])
        few = statements()
        for number in range(20):
            store_backup_codes(enroll(f"user{number}").user, ["a", "b"])
        many = statements()
        assert len(many) == len(few)
        assert not any("JOIN" in sql for sql in many if "backupcode" in sql)
        assert sum("backupcode" in sql for sql in many) == 2  # codes, enrollments that are on
        assert sum("COUNT" in sql for sql in many) == 4  # of the list, codes, enrollments, users

    def test_there_are_no_counts_beside_the_filters(self, superuser, totp):
        assert not re.search(r"Enabled\s*\(\d", text_of(superuser.get(LIST, {"_facets": "True"})))


class TestFilter:
    @pytest.fixture(autouse=True)
    def _one_of_each(self, enroll):
        soon, past = (timezone.now() + timedelta(hours=hours) for hours in (1, -2))
        enroll("enabled")
        enroll("pending", confirmed_at=None)
        enroll("waiting", waiting_until=soon, failures=7)
        expired = enroll("expired", confirmed_at=None)
        Totp.objects.filter(pk=expired.pk).update(created_at=past)

    @pytest.mark.parametrize(
        ("state", "names"),
        [
            ("enabled", ["waiting", "enabled"]),
            ("pending", ["pending"]),
            ("expired", ["expired"]),
            ("waiting", ["waiting"]),
            ("unheard-of", ["expired", "waiting", "pending", "enabled"]),
        ],
    )
    def test_by_state(self, superuser, state, names):
        assert names_on(superuser.get(LIST, {"state": state})) == names

    def test_by_user(self, superuser):
        user = Totp.objects.earliest("pk").user
        assert names_on(superuser.get(LIST, {"user": user.pk})) == ["enabled"]

    @pytest.mark.parametrize(
        "lookup",
        [
            "secret_key__startswith",
            "backup_codes__code__startswith",
            "backup_codes__digest__startswith",
            "user__password__startswith",
        ],
    )
    def test_secrets_cannot_be_guessed_letter_by_letter(self, superuser, lookup):
        assert superuser.get(LIST, {lookup: "g"}).status_code == 400


class TestSearch:
    @pytest.fixture(autouse=True)
    def _some(self, enroll):
        for name in ("ada", "adam", "grace"):
            enroll(name)

    @pytest.mark.parametrize(
        ("term", "names"),
        [
            ("ADA", ["adam", "ada"]),
            ("ada@example.com", ["ada"]),
            ("grace@", ["grace"]),
            ("nobody", []),
            ("", ["grace", "adam", "ada"]),
        ],
    )
    def test_by_the_name_of_a_user(self, superuser, term, names):
        assert names_on(superuser.get(LIST, {"q": term})) == names

    def test_for_a_whole_name_no_other_is_read(self, superuser):
        with CaptureQueriesContext(connection) as queries:
            superuser.get(LIST, {"q": "ada@example.com"})
        assert not any("LIKE" in query["sql"] for query in queries)

    def test_by_the_address(self, superuser):
        model = get_user_model()
        address = model.get_email_field_name()
        ada = model.objects.get_by_natural_key("ada@example.com")
        model.objects.filter(pk=ada.pk).update(**{address: "ada@lovelace.org"})
        page = text_of(superuser.get(LIST, {"q": "LOVELACE"}))
        assert page.count('class="field-username"') == 1
        assert page_of(ada.totp) in page

    def test_in_the_fields_that_a_subclass_names(self, superuser, monkeypatch):
        monkeypatch.setattr(TotpAdmin, "search_fields", ["=algorithm"])
        assert names_on(superuser.get(LIST, {"q": "ada"})) == []
        assert len(names_on(superuser.get(LIST, {"q": "sha1"}))) == 3

    def test_where_a_part_is_in_many_names(self, superuser, monkeypatch):
        monkeypatch.setattr(base, "SEARCH_LIMIT", 1)
        assert names_on(superuser.get(LIST, {"q": "ada"})) == ["adam", "ada"]

    def test_names_that_are_no_text(self, superuser, monkeypatch):
        monkeypatch.setattr(get_user_model(), "USERNAME_FIELD", get_user_model()._meta.pk.name)
        monkeypatch.setattr(get_user_model(), "EMAIL_FIELD", "nothing")
        assert names_on(superuser.get(LIST, {"q": "no key"})) == []


class TestAdoption:
    def adoption(self, client):
        return re.search(r'<p id="totp-adoption">([^<]*)</p>', text_of(client.get(LIST)))[1]

    def test_a_sentence_above_the_list(self, superuser, enroll):
        enroll("ada")
        enroll("grace", confirmed_at=None)
        sentence = "1 of 3 users have two-factor authentication on."
        assert self.adoption(superuser) == sentence

    def test_no_count_goes_beyond_the_limit(self, superuser, enroll, monkeypatch):
        monkeypatch.setattr(enrollments, "COUNT_LIMIT", 2)
        enroll("ada")
        sentence = "1 of 2+ users have two-factor authentication on."
        assert self.adoption(superuser) == sentence

    def test_large_numbers_are_grouped(self, superuser, monkeypatch):
        monkeypatch.setattr(enrollments, "count_at_most", lambda limit: (412, 5000))
        assert self.adoption(superuser).startswith("412 of 5,000 users")


class TestDetail:
    def test_shows_the_state_and_the_numbers(self, superuser, totp):
        page = text_of(superuser.get(page_of(totp)))
        assert "10 of 10 left" in page
        assert "Enabled" in page

    def test_leads_to_the_user(self, superuser, totp):
        meta = get_user_model()._meta
        url = reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[totp.user_id])
        assert f'<a href="{url}">ada@example.com</a>' in text_of(superuser.get(page_of(totp)))

    def test_where_users_have_no_pages(self, totp):
        alone = TotpAdmin(Totp, admin.AdminSite(name="alone"))
        assert alone.account(totp) == "ada@example.com"

    def test_changes_nothing(self, superuser, totp):
        page = text_of(superuser.get(page_of(totp)))
        assert not re.search(r'<(input|select|textarea)[^>]*name="(?!csrf|_popup)', page)
        assert superuser.post(page_of(totp), {"failures": 3}).status_code == 403

    def test_offers_no_delete(self, superuser, totp):
        assert "deletelink" not in text_of(superuser.get(page_of(totp)))
        url = f"{LIST}{totp.pk}/delete/"
        assert superuser.get(url).status_code == 403
        assert superuser.post(url, {"post": "yes"}).status_code == 403
        assert Totp.objects.filter(pk=totp.pk).exists()

    def test_nothing_can_be_added(self, superuser):
        assert superuser.get(f"{LIST}add/").status_code == 403


class TestReset:
    def test_asks_first_and_names_the_users(self, superuser, totp, enroll, apply):
        grace = enroll("grace")
        with heard() as signals:
            page = text_of(apply("reset_two_factor", totp, grace, confirmed=False))
        assert "<li>ada@example.com</li>" in page
        assert "<li>grace@example.com</li>" in page
        assert "Reset two-factor authentication" in page
        assert "stop working, and all their logins end." in page
        assert Totp.objects.count() == 2
        assert not signals

    def test_its_page_can_be_read_aloud(self, superuser, totp, apply):
        page = text_of(apply("reset_two_factor", totp, confirmed=False, url=f"{LIST}?q=ada"))
        assert "<h1>Reset two-factor authentication</h1>" in page
        assert '<label for="id_reason">' in page
        assert 'aria-describedby="id_reason_helptext"' in page
        assert f'<a href="{LIST}?q=ada"' in page  # the way back needs no script

    def test_removes_the_enrollment_and_its_codes(self, superuser, totp, enroll, apply):
        other = enroll("grace")
        assert apply("reset_two_factor", totp).status_code == 302
        assert list(Totp.objects.all()) == [other]
        assert not BackupCode.objects.exists()

    def test_tells_the_signal_and_the_log(
        self, superuser, admin_user, totp, enrolled_user, apply, caplog
    ):
        caplog.set_level(logging.INFO, "django_totp")
        with heard() as signals:
            apply("reset_two_factor", totp, reason="lost phone")
        ((name, arguments),) = signals
        assert name == "totp_disabled"
        assert arguments["user"] == enrolled_user
        assert arguments["request"].user == admin_user
        (record,) = [record for record in caplog.records if record.name == "django_totp"]
        assert record.event == "disabled"
        assert (record.reason, record.actor_pk) == ("lost phone", str(admin_user.pk))

    def test_is_written_into_both_histories(
        self, superuser, admin_user, totp, enrolled_user, apply
    ):
        apply("reset_two_factor", totp, reason=" lost phone ")
        entries = LogEntry.objects.order_by("action_flag")
        assert [entry.action_flag for entry in entries] == [CHANGE, DELETION]
        assert [entry.content_type for entry in entries] == [
            ContentType.objects.get_for_model(model) for model in (get_user_model(), Totp)
        ]
        assert [entry.object_id for entry in entries] == [str(enrolled_user.pk), str(totp.pk)]
        assert {entry.object_repr for entry in entries} == {"ada@example.com"}
        assert {entry.user for entry in entries} == {admin_user}
        assert {entry.change_message for entry in entries} == {
            "Reset two-factor authentication. lost phone"
        }

    def test_says_what_was_done(self, superuser, totp, enroll, apply):
        apply("reset_two_factor", totp, enroll("grace"))
        assert "Two-factor authentication of 2 users was reset." in text_of(superuser.get(LIST))

    def test_a_reason_is_short_and_plain(self, superuser, totp, apply):
        for reason in ("x" * 201, "lost\0phone"):
            page = text_of(apply("reset_two_factor", totp, reason=reason))
            assert 'class="errorlist"' in page
        assert Totp.objects.exists()

    def test_who_changed_meanwhile_is_left_alone(self, superuser, totp, enroll, apply):
        grace = enroll("grace")

        def enroll_again(name, arguments):
            Totp.objects.filter(pk=totp.pk).delete()

        with connected(enroll_again):
            apply("reset_two_factor", totp, grace)  # grace, the newer one, comes first
        page = text_of(superuser.get(LIST))
        assert "Two-factor authentication of 1 user was reset." in page
        assert "1 entry had changed meanwhile and was left alone." in page
        assert not LogEntry.objects.filter(object_id=str(totp.pk), action_flag=DELETION).exists()

    def test_all_changed_meanwhile(self, superuser, totp, apply, monkeypatch):
        act_after_reading(monkeypatch, Totp.objects.all().delete)
        apply("reset_two_factor", totp)
        page = text_of(superuser.get(LIST))
        assert "was reset" not in page
        assert "1 entry had changed meanwhile" in page

    def test_a_new_enrollment_is_not_the_one_that_was_chosen(self, superuser, totp, apply):
        chosen, totp.pk = Totp(pk=totp.pk), None
        Totp.objects.all().delete()
        totp.save()
        apply("reset_two_factor", chosen)
        assert Totp.objects.exists()
        assert "that still exist" in text_of(superuser.get(LIST))

    def test_not_more_than_a_page_at_once(self, superuser, totp, enroll, apply, monkeypatch):
        monkeypatch.setattr(applying, "SELECTION_LIMIT", 1)
        apply("reset_two_factor", totp, enroll("grace"))
        assert Totp.objects.count() == 2
        assert "Select from 1 to 1 entries" in text_of(superuser.get(LIST))


@pytest.mark.parametrize("action", ["reset_two_factor", "allow_recovery", "end_the_wait"])
class TestWhatWasShown:
    """What is confirmed is done to the enrollments that were on the page, and to no other."""

    @pytest.fixture(autouse=True)
    def _waiting(self, totp):
        Totp.objects.update(failures=7)

    def confirm(self, client, page, **changes):
        return client.post(LIST, {**hidden_fields(page), **changes})

    def is_done(self, totp):
        untouched = {"failures": 7, "is_recovery_allowed": False}
        return not Totp.objects.filter(pk=totp.pk, **untouched).exists()

    def test_it_is_done(self, superuser, totp, apply, action):
        page = text_of(apply(action, totp, confirmed=False))
        self.confirm(superuser, page)
        assert self.is_done(totp)

    @pytest.mark.parametrize("field", ["created_at", "confirmed_at"])
    def test_another_enrollment_since(self, superuser, totp, enroll, apply, action, field):
        other = enroll("grace", failures=7)
        page = text_of(apply(action, totp, other, confirmed=False))
        Totp.objects.filter(pk=totp.pk).update(**{field: F(field) + timedelta(microseconds=1)})
        self.confirm(superuser, page)
        assert not self.is_done(totp)
        assert self.is_done(other)
        told = text_of(superuser.get(LIST))
        assert "1 entry had changed meanwhile and was left alone." in told

    def test_one_that_is_confirmed_since(self, superuser, enroll, apply, action):
        pending = enroll("grace", failures=7, confirmed_at=None)
        page = text_of(apply(action, pending, confirmed=False))
        Totp.objects.filter(pk=pending.pk).update(confirmed_at=timezone.now())
        self.confirm(superuser, page)
        assert not self.is_done(pending)

    def test_wrong_codes_since(self, superuser, totp, apply, action):
        page = text_of(apply(action, totp, confirmed=False))
        Totp.objects.update(failures=8, version=F("version") + 1)
        self.confirm(superuser, page)
        assert not Totp.objects.filter(failures=8, is_recovery_allowed=False).exists()

    def test_one_of_1_1_that_is_adopted_since(self, superuser, totp, apply, action):
        Totp.objects.update(confirmed_at=None)
        page = text_of(apply(action, totp, confirmed=False))
        Totp.objects.update(confirmed_at=F("created_at"))
        self.confirm(superuser, page)
        assert self.is_done(totp)

    def test_another_one_at_the_last_moment(self, superuser, totp, apply, action, monkeypatch):
        page = text_of(apply(action, totp, confirmed=False))
        later = {"created_at": F("created_at") + timedelta(microseconds=1)}
        was_seen = TotpAdmin._was_seen

        def and_then(*args):
            seen = was_seen(*args)
            Totp.objects.update(**later)
            return seen

        monkeypatch.setattr(TotpAdmin, "_was_seen", and_then)
        self.confirm(superuser, page)
        assert not self.is_done(totp)

    def test_a_form_without_the_answer_is_about_what_is_there(self, superuser, totp, apply, action):
        apply(action, totp)
        assert self.is_done(totp)


@pytest.mark.usefixtures("without_middleware")
@pytest.mark.parametrize("action", ["reset_two_factor", "allow_recovery", "end_the_wait"])
class TestWhoIsLeftAlone:
    """Whoever has got hold of a session of the staff gets no further from there."""

    @pytest.fixture
    def grace(self, staff, action):
        """Return a member of the staff who is signed in and may apply the action."""
        client = staff("view_totp", permission_to(action))
        return get_user_model().objects.get(pk=client.session["_auth_user_id"])

    @pytest.fixture
    def own(self, grace):
        return self.enrolled(grace)

    @pytest.fixture
    def of_superuser(self, admin_user):
        return self.enrolled(admin_user)

    def enrolled(self, user):
        return Totp.objects.create(
            user=user, secret_key=encrypt("S"), confirmed_at=timezone.now(), failures=7
        )

    def is_left(self, totp):
        return Totp.objects.filter(pk=totp.pk, failures=7, version=totp.version).exists()

    def test_oneself_and_superusers(self, client, own, of_superuser, totp, apply, action):
        page = text_of(apply(action, own, of_superuser, totp, confirmed=False))
        assert "<li>grace@example.com (your own: ask another administrator)</li>" in page
        assert "<li>root@example.com (a superuser: ask another superuser)</li>" in page
        assert hidden_fields(page)["_selected_action"] == [str(totp.pk)]
        apply(action, own, of_superuser, totp)
        assert self.is_left(own)
        assert self.is_left(of_superuser)
        assert not Totp.objects.filter(pk=totp.pk, version=totp.version).exists()
        told = text_of(client.get(LIST))
        assert (
            "Left alone: root@example.com (a superuser: ask another superuser); "
            "grace@example.com (your own: ask another administrator)."
        ) in told
        assert "changed meanwhile" not in told
        left = {str(own.pk), str(of_superuser.pk)}
        assert not LogEntry.objects.filter(object_id__in=left).exists()

    @pytest.mark.parametrize("confirmed", [True, False])
    def test_nobody_else(self, client, own, apply, action, confirmed):
        assert apply(action, own, confirmed=confirmed).status_code == 302
        assert self.is_left(own)
        assert "Left alone: grace@example.com (your own" in text_of(client.get(LIST))

    def test_who_has_become_a_superuser_since(self, client, grace, totp, apply, action):
        page = text_of(apply(action, totp, confirmed=False))
        get_user_model().objects.filter(pk=totp.user_id).update(is_superuser=True)
        client.post(LIST, hidden_fields(page))
        assert Totp.objects.filter(pk=totp.pk, version=totp.version).exists()

    def test_an_inactive_superuser(self, grace, of_superuser, apply, action):
        get_user_model().objects.filter(pk=of_superuser.user_id).update(is_active=False)
        apply(action, of_superuser)
        assert self.is_left(of_superuser)

    def test_a_superuser_helps_another_but_not_himself(
        self, client, superuser, admin_user, make_user, apply, action
    ):
        own = self.enrolled(admin_user)
        other = self.enrolled(make_user("emmy", is_superuser=True))
        apply(action, own, other)
        assert self.is_left(own)
        assert not self.is_left(other)

    def test_a_user_who_is_gone(self, superuser, totp, apply, action, monkeypatch):
        monkeypatch.setattr(applying, "current_users", lambda pks, using: {})
        assert apply(action, totp).status_code == 302
        assert Totp.objects.filter(pk=totp.pk, version=totp.version).exists()
        assert "1 entry had changed meanwhile" in text_of(superuser.get(LIST))


class TestThemes:
    """tests/field looks at the pages of the real ones."""

    def test_unfold_has_its_own_class(self, monkeypatch):
        theirs = type("ModelAdmin", (admin.ModelAdmin,), {})
        monkeypatch.setattr(base.apps, "is_installed", lambda name: name == "unfold")
        monkeypatch.setattr(base, "import_string", {"unfold.admin.ModelAdmin": theirs}.get)
        assert base.model_admin() is theirs

    @pytest.mark.parametrize("theme", ["unfold", "jazzmin"])
    def test_a_page_of_their_own(self, superuser, totp, apply, monkeypatch, theme):
        monkeypatch.setattr(base.apps, "is_installed", lambda name: name == theme)
        with pytest.raises(TemplateSyntaxError, match=f"'{theme}' is not a registered tag library"):
            apply("reset_two_factor", totp, confirmed=False)

    def test_the_theme_says_what_a_field_looks_like(self, superuser, totp, apply, monkeypatch):
        page = text_of(apply("reset_two_factor", totp, confirmed=False))
        assert 'class="vTextField form-control"' in page
        widget = forms.TextInput(attrs={"class": "theirs"})
        overrides = site.get_model_admin(Totp).formfield_overrides
        monkeypatch.setitem(overrides, CharField, {"widget": widget})
        page = text_of(apply("reset_two_factor", totp, confirmed=False))
        assert re.search(r'<input type="text" name="reason"[^>]* class="theirs form-control"', page)

    def test_as_a_mixin_before_the_class_of_a_theme(self, totp, superuser, rf):
        class Pages(ChangeList):
            pass

        class Theme(admin.ModelAdmin):
            def get_changelist(self, request, **kwargs):
                return Pages

        ours = type("Ours", (TotpAdmin, Theme), {})(Totp, site)
        assert issubclass(ours.get_changelist(rf.get("/")), Pages)


class TestEndTheWait:
    @pytest.fixture
    def totp(self, totp):
        until = timezone.now() + timedelta(minutes=5)
        Totp.objects.update(failures=100, waiting_until=until)
        return totp

    def test_asks_first(self, superuser, totp, apply):
        page = text_of(apply("end_the_wait", totp, confirmed=False))
        assert "<li>ada@example.com</li>" in page
        totp.refresh_from_db()
        assert totp.failures == 100

    def test_forgets_the_wrong_codes_and_keeps_the_enrollment(self, superuser, totp, apply):
        apply("end_the_wait", totp)
        totp.refresh_from_db()
        assert (totp.failures, totp.waiting_until) == (0, None)
        assert totp.backup_codes.count() == 10
        assert "The wait of 1 user was ended." in text_of(superuser.get(LIST))

    def test_is_logged_and_written_into_both_histories(
        self, superuser, admin_user, totp, apply, caplog
    ):
        caplog.set_level(logging.INFO, "django_totp")
        apply("end_the_wait", totp)
        (record,) = [record for record in caplog.records if record.name == "django_totp"]
        assert (record.event, record.reason) == ("wait_ended", "")
        assert record.actor_pk == str(admin_user.pk)
        entries = LogEntry.objects.all()
        assert {entry.action_flag for entry in entries} == {CHANGE}
        assert {entry.object_id for entry in entries} == {str(totp.pk), str(totp.user_id)}
        assert {entry.change_message for entry in entries} == {
            "Ended the wait after wrong TOTP codes."
        }
        history = superuser.get(f"{LIST}{totp.pk}/history/")
        assert "Ended the wait after wrong TOTP codes." in text_of(history)


class TestEndSessions:
    """On the list of enrollments, and on that of accounts."""

    @pytest.fixture(params=[LIST, ACCOUNTS])
    def url(self, request):
        return request.param

    @pytest.fixture
    def row(self, url, totp):
        """Return the row of the user in the list."""
        return totp if url == LIST else Account.objects.create(user=totp.user)

    def begin(self):
        """Return from when on logins of the user count."""
        accounts = Account.objects.filter(**{f"user__{name_field()}": "ada@example.com"})
        return accounts.values_list("valid_from", flat=True).first()

    def test_asks_first(self, superuser, row, apply, url):
        page = text_of(apply("end_sessions", row, url=url, confirmed=False))
        assert "<h1>End all logins</h1>" in page
        assert "<li>ada@example.com</li>" in page
        assert "must sign in again, password and all" in page
        assert self.begin() is None
        assert superuser.post(url, hidden_fields(page)).status_code == 302
        assert self.begin() is not None

    def test_ends_them_and_keeps_the_factor(self, superuser, row, apply, url):
        apply("end_sessions", row, url=url)
        assert timezone.now() - self.begin() < timedelta(minutes=1)
        assert Totp.objects.get().is_enabled
        assert "All logins of 1 user were ended." in text_of(superuser.get(url))

    def test_tells_the_log_and_both_histories(self, superuser, admin_user, row, apply, url, caplog):
        caplog.set_level(logging.INFO, "django_totp")
        apply("end_sessions", row, url=url, reason="lost laptop")
        (record,) = [record for record in caplog.records if record.name == "django_totp"]
        assert record.event == "sessions_ended"
        assert (record.reason, record.actor_pk) == ("lost laptop", str(admin_user.pk))
        entries = LogEntry.objects.all()
        assert {entry.action_flag for entry in entries} == {CHANGE}
        assert {(entry.content_type.model_class(), entry.object_id) for entry in entries} == {
            (type(row), str(row.pk)),
            (get_user_model(), str(row.user_id)),
        }
        messages = {entry.change_message for entry in entries}
        assert messages == {"Ended all logins. lost laptop"}
        history = superuser.get(f"{url}{row.pk}/history/")
        assert "Ended all logins. lost laptop" in text_of(history)

    def test_it_opens_nothing_so_nobody_is_refused(self, staff, admin_user, apply, url):
        client = staff("view_totp", "view_account", "end_sessions")
        own = get_user_model().objects.get(pk=client.session["_auth_user_id"])
        rows = [
            Totp.objects.create(user=user, secret_key="x")
            if url == LIST
            else Account.objects.create(user=user)
            for user in (own, admin_user)
        ]
        page = text_of(apply("end_sessions", *rows, url=url, confirmed=False))
        assert "Left alone" not in page
        client.post(url, hidden_fields(page))
        assert Account.objects.exclude(valid_from=None).count() == 2

    def test_it_has_a_permission_of_its_own(self, staff, row, apply, url):
        view = "view_totp" if url == LIST else "view_account"
        client = staff(view, "reset_totp", "unlock_totp", "change_account", "delete_account")
        assert "end_sessions" not in text_of(client.get(url))
        apply("end_sessions", row, url=url)
        assert self.begin() is None

    def test_with_it(self, staff, row, apply, url):
        client = staff("view_totp" if url == LIST else "view_account", "end_sessions")
        options = re.findall(r'<option value="(\w+)"', text_of(client.get(url)))
        assert options == ["end_sessions"]
        apply("end_sessions", row, url=url)
        assert self.begin() is not None


class TestAccounts:
    @pytest.fixture
    def account(self, user):
        return Account.objects.create(
            user=user,
            valid_from=datetime(2030, 1, 1, 12, tzinfo=UTC),
            required_since=datetime(2031, 1, 1, 12, tzinfo=UTC),
            exempt_until=date(2032, 1, 31),
            exempt_reason="no <phone>",
        )

    @pytest.fixture(autouse=True)
    def _utc(self, settings):
        settings.TIME_ZONE = "UTC"

    def test_a_row(self, superuser, account):
        page = text_of(superuser.get(ACCOUNTS))
        link = f'<a href="{ACCOUNTS}{account.pk}/change/">ada@example.com</a>'
        assert link in page
        cells = re.findall(r'<td class="field-(\w+)[^>]*>([^<]*)</td>', page)
        assert dict(cells) == {
            "logins_count_from": "Jan. 1, 2030, noon",
            "must_enroll_since": "Jan. 1, 2031, noon",
            "exempt_until": "Jan. 31, 2032",
            "exempt_reason": "no &lt;phone&gt;",
        }

    def test_a_row_that_says_little(self, superuser, user):
        Account.objects.create(user=user)
        page = text_of(superuser.get(ACCOUNTS))
        assert '<td class="field-logins_count_from">-</td>' in page
        assert '<td class="field-exempt_until nowrap">-</td>' in page

    def test_who_was_imported_and_nothing_else_is_not_listed(self, superuser, account, make_user):
        Account.objects.update(imported_at=account.valid_from)
        Account.objects.create(user=make_user("grace"), imported_at=account.valid_from)
        page = text_of(superuser.get(ACCOUNTS))
        assert "ada@example.com</a>" in page
        assert "grace@example.com" not in page

    def test_a_page(self, superuser, account):
        page = text_of(superuser.get(f"{ACCOUNTS}{account.pk}/change/"))
        for text in ("ada@example.com</a>", "Jan. 1, 2030, noon", "no &lt;phone&gt;"):
            assert text in page
        assert "deletelink" not in page
        assert not re.search(r'<(input|select|textarea)[^>]*name="(?!csrf|_popup)', page)

    def test_the_page_of_the_enrollment_shows_it_too(self, superuser, account, totp):
        page = text_of(superuser.get(page_of(totp)))
        assert "Logins count from:" in page
        assert "Jan. 1, 2030, noon" in page
        assert "Must enroll since:" in page
        assert "Jan. 1, 2031, noon" in page
        assert "Jan. 31, 2032 (no &lt;phone&gt;)" in page

    def test_a_project_without_time_zones(self, account, totp, settings):
        settings.USE_TZ, settings.TIME_ZONE = False, "Asia/Tokyo"
        for row, pages in ((account, AccountAdmin), (totp, TotpAdmin)):
            shown = pages(type(row), site).logins_count_from(row)
            assert shown == "Jan. 1, 2030, 9 p.m."

    def test_a_user_without_a_name(self, superuser, account, monkeypatch):
        monkeypatch.setattr(get_user_model(), "get_username", nobody_but(account.user))
        monkeypatch.setattr(get_user_model(), "__str__", lambda user: user.get_username())
        get_user_model().objects.filter(pk=account.pk).update(email="post@example.com")
        for url in (ACCOUNTS, f"{ACCOUNTS}{account.pk}/change/"):
            assert ">post@example.com</a>" in text_of(superuser.get(url))

    def test_statements_do_not_depend_on_the_number_of_rows(self, superuser, account, make_user):
        def statements():
            with CaptureQueriesContext(connection) as queries:
                superuser.get(ACCOUNTS)
            return len(queries)

        few = statements()
        for number in range(20):
            Account.objects.create(user=make_user(f"user{number}"))
        assert statements() == few

    @pytest.mark.parametrize(("term", "count"), [("ada@example.com", 1), ("ADA", 1), ("emmy", 0)])
    def test_search(self, superuser, account, make_user, term, count):
        Account.objects.create(user=make_user("grace"))
        assert len(names_on(superuser.get(ACCOUNTS, {"q": term}))) == count

    def test_nothing_can_be_guessed_letter_by_letter(self, superuser, account):
        assert superuser.get(ACCOUNTS, {"user__password__startswith": "x"}).status_code == 400

    def test_nothing_can_be_changed(self, superuser, account):
        page = f"{ACCOUNTS}{account.pk}/"
        assert superuser.get(f"{ACCOUNTS}add/").status_code == 403
        assert superuser.post(f"{page}change/", {"exempt_until": ""}).status_code == 403
        assert superuser.post(f"{page}delete/", {"post": "yes"}).status_code == 403
        data = {"action": "delete_selected", "_selected_action": [account.pk], "post": "yes"}
        superuser.post(ACCOUNTS, data)
        assert Account.objects.filter(exempt_until=date(2032, 1, 31)).exists()

    def test_without_the_permission_there_is_no_page(self, staff, account):
        client = staff("view_totp")
        assert client.get(ACCOUNTS).status_code == 403
        assert client.get(f"{ACCOUNTS}{account.pk}/change/").status_code == 403


class TestPermissions:
    def test_without_any_there_is_no_page(self, staff, totp):
        client = staff()
        assert client.get(LIST).status_code == 403
        assert client.get(page_of(totp)).status_code == 403
        assert "totp" not in text_of(client.get("/admin/")).lower()

    def test_whoever_may_view_may_not_act(self, staff, totp, apply):
        client = staff("view_totp")
        assert "ada@example.com" in text_of(client.get(LIST))
        assert 'name="action"' not in text_of(client.get(LIST))
        for action in ("reset_two_factor", "end_the_wait", "delete_selected"):
            apply(action, totp)
        assert Totp.objects.filter(pk=totp.pk, version=totp.version).exists()

    @pytest.mark.parametrize("action", ["reset_two_factor", "allow_recovery", "end_the_wait"])
    def test_each_action_has_one_of_its_own(self, staff, totp, apply, action):
        client = staff("view_totp", permission_to(action))
        more = ["stop_recovery"] if action == "allow_recovery" else []
        assert re.findall(r'<option value="(\w+)"', text_of(client.get(LIST))) == [action, *more]
        assert "ada@example.com" in text_of(apply(action, totp, confirmed=False))
        apply(action, totp)
        assert not Totp.objects.filter(pk=totp.pk, version=totp.version).exists()

    def test_djangos_own_do_not_stand_in_for_them(self, staff, totp, apply):
        staff("view_totp", "add_totp", "change_totp", "delete_totp")
        for action in ("reset_two_factor", "end_the_wait", "delete_selected"):
            apply(action, totp)
        assert Totp.objects.filter(pk=totp.pk, version=totp.version).exists()

    def test_acting_without_viewing(self, staff, totp, apply):
        staff("reset_totp")
        assert apply("reset_two_factor", totp).status_code == 403

    def test_a_superuser_has_all_and_no_plain_delete(self, superuser, totp):
        options = re.findall(r'<option value="(\w+)"', text_of(superuser.get(LIST)))
        assert options == [
            "reset_two_factor",
            "allow_recovery",
            "stop_recovery",
            "end_the_wait",
            "end_sessions",
        ]


class TestRecovery:
    def test_it_is_allowed_with_a_reason_and_told(self, superuser, admin_user, totp, apply, caplog):
        caplog.set_level(logging.INFO, "django_totp")
        apply("allow_recovery", totp, reason="lost phone")
        (record,) = [one for one in caplog.records if getattr(one, "event", "")]
        assert (record.event, record.reason) == ("recovery_allowed", "lost phone")
        assert record.actor_pk == str(admin_user.pk)
        assert Totp.objects.get(pk=totp.pk).is_recovery_ready
        assert "allowed by an administrator" in text_of(superuser.get(page_of(totp)))

    def test_that_of_the_owner_is_told(self, superuser, totp):
        Totp.objects.update(recovery_ready_at=datetime(2131, 5, 4, 12, tzinfo=UTC))
        page = text_of(superuser.get(page_of(totp)))
        assert "from May 4, 2131" in page
        assert "allowed by an administrator" not in page

    def test_it_is_stopped(self, superuser, totp, apply):
        apply("allow_recovery", totp)
        apply("stop_recovery", Totp.objects.get(pk=totp.pk))
        assert not Totp.objects.get(pk=totp.pk).is_recovery_pending
        assert Totp.objects.get(pk=totp.pk).is_enabled

    def test_not_everybody_may_do_it_for_everybody(self):
        """As with a reset: not for the own account, and a superuser's is a superuser's."""
        assert ALLOW_RECOVERY.opens


class TestDeletingUsers:
    @pytest.fixture
    def users_url(self):
        meta = get_user_model()._meta
        return reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")

    @pytest.fixture
    def may_delete_users(self, staff):
        name = get_user_model()._meta.model_name
        permissions = Permission.objects.filter(
            content_type=ContentType.objects.get_for_model(get_user_model())
        )
        client = staff()
        user = get_user_model().objects.get(pk=client.session["_auth_user_id"])
        user.user_permissions.set(
            permissions.filter(codename__in=[f"delete_{name}", f"view_{name}"])
        )
        return client

    def test_one(self, may_delete_users, users_url, totp):
        Account.objects.create(user=totp.user)
        url = f"{users_url}{totp.user_id}/delete/"
        assert "Are you sure" in text_of(may_delete_users.get(url))
        assert may_delete_users.post(url, {"post": "yes"}).status_code == 302
        assert not Totp.objects.exists()
        assert not BackupCode.objects.exists()
        assert not Account.objects.exists()

    def test_several(self, may_delete_users, users_url, totp, enroll, apply):
        users = [totp.user, enroll("grace2").user]
        apply("delete_selected", *users, url=users_url, post="yes")
        assert not Totp.objects.exists()
        assert get_user_model().objects.count() == 1

    def test_names_no_secret(self, may_delete_users, users_url, totp, apply, backup_codes):
        one = text_of(may_delete_users.get(f"{users_url}{totp.user_id}/delete/"))
        several = text_of(apply("delete_selected", totp.user, url=users_url, confirmed=False))
        assert not secrets_in(one + several, totp, backup_codes)


def secrets_in(text, totp, backup_codes, *more):
    stored = BackupCode.objects.values_list("code", "digest")
    hidden = [totp.secret_key, *backup_codes, *(value for row in stored for value in row), *more]
    assert len(hidden) >= 31
    return [value for value in hidden if value in text]


def test_no_page_shows_a_secret(superuser, totp, enrolled_user, secret, backup_codes, apply):
    pages = [
        superuser.get(LIST),
        superuser.get(LIST, {"q": "ada", "state": "enabled"}),
        superuser.get(page_of(totp)),
        apply("reset_two_factor", totp, confirmed=False),
        apply("end_the_wait", totp, confirmed=False),
        apply("end_sessions", totp, confirmed=False),
        apply("end_the_wait", totp, reason="why", confirmed=True) and superuser.get(LIST),
        superuser.get(f"{LIST}{totp.pk}/history/"),
    ]
    text = "".join(map(text_of, pages))
    assert text.count("ada@example.com") >= len(pages) - 2
    assert not secrets_in(text, totp, backup_codes, secret, enrolled_user.password)
