"""django-hijack: an administrator in the place of a user."""

import pytest
from django.urls import reverse
from hijack.signals import hijack_ended, hijack_started

from django_totp.auth import is_totp_enabled
from django_totp.models import Totp
from tests.field.impersonation import keep_second_factor
from tests.field.journey import test_journey  # noqa: F401
from tests.visitors import MIDDLEWARE, make_visitor, page_of

pytestmark = pytest.mark.django_db(transaction=True)

for signal in (hijack_started, hijack_ended):
    signal.disconnect(keep_second_factor)  # a project just leaves it connected


@pytest.fixture
def recipe():
    for signal in (hijack_started, hijack_ended):
        signal.connect(keep_second_factor)
    yield
    for signal in (hijack_started, hijack_ended):
        signal.disconnect(keep_second_factor)


@pytest.fixture
def root():
    return make_visitor("root", is_staff=True, is_superuser=True)


@pytest.fixture
def ada():
    return make_visitor("ada").enroll()


def acquire(visitor, other):
    return visitor.client.post(reverse("hijack:acquire"), {"user_pk": other.user.pk})


def seen_by(visitor):
    return visitor.client.get("/who/").content.decode()


def test_acts_as_the_user_and_needs_a_proof(settings, person, root):
    """Without the middleware a session is asked for nothing, but for a proof."""
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if name != MIDDLEWARE]
    settings.TOTP_REAUTHENTICATE = True
    person.enroll()
    root.client.force_login(root.user)
    taken = root.client.post(reverse("hijack:acquire"), {"user_pk": person.user.pk})
    assert taken.status_code == 302
    assert root.client.get(reverse("totp-status")).json()["is_totp_enabled"] is True
    for name in ("totp-disable", "totp-rotate-backup-codes"):
        refused = root.client.post(reverse(name))
        assert refused.status_code == 403
        assert refused.json()["code"] == "reauthentication_required"
    assert person.status()["is_totp_enabled"] is True


def test_hijacks_and_releases(recipe, root, ada):
    root.enroll()
    root.log_in("/admin/login/")
    for other in (ada, make_visitor("bob"), make_visitor("cyd").enroll()):
        assert acquire(root, other)["Location"] == "/api/totp/"
        assert seen_by(root) == other.name
        page = root.client.get(reverse("two-factor"))
        assert page.status_code == 200
        assert "djhj" in page.content.decode()  # the bar that says so
        root.client.post(reverse("hijack:release"))
        assert seen_by(root) == root.name
        assert root.client.get("/admin/").status_code == 200


def test_it_changes_no_second_factor(settings, recipe, root, ada):
    settings.TOTP_REAUTHENTICATE = True
    root.enroll()
    root.log_in("/admin/login/")
    acquire(root, ada)
    for name in ("two-factor-disable", "two-factor-backup-codes"):
        assert page_of(root.client.post(reverse(name))) == reverse("two-factor-verify")
    for name in ("totp-disable", "totp-rotate-backup-codes", "totp-replace"):
        refused = root.client.post(reverse(name))
        assert refused.json()["code"] == "reauthentication_required"
    assert is_totp_enabled(ada.user)


@pytest.mark.parametrize("is_enrolled", [True, False])
def test_it_gives_nobody_a_second_factor(settings, recipe, root, is_enrolled):
    """Neither on the pages nor at the endpoints: only the user knows the password."""
    settings.TOTP_REAUTHENTICATE = True
    if is_enrolled:
        root.enroll()
        root.log_in("/admin/login/")
    else:
        root.give_password("/admin/login/")
    bob = make_visitor("bob")
    acquire(root, bob)
    assert seen_by(root) == bob.name
    setup = reverse("two-factor-setup")
    for answer in (root.client.get(setup), root.client.post(setup, {"password": "a guess"})):
        assert 'name="password"' in answer.content.decode()
        assert "otpauth" not in answer.content.decode()
    refused = root.client.post(reverse("totp-create"))
    assert refused.json()["code"] == "reauthentication_required"
    assert not Totp.objects.filter(user=bob.user).exists()


def test_without_the_recipe_the_users_code_is_asked_for(root, ada):
    root.enroll()
    root.log_in("/admin/login/")
    assert page_of(acquire(root, ada)) == reverse("two-factor-verify")
    assert seen_by(root) == "nobody"


def test_half_a_login_hijacks_nobody(recipe, root, ada):
    root.enroll()
    root.give_password("/admin/login/")
    assert page_of(acquire(root, ada)) == reverse("two-factor-verify")
    root.give_code()
    assert seen_by(root) == root.name


def test_no_second_factor_comes_from_nowhere(recipe, root, ada):
    """Who has none hijacks those who have none."""
    root.give_password("/admin/login/")
    bob = make_visitor("bob")
    acquire(root, bob)
    assert seen_by(root) == bob.name
    root.client.post(reverse("hijack:release"))
    assert seen_by(root) == root.name
    assert page_of(acquire(root, ada)) == reverse("two-factor-verify")


def test_the_user_goes_on(recipe, root, ada):
    root.enroll()
    root.log_in("/admin/login/")
    ada.log_in("/account/login/")
    acquire(root, ada)
    root.client.post(reverse("hijack:release"))
    assert ada.is_in
