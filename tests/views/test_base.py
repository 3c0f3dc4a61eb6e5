"""What all endpoints share: bodies, throttles, errors, headers, transactions."""

import io
import json
import logging
from functools import partial
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db import connection, transaction
from django.http import Http404, HttpResponse
from django.urls import reverse
from django.utils import translation
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.parsers import FormParser, JSONParser
from rest_framework.response import Response
from rest_framework.test import APIClient
from rest_framework.versioning import QueryParameterVersioning
from rest_framework.views import APIView, exception_handler

from django_totp.models import Totp
from django_totp.views.bodies import BoundedParser, RequestTooLarge
from tests.endpoints import (
    BAD_CREDENTIALS,
    BAD_OTP,
    ENDPOINTS,
    GET,
    LOGIN,
    NO_SECRET,
    SIGNED_IN,
    assert_error,
    wrong_code,
)

LIMIT = 64 * 1024
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=B"


def part(name: str, value: str, headers: str = "") -> str:
    return f'--B\r\nContent-Disposition: form-data; name="{name}"{headers}\r\n\r\n{value}\r\n'


def multipart(**fields: str) -> str:
    return "".join(part(name, value) for name, value in fields.items()) + "--B--\r\n"


def in_an_envelope(exc: Exception, context: dict[str, Any]) -> Response | None:
    """An exception handler as projects have them."""
    response = exception_handler(exc, context)
    if response is not None:
        response.data = {"error": {"reasons": [exc.detail], "seen": type(exc).__name__}}
        response["X-Handled-By"] = "the project"
    return response


def as_a_list(exc: Exception, context: dict[str, Any]) -> Response:
    return Response(["one", "two"], status=400)


def as_text(exc: Exception, context: dict[str, Any]) -> Response:
    return Response("no", status=400)


def as_nothing(exc: Exception, context: dict[str, Any]) -> Response:
    return Response({}, status=400)


def as_a_page(exc: Exception, context: dict[str, Any]) -> HttpResponse:
    return HttpResponse("no", status=400)


def not_at_all(exc: Exception, context: dict[str, Any]) -> None:
    return None


def as_success(exc: Exception, context: dict[str, Any]) -> Response:
    """An envelope that says everything in its own words, and by its own status."""
    return Response({"success": False, "errors": ["one", {"code": "x"}]}, status=200)


def as_standardized(exc: Exception, context: dict[str, Any]) -> Response:
    """The shape of drf-standardized-errors."""
    known = exc if isinstance(exc, APIException) else APIException("Server Error (500)")
    errors = [{"code": "one", "detail": "two", "attr": None}]
    return Response({"type": "client_error", "errors": errors}, status=known.status_code)


def with_a_status(exc: Exception, context: dict[str, Any]) -> Response | None:
    """The example of REST framework's documentation. It writes into the exception."""
    response = exception_handler(exc, context)
    if response is not None:
        response.data["status_code"] = response.status_code
    return response


def with_keys_of_its_own(exc: Exception, context: dict[str, Any]) -> Response:
    return Response({"code": 4711, "detail": None, "retry_after": "soon"}, status=400)


def as_a_conflict(exc: Exception, context: dict[str, Any]) -> Response:
    return Response({"message": "It is there already."}, status=409)


def raising(exc: Exception, context: dict[str, Any]) -> Response:
    raise KeyError("detail")


def raising_it_again(exc: Exception, context: dict[str, Any]) -> Response:
    raise exc


def as_a_dict(exc: Exception, context: dict[str, Any]) -> Any:
    return {"error": "no"}


def as_a_coroutine(exc: Exception, context: dict[str, Any]) -> Any:
    return ("no", 400)


class TestErrors:
    @pytest.fixture(
        params=[
            "required",
            "service",
            "unauthorized",
            "forbidden",
            "format",
            "method",
            "accept",
            "too large",
            "media type",
            "too many fields",
            "throttled",
            "waiting",
            "parse",
        ]
    )
    def refused(self, request, settings, call, signed_in, by_session, user):
        """Return an error and the status it should have."""
        confirm, login = reverse("totp-confirm"), reverse("jwt-create")
        client = APIClient()
        if request.param == "throttled":
            settings.TOTP_THROTTLE_RATE = "1/minute"
            client.post(login)
        if request.param == "waiting":
            enrolled, code = request.getfixturevalue("enrolled_user"), {"otp_code": "0"}
            settings.TOTP_FAILURE_LIMIT = 0
            login_with = request.getfixturevalue("login")
            login_with(enrolled, **code)
        return {
            "required": lambda: (400, client.post(login, {}, format="json")),
            "service": lambda: (400, self._disable(request, user)),
            "unauthorized": lambda: (401, client.post(login, self._wrong(user), format="json")),
            "forbidden": lambda: (403, by_session.post(confirm)),
            "format": lambda: (404, client.post(f"{login}?format=xml")),
            "method": lambda: (405, client.delete(login)),
            "accept": lambda: (406, client.post(login, HTTP_ACCEPT="text/html")),
            "too large": lambda: (413, client.post(login, " " * (LIMIT + 1), content_type=JSON)),
            "media type": lambda: (415, client.post(login, "<a/>", content_type="text/xml")),
            "too many fields": lambda: (400, client.post(login, "a&" * 1100, content_type=FORM)),
            "throttled": lambda: (429, client.post(login)),
            "waiting": lambda: (429, login_with(enrolled, **code)),
            "parse": lambda: (400, client.post(login, "{", content_type=JSON)),
        }[request.param]()

    def _wrong(self, user):
        return {user.USERNAME_FIELD: user.get_username(), "password": "wrong"}

    def _disable(self, request, user):
        request.getfixturevalue("monkeypatch").undo()  # back from sessions to tokens
        return request.getfixturevalue("sign_in")(user).post(reverse("totp-disable"))

    def test_has_detail_and_code_and_is_not_kept(self, refused):
        status, response = refused
        assert_error(response, status)
        assert response["Cache-Control"] == "no-store"

    @pytest.mark.parametrize("name", ENDPOINTS)
    def test_no_answer_is_kept(self, call, signed_in, user, name):
        for body in ({}, {"input_code": "0", "password": "x", "token": "x", "refresh": "x"}):
            response = call(name, body, client=signed_in if name in SIGNED_IN else APIClient())
            assert response["Cache-Control"] == "no-store"
        strange = APIClient().put(reverse(name))
        assert strange["Cache-Control"] == "no-store"

    def test_a_field_error_names_its_field(self, call, db):
        body = assert_error(call("jwt-refresh", {}), 400, "refresh: This field is required.")
        assert body["code"] == "invalid"
        assert body["refresh"] == ["This field is required."]

    def test_an_error_of_the_whole_body_has_no_name(self, call, db):
        body = assert_error(call("jwt-verify", ["token"]), 400)
        assert body["detail"] == body["non_field_errors"][0]

    @pytest.mark.parametrize("key", ["__all__", "detail", "code"])
    def test_the_project_may_name_the_key_of_such_errors(self, settings, call, db, key):
        settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "NON_FIELD_ERRORS_KEY": key}
        refused = call("jwt-totp-verify", {"totp_challenge_token": "x"})
        body = assert_error(refused, 400, "Either otp_code or backup_code is required.")
        assert body["code"] == "no_code"
        assert body.get("__all__", [body["detail"]]) == [body["detail"]]

    def test_what_nobody_expected_is_not_swallowed(self, monkeypatch, signed_in):
        def broken(*args, **kwargs):
            raise ZeroDivisionError

        monkeypatch.setattr("django_totp.views.api.start_totp_setup", broken)
        with pytest.raises(ZeroDivisionError):
            signed_in.post(reverse("totp-create"))
        signed_in.raise_request_exception = False
        assert signed_in.post(reverse("totp-create")).status_code == 500


class TestExceptionHandlerOfTheProject:
    @pytest.fixture
    def handled_by(self, settings):
        def handled_by(handler):
            path = f"{handler.__module__}.{handler.__qualname__}"
            settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "EXCEPTION_HANDLER": path}

        return handled_by

    def test_runs_for_our_errors(self, handled_by, signed_in):
        handled_by(in_an_envelope)
        response = signed_in.post(reverse("totp-disable"))
        body = assert_error(response, 400, NO_SECRET)
        assert body["code"] == "totp_not_enrolled"
        assert body["error"]["seen"] == "ServiceError"
        assert body["error"]["reasons"] == ["User does not have an associated TOTP secret."]
        assert response["X-Handled-By"] == "the project"
        assert response["Cache-Control"] == "no-store"

    def test_sees_an_error_of_rest_framework(self, monkeypatch, handled_by, signed_in):
        seen = []
        handled_by(in_an_envelope)
        monkeypatch.setattr(
            f"{__name__}.in_an_envelope",
            lambda exc, context: seen.append((exc, context)) or exception_handler(exc, context),
        )
        signed_in.post(reverse("totp-disable"))
        [(error, context)] = seen
        assert isinstance(error, APIException)
        assert (error.status_code, error.get_codes()) == (400, "totp_not_enrolled")
        assert context["request"].path == reverse("totp-disable")

    def test_may_answer_with_a_list(self, handled_by, signed_in):
        handled_by(as_a_list)
        assert signed_in.post(reverse("totp-disable")).json() == ["one", "two"]

    @pytest.fixture
    def no_tokens(self, monkeypatch):
        """Return a function that makes enrollments fail with an error of the project's own."""

        def no_tokens(error):
            def broken(*args, **kwargs):
                raise error

            monkeypatch.setattr("django_totp.views.api.start_totp_setup", broken)

        return no_tokens

    @pytest.mark.parametrize("told", [["one", "two"], "one"])
    def test_a_list_of_rest_framework_is_completed(self, no_tokens, signed_in, told):
        no_tokens(ValidationError(told, "mine"))
        body = assert_error(signed_in.post(reverse("totp-create")), 400, "one")
        assert body["non_field_errors"][0] == "one"
        assert body["code"] == "mine"

    @pytest.mark.parametrize("told", [{}, [], {"message": {"to": ["one"]}}, {"detail": ["one"]}])
    @pytest.mark.parametrize("error", [ValidationError, APIException])
    def test_any_detail_of_rest_framework_is_completed(self, no_tokens, signed_in, error, told):
        no_tokens(error(told))
        signed_in.raise_request_exception = False
        body = signed_in.post(reverse("totp-create")).json()
        assert {type(body["detail"]), type(body["code"])} == {str}
        assert body["detail"] in ("", "message: one", "detail: one")

    @pytest.mark.parametrize(
        ("error", "code"),
        [(Http404("none"), "not_found"), (PermissionDenied(), "permission_denied")],
    )
    def test_errors_of_django_are_told_as_well(self, no_tokens, handled_by, signed_in, error, code):
        no_tokens(error)
        for handler in (exception_handler, as_success):
            handled_by(handler)
            body = signed_in.post(reverse("totp-create")).json()
            assert body["code"] == code

    @pytest.mark.parametrize("handler", [as_success, as_standardized])
    def test_may_have_a_shape_of_its_own(self, handled_by, signed_in, handler):
        handled_by(handler)
        body = signed_in.post(reverse("totp-disable")).json()
        assert (body["detail"], body["code"]) == (NO_SECRET, "totp_not_enrolled")
        del body["detail"], body["code"]
        assert body == handler(APIException(), {}).data

    @pytest.mark.parametrize("handler", [as_success, as_standardized, with_a_status])
    def test_a_field_error_is_told_from_the_exception(self, handled_by, signed_in, handler):
        handled_by(handler)
        body = signed_in.post(reverse("totp-confirm"), {}).json()
        assert body["detail"] == "input_code: This field is required."
        assert body["code"] == "invalid"
        if handler is with_a_status:
            assert body["input_code"] == ["This field is required."]
            assert body["status_code"] == 400

    def test_keeps_what_it_says_itself(self, handled_by, settings, signed_in):
        handled_by(with_keys_of_its_own)
        settings.TOTP_THROTTLE_RATE = "1/day"
        bodies = [signed_in.post(reverse("totp-disable")).json() for _ in range(2)]
        assert bodies == [with_keys_of_its_own(APIException(), {}).data] * 2

    @pytest.mark.parametrize("handler", [as_success, as_a_page, as_standardized])
    def test_a_wait_is_told_whatever_it_makes(self, handled_by, settings, signed_in, handler):
        handled_by(handler)
        settings.TOTP_THROTTLE_RATE = "1/minute"
        [_, response] = [signed_in.post(reverse("totp-disable")) for _ in range(2)]
        assert response["Retry-After"] == "60"
        if handler is not as_a_page:
            assert response.json()["retry_after"] == 60

    @pytest.mark.parametrize("handler", [raising, as_a_dict, as_a_coroutine, raising_it_again])
    def test_may_fail(self, handled_by, signed_in, login, user, api, handler, caplog):
        """It breaks no answer, and the log says so."""
        handled_by(handler)
        assert_error(signed_in.post(reverse("totp-disable")), 400, NO_SECRET)
        assert ("EXCEPTION_HANDLER" in caplog.text) is (handler is not raising_it_again)
        refused = api.get(reverse("totp-status"))
        assert_error(refused, 401)
        assert refused["WWW-Authenticate"] == 'Bearer realm="api"'
        assert login(user).status_code == 200

    @pytest.mark.parametrize("handler", [raising, raising_it_again, as_a_dict])
    def test_may_fail_over_what_nobody_expected(self, handled_by, no_tokens, signed_in, handler):
        handled_by(handler)
        no_tokens(ZeroDivisionError())
        with pytest.raises(ZeroDivisionError):
            signed_in.post(reverse("totp-create"))

    def test_may_know_errors_that_we_do_not(self, handled_by, no_tokens, signed_in):
        """Nothing wrong is written beside what it says."""
        no_tokens(ZeroDivisionError("secret"))
        handled_by(as_a_conflict)
        assert signed_in.post(reverse("totp-create")).json() == {"message": "It is there already."}
        handled_by(as_standardized)
        body = assert_error(signed_in.post(reverse("totp-create")), 500)
        assert (body["detail"], body["code"]) == ("A server error occurred.", "error")

    def test_may_answer_with_text(self, handled_by, signed_in):
        handled_by(as_text)
        assert signed_in.post(reverse("totp-disable")).json() == "no"

    def test_may_answer_with_a_page(self, handled_by, signed_in):
        handled_by(as_a_page)
        response = signed_in.post(reverse("totp-disable"))
        assert (response.status_code, response.content) == (400, b"no")
        assert response["Cache-Control"] == "no-store"

    def test_may_answer_with_an_empty_body(self, handled_by, signed_in):
        handled_by(as_nothing)
        body = signed_in.post(reverse("totp-disable")).json()
        assert set(body) == {"detail", "code"}

    def test_may_leave_the_error_alone(self, handled_by, signed_in):
        handled_by(not_at_all)
        with pytest.raises(APIException, match="User does not have"):
            signed_in.post(reverse("totp-disable"))


class TestBodies:
    @pytest.fixture
    def credentials(self, user, password):
        return {user.USERNAME_FIELD: user.get_username(), "password": password}

    @pytest.mark.parametrize("form", ["json", "multipart", "urlencoded"])
    def test_kinds(self, call, credentials, form):
        if form == "urlencoded":
            body = "&".join(f"{k}={v}" for k, v in credentials.items()).replace("@", "%40")
            response = APIClient().post(reverse("jwt-create"), body, content_type=FORM)
        else:
            response = call("jwt-create", credentials, form=form)
        assert response.status_code == 200

    def test_a_confirmation_by_form(self, call, pending_user, signed_in, secret, otp):
        body = {"input_code": otp(secret)}
        response = call("totp-confirm", body, client=signed_in, form="multipart")
        assert response.status_code == 200

    @pytest.mark.parametrize("name", ["jwt-create", "jwt-totp-verify", "jwt-refresh"])
    def test_a_body_of_null_is_told_as_such(self, name):
        response = APIClient().post(reverse(name), "null", content_type=JSON)
        assert assert_error(response, 400)["detail"] == "No data provided"

    def test_one_request_leaves_nothing_to_the_next(self, call, credentials):
        assert call("jwt-create", credentials).status_code == 200
        assert set(call("jwt-create", {}).json()) > set(credentials)

    @pytest.mark.parametrize("value", ["", "9" * 300, "nul\0"], ids=["blank", "long", "nul"])
    def test_nor_its_language(self, call, signed_in, pending_user, value):
        sentences = set()
        for language in ("en", "de", "fr"):
            with translation.override(language):
                body = call("totp-confirm", {"input_code": value}, client=signed_in).json()
            sentences.add(body["input_code"][0])
        assert len(sentences) == 3

    @pytest.mark.parametrize(
        "padding",
        [
            pytest.param((JSON, '{"a": "%s"}'), id="json"),
            pytest.param((FORM, "a=%s"), id="form"),
            pytest.param((MULTIPART, multipart(a="%s")), id="multipart"),
        ],
    )
    @pytest.mark.parametrize("name", ["totp-confirm", *sorted(LOGIN)])
    def test_size(self, call, signed_in, name, padding):
        media_type, template = padding
        client = signed_in if name in SIGNED_IN else APIClient()
        room = LIMIT - len(template % "")
        fits = client.post(reverse(name), template % ("x" * room), content_type=media_type)
        assert_error(fits, 400)
        too_large = template % ("x" * (room + 1))
        response = client.post(reverse(name), too_large, content_type=media_type)
        assert assert_error(response, 413)["code"] == "request_too_large"

    @pytest.mark.parametrize("name", sorted({*ENDPOINTS} - GET))
    def test_a_body_that_is_not_read_is_bounded_as_well(self, call, signed_in, name):
        client = signed_in if name in SIGNED_IN else APIClient()
        response = client.post(reverse(name), " " * (LIMIT + 1), content_type="text/plain")
        assert_error(response, 413)

    @pytest.mark.parametrize(
        "length", ["65537", "9" * 5000, "\N{ARABIC-INDIC DIGIT SEVEN}" * 9], ids=lambda n: n[:5]
    )
    def test_a_length_that_is_announced(self, db, length):
        response = APIClient().post(
            reverse("jwt-create"), "{}", content_type=JSON, CONTENT_LENGTH=length
        )
        assert_error(response, 413)

    @pytest.mark.parametrize("length", ["", "-5", "abc", "1e9"])
    def test_a_length_that_is_no_number(self, db, length):
        for media_type in (JSON, FORM, MULTIPART):
            response = APIClient().post(
                reverse("jwt-create"), "{}", content_type=media_type, CONTENT_LENGTH=length
            )
            assert_error(response, 400)

    @pytest.mark.parametrize("parser", [JSONParser, FormParser])
    def test_a_length_that_is_not_announced(self, parser):
        """Some servers hand on bodies of unknown length, in chunks."""
        with pytest.raises(RequestTooLarge):
            BoundedParser(parser()).parse(io.BytesIO(b"1" * (LIMIT + 1)))
        assert BoundedParser(parser()).parse(io.BytesIO(b" " * (LIMIT - 1) + b"1"))

    @pytest.mark.parametrize("media_type", [JSON, FORM])
    def test_a_bound_of_the_project(self, settings, db, media_type):
        settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10
        response = APIClient().post(reverse("jwt-create"), "x" * 11, content_type=media_type)
        assert_error(response, 400)

    @pytest.mark.parametrize("charset", ["rot13", "utf-16", "idna", "hex", "cp037", "none"])
    @pytest.mark.parametrize("media_type", [JSON, FORM, MULTIPART])
    def test_charsets(self, credentials, media_type, charset):
        """A client may name any of Python's codecs: none but UTF-8 is used."""
        form = "&".join(f"{name}={value}" for name, value in credentials.items())
        body = {JSON: json.dumps(credentials), FORM: form, MULTIPART: multipart(**credentials)}
        response = APIClient().post(
            reverse("jwt-create"),
            body[media_type].encode(),
            content_type=f"{media_type}; charset={charset}",
        )
        assert response.status_code == 200

    @pytest.mark.parametrize(
        ("media_type", "body"),
        [
            (JSON, '{"a": 1}'.encode("utf-16")),
            (JSON, b"\xff"),
            (JSON, b"\xef\xbb\xbf{}"),
            (JSON, b'{"a": NaN}'),
            (JSON, b'{"a": Infinity}'),
            (JSON, b'{"a": ' + b"9" * 5000 + b"}"),
            (JSON, b"[" * 60_000),
            (JSON, b'{"a":' * 10_000),
            ("multipart/form-data", b"no boundary"),
            (MULTIPART, part("a", "1").encode() * 1001 + b"--B--\r\n"),
            (MULTIPART, part("a", "1", '; filename="f"').encode() * 101 + b"--B--\r\n"),
            (FORM, b"a&" * 1001),
        ],
        ids=lambda value: value[:20],
    )
    def test_bodies_that_cannot_be_read(self, db, media_type, body):
        response = APIClient().post(reverse("jwt-create"), body, content_type=media_type)
        assert assert_error(response, 400)["code"] == "parse_error"

    @pytest.mark.parametrize(
        ("media_type", "body"),
        [
            (FORM, "%(name)s=%%FF%%FE&password=x"),
            (FORM, "%(name)s=a&password=%%00"),
            (FORM, "%(name)s=a%%00&password=x"),
            (MULTIPART, part("%(name)s", "a") + part("password", "x", '; filename="f"') + "--B--"),
            (MULTIPART, part("%(name)s", "a") + part("password", "\0") + "--B--"),
            (MULTIPART, "--B--"),
            (MULTIPART, "no part at all"),
        ],
    )
    def test_forms_with_odd_values(self, db, user, media_type, body):
        text = body % {"name": user.USERNAME_FIELD}
        response = APIClient().post(reverse("jwt-create"), text, content_type=media_type)
        assert response.status_code in {400, 401}
        assert_error(response, response.status_code)

    def test_the_query_string_is_not_read(self, credentials):
        query = "&".join(f"{name}={value}" for name, value in credentials.items())
        response = APIClient().post(f"{reverse('jwt-create')}?{query}")
        assert_error(response, 400)

    def test_values_nested_to_every_depth(self, settings, patient, db):
        """The parser gives up somewhere; up to there, nothing that looks at the value may."""
        for depth in (*range(20, 1000, 20), 5_000, 20_000):
            value = "[" * depth + "]" * depth
            body = f'{{"totp_challenge_token": {value}, "otp_code": "1"}}'
            response = APIClient().post(reverse("jwt-totp-verify"), body, content_type=JSON)
            assert_error(response, 400)

    def test_a_body_that_csrf_protection_cannot_read(self, by_session):
        """Django looks for the CSRF token in a form, before our parsers come."""
        by_session.cookies["csrftoken"] = "x" * 32
        for media_type, body in [
            (FORM, "a&" * 1100),
            ("multipart/form-data", "no boundary"),
            (f"{FORM}; charset=rot13", "a=1"),
        ]:
            response = by_session.post(reverse("totp-confirm"), body, content_type=media_type)
            assert response.status_code in {400, 403}
            assert_error(response, response.status_code)


class Version2Only(QueryParameterVersioning):
    """The versioning of a project whose own endpoints have one."""

    allowed_versions = ("2",)


@pytest.mark.parametrize("name", ENDPOINTS)
def test_versions_are_a_matter_of_the_projects_own_endpoints(monkeypatch, call, signed_in, name):
    monkeypatch.setattr(APIView, "versioning_class", Version2Only)
    client = signed_in if name in SIGNED_IN else APIClient()
    assert call(name, {}, client=client).status_code != 404


class TestMethods:
    @pytest.mark.parametrize("name", ENDPOINTS)
    @pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE"])
    def test_other_methods(self, signed_in, name, method):
        response = signed_in.generic(method, reverse(name))
        allowed = method == ("GET" if name in GET else "POST")
        assert (response.status_code == 405) is not allowed

    @pytest.mark.parametrize("name", ENDPOINTS)
    def test_options(self, signed_in, name):
        response = signed_in.options(reverse(name))
        assert response.status_code == 200
        assert ("GET" if name in GET else "POST") in response["Allow"]


class TestThrottles:
    def test_the_wait_is_told(self, settings, call, db):
        settings.TOTP_THROTTLE_RATE = "2/minute"
        for _ in range(2):
            assert call("jwt-verify", {"token": "x"}).status_code == 401
        response = call("jwt-verify", {"token": "x"})
        body = assert_error(response, 429)
        assert (body["code"], body["retry_after"]) == ("throttled", 60)
        assert response["Retry-After"] == "60"

    def test_requests_without_a_body_count(self, settings, call, db):
        settings.TOTP_THROTTLE_RATE = "1/minute"
        assert call("jwt-create").status_code == 400
        assert call("jwt-create").status_code == 429

    @pytest.mark.parametrize("token", ["null", "7", "[1]", "{}", '"forged"', '"\\ud800"'])
    def test_a_forged_challenge_counts_by_address(self, settings, db, token):
        settings.TOTP_THROTTLE_RATE = "1/minute"
        client, body = APIClient(), f'{{"totp_challenge_token": {token}, "otp_code": "1"}}'
        post = partial(client.post, reverse("jwt-totp-verify"), body, content_type=JSON)
        assert_error(post(), 400)
        assert_error(post(), 429)
        assert_error(post(REMOTE_ADDR="192.0.2.9"), 400)

    @pytest.mark.parametrize("body", [[], "text", 7, None])
    def test_a_body_that_is_no_object_counts_by_address(self, settings, call, db, body):
        settings.TOTP_THROTTLE_RATE = "1/minute"
        assert_error(call("jwt-totp-verify", body), 400)
        assert call("jwt-totp-verify", body).status_code == 429

    def test_throttles_of_the_project_stay_its_own(self, settings, call, signed_in, user):
        """Neither the rates nor the history of the project's scopes have to do with ours."""
        settings.REST_FRAMEWORK = {
            **settings.REST_FRAMEWORK,
            "DEFAULT_THROTTLE_RATES": {"user": "1/day", "anon": "1/day"},
        }
        answers = [call("totp-status", client=signed_in).status_code for _ in range(3)]
        assert answers == [200] * 3


class TestAddressInTheLog:
    @pytest.mark.parametrize(
        ("proxies", "address"),
        [(None, "203.0.113.1,192.0.2.7"), (0, "127.0.0.1"), (1, "192.0.2.7")],
    )
    def test_is_resolved_as_the_project_says(self, settings, caplog, call, user, proxies, address):
        settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "NUM_PROXIES": proxies}
        caplog.set_level(logging.INFO, "django_totp")
        body = {user.USERNAME_FIELD: user.get_username(), "password": "wrong"}
        response = call("jwt-create", body, HTTP_X_FORWARDED_FOR="203.0.113.1, 192.0.2.7")
        assert_error(response, 401, BAD_CREDENTIALS)
        [record] = [record for record in caplog.records if record.name == "django_totp"]
        assert record.address == address


@pytest.mark.django_db(transaction=True)
class TestAtomicRequests:
    """An answer of 400 must not roll back the count of the guess that it refuses."""

    @pytest.fixture(autouse=True)
    def _on(self, monkeypatch):
        monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)

    def failures(self):
        return Totp.objects.values_list("failures", flat=True).get()

    def test_a_wrong_code_is_counted(self, login, enrolled_user, secret):
        for count in (1, 2):
            assert_error(login(enrolled_user, otp_code=wrong_code(secret)), 400, BAD_OTP)
            assert self.failures() == count

    def test_a_wrong_backup_code_is_counted(self, login, enrolled_user):
        assert_error(login(enrolled_user, backup_code="wrong"), 400)
        assert self.failures() == 1

    def test_a_wrong_confirmation_is_counted(self, call, pending_user, signed_in, secret):
        body = {"input_code": wrong_code(secret)}
        assert_error(call("totp-confirm", body, client=signed_in), 400, BAD_OTP)
        assert self.failures() == 1

    @pytest.mark.parametrize("name", ["totp-disable", "totp-rotate-backup-codes"])
    def test_a_wrong_proof_is_counted(self, settings, call, enrolled_user, signed_in, secret, name):
        settings.TOTP_REAUTHENTICATE = True
        assert_error(call(name, {"otp_code": wrong_code(secret)}, client=signed_in), 403)
        assert self.failures() == 1

    def test_the_wait_holds(self, settings, login, enrolled_user, secret, otp):
        settings.TOTP_FAILURE_LIMIT = 0
        assert_error(login(enrolled_user, otp_code=wrong_code(secret)), 400, BAD_OTP)
        assert_error(login(enrolled_user, otp_code=otp(secret)), 429)


def test_a_transaction_around_the_request_is_not_rolled_back(
    monkeypatch, login, enrolled_user, secret, otp
):
    """As a test case has one around it; Django REST framework takes it for the request's own."""
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    with transaction.atomic():
        assert_error(login(enrolled_user, otp_code=wrong_code(secret)), 400, BAD_OTP)
        assert Totp.objects.get().failures == 1
    assert Totp.objects.get().failures == 1
    assert login(enrolled_user, otp_code=otp(secret)).status_code == 200


def test_a_transaction_that_is_to_be_rolled_back_stays_so(monkeypatch, api, db):
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    with transaction.atomic():
        transaction.set_rollback(True)
        assert_error(api.post(reverse("jwt-create"), {}), 400)
        assert transaction.get_rollback()
