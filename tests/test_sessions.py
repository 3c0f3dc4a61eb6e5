"""What a session holds of a login, where no page comes to it."""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser

from django_totp import challenges, rates, sessions, visits
from django_totp.exceptions import PolicyUnavailable, TotpNotEnrolled
from django_totp.forms import ServiceForm
from django_totp.views.pages.base import Page
from django_totp.views.pages.factor import ChangingPage
from django_totp.views.pages.steps import StepPage

MODEL = "django.contrib.auth.backends.ModelBackend"
REMOTE = "django.contrib.auth.backends.RemoteUserBackend"


@pytest.mark.parametrize("token", [None, "", "x", "x:y", ":::", "é:é:é"])
def test_what_is_no_token_is_over(token):
    assert challenges.is_over(token, challenges.VERIFY)


def test_the_backend_that_authenticated(settings):
    user = get_user_model()()
    settings.AUTHENTICATION_BACKENDS = [REMOTE]
    assert sessions.backend_of(user) == REMOTE
    settings.AUTHENTICATION_BACKENDS = [MODEL, REMOTE]
    with pytest.raises(ValueError, match="AUTHENTICATION_BACKENDS"):
        sessions.backend_of(user)
    user.backend = MODEL
    assert sessions.backend_of(user) == MODEL


def test_a_user_without_a_session_hash_is_bound_to_nothing():
    assert visits._verifies({}, object())


def test_a_slot_that_was_not_taken_is_not_given_back():
    slots = rates.Slots("key", rates.Rate(1, 60))
    slots.give_back()
    assert slots.take()


@pytest.mark.parametrize(
    ("error", "status"), [(PolicyUnavailable(), 503), (TotpNotEnrolled(), 200)]
)
def test_the_status_of_a_page_that_refuses(error, status):
    form = ServiceForm({})
    form.refuse(error)
    assert form.status == status
    assert form.non_field_errors() == [str(error)]


def test_a_page_that_names_no_account_counts_by_address(rf):
    page = Page()
    page.setup(rf.get("/", REMOTE_ADDR="203.0.113.1"))
    page.request.user = AnonymousUser()
    assert page._limits() == {
        "TOTP_THROTTLE_RATE": "address 203.0.113.1",
        "TOTP_ADDRESS_THROTTLE_RATE": "all of address 203.0.113.1",
    }


@pytest.mark.parametrize(
    "call",
    [
        lambda: ChangingPage().change(None),
        lambda: StepPage().lead_on_user(),
        lambda: StepPage().lead_on_half(),
    ],
)
def test_what_a_page_has_to_say_itself(call):
    with pytest.raises(NotImplementedError):
        call()
