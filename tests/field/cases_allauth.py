"""django-allauth logs in: by password, by a signup, and for another site. Without its own MFA."""

import pytest
from allauth.account.models import EmailAddress
from django.urls import reverse

from tests.field.journey import test_journey  # noqa: F401
from tests.visitors import PASSWORD, make_visitor, next_in, page_of

pytestmark = pytest.mark.django_db(transaction=True)

LOGIN = "/accounts/login/"
EMAIL = "/accounts/email/"  # a page of allauth that needs a login


@pytest.fixture
def ada():
    visitor = make_visitor("ada", email="ada@example.com").enroll()
    EmailAddress.objects.create(
        user=visitor.user, email="ada@example.com", verified=True, primary=True
    )
    return visitor


def give_password(visitor, url=LOGIN, password=PASSWORD, **data):
    return visitor.client.post(url, {"login": visitor.name, "password": password, **data})


def by_dummy(visitor, next_url, identity="ada"):
    """Log in for the other site, which says who it is."""
    answer = visitor.client.post(f"/accounts/dummy/login/?next={next_url}")
    said = {"id": "7", "email": f"{identity}@example.com", "email_verified": "on"}
    return visitor.client.post(answer["Location"], said)


def test_a_login(ada, logins):
    asked = ada.client.get(EMAIL)
    assert page_of(asked) == LOGIN
    assert give_password(ada, password="wrong").status_code == 200
    answer = give_password(ada, asked["Location"], next=EMAIL)
    assert page_of(answer) == reverse("two-factor-verify")
    assert next_in(answer) == EMAIL
    assert not ada.is_in
    led = ada.client.get(EMAIL)
    assert page_of(led) == reverse("two-factor-verify")
    assert next_in(led) == EMAIL
    assert ada.give_code(answer)["Location"] == EMAIL
    assert ada.is_in
    assert logins == [ada.name]
    assert ada.client.get(EMAIL).status_code == 200


def test_without_a_factor(db, logins):
    bob = make_visitor("bob")
    assert give_password(bob, next=EMAIL)["Location"] == EMAIL
    assert bob.is_in
    assert logins == [bob.name]


def test_a_logout_ends_half_a_login(ada):
    answer = give_password(ada)
    ada.client.post("/accounts/logout/")
    assert page_of(ada.give_code(answer)) == LOGIN
    assert not ada.is_in


@pytest.mark.parametrize("required", [False, True])
def test_a_signup(settings, db, required):
    settings.TOTP_REQUIRED_FOR = ["everyone"] * required
    bob = make_visitor("bob")
    bob.user.delete()
    said = {"username": bob.name, "email": bob.name, "password1": PASSWORD, "password2": PASSWORD}
    answer = bob.client.post("/accounts/signup/", {**said, "next": EMAIL})
    if required:
        assert page_of(answer) == reverse("two-factor-setup")
        assert next_in(answer) == EMAIL
        assert not bob.is_in
        assert bob.set_up(answer).context["go_on"] == EMAIL
    else:
        assert answer["Location"] == EMAIL
    assert bob.is_in


def test_for_another_site(ada, logins):
    answer = by_dummy(ada, EMAIL)
    assert page_of(answer) == reverse("two-factor-verify")
    assert next_in(answer) == EMAIL
    assert not ada.is_in
    assert ada.give_code(answer)["Location"] == EMAIL
    assert ada.is_in
    assert logins == [ada.name]


def test_the_other_site_may_have_asked_already(settings, ada):
    settings.TOTP_EXEMPT_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
    assert by_dummy(ada, EMAIL)["Location"] == EMAIL
    assert ada.is_in
