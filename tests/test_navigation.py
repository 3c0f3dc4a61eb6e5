"""Where a browser is led, and what a program is told instead."""

import pytest
from django.contrib import admin
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import clear_script_prefix, set_script_prefix

from django_totp import navigation

pytestmark = pytest.mark.urls("tests.session_urls")


@pytest.mark.parametrize(
    ("headers", "wants"),
    [
        ({}, True),
        ({"HTTP_ACCEPT": "*/*"}, True),
        ({"HTTP_ACCEPT": "text/html"}, True),
        ({"HTTP_ACCEPT": "application/json"}, False),
        ({"HTTP_ACCEPT": "application/json, text/*;q=0.1"}, True),
        ({"HTTP_ACCEPT": "nonsense"}, False),
        ({"HTTP_SEC_FETCH_MODE": "navigate"}, True),
        ({"HTTP_SEC_FETCH_MODE": "cors"}, False),
        ({"HTTP_SEC_FETCH_MODE": "no-cors", "HTTP_ACCEPT": "text/html"}, False),
    ],
)
def test_who_wants_html(rf, headers, wants):
    assert navigation.wants_html(rf.get("/", **headers)) is wants


@pytest.mark.parametrize(
    ("kind", "takes"),
    [
        ("text/html; charset=utf-8", True),
        ("application/json", False),
        ("application/problem+json; charset=utf-8", False),
    ],
)
def test_a_page_stands_for_no_json(rf, kind, takes):
    assert navigation.takes_page(rf.get("/"), HttpResponse(content_type=kind)) is takes


@pytest.mark.parametrize(
    ("referrer", "page"),
    [
        ("", ""),
        ("http://testserver/a/?b=1#c", "/a/?b=1"),
        ("https://evil.example/", ""),
        ("javascript:x", ""),
    ],
)
def test_a_form_comes_back_to_where_it_was(rf, referrer, page):
    headers = {"HTTP_REFERER": referrer} if referrer else {}
    assert navigation.here(rf.post("/x/", **headers)) == page
    assert navigation.here(rf.get("/x/?y=1", **headers)) == "/x/?y=1"


@pytest.mark.parametrize("path", ["/nowhere/a:b:c/", "/reset/a:b/c:d/", "/open/"])
def test_paths_of_others_are_left_alone(rf, path):
    request = rf.get(path)
    navigation.hide_token(request)
    assert request.path == request.META["PATH_INFO"] == path


@pytest.mark.parametrize(
    ("named", "url"),
    [
        ("/accounts/login/", "/accounts/login/"),
        ("own-login", "/own/login/"),
        ("/no/such/", "/account/login/"),
        ("no-such-name", "/account/login/"),
        ("https://sso.example/login/", "https://sso.example/login/"),
    ],
)
def test_the_login_page(settings, named, url):
    settings.LOGIN_URL = named
    assert navigation.login_url() == url


@pytest.mark.parametrize(
    ("url", "is_one"),
    [
        ("/accounts/login/", True),
        ("/own/login/?next=/x/", True),
        ("/admin/login/?next=/admin/", True),
        ("/account/login/", True),
        ("/open/", False),
        ("/open/?next=/page/%3Fa%3D1", True),
        ("/no/such/", False),
        ("https://evil.example/accounts/login/", False),
        ("http://testserver/accounts/login/", True),
    ],
)
def test_what_asks_for_a_login(rf, url, is_one):
    found = navigation.login_asked_by(rf.get("/page/?a=1"), HttpResponseRedirect(url))
    assert found == (url if is_one else None)


def test_an_url_that_is_no_name_is_no_login(rf, settings):
    settings.LOGIN_URL = "no-such-name"
    assert not navigation.is_login("/open/")


@pytest.mark.parametrize("status", [200, 404, 500])
def test_other_answers_refuse_nobody(rf, status):
    assert not navigation.is_refused(rf.get("/"), HttpResponse(status=status))
    assert not navigation.is_refused(rf.get("/"), HttpResponse(headers={"Location": "/x/"}))


def test_a_refused_form_is_no_page_to_come_back_to(rf):
    assert navigation.is_refused(rf.get("/"), HttpResponse(status=403))
    assert not navigation.is_refused(rf.post("/"), HttpResponse(status=403))
    assert navigation.is_refused(rf.post("/"), JsonResponse({}, status=403))


@pytest.mark.urls("tests.checks_urls")
def test_without_the_pages():
    with pytest.raises(ImproperlyConfigured, match=r"django_totp\.urls\.pages"):
        navigation.to(navigation.VERIFY)


def test_an_admin_that_is_not_installed(monkeypatch):
    assert navigation.admin_site_of(admin.site.login).name == "admin"
    assert navigation.admin_site_of(admin.site.logout) is None
    monkeypatch.setattr(navigation.apps, "is_installed", lambda name: False)
    assert navigation.admin_site_of(admin.site.login) is None


@pytest.mark.parametrize(
    ("page", "led"),
    [
        ("/accounts/login/?theme=dark", "/accounts/login/?theme=dark&next=%2Fx%2F"),
        ("https://sso.example/", "https://sso.example/?next=http%3A%2F%2Ftestserver%2Fx%2F"),
    ],
)
def test_a_login_page_is_told_where_to_lead(rf, page, led):
    assert navigation.to_login(rf.get("/x/"), "/x/", page)["Location"] == led


def test_below_a_prefix(rf):
    set_script_prefix("/shop/")
    try:
        assert navigation.login_url() == "/shop/account/login/"
        assert navigation.is_login("/shop/account/login/")
        assert not navigation.is_login("/account/login/")
        assert not navigation.is_login("/shop/open/")
    finally:
        clear_script_prefix()
