"""What a reporter of stack frames may keep, in events of any shape. The SDK: cases_sentry.py."""

import json
import subprocess
import sys
from collections import namedtuple

import pytest
from django.urls import path, set_script_prefix

from django_totp.sentry import FILTERED, before_send
from django_totp.views.jwt import JWTCreateView

CODE = "4711-0815"
URL = "https://example.com/api/jwt/totp/verify/"


def full(**parts):
    """Return an event with a code wherever one may stand."""
    frame = {"module": "shop.views", "function": "buy", "lineno": 7, "vars": {"code": CODE}}
    event = {
        "event_id": "1",
        "level": "error",
        "logger": "shop",
        "message": CODE,
        "logentry": {"message": CODE, "formatted": CODE, "params": [CODE]},
        "exception": {
            "values": [
                {
                    "type": "ValueError",
                    "value": CODE,
                    "mechanism": {"type": "django", "handled": False, "data": {"code": CODE}},
                    "stacktrace": {"frames": [frame], "registers": CODE},
                }
            ]
        },
        "threads": {"values": [{"id": 1, "name": "main", "stacktrace": {"frames": [frame]}}]},
        "breadcrumbs": {"values": [{"category": "query", "message": CODE, "data": {"p": CODE}}]},
        "contexts": {"trace": {"trace_id": "2", "data": CODE, "description": CODE}, "own": CODE},
        "extra": {"code": CODE},
        "spans": [{"op": "db", "span_id": "3", "description": CODE, "data": {"p": CODE}}],
        "request": {
            "method": "POST",
            "url": "https://example.com/shop/",
            "query_string": CODE,
            "data": {CODE: CODE},
            "cookies": {"c": CODE},
            "env": {"X": CODE},
            "headers": {"Host": "example.com", "Authorization": CODE, "X-Own": CODE},
        },
    }
    return event | parts


OURS = {
    "request": {**full()["request"], "url": f"{URL}?code={CODE}#{CODE}"},
    "transaction by its path": "/api/totp/create/",
    "transaction by its view": "django_totp.views.jwt.JWTCreateView",
    "logger": "django_totp",
    "stacktrace": {"frames": [{"module": "django_totp.attempts"}, {}, None]},
    "stacktrace of files": {"frames": [{"abs_path": "/lib/django_totp/totp.py"}]},
}


@pytest.mark.parametrize("why", OURS)
def test_an_event_that_concerns_us_is_bare(why):
    event, hint = full(**{why.split()[0]: OURS[why]}), {"attachments": [CODE]}
    if why == "logger":
        event["logentry"] = {"message": "login %s", "params": [CODE]}
    bare = before_send(event, hint)
    assert CODE not in json.dumps([bare, hint])
    [error] = bare["exception"]["values"]
    assert (error["type"], error["value"]) == ("ValueError", FILTERED)
    assert error["mechanism"] == {"type": "django", "handled": False}
    [frame] = error["stacktrace"]["frames"]
    assert (frame["module"], frame["function"], frame["lineno"]) == ("shop.views", "buy", 7)
    assert frame["vars"] == {"code": FILTERED}
    assert bare["request"]["method"] == "POST"
    assert bare["request"]["headers"] == {"Host": "example.com"}
    assert bare["threads"]["values"][0]["name"] == "main"
    assert bare["spans"] == [{"op": "db", "span_id": "3"}]
    assert bare["contexts"] == {"trace": {"trace_id": "2"}}
    assert bare["logentry"]["message"] == ("login %s" if why == "logger" else FILTERED)


def test_no_kind_of_sequence_makes_it_raise():
    place = namedtuple("place", "line url")(7, "/two-factor/recovery/4711/")
    told = before_send(full(extra={"place": place, "more": (CODE, [])}), {})["extra"]
    assert told == {"place": [7, f"/two-factor/recovery/{FILTERED}/"], "more": [CODE, []]}


def test_any_other_is_as_it_came():
    event = full(stacktrace={"frames": [{"module": "my.django_totp_shop"}]}, transaction="/shop/")
    assert before_send(event, {"attachments": [CODE]}) == event
    assert event == full(stacktrace=event["stacktrace"], transaction="/shop/")


def test_what_our_logger_said_stays_in_the_crumbs():
    crumbs = [{"category": "django_totp", "message": "login", "data": CODE}, "odd"]
    bare = before_send(full(logger="django_totp", breadcrumbs={"values": crumbs}), None)
    assert bare["breadcrumbs"]["values"] == [{"category": "django_totp", "message": "login"}]


@pytest.mark.parametrize(
    "odd",
    [{}, {"exception": None}, {"exception": {"values": [{"type": "E", "mechanism": None}]}}],
    ids=str,
)
@pytest.mark.parametrize("request_", [None, {}, {"url": URL, "headers": [], "method": "GET"}])
def test_odd_events(odd, request_):
    for logger in (None, "django_totp"):
        assert before_send({**odd, "request": request_, "logger": logger}, {}) is not None


@pytest.mark.parametrize("url", ["https://example.com/shop/api/totp/", "/shop/api/jwt/create/"])
def test_under_a_prefix(url):
    set_script_prefix("/shop/")
    try:
        assert "extra" not in before_send(full(request={"url": url}), {})
        assert "extra" in before_send(full(request={"url": "/shop/admin/"}), {})
    finally:
        set_script_prefix("/")


def test_a_view_that_derives_from_ours(settings):
    class Own(JWTCreateView):
        pass

    settings.ROOT_URLCONF = type("urls", (), {"urlpatterns": [path("own/", Own.as_view())]})
    assert "extra" not in before_send(full(request={"url": "https://example.com/own/"}), {})


def test_settings_may_import_it():
    done = subprocess.run(
        [sys.executable, "-c", "import django_totp.sentry, sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert not {"rest_framework", "django_totp.models", "sentry_sdk"} & set(done.stdout.split())
