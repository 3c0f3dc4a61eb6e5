"""What support staff does in the admin, whatever it looks like."""

import re
from datetime import UTC, datetime

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse

from django_totp.auth import is_totp_enabled
from django_totp.models import Event, Totp

URL = "admin:django_totp_totp_changelist"
EVENTS = "/admin/django_totp/event/"


@pytest.fixture
def admin(make_user):
    client = Client()
    client.force_login(make_user("root", is_staff=True, is_superuser=True))
    return client


@pytest.fixture
def enrolled(person):
    person.enroll()
    return person


def selected(action):
    return {"action": action, "_selected_action": [Totp.objects.get().pk]}


@pytest.mark.django_db(transaction=True)
def test_list_and_search(admin, enrolled):
    name = enrolled.user.get_username()
    assert name in admin.get(reverse(URL)).content.decode()
    assert name in admin.get(reverse(URL), {"q": name}).content.decode()
    change = reverse("admin:django_totp_totp_change", args=[Totp.objects.get().pk])
    page = admin.get(change)
    assert page.status_code == 200
    assert not [secret for secret in enrolled.known if secret in page.content.decode()]


@pytest.mark.django_db(transaction=True)
def test_search_by_email(admin, enrolled):
    get_user_model().objects.filter(pk=enrolled.user.pk).update(email="ada@example.org")
    found = admin.get(reverse(URL), {"q": "ada@example.org"}).content.decode()
    assert enrolled.user.get_username() in found


@pytest.mark.django_db(transaction=True)
def test_events(admin, enrolled):
    key = str(enrolled.user.pk)
    agent = "Mozilla/5.0 (Windows NT 10.0; rv:127.0) Gecko/20100101 Firefox/127.0"
    event = Event.objects.create(
        at=datetime.now(UTC), event="disabled", user_pk=key, user_agent=agent
    )
    enrollment = reverse("admin:django_totp_totp_change", args=[Totp.objects.get().pk])
    [link] = re.findall(
        rf'href="({EVENTS}\?user_pk=[^"]*)"', admin.get(enrollment).content.decode()
    )
    for query in ("", f"?q={enrolled.user.get_username()}", "?event=disabled", f"?user_pk={key}"):
        page = admin.get(EVENTS + query).content.decode()
        for text in ("disabled", enrolled.user.get_username(), "Firefox on Windows", "a command"):
            assert text in page
    assert "disabled" in admin.get(link).content.decode()
    one = admin.get(f"{EVENTS}{event.pk}/change/")
    assert agent in one.content.decode()
    for action in ("add/", f"{event.pk}/delete/"):
        assert admin.get(EVENTS + action).status_code == 403


@pytest.mark.django_db(transaction=True)
def test_reset(admin, enrolled):
    url = reverse(URL)
    asked = admin.post(url, selected("reset_two_factor"))
    assert asked.status_code == 200
    page = asked.content.decode()
    assert enrolled.user.get_username() in page
    [button] = re.findall(r"<(?:button|input)[^>]*type=\"submit\"[^>]*Yes, reset[^>]*>", page) or (
        re.findall(r"<button[^>]*>[^<]*Yes, reset", page)
    )
    assert "class=" in button
    [field] = re.findall(r"<(?:input|textarea)[^>]*name=\"reason\"[^>]*>", page)
    assert "class=" in field
    assert is_totp_enabled(enrolled.user)
    done = admin.post(url, selected("reset_two_factor") | {"confirmed": "yes", "reason": "lost"})
    assert done.status_code == 302
    assert not is_totp_enabled(enrolled.user)
