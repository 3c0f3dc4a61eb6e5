"""What an operator does for users that are not Django's: the commands and the admin."""

import io

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.core.management import CommandError, call_command
from django.test import RequestFactory
from django.utils import timezone

from django_totp.admin import AccountAdmin, TotpAdmin
from django_totp.encryption import encrypt
from django_totp.models import Account, Totp
from django_totp.operations.support import adoption
from tests.variants.related.models import Handle, Person

pytestmark = pytest.mark.django_db
ours = TotpAdmin(Totp, admin.site)


@pytest.fixture
def enroll():
    """Return a function that gives a new user of that name and address an enrollment."""

    def enroll(name, post=""):
        handle = Handle.objects.create(text=name) if name else None
        user = Person.objects.create(handle=handle, post=post)
        fields = {"secret_key": encrypt("S"), "confirmed_at": timezone.now(), "failures": 7}
        return Totp.objects.create(user=user, **fields)

    return enroll


def run(*args):
    out = io.StringIO()
    call_command(*args, stdout=out)
    return out.getvalue()


def request(user, method="get", **data):
    made = getattr(RequestFactory(), method)("/", data)
    made.user, made._messages = user, Messages()
    return made


class Messages(list):
    def add(self, level, text, tags):
        self.append(text)


def found(term):
    rows = ours.get_search_results(request(None), Totp.objects.all(), term)[0]
    return {totp.user.post for totp in rows}


COMMANDS = [
    ["totp_status"],
    ["totp_unlock"],
    ["totp_reset", "--yes"],
    ["totp_end_sessions", "--yes"],
    ["totp_exempt", "--until", "9999-12-31", "--reason", "no phone"],
]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands(enroll, command):
    enroll("ada")
    assert "handle ada" in run(*command, "ada")
    with pytest.raises(CommandError, match="No single user has the handle 'nobody'"):
        run(*command, "nobody")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("post", ["post@example.com", ""])
def test_a_user_without_a_name(enroll, command, post):
    totp = enroll(None, post)
    text = run(*command, "--pk", str(totp.user_id))
    assert (post or str(totp.user_id)) in text


def test_report(enroll):
    enroll("ada")
    run("totp_report")
    (everybody,) = adoption()
    assert (everybody.users, everybody.enabled) == (1, 1)


def test_search(enroll):
    enroll("ada", "ada@example.com")
    enroll("adam", "post@example.org")
    assert found("ada") == {"ada@example.com"}
    assert found("DAM") == {"post@example.org"}
    assert found("example.org") == {"post@example.org"}
    assert found("nobody") == set()


def test_search_in_many(enroll, monkeypatch):
    monkeypatch.setattr("django_totp.admin.base.SEARCH_LIMIT", 1)
    for name in ("adam", "adamo"):
        enroll(name, f"{name}@example.com")
    assert found("dam") == {"adam@example.com", "adamo@example.com"}


def test_pages(enroll):
    named, nameless = enroll("ada"), enroll(None, "post@example.com")
    page = ours.changelist_view(request(named.user)).render().content.decode()
    assert "handle ada" in page
    assert "post@example.com" in page
    detail = ours.change_view(request(named.user), str(nameless.pk)).render().content.decode()
    assert "post@example.com" in detail


def test_accounts(enroll):
    for totp in (enroll("ada"), enroll(None, "post@example.com")):
        Account.objects.create(user=totp.user)
    accounts = AccountAdmin(Account, admin.site)
    asked = request(totp.user)
    page = accounts.changelist_view(asked).render().content.decode()
    assert "handle ada" in page
    assert "post@example.com" in page
    detail = accounts.change_view(asked, str(totp.user_id)).render().content.decode()
    assert "post@example.com" in detail


def test_actions(enroll):
    own, superuser = enroll("ada", "ada@example.com"), enroll(None, "root@example.com")
    other = enroll(None)
    asked = request(own.user, "post", action="reset_two_factor")
    page = ours.reset_two_factor(asked, Totp.objects.all()).render().content.decode()
    assert "handle ada (your own" in page
    assert "root@example.com (a superuser" in page
    assert f"<li>{other.user_id}</li>" in page
    confirmed = request(own.user, "post", confirmed="yes")
    ours.reset_two_factor(confirmed, Totp.objects.all())
    assert set(Totp.objects.all()) == {own, superuser}
    assert {entry.object_repr for entry in LogEntry.objects.all()} == {str(other.user_id)}
