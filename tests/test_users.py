"""Whatever user model a project has: these are no more like Django's than Django asks for."""

import pytest
from django.contrib.auth import get_user_model
from django.utils.functional import SimpleLazyObject

from django_totp import users


class Member:
    """A user with what Django cannot do without: a key and the name of the name."""

    USERNAME_FIELD = "nick"

    def __init__(self, pk=7, **fields):
        self.pk = pk
        vars(self).update(fields)


class Contact(Member):
    EMAIL_FIELD = "address"


class Odd(Member):
    """A user who has a session hash, and knows nothing of keys that went."""

    def get_session_auth_hash(self):
        return "hash"


class Team:
    def __str__(self):
        return "team 9"


@pytest.fixture
def stock():
    """Return a user of the project's model who is not saved."""
    model = get_user_model()
    return model(**{model.USERNAME_FIELD: "ada@example.com", "password": "x"})


class TestName:
    @pytest.mark.parametrize(
        ("fields", "name"),
        [
            ({"nick": "ada"}, "ada"),
            ({"nick": 0}, "0"),
            ({"nick": Team()}, "team 9"),
            ({"nick": None, "email": "ada@example.com"}, "ada@example.com"),
            ({"nick": "", "email": "ada@example.com"}, "ada@example.com"),
            ({"nick": None, "email": None}, "7"),
            ({"nick": None, "email": ""}, "7"),
            ({"nick": None}, "7"),
            ({}, "7"),
        ],
    )
    def test_of_a_user_without_the_base_class(self, fields, name):
        assert users.name_of(Member(**fields)) == name

    def test_address_in_another_field(self):
        assert users.name_of(Contact(address="ada@example.com", email="not this")) == (
            "ada@example.com"
        )

    def test_no_name_for_the_name(self):
        assert users.name_of(type("User", (), {"pk": 3})()) == "3"

    def test_of_the_projects_user(self, stock):
        assert users.name_of(stock) == stock.get_username()
        assert users.name_of(SimpleLazyObject(lambda: stock)) == stock.get_username()

    def test_the_projects_user_without_a_name(self, stock):
        setattr(stock, stock.USERNAME_FIELD, None)
        assert users.name_of(stock) == str(stock.pk)


class TestEmail:
    def test_its_field(self):
        assert users.email_field(Contact) == "address"
        assert users.email_field(Member) == "email"
        assert users.email_field(get_user_model()) == get_user_model().get_email_field_name()

    @pytest.mark.parametrize("fields", [{}, {"email": None}, {"email": ""}])
    def test_there_may_be_none(self, fields):
        assert users.email_of(Member(**fields)) == ""

    def test_is_a_text(self):
        assert users.email_of(Member(email="ada@example.com")) == "ada@example.com"


class TestActive:
    def test_unless_the_model_says_otherwise(self, stock):
        assert users.is_active(Member()) is True
        assert users.is_active(stock) is True

    def test_one_who_may_not_sign_in(self, stock):
        stock.is_active = False
        assert users.is_active(stock) is False
        assert users.is_active(Member(is_active=False)) is False


class TestSessionHashes:
    def test_a_model_without_them(self):
        assert list(users.session_hashes(Member())) == [""]

    def test_a_model_without_older_ones(self):
        assert list(users.session_hashes(Odd())) == ["hash"]

    def test_the_present_one_and_those_of_older_keys(self, stock, settings):
        old = stock.get_session_auth_hash()
        settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
        settings.SECRET_KEY = "another"
        assert list(users.session_hashes(stock)) == [stock.get_session_auth_hash(), old]
        assert stock.get_session_auth_hash() != old
