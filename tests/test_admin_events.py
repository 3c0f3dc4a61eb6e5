"""The pages of events, and the way to them, on a site of their own and on one without them."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import path

from django_totp import events as log
from django_totp.admin import AccountAdmin, EventAdmin, TotpAdmin
from django_totp.admin import events as pages
from django_totp.encryption import encrypt
from django_totp.models import Account, Event, Totp
from django_totp.users import name_of
from tests import markdown

site, bare = admin.AdminSite(), admin.AdminSite(name="bare")
for model, pages_of in ((Totp, TotpAdmin), (Account, AccountAdmin), (Event, EventAdmin)):
    site.register(model, pages_of)
bare.register(Totp, TotpAdmin)
urlpatterns = [path("admin/", site.urls), path("bare/", bare.urls)]

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.urls(__name__),
    pytest.mark.usefixtures("without_middleware"),
]

LIST = "/admin/django_totp/event/"
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def root(make_user):
    return make_user("root", is_staff=True, is_superuser=True)


@pytest.fixture
def superuser(client, root):
    """Return a client that is signed in as a superuser."""
    client.force_login(root)
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


def add(user=None, event="login", by=None, **fields):
    """Write an event of ``user``, which is the user's own unless somebody else has done it."""
    user_pk = "" if user is None else str(getattr(user, "pk", user))
    actor_pk = user_pk if by is None else str(getattr(by, "pk", by))
    fields = {"at": NOON, "user_pk": user_pk, "actor_pk": actor_pk, **fields}
    return Event.objects.create(event=event, **fields)


def text_of(response):
    assert response.status_code == 200
    return response.content.decode()


def column(client, name, **query):
    """Return what a column of the list shows, from above."""
    return cells_of(text_of(client.get(LIST, query)), name)


def cells_of(page, name):
    cells = re.findall(rf'<t[dh] class="field-{name}[^"]*">(.*?)</t[dh]>', page)
    return [re.sub("<[^>]+>", "", cell) for cell in cells]


def statements(client, url=LIST, **query):
    with CaptureQueriesContext(connection) as captured:
        text_of(client.get(url, query))
    return [query["sql"] for query in captured]


def test_the_default_site_has_them():
    assert isinstance(admin.site.get_model_admin(Event), EventAdmin)


def test_the_names_are_those_of_the_log():
    rows = markdown.rows(markdown.read("docs/logging.md"))
    assert [markdown.code(row[0])[0] for row in rows] == list(log.EVENTS)


class TestList:
    def test_a_row(self, superuser, user, settings):
        settings.TIME_ZONE = "UTC"
        facts = {"method": "totp", "reason": "wrong", "address": "203.0.113.7"}
        add(user, "verification_failed", user_agent="<Browser>/1.0", **facts)
        page = text_of(superuser.get(LIST))
        cells = re.findall(r'class="field-(\w+)[^>]*>(?:<a[^>]*>)?([^<]*)<', page)
        assert dict(cells) == {
            "time": "Jan. 1, 2030 12:00:00 UTC",
            "event": "verification_failed",
            "username": name_of(user),
            "done_by": "self",
            **facts,
            "browser": "an unknown program",
        }

    @pytest.mark.parametrize(
        ("zone", "use_tz", "shown"),
        [
            ("Asia/Tokyo", True, "Jan. 1, 2030 21:00:00 JST"),
            ("Asia/Tokyo", False, "Jan. 1, 2030 21:00:00 JST"),
            ("Europe/Berlin", True, "Jan. 1, 2030 13:00:00 CET"),
        ],
    )
    def test_the_time_is_the_projects(self, user, settings, zone, use_tz, shown):
        settings.TIME_ZONE, settings.USE_TZ = zone, use_tz
        assert EventAdmin(Event, site).time(add(user)) == shown

    def test_what_is_not_known(self, superuser):
        add(None, "login_failed")
        for name in ("username", "done_by", "method", "reason", "address", "browser"):
            assert column(superuser, name) in (["-"], [""])  # before Django 5.1, a field is empty

    def test_who_did_it(self, superuser, user, root):
        add(user, by="")
        add(user, by=root)
        add(user)
        add(user, by="4711")
        add("4712", by="4712")
        assert column(superuser, "done_by") == ["self", "4711", "self", name_of(root), "a command"]
        assert column(superuser, "username") == ["4712", *[name_of(user)] * 4]

    def test_a_user_who_is_gone_is_a_key(self, superuser, user):
        add(user)
        key = str(user.pk)
        user.delete()
        assert column(superuser, "username") == [key]

    @pytest.mark.parametrize("key", ["no key", "9" * 200, "-1", "x" * 255, "\u0661"])
    def test_keys_that_no_user_can_have(self, superuser, user, key):
        add(key)
        add(user)
        assert column(superuser, "username") in ([name_of(user), key], [str(user.pk), key])

    def test_a_user_without_a_name(self, superuser, user, monkeypatch):
        add(user)
        monkeypatch.setattr(get_user_model(), "get_username", lambda user: None)
        get_user_model().objects.filter(pk=user.pk).update(email="post@example.com")
        assert column(superuser, "username") == ["post@example.com"]

    def test_the_newest_come_first(self, superuser, user):
        for event in ("verified", "login", "disabled"):
            add(user, event)
        assert column(superuser, "event") == ["disabled", "login", "verified"]

    def test_a_browser_is_told_in_words_in_the_list_alone(self, superuser, user):
        agent = "Mozilla/5.0 (Windows NT 10.0; rv:127.0) Gecko/20100101 Firefox/127.0"
        event = add(user, user_agent=agent)
        assert column(superuser, "browser") == ["Firefox on Windows"]
        assert agent in text_of(superuser.get(f"{LIST}{event.pk}/change/"))

    def test_statements_do_not_depend_on_the_number_of_rows(self, superuser, user, make_user, root):
        add(user, by=root)
        few = statements(superuser)
        for number in range(20):
            add(make_user(f"user{number}"), by=make_user(f"admin{number}"))
        many = statements(superuser)
        assert len(many) == len(few)
        assert sum("COUNT" in sql for sql in many) == 1

    def test_nothing_is_counted_beyond_the_newest(self, superuser, user, monkeypatch):
        monkeypatch.setattr(pages, "NEWEST", 3)
        monkeypatch.setattr(EventAdmin, "list_per_page", 2)
        for _ in range(9):
            add(user)
        [count] = [sql for sql in statements(superuser) if "COUNT" in sql]
        assert "LIMIT 3" in count
        assert "ORDER" not in count
        assert len(column(superuser, "event", p=2)) == 1
        assert superuser.get(LIST, {"p": 3}).status_code == 302
        assert "The list ends after" in text_of(superuser.get(LIST))


class TestFilter:
    def test_by_event(self, superuser, user):
        for event in ("verified", "login", "disabled", "login"):
            add(user, event)
        assert column(superuser, "event", event="login") == ["login", "login"]
        assert column(superuser, "event", event="unheard-of") == []
        page = text_of(superuser.get(LIST))
        assert [event for event in log.EVENTS if f'"?event={event}"' not in page] == []
        page = text_of(superuser.get(LIST, {"_facets": "True"}))
        assert not re.search(r"login\s*\(\d", page)

    def test_by_the_key_of_a_user(self, superuser, user, root):
        add(user)
        add(root, "disabled")
        assert column(superuser, "event", user_pk=str(user.pk)) == ["login"]
        assert column(superuser, "event", user_pk="nobody") == []
        assert column(superuser, "event", user_pk=str(user.pk), event="disabled") == []

    @pytest.mark.parametrize(
        "lookup", ["user_agent__startswith", "address", "at__gt", "user_pk__regex"]
    )
    def test_by_nothing_else(self, superuser, lookup):
        assert superuser.get(LIST, {lookup: "1"}).status_code == 400


class TestSearch:
    @pytest.fixture(autouse=True)
    def _some(self, make_user):
        self.users = {name: make_user(name) for name in ("ada", "adam", "emmy")}
        for user in self.users.values():
            add(user)

    def found(self, client, term):
        names = column(client, "username", q=term)
        return [name.partition("@")[0] for name in names]

    @pytest.mark.parametrize(
        ("term", "names"),
        [
            ("ADA", ["adam", "ada"]),
            ("ada@example.com", ["ada"]),
            ("emmy@", ["emmy"]),
            ("nobody", []),
            ("", ["emmy", "adam", "ada"]),
        ],
    )
    def test_by_name(self, superuser, term, names):
        assert self.found(superuser, term) == names

    def test_by_key(self, superuser):
        assert self.found(superuser, f" {self.users['emmy'].pk} ") == ["emmy"]

    def test_by_the_key_of_a_user_who_is_gone(self, superuser):
        key = str(self.users["emmy"].pk)
        self.users["emmy"].delete()
        assert column(superuser, "username", q=key) == [key]

    def test_for_a_whole_name_an_index_serves(self, superuser):
        sql = statements(superuser, q="ada@example.com")
        assert not any("LIKE" in one for one in sql)
        assert not any("JOIN" in one for one in sql if "django_totp_event" in one)

    def test_where_a_part_is_in_many_names(self, superuser, monkeypatch):
        monkeypatch.setattr(pages, "SEARCH_LIMIT", 1)
        assert self.found(superuser, "ada") == []
        assert "Too many users have that" in text_of(superuser.get(LIST, {"q": "ada"}))
        assert self.found(superuser, "emmy") == ["emmy"]

    def test_in_the_fields_that_a_subclass_names(self, superuser, monkeypatch):
        monkeypatch.setattr(EventAdmin, "search_fields", ["=event"])
        assert self.found(superuser, "ada") == []
        assert len(self.found(superuser, "LOGIN")) == 3


class TestDetail:
    def test_shows_all_and_changes_nothing(self, superuser, user, root):
        event = add(user, "disabled", by=root, reason="lost <phone>", user_agent="Browser/1.0")
        url = f"{LIST}{event.pk}/change/"
        page = text_of(superuser.get(url))
        for text in (name_of(user), name_of(root), "lost &lt;phone&gt;", "Browser/1.0"):
            assert text in page
        assert not re.search(r'<(input|select|textarea)[^>]*name="(?!csrf|_popup)', page)
        assert "deletelink" not in page

    def test_nothing_can_be_changed(self, superuser, user):
        event = add(user)
        url = f"{LIST}{event.pk}/"
        assert superuser.get(f"{LIST}add/").status_code == 403
        assert superuser.post(f"{LIST}add/", {"event": "login"}).status_code == 403
        assert superuser.post(f"{url}change/", {"event": "disabled"}).status_code == 403
        assert superuser.post(f"{url}delete/", {"post": "yes"}).status_code == 403
        data = {"action": "delete_selected", "_selected_action": [event.pk], "post": "yes"}
        superuser.post(LIST, data)
        assert Event.objects.get().event == "login"
        assert 'name="action"' not in text_of(superuser.get(LIST))

    def test_users_are_looked_up_once(self, superuser, user, root):
        event = add(user, by=root)
        table = get_user_model()._meta.db_table
        sql = statements(superuser, f"{LIST}{event.pk}/change/")
        assert (
            sum(f"FROM {connection.ops.quote_name(table)}" in one for one in sql) == 2
        )  # with who asks


class TestPermissions:
    def test_without_it_there_is_no_page(self, staff, user):
        event = add(user)
        client = staff("view_totp", "view_account")
        assert client.get(LIST).status_code == 403
        assert client.get(f"{LIST}{event.pk}/change/").status_code == 403
        assert LIST not in text_of(client.get("/admin/"))

    def test_with_it(self, staff, user):
        add(user)
        client = staff("view_event")
        assert column(client, "username") == [name_of(user)]
        assert LIST in text_of(client.get("/admin/"))

    def test_djangos_others_change_nothing(self, staff, user):
        event = add(user)
        client = staff("view_event", "add_event", "change_event", "delete_event")
        assert client.get(f"{LIST}add/").status_code == 403
        assert client.post(f"{LIST}{event.pk}/change/", {"event": "x"}).status_code == 403
        assert client.post(f"{LIST}{event.pk}/delete/", {"post": "yes"}).status_code == 403
        assert Event.objects.get().event == "login"


class TestTheWayThere:
    @pytest.fixture
    def urls(self, user):
        """Return the pages of the enrollment and of the account of the user."""
        totp = Totp.objects.create(user=user, secret_key=encrypt("S"))
        account = Account.objects.create(user=user)
        return [f"django_totp/totp/{totp.pk}/change/", f"django_totp/account/{account.pk}/change/"]

    def test_from_an_enrollment_and_an_account(self, staff, urls, user, root):
        add(user, "verified")
        add(root)
        client = staff("view_totp", "view_account", "view_event")
        for url in urls:
            [link] = re.findall(rf'<a href="({LIST}\?[^"]*)"', text_of(client.get(f"/admin/{url}")))
            assert cells_of(text_of(client.get(link)), "event") == ["verified"]

    def test_for_those_alone_who_may_see_them(self, staff, urls):
        client = staff("view_totp", "view_account")
        for url in urls:
            page = text_of(client.get(f"/admin/{url}"))
            assert LIST not in page
            assert "What happened" not in page

    def test_where_a_site_has_no_events(self, superuser, urls):
        assert "What happened" not in text_of(superuser.get(f"/bare/{urls[0]}"))

    def test_a_subclass_that_lets_change(self, superuser, urls, monkeypatch):
        monkeypatch.setattr(AccountAdmin, "has_change_permission", lambda *args: True)
        assert "What happened" in text_of(superuser.get(f"/admin/{urls[1]}"))


def test_moments_far_away(superuser, user):
    for at in (datetime(1970, 1, 1, tzinfo=UTC), datetime(9998, 1, 1, tzinfo=UTC)):
        add(user, at=at + timedelta(days=1))
    assert len(column(superuser, "time")) == 2
