"""What docs/assurance.md says of permissions: code, answers, and the client of the example."""

import json

import pytest
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework_simplejwt.authentication import JWTAuthentication

from tests import markdown

PAGE = "docs/assurance.md"
CLIENT = markdown.ROOT / "example/playground/static/playground/js/api.js"


def section():
    return markdown.sections(markdown.read(PAGE), 2)["Ask for a recent second factor"]


def blocks(language):
    return markdown.blocks(section(), language)


def ask(client, view):
    """Return the answer of ``view``, as a client with a token gets it."""
    request = APIRequestFactory().delete("/api/account/", **client.defaults)
    response = view(request)
    response.render()
    return response


@pytest.fixture
def names():
    """Return what the Python of the page defines."""
    return markdown.run("".join(blocks("python")))


@pytest.fixture
def guarded(names):
    """Return a function that gives the view of the page, with other permissions if told."""

    def guarded(**options):
        def delete(self, request):
            return Response(status=204)

        view = type("View", (names["DeleteAccountView"],), {"delete": delete})
        return view.as_view(authentication_classes=[JWTAuthentication], **options)

    return guarded


def test_the_view_lets_in_and_refuses_as_it_is_said(guarded, enrolled_user, sign_in):
    assert ask(sign_in(enrolled_user, "pwd", "otp", age=290), guarded()).status_code == 204
    response = ask(sign_in(enrolled_user, "pwd", "otp", age=310), guarded())
    [block] = blocks("http")
    _, answer = block.split("\n\n")
    status, header, body = answer.split("\n", 2)
    assert status == f"{response.status_code} {response.reason_phrase}"
    assert header == f"WWW-Authenticate: {response['WWW-Authenticate']}"
    assert json.loads(body) == json.loads(response.content)


def test_the_subclass_has_its_own_max_age(guarded, names, enrolled_user, sign_in):
    view = guarded(permission_classes=[names["WithinAMinute"]])
    assert ask(sign_in(enrolled_user, "pwd", "otp", age=50), view).status_code == 204
    assert ask(sign_in(enrolled_user, "pwd", "otp", age=70), view).status_code == 401


def test_the_client_is_that_of_the_example():
    _, client = blocks("js")
    assert client.strip() in CLIENT.read_text(encoding="utf-8").replace("export ", "")
