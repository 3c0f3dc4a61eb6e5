"""The login of the admin, whatever it looks like: its own page, then our second step."""

import pytest
from django.urls import reverse

from tests.visitors import make_visitor, next_in, page_of

LOGIN = "/admin/login/"
WANTED = "/admin/auth/group/?q=x"


@pytest.fixture
def staff(db):
    return make_visitor("staff", is_staff=True, is_superuser=True)


def text(answer):
    return answer.content.decode()


def test_both_steps(staff, logins, theme):
    staff.enroll()
    asked = staff.client.get(WANTED)
    assert page_of(asked) == LOGIN
    page = staff.client.get(asked["Location"])
    assert theme in text(page)
    answer = staff.give_password(asked["Location"], next=WANTED)
    assert page_of(answer) == reverse("two-factor-verify")
    assert next_in(answer) == WANTED
    assert logins == []
    assert not staff.is_in
    assert page_of(staff.client.get("/admin/")) == reverse("two-factor-verify")
    assert staff.give_code(answer)["Location"] == WANTED
    assert logins == [staff.name]
    assert staff.client.get(WANTED).status_code == 200
    assert staff.is_in


def test_who_has_no_factor_comes_in_as_before(staff, logins):
    assert staff.give_password(LOGIN, next=WANTED)["Location"] == WANTED
    assert logins == [staff.name]
    assert staff.client.get(WANTED).status_code == 200


def test_a_wrong_password_is_told_by_the_theme(staff, theme):
    staff.enroll()
    page = staff.give_password(LOGIN, "wrong")
    assert page.status_code == 200
    assert theme in text(page)
    assert "for a staff account" in text(page)
    assert page_of(staff.client.get("/admin/")) == LOGIN


@pytest.mark.parametrize("enrolled", [False, True])
def test_who_is_no_staff_does_not_loop(db, enrolled, theme):
    """The admin's own page tells them, before and after a login by another door."""
    visitor = make_visitor("ada")
    if enrolled:
        visitor.enroll()
    refused = visitor.give_password(LOGIN)
    assert refused.status_code == 200
    assert "for a staff account" in text(refused)
    answer = visitor.give_password("/account/login/", next="/admin/")
    if enrolled:
        asked = visitor.client.get("/admin/")
        assert page_of(asked) == reverse("two-factor-verify")
        answer = visitor.give_code(answer)
    assert answer["Location"] == "/admin/"
    page = visitor.client.get("/admin/", follow=True)
    assert page.redirect_chain == [(f"{LOGIN}?next=/admin/", 302)]
    assert theme in text(page)
    assert page.context["user"].get_username() == visitor.name


def test_staff_who_owe_a_factor(staff, settings, logins):
    settings.TOTP_REQUIRED_FOR = ["staff"]
    answer = staff.give_password(LOGIN, next=WANTED)
    assert page_of(answer) == reverse("two-factor-setup")
    assert next_in(answer) == WANTED
    assert page_of(staff.client.get(WANTED)) == reverse("two-factor-setup")
    shown = staff.set_up(answer)
    assert shown.context["go_on"] == WANTED
    assert f'href="{WANTED}"' in text(shown)
    assert logins == [staff.name]
    assert staff.client.get(WANTED).status_code == 200


def test_a_session_from_before(staff):
    staff.give_password(LOGIN)
    staff.enroll()
    answer = staff.client.get(WANTED)
    assert page_of(answer) == reverse("two-factor-verify")
    assert staff.give_code(answer)["Location"] == WANTED


def test_logout(staff):
    staff.enroll()
    staff.log_in(LOGIN)
    assert staff.is_in
    assert staff.client.post("/admin/logout/").status_code in {200, 302}
    assert not staff.is_in
    assert page_of(staff.client.get("/admin/")) == LOGIN


def test_two_sites(staff, logins):
    """One has a login form of its own: that is asked first, and told to nobody twice."""
    staff.enroll()
    url = "/other/login/"
    refused = staff.give_password(url, room="13")
    assert "There is no such room." in text(refused)
    assert page_of(staff.client.get("/other/")) == url
    answer = staff.give_password(url, room="12", next="/other/auth/group/")
    assert page_of(answer) == reverse("two-factor-verify")
    assert not staff.is_in
    assert staff.give_code(answer)["Location"] == "/other/auth/group/"
    assert logins == [staff.name]
    for page in ("/other/auth/group/", WANTED):
        assert staff.client.get(page).status_code == 200
    staff.client.post("/admin/logout/")
    assert page_of(staff.give_password(LOGIN)) == reverse("two-factor-verify")
