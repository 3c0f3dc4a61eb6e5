"""Channels: who a socket is, by the session of the page that opened it."""

import json
from types import SimpleNamespace

import pytest
from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator
from channels.auth import AuthMiddlewareStack, get_user
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.contrib.auth.models import AnonymousUser

from django_totp.assurance import Standing
from django_totp.auth import end_sessions
from django_totp.visits import signed_in, worth_of
from tests.field.journey import test_journey  # noqa: F401
from tests.visitors import make_visitor

pytestmark = pytest.mark.django_db(transaction=True)


class Echo(AsyncWebsocketConsumer):
    async def connect(self):
        user = await get_user(self.scope)
        await self.accept()
        await self.send(json.dumps([user.get_username(), self.scope["user"].get_username()]))


@database_sync_to_async
def judged_user(scope):
    """Return who is signed in, as the middleware judges it: Channels asks nobody but Django."""
    request = SimpleNamespace(session=scope["session"])
    user = signed_in(request)
    is_good = user is not None and worth_of(request.session, user) is Standing.GOOD
    return user if is_good else AnonymousUser()


class Careful(AsyncWebsocketConsumer):
    async def connect(self):
        user = await judged_user(self.scope)
        await self.accept()
        await self.send(json.dumps([user.get_username()]))


def names(visitor, consumer=Echo):
    """Return who a socket is that a page of the visitor opens."""
    cookie = f"sessionid={visitor.client.cookies['sessionid'].value}".encode()

    scope = {"type": "websocket", "path": "/", "headers": [(b"cookie", cookie)]}

    async def ask():
        socket = ApplicationCommunicator(AuthMiddlewareStack(consumer.as_asgi()), scope)
        await socket.send_input({"type": "websocket.connect"})
        assert (await socket.receive_output())["type"] == "websocket.accept"
        said = json.loads((await socket.receive_output())["text"])
        await socket.send_input({"type": "websocket.disconnect", "code": 1000})
        await socket.wait()
        return set(said)

    return async_to_sync(ask)()


@pytest.mark.parametrize("door", ["/account/login/", "/admin/login/"])
def test_half_a_login_is_nobody(door):
    ada = make_visitor("ada", is_staff=True).enroll()
    answer = ada.give_password(door)
    assert names(ada) == {AnonymousUser().get_username()}
    ada.give_code(answer)
    assert names(ada) == {ada.name}


def test_a_session_from_before():
    """Channels does not know of second factors. The next page asks; a socket may, as here."""
    ada, bob = make_visitor("ada").enroll(), make_visitor("bob")
    ada.log_in("/account/login/")
    bob.give_password("/account/login/")
    assert names(ada, Careful) == {ada.name}
    assert names(bob, Careful) == {bob.name}
    bob.enroll()
    end_sessions(ada.user)
    assert names(bob) == {bob.name}
    for visitor in (ada, bob):
        assert names(visitor, Careful) == {AnonymousUser().get_username()}
