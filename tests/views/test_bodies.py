"""The project's parsers and renderers, within our bounds, and bodies that others have read."""

import json
import re
from typing import Any

import pytest
from django.http import HttpRequest
from django.urls import reverse
from rest_framework.parsers import BaseParser, FormParser, JSONParser
from rest_framework.renderers import BrowsableAPIRenderer, JSONRenderer, StaticHTMLRenderer
from rest_framework.test import APIClient

from django_totp.auth import generate_challenge_token
from django_totp.models import Totp
from django_totp.views.jwt import JWTCreateView
from tests.endpoints import ENDPOINTS, LOGIN, SIGNED_IN, assert_error

JSON = "application/json"
MULTIPART = "multipart/form-data; boundary=B"


def snake(name: str) -> str:
    return re.sub("([A-Z])", lambda match: f"_{match[1].lower()}", name)


def camel(name: str) -> str:
    return re.sub("_([a-z])", lambda match: match[1].upper(), name)


class CamelParser(JSONParser):
    def parse(self, stream, media_type=None, parser_context=None):
        body = super().parse(stream, media_type, parser_context)
        return {snake(name): value for name, value in body.items()}


class CamelRenderer(JSONRenderer):
    def render(self, data, accepted_media_type=None, renderer_context=None):
        data = data and {camel(name): value for name, value in data.items()}
        return super().render(data, accepted_media_type, renderer_context)


class EnvelopeRenderer(JSONRenderer):
    def render(self, data, accepted_media_type=None, renderer_context=None):
        return super().render({"data": data}, accepted_media_type, renderer_context)


class LinesParser(BaseParser):
    """A format of the project's own, whose parser raises what comes."""

    media_type = "text/lines"

    def parse(self, stream, media_type=None, parser_context=None):
        lines = stream.read().decode(parser_context["encoding"]).splitlines()
        return {line.split("=", 1)[0]: line.split("=", 1)[1] for line in lines}


class ProblemParser(JSONParser):
    media_type = "application/problem+json"


class Hungry(BaseParser):
    media_type = "*/*"

    def parse(self, stream, media_type=None, parser_context=None):
        raise RecursionError  # Python 3.13.0 does not end a real recursion in all cases


class CapitalPage(StaticHTMLRenderer):
    format = "page"


@pytest.fixture
def uses(settings):
    """Return a function that makes classes the project's own, as its settings do."""

    def uses(**classes: list[Any]) -> None:
        paths = {
            f"DEFAULT_{kind.upper()}_CLASSES": [f"{c.__module__}.{c.__qualname__}" for c in each]
            for kind, each in classes.items()
        }
        settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, **paths}

    return uses


@pytest.fixture
def credentials(user, password):
    return {user.USERNAME_FIELD: user.get_username(), "password": password}


def post(name: str, body: Any, media_type: str = JSON, client: Any = None, **extra: Any) -> Any:
    body = body if isinstance(body, str | bytes) else json.dumps(body)
    return (client or APIClient()).post(reverse(name), body, content_type=media_type, **extra)


class TestCamelCase:
    @pytest.fixture(autouse=True)
    def _camel(self, uses):
        uses(parser=[CamelParser], renderer=[CamelRenderer])

    def test_a_login(self, credentials, enrolled_user, secret, otp):
        first = post("jwt-create", credentials).json()
        assert first["isTotpEnabled"] is True
        body = {"totpChallengeToken": first["totpChallengeToken"], "otpCode": otp(secret)}
        assert set(post("jwt-totp-verify", body).json()) == {"refresh", "access"}

    def test_values_stay_as_they_are(self, user, credentials):
        user.set_password("camelCase_and snake")
        user.save()
        good = credentials | {"password": "camelCase_and snake"}
        assert post("jwt-create", good).status_code == 200

    def test_the_life_of_an_enrollment(self, signed_in, otp):
        made = post("totp-create", {}, client=signed_in).json()
        assert set(made) == {"svg", "secret", "otpauthUri"}
        body = {"inputCode": otp(made["secret"])}
        assert "backupCodes" in post("totp-confirm", body, client=signed_in).json()
        assert post("totp-disable", {}, client=signed_in).status_code == 204

    def test_errors(self, signed_in):
        body = assert_error(post("totp-confirm", {}, client=signed_in), 400)
        assert body["inputCode"] == ["This field is required."]

    @pytest.mark.parametrize(
        "body", ["[]", '"x"', "{", "[" * 60_000, '{"a": NaN}', b"\xff", '{"a": ' + "9" * 5000 + "}"]
    )
    @pytest.mark.parametrize("name", sorted(LOGIN))
    def test_bad_bodies(self, db, name, body):
        assert assert_error(post(name, body), 400)["code"] == "parse_error"

    def test_size(self, db):
        assert_error(post("jwt-create", " " * (64 * 1024 + 1)), 413)

    def test_forms_are_read_if_the_project_reads_them(self, uses, credentials):
        form = "&".join(f"{name}={value}" for name, value in credentials.items())
        sent = ("jwt-create", form, "application/x-www-form-urlencoded")
        assert_error(post(*sent), 415)
        uses(parser=[CamelParser, FormParser], renderer=[JSONRenderer])
        assert post(*sent).status_code == 200


class TestParsers:
    def test_another_format(self, uses, credentials):
        uses(parser=[LinesParser])
        lines = "\n".join(f"{name}={value}" for name, value in credentials.items())
        for charset in ("", "; charset=utf-16", "; charset=hex"):
            sent = post("jwt-create", lines, f"text/lines{charset}")
            assert sent.status_code == 200

    def test_what_a_parser_raises_is_the_fault_of_the_body(self, uses, db, caplog):
        uses(parser=[LinesParser, Hungry])
        for media_type in ("text/lines", "text/odd"):
            body = assert_error(post("jwt-create", "my secret", media_type), 400)
            assert body["code"] == "parse_error"
        assert "LinesParser'> raised IndexError" in caplog.text
        assert "Hungry'> raised RecursionError" in caplog.text
        assert "my secret" not in caplog.text

    @pytest.mark.parametrize("parser", [LinesParser, ProblemParser])
    def test_bounds_hold_for_any(self, uses, db, parser):
        uses(parser=[parser])
        assert_error(post("jwt-create", "x" * (64 * 1024 + 1), parser.media_type), 413)

    def test_json_of_any_name_is_json(self, uses, credentials):
        uses(parser=[ProblemParser])
        assert post("jwt-create", credentials, ProblemParser.media_type).status_code == 200
        for body in ('{"a": Infinity}', "[" * 60_000):
            assert_error(post("jwt-create", body, ProblemParser.media_type), 400)

    def test_the_body_is_still_there_for_others(self, credentials, monkeypatch):
        seen = []
        finalize = JWTCreateView.finalize_response

        def look(self, request, *args, **kwargs):
            seen.append(request._request.body)
            return finalize(self, request, *args, **kwargs)

        monkeypatch.setattr(JWTCreateView, "finalize_response", look)
        assert post("jwt-create", credentials).status_code == 200
        assert json.loads(seen[0]) == credentials

    def test_a_view_may_have_its_own(self, rf, credentials):
        view = JWTCreateView.as_view(parser_classes=[LinesParser])
        lines = "\n".join(f"{name}={value}" for name, value in credentials.items())
        assert view(rf.post("/", lines, content_type="text/lines")).status_code == 200
        assert view(rf.post("/", credentials, content_type=JSON)).status_code == 415


class TestRenderers:
    def test_an_envelope(self, uses, credentials, signed_in):
        uses(renderer=[EnvelopeRenderer])
        assert set(post("jwt-create", credentials).json()["data"]) >= {"access", "refresh"}
        body = post("totp-disable", {}, client=signed_in).json()["data"]
        assert body["code"] == "totp_not_enrolled"
        assert body["detail"]

    BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

    @pytest.mark.parametrize("page", [BrowsableAPIRenderer, CapitalPage])
    @pytest.mark.parametrize("name", ENDPOINTS)
    def test_a_browser_gets_no_page(self, uses, call, signed_in, page, name):
        """A page would keep in the window what is shown once."""
        uses(renderer=[page, JSONRenderer])
        client = signed_in if name in SIGNED_IN else APIClient()
        response = call(name, {}, client=client, HTTP_ACCEPT=self.BROWSER)
        assert response.get("Content-Type", JSON) == JSON  # what is empty has none
        assert response["Cache-Control"] == "no-store"
        assert_error(call(name, {}, client=client, HTTP_ACCEPT="text/html"), 406)

    def test_a_project_that_has_only_pages(self, uses, db):
        uses(renderer=[BrowsableAPIRenderer])
        assert_error(post("jwt-create", {}), 400)

    def test_options_tell_the_truth(self, uses, signed_in):
        told = signed_in.options(reverse("totp-create")).json()
        assert told["renders"] == [JSON]
        uses(parser=[LinesParser])
        assert signed_in.options(reverse("totp-create")).json()["parses"] == ["text/lines"]


def reads_post(get_response):
    """A middleware as projects have them; some go on when they cannot read."""

    def middleware(request: HttpRequest) -> Any:
        try:
            request.POST.get("csrf")
        except Exception:
            request.unreadable = True
        return get_response(request)

    return middleware


def names_no_codec(get_response: Any) -> Any:
    """A middleware that sets the encoding of a request."""

    def middleware(request: HttpRequest) -> Any:
        request.encoding = "no codec"
        return get_response(request)

    return middleware


class TestBehindAMiddlewareThatReadsForms:
    @pytest.fixture(autouse=True)
    def _reads(self, settings):
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.reads_post"]

    def part(self, name, value):
        return f'--B\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'

    def send(self, name, fields, charset, client=None):
        body = "".join(self.part(*field) for field in fields.items()) + "--B--\r\n"
        media_type = f"{MULTIPART}; charset={charset}" if charset else MULTIPART
        return post(name, body.encode(), media_type, client)

    @pytest.mark.parametrize("charset", ["", "utf-8", "UTF8", "utf_8", "unknown"])
    def test_utf8_by_any_name(self, credentials, charset):
        assert self.send("jwt-create", credentials, charset).status_code == 200

    def test_what_no_codec_is_called(self, settings, credentials):
        settings.MIDDLEWARE = [f"{__name__}.names_no_codec"]
        assert self.send("jwt-create", credentials, "").status_code == 200

    @pytest.mark.parametrize("charset", ["latin-1", "hex", "rot13", "utf-16", "idna", "bz2"])
    @pytest.mark.parametrize("name", ["totp-confirm", *sorted(LOGIN)])
    def test_any_other(self, credentials, signed_in, pending_user, name, charset):
        client = signed_in if name in SIGNED_IN else APIClient()
        response = self.send(name, credentials | {"input_code": "1"}, charset, client)
        assert assert_error(response, 400)["code"] == "parse_error"
        assert Totp.objects.get().failures == 0

    @pytest.mark.parametrize("charset", ["", "; charset=latin-1", "; charset=hex"])
    def test_other_forms_and_json(self, credentials, enrolled_user, secret, otp, charset):
        token = generate_challenge_token(enrolled_user)
        body = {"totp_challenge_token": token, "otp_code": otp(secret)}
        assert post("jwt-totp-verify", body, JSON + charset).status_code == 200
