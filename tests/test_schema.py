"""The API's schema: valid, silent, and what the endpoints really answer."""

import io
import os
import subprocess
import sys
from contextlib import nullcontext

import jsonschema
import pytest
import yaml
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test import override_settings
from django.urls import include, path, resolve
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.settings import patched_settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.authentication import SessionAuthentication
from rest_framework.decorators import action, api_view, permission_classes
from rest_framework.permissions import IsAdminUser, IsAuthenticated
from rest_framework.routers import DefaultRouter
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet
from rest_framework_simplejwt.authentication import JWTAuthentication as SimpleJWTAuthentication
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import RefreshToken

from django_totp.auth import end_sessions, generate_challenge_token
from django_totp.authentication import JWTAuthentication
from django_totp.exceptions import TotpError
from django_totp.permissions import HasRecentSecondFactor, HasSecondFactor
from django_totp.schema.permissions import _guarded
from django_totp.serializers import BackupCodesResponse
from django_totp.totp import confirm_totp_setup, start_totp_setup
from django_totp.views.jwt import JWTCreateView
from tests.endpoints import ENDPOINTS, GET, LOGIN, OPEN, PATHS, SIGNED_IN, wrong_code

OPERATIONS = {name: ("/api/" + PATHS[name], "get" if name in GET else "post") for name in ENDPOINTS}
DEVICES = {"totp/devices/", "totp/devices/{id}/"}
PROOFS = {"otp_code", "backup_code", "password"}
PROVEN = ["totp-disable", "totp-replace", "totp-rotate-backup-codes"]
OPTIONAL = [*PROVEN, "totp-recovery-recovery-cancel"]
REMINDED = ["totp-create", "totp-confirm"]
REQUESTS = {
    "totp-confirm": {"input_code"},
    **dict.fromkeys(PROVEN, PROOFS),
    "totp-recovery-recovery": {"totp_challenge_token"},
    "totp-recovery-recovery-confirm": {"token"},
    "totp-recovery-recovery-cancel": {"token"},
    "jwt-create": {get_user_model().USERNAME_FIELD, "password", "trusted_device"},
    "jwt-totp-verify": {
        *("totp_challenge_token", "otp_code", "backup_code"),
        *("trust_device", "device_name"),
    },
    "jwt-totp-create": {"totp_challenge_token"},
    "jwt-totp-confirm": {"totp_challenge_token", "input_code"},
    "jwt-step-up": {"refresh", "otp_code", "backup_code"},
    "jwt-refresh": {"refresh"},
    "jwt-verify": {"token"},
}
COMMAND = ["-W", "error", "-m", "django", "spectacular", "--validate", "--fail-on-warn"]


def generate(**options):
    """Return the schema in OpenAPI 3.1, whose schemas are JSON Schema as they stand."""
    with patched_settings({"OAS_VERSION": "3.1.0", **options}):
        return SchemaGenerator().get_schema(request=None, public=True)


@pytest.fixture(scope="module")
def schema():
    return generate()


@pytest.fixture
def patient(settings):
    settings.TOTP_THROTTLE_RATE = None


def operation(schema, name):
    url, method = OPERATIONS[name]
    return schema["paths"][url][method]


def followed(schema, part):
    """Return what ``part`` refers to, if it does."""
    name = part.get("$ref", "").rpartition("/")[2]
    return schema["components"]["schemas"][name] if name else part


def validate(schema, part, value):
    jsonschema.Draft202012Validator({**part, "components": schema["components"]}).validate(value)


def json_request(schema, name):
    return operation(schema, name)["requestBody"]["content"]["application/json"]


@pytest.fixture
def conforms(schema):
    """Return a function that holds a response to the schema and gives the response back."""

    def conforms(response, status, schema=schema):
        name = resolve(response.wsgi_request.path).url_name
        documented = operation(schema, name)["responses"][str(status)]
        assert response.status_code == status, response.content
        if "content" in documented:
            [(media_type, content)] = documented["content"].items()
            assert response["Content-Type"] == media_type
            validate(schema, content["schema"], response.json())
        else:
            assert response.content == b""
        return response

    return conforms


# --- The document ---


def written(**options):
    out = io.StringIO()
    with patched_settings(options) if options else nullcontext():
        call_command("spectacular", validate=True, fail_on_warn=True, stdout=out)
    return yaml.safe_load(out.getvalue())


@pytest.mark.parametrize(
    "options", [{}, {"OAS_VERSION": "3.1.0"}, {"COMPONENT_SPLIT_REQUEST": True}]
)
@pytest.mark.parametrize("reauthenticate", [True, False])
def test_the_document_is_valid_and_made_without_a_warning(settings, options, reauthenticate):
    settings.TOTP_REAUTHENTICATE = reauthenticate
    document = written(**options)
    assert {"/api/" + url for url in PATHS.values()} <= set(document["paths"])


@pytest.mark.slow
@pytest.mark.parametrize("model", ["stock", "email"])
def test_the_user_name_has_its_name_in_a_project_with_either_user_model(model):
    environment = {
        **os.environ,
        "DATABASE": "sqlite",
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "USER_MODEL": model,
    }
    done = subprocess.run(
        [sys.executable, *COMMAND], capture_output=True, text=True, check=False, env=environment
    )
    assert (done.returncode, done.stderr) == (0, "")
    body = yaml.safe_load(done.stdout)["components"]["schemas"]["JWTCreateRequest"]
    name = {"stock": "username", "email": "email"}[model]
    assert set(body["properties"]) - {"trusted_device"} == set(body["required"])
    assert set(body["required"]) == {name, "password"}


def test_urls_may_be_included_in_a_namespace_and_alone(settings):
    only_totp = [path("2fa/", include(("django_totp.urls", "two_factor")))]
    settings.ROOT_URLCONF = type("urls", (), {"urlpatterns": only_totp})
    paths = {PATHS[name] for name in SIGNED_IN if "recovery" not in name} | DEVICES
    assert set(written()["paths"]) == {f"/2fa/{path}" for path in paths}


@pytest.mark.parametrize("name", ENDPOINTS)
def test_an_operation_introduces_itself(schema, name):
    described = operation(schema, name)
    assert described["operationId"] == name.replace("-", "_")
    assert described["tags"] == [name.partition("-")[0]]
    assert described["summary"]
    assert described["description"]
    assert all(response["description"] for response in described["responses"].values())


def test_login_is_open_and_the_rest_is_the_projects_authentication(schema, monkeypatch):
    for name in LOGIN:
        assert "security" not in operation(schema, name)
    signed_in = SIGNED_IN - {"totp-recovery-recovery-cancel"}  # a token of a mail is enough
    for name in signed_in:
        assert operation(schema, name)["security"] == [{"jwtAuth": []}]
    monkeypatch.setattr(APIView, "authentication_classes", (SessionAuthentication,))
    by_session = generate(SECURITY=[{"projects_own": []}])
    for name in LOGIN:
        assert "security" not in operation(by_session, name)
    for name in signed_in:
        assert operation(by_session, name)["security"] == [{"cookieAuth": []}, {"projects_own": []}]


@pytest.mark.parametrize("name", ENDPOINTS)
def test_the_body_of_a_request(schema, name):
    if name not in REQUESTS:
        assert "requestBody" not in operation(schema, name)
        return
    assert operation(schema, name)["requestBody"].get("required", False) is (name not in OPTIONAL)
    body = followed(schema, json_request(schema, name)["schema"])
    assert set(body["properties"]) == REQUESTS[name]


def test_a_body_is_of_one_kind(schema, settings):
    """openapi-python-client writes modules that cannot be imported where it may be of several."""
    for name in REQUESTS:
        assert list(operation(schema, name)["requestBody"]["content"]) == ["application/json"]
    form = "rest_framework.parsers.FormParser"
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_PARSER_CLASSES": [form]}
    [kind] = operation(generate(), "jwt-create")["requestBody"]["content"]
    assert kind == "application/x-www-form-urlencoded"


def test_a_wait_is_in_the_body(schema):
    for name in ENDPOINTS:
        content = responses(schema, name)[429]["application/json"]
        assert "retry_after" in followed(schema, content["schema"])["properties"]
        for example in content["examples"].values():
            validate(schema, content["schema"], example["value"])
            assert example["value"]["retry_after"] == 30


@pytest.mark.parametrize("name", ENDPOINTS)
def test_drf_yasg_is_told_of_the_bodies(schema, name):
    """By the attribute that its decorator writes: it looks at no serializer of ours by itself."""
    url, method = OPERATIONS[name]
    told = getattr(resolve(url).func.cls, method)._swagger_auto_schema
    documented = {status for status in operation(schema, name)["responses"] if status < "300"}
    assert {str(status) for status in told["responses"]} == documented
    if "request_body" in told:
        reminded = {"password"} if name in REMINDED else set()  # it may be asked for
        assert set(told["request_body"]().get_fields()) == REQUESTS.get(name, set()) | reminded
    else:
        assert name in {"totp-status", "jwt-refresh", "jwt-verify"}


class Derived(JWTCreateView):
    """Derived."""


class Redescribed(JWTCreateView):
    @extend_schema(operation_id="mine", request=None)
    def post(self, request):
        """Answer in the project's own way."""


def test_a_view_that_derives_from_ours_is_described(settings):
    urls = [path("derived/", Derived.as_view()), path("mine/", Redescribed.as_view())]
    settings.ROOT_URLCONF = type("urls", (), {"urlpatterns": urls})
    paths = generate()["paths"]
    body = paths["/derived/"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/JWTCreateRequest"}
    assert paths["/mine/"]["post"]["operationId"] == "mine"
    assert "requestBody" not in paths["/mine/"]["post"]


@pytest.mark.parametrize("reauthenticate", [True, False])
@pytest.mark.parametrize("name", PROVEN)
def test_a_proof_need_not_be_sent_by_all(settings, name, reauthenticate):
    settings.TOTP_REAUTHENTICATE = reauthenticate
    schema = generate()
    assert "required" not in operation(schema, name)["requestBody"]
    assert "required" not in followed(schema, json_request(schema, name)["schema"])
    assert "reauthentication_required" in error_codes(schema, name, 403)
    assert "too_many_attempts" in error_codes(schema, name, 429)


@pytest.mark.parametrize("name", REMINDED)
def test_the_password_is_in_the_schema_of_a_project_that_asks_for_it(schema, settings, name):
    assert "reauthentication_required" not in error_codes(schema, name, 403)
    settings.TOTP_REAUTHENTICATE = True
    schema = generate()
    body = followed(schema, json_request(schema, name)["schema"])
    assert set(body["properties"]) == REQUESTS.get(name, set()) | {"password"}
    assert set(body.get("required", [])) == REQUESTS.get(name, set())
    assert "reauthentication_required" in error_codes(schema, name, 403)


def test_what_a_login_is_worth_is_told_where_it_is_refused(schema):
    worth = {"login_outdated", "second_factor_required", "enrollment_required"}
    always = {"token_not_valid", "password_changed"}
    assert error_codes(schema, "jwt-refresh", 401) == worth | always
    assert error_codes(schema, "jwt-step-up", 401) == {"login_outdated"} | always
    assert "totp_required" in error_codes(schema, "totp-disable", 403)
    for name in ("jwt-create", "jwt-refresh"):
        assert error_codes(schema, name, 503) == {"policy_unavailable"}


def test_a_request_has_an_example_that_fits(schema):
    for name in REQUESTS:
        for content in operation(schema, name)["requestBody"]["content"].values():
            [example] = content["examples"].values()
            validate(schema, content["schema"], example["value"])
            assert set(example["value"]) <= REQUESTS[name]


def error_examples(schema, name, status):
    return responses(schema, name)[status]["application/json"].get("examples", {}).values()


def error_codes(schema, name, status):
    return {example["value"]["code"] for example in error_examples(schema, name, status)}


def responses(schema, name):
    documented = operation(schema, name)["responses"]
    return {int(status): response.get("content") for status, response in documented.items()}


@pytest.mark.parametrize("name", ENDPOINTS)
def test_the_statuses_of_an_operation(schema, name):
    success = {
        "totp-create": 201,
        "totp-replace": 201,
        "jwt-totp-create": 201,
        "totp-disable": 204,
        "totp-recovery-recovery": 202,
        "totp-recovery-recovery-confirm": 202,
        "totp-recovery-recovery-cancel": 204,
    }.get(name, 200)
    expected = {success, 429}
    expected |= {400, 413} if name not in GET else set()
    expected |= {415} if name in REQUESTS else set()
    expected |= {401} if not name.startswith("jwt-totp-") and name not in OPEN else set()
    expected |= {503} if name in {"jwt-create", "jwt-refresh"} | OPEN else set()
    expected |= {403} if name in SIGNED_IN | OPEN else set()
    expected |= {404} if name in OPEN else set()
    assert set(responses(schema, name)) == expected


@pytest.mark.parametrize("name", ENDPOINTS)
def test_errors_have_examples_that_fit(schema, name):
    for status in set(responses(schema, name)) - {200, 201, 202, 204}:
        content = responses(schema, name)[status]["application/json"]
        assert content["examples"]
        for example in content["examples"].values():
            validate(schema, content["schema"], example["value"])


@pytest.mark.parametrize("name", REQUESTS)
def test_fields_that_are_refused_have_lists_of_sentences(schema, name):
    body = responses(schema, name)[400]["application/json"]["schema"]
    error = {"detail": "a sentence", "code": "invalid"}
    validate(schema, body, {**error, "a_field": ["a sentence"]})
    with pytest.raises(jsonschema.ValidationError):
        validate(schema, body, {**error, "a_field": "a sentence"})


@pytest.mark.usefixtures("patient")
@pytest.mark.django_db
@pytest.mark.parametrize("name", REQUESTS)
def test_a_refused_field_is_an_example_as_it_is_answered(schema, api, signed_in, name):
    [fitting] = json_request(schema, name)["examples"].values()
    field = next(iter(fitting["value"]))
    client = signed_in if name in SIGNED_IN else api
    response = post(client, name, {**fitting["value"], field: ["no string"]})
    assert response.json() in [one["value"] for one in error_examples(schema, name, 400)]


@pytest.mark.django_db
@pytest.mark.parametrize("codes", [[], ["otp_code", "backup_code"]], ids=["none", "both"])
@pytest.mark.parametrize(
    ("name", "field"), [("jwt-totp-verify", "totp_challenge_token"), ("jwt-step-up", "refresh")]
)
def test_none_and_both_codes_are_examples_as_they_are_answered(schema, api, name, field, codes):
    response = post(api, name, {field: "a token", **dict.fromkeys(codes, "123456")})
    assert response.json() in [one["value"] for one in error_examples(schema, name, 400)]


def test_every_error_of_the_services_is_an_example_somewhere(settings):
    settings.TOTP_REAUTHENTICATE = True
    schema = generate()
    codes = {
        example["value"]["code"]
        for name in ENDPOINTS
        for status in set(responses(schema, name)) - {200, 201, 202, 204}
        for example in error_examples(schema, name, status)
    }
    raised = [one for one in TotpError.__subclasses__() if one.__module__ == TotpError.__module__]
    assert {error.code for error in raised} <= codes


@pytest.mark.parametrize("name", ENDPOINTS)
def test_a_wait_is_told_in_a_header(schema, name):
    documented = operation(schema, name)["responses"]
    assert documented["429"]["headers"]["Retry-After"]["schema"]["type"] == "integer"
    assert [status for status in documented if "headers" in documented[status]] == ["429"]


def test_the_answers_to_a_password_are_told_apart(schema):
    content = responses(schema, "jwt-create")[200]["application/json"]
    assert len(followed(schema, content["schema"])["oneOf"]) == 4
    assert len(content["examples"]) == 6
    for example in content["examples"].values():
        validate(schema, content["schema"], example["value"])
        crossed = {**example["value"], "is_totp_enabled": not example["value"]["is_totp_enabled"]}
        with pytest.raises(jsonschema.ValidationError):
            validate(schema, content["schema"], crossed)


def test_our_components_keep_out_of_the_way_of_the_projects(schema):
    prefixes = ("Totp", "JWT")
    assert all(name.startswith(prefixes) for name in schema["components"]["schemas"])


# --- What the endpoints answer ---


def post(client, name, body=None, **extra):
    return client.post(OPERATIONS[name][0], body, **{"format": "json", **extra})


def get_status(client):
    return client.get(OPERATIONS["totp-status"][0])


@pytest.mark.usefixtures("user")
def test_the_life_of_an_enrollment_conforms(conforms, signed_in, otp):
    conforms(get_status(signed_in), 200)
    conforms(post(signed_in, "totp-confirm", {"input_code": "123456"}), 400)
    secret = conforms(post(signed_in, "totp-create"), 201).json()["secret"]
    conforms(get_status(signed_in), 200)
    conforms(post(signed_in, "totp-confirm", {"input_code": wrong_code(secret)}), 400)
    conforms(post(signed_in, "totp-confirm", {"input_code": otp(secret)}), 200)
    conforms(get_status(signed_in), 200)
    conforms(post(signed_in, "totp-create"), 400)
    conforms(post(signed_in, "totp-rotate-backup-codes"), 200)
    conforms(post(signed_in, "totp-disable"), 204)
    conforms(post(signed_in, "totp-disable"), 400)
    conforms(post(signed_in, "totp-rotate-backup-codes"), 400)


def test_a_login_conforms(conforms, login, enrolled_user, secret, otp, backup_codes):
    conforms(login(enrolled_user), 200)
    conforms(login(enrolled_user, otp_code=otp(secret)), 200)
    conforms(login(enrolled_user, backup_code=backup_codes[0]), 200)
    conforms(login(enrolled_user, backup_code=backup_codes[0]), 400)
    conforms(login(enrolled_user, otp_code=wrong_code(secret)), 400)


def test_trusted_devices_conform(
    schema, settings, api, sign_in, enrolled_user, password, secret, otp
):
    settings.TOTP_TRUSTED_DEVICE_MAX_AGE = 86400

    def conforms(response, status, path, method):
        documented = schema["paths"][f"/api/{path}"][method]["responses"][str(status)]
        assert response.status_code == status, response.content
        if "content" not in documented:
            assert response.content == b""
            return None
        validate(schema, documented["content"]["application/json"]["schema"], response.json())
        return response.json()

    client, at = sign_in(enrolled_user, "pwd", "otp"), "/api/totp/devices/"
    assert conforms(client.get(at), 200, "totp/devices/", "get") == []
    code = {
        "totp_challenge_token": generate_challenge_token(enrolled_user),
        "otp_code": otp(secret),
    }
    named = {"trust_device": True, "device_name": "laptop"}
    made = conforms(
        post(api, "jwt-totp-verify", {**code, **named}), 200, "jwt/totp/verify/", "post"
    )
    credentials = {
        enrolled_user.USERNAME_FIELD: enrolled_user.get_username(),
        "password": password,
        "trusted_device": made["trusted_device"],
    }
    used = conforms(post(api, "jwt-create", credentials), 200, "jwt/create/", "post")
    assert set(used) == {"is_totp_enabled", "refresh", "access", "trusted_device"}
    assert conforms(get_status(client), 200, "totp/", "get")["trusted_devices"] == 1
    [device] = conforms(client.get(at), 200, "totp/devices/", "get")
    one = f"{at}{device['id']}/"
    conforms(client.delete(one), 204, "totp/devices/{id}/", "delete")
    conforms(client.delete(one), 404, "totp/devices/{id}/", "delete")
    conforms(client.delete(at), 204, "totp/devices/", "delete")
    conforms(api.get(at), 401, "totp/devices/", "get")
    conforms(api.delete(at), 401, "totp/devices/", "delete")
    conforms(api.delete(one), 401, "totp/devices/{id}/", "delete")
    for method in ("get", "delete"):
        assert schema["paths"][at][method]["security"] == [{"jwtAuth": []}]


def test_a_login_without_a_second_factor_conforms(conforms, login, user, api):
    tokens = conforms(login(user), 200).json()
    conforms(post(api, "jwt-refresh", {"refresh": tokens["refresh"]}), 200)
    conforms(post(api, "jwt-verify", {"token": tokens["access"]}), 200)
    body = {"totp_challenge_token": generate_challenge_token(user), "otp_code": "123456"}
    conforms(post(api, "jwt-totp-verify", body), 400)


def test_a_rotated_refresh_token_conforms(conforms, api, user, monkeypatch):
    monkeypatch.setattr(api_settings, "ROTATE_REFRESH_TOKENS", True, raising=False)
    response = post(api, "jwt-refresh", {"refresh": str(RefreshToken.for_user(user))})
    assert set(conforms(response, 200).json()) == {"access", "refresh"}


@pytest.mark.usefixtures("patient")
@pytest.mark.django_db
@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("body", [{}, [], "text", {"unknown": 1}])
def test_a_body_that_is_refused_conforms(conforms, api, signed_in, name, body):
    may_lack_all = name == "totp-recovery-recovery-cancel" and isinstance(body, dict)
    status = 204 if may_lack_all else 400
    conforms(post(signed_in if name in SIGNED_IN else api, name, body), status)


@pytest.mark.usefixtures("patient")
@pytest.mark.django_db
@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("value", [None, 1, ["x"], {"x": ["y"]}, "\0", "x" * 5000])
def test_fields_that_are_refused_conform(conforms, api, signed_in, name, value):
    client = signed_in if name in SIGNED_IN else api
    response = post(client, name, dict.fromkeys(REQUESTS[name], value))
    assert response.status_code in {400, 401}
    conforms(response, response.status_code)


@pytest.mark.django_db
@pytest.mark.parametrize("name", REQUESTS)
def test_a_body_that_is_not_read_conforms(conforms, api, user, sign_in, name):
    client = sign_in(user, "pwd") if name in SIGNED_IN else api
    conforms(post(client, name, b"{", format=None, content_type="application/json"), 400)
    conforms(post(client, name, b"x", format=None, content_type="text/plain"), 415)
    conforms(post(client, name, {"x": "x" * 70_000}), 413)


@pytest.mark.django_db
def test_wrong_credentials_conform(conforms, api, user):
    credentials = {user.USERNAME_FIELD: user.get_username(), "password": "a wrong one"}
    conforms(post(api, "jwt-create", credentials), 401)
    conforms(post(api, "jwt-refresh", {"refresh": "wrong"}), 401)
    conforms(post(api, "jwt-verify", {"token": "wrong"}), 401)


@pytest.mark.django_db
@pytest.mark.parametrize("name", sorted(SIGNED_IN))
def test_nobody_conforms(conforms, api, name, monkeypatch):
    def call():
        return get_status(api) if name in GET else post(api, name)

    conforms(call(), 401)
    api.credentials(HTTP_AUTHORIZATION="Bearer wrong")
    conforms(call(), 401)
    monkeypatch.setattr(APIView, "authentication_classes", (SessionAuthentication,))
    conforms(call(), 403)


def test_a_wait_conforms(conforms, login, enrolled_user, settings):
    settings.TOTP_FAILURE_LIMIT = 0
    conforms(login(enrolled_user, otp_code="12345"), 400)
    response = conforms(login(enrolled_user, otp_code="12345"), 429)
    assert response["Retry-After"].isdecimal()
    settings.TOTP_FAILURE_CAP = 1
    assert "Retry-After" not in conforms(login(enrolled_user, otp_code="12345"), 429)


@pytest.mark.usefixtures("user")
def test_a_throttled_request_conforms(conforms, signed_in, settings):
    settings.TOTP_THROTTLE_RATE = "1/day"
    get_status(signed_in)
    assert conforms(get_status(signed_in), 429)["Retry-After"].isdecimal()


def test_a_missing_proof_conforms(conforms, sign_in, enrolled_user, secret, otp):
    client = sign_in(enrolled_user, "pwd")
    for name in PROVEN:
        conforms(post(client, name), 403)
        conforms(post(client, name, {"otp_code": 1}), 400)
    conforms(post(client, "totp-disable", {"otp_code": otp(secret)}), 204)


def test_a_missing_password_conforms(conforms, sign_in, user, settings, password):
    settings.TOTP_REAUTHENTICATE = True
    schema, client = generate(), sign_in(user, "pwd", age=900)
    for name in REMINDED:
        conforms(post(client, name, {"input_code": "123456"}), 403, schema)
        conforms(post(client, name, {"input_code": "123456", "password": 1}), 400, schema)
    conforms(post(client, "totp-create", {"password": password}), 201, schema)


def test_a_factor_that_must_be_conforms(conforms, sign_in, enrolled_user, settings):
    settings.TOTP_REQUIRED_FOR = ["everyone"]
    client = sign_in(enrolled_user, "pwd", "otp")
    assert conforms(post(client, "totp-disable"), 403).json()["code"] == "totp_required"


def test_a_login_that_owes_a_factor_conforms(conforms, login, api, user, otp, settings):
    settings.TOTP_REQUIRED_FOR = ["everyone"]
    token = conforms(login(user), 200).json()["totp_challenge_token"]
    body = {"totp_challenge_token": token, "input_code": "123456"}
    conforms(post(api, "jwt-totp-confirm", body), 400)
    secret = conforms(post(api, "jwt-totp-create", body), 201).json()["secret"]
    conforms(post(api, "jwt-totp-confirm", {**body, "input_code": wrong_code(secret)}), 400)
    conforms(post(api, "jwt-totp-confirm", {**body, "input_code": otp(secret)}), 200)
    conforms(post(api, "jwt-totp-create", body), 400)


def test_a_login_in_the_grace_period_conforms(conforms, login, user, settings):
    settings.TOTP_REQUIRED_FOR, settings.TOTP_GRACE_PERIOD = ["everyone"], 60
    assert "totp_required_from" in conforms(login(user), 200).json()


def test_a_policy_that_fails_conforms(conforms, login, api, user, settings):
    refresh = str(RefreshToken.for_user(user))
    settings.TOTP_REQUIRED_FOR = ["tests.there.is.none"]
    conforms(login(user), 503)
    conforms(post(api, "jwt-refresh", {"refresh": refresh}), 503)


def test_a_step_up_conforms(conforms, api, login, user, otp):
    refresh = conforms(login(user), 200).json()["refresh"]
    conforms(post(api, "jwt-step-up", {"refresh": refresh, "otp_code": "123456"}), 400)
    secret = start_totp_setup(user).secret
    confirm_totp_setup(user, otp(secret, offset=-1))
    conforms(post(api, "jwt-refresh", {"refresh": refresh}), 401)
    for code in ({"otp_code": wrong_code(secret)}, {"backup_code": "wrong"}):
        conforms(post(api, "jwt-step-up", {"refresh": refresh, **code}), 400)
    conforms(post(api, "jwt-step-up", {"refresh": refresh, "otp_code": otp(secret)}), 200)
    conforms(post(api, "jwt-step-up", {"refresh": "wrong", "otp_code": otp(secret)}), 401)


def test_a_login_that_was_ended_conforms(conforms, api, login, enrolled_user, backup_codes):
    refresh = login(enrolled_user, backup_code=backup_codes[0]).json()["refresh"]
    end_sessions(enrolled_user)
    ended = conforms(post(api, "jwt-refresh", {"refresh": refresh}), 401)
    body = {"refresh": refresh, "backup_code": backup_codes[1]}
    stepped = conforms(post(api, "jwt-step-up", body), 401)
    assert ended.json()["code"] == stepped.json()["code"] == "login_outdated"


# --- The views of the project ---


class Within(HasRecentSecondFactor):
    max_age = 5


class Notes(APIView):
    """Notes."""

    serializer_class = BackupCodesResponse
    permission_classes = (HasRecentSecondFactor,)

    def get(self, request):
        """List."""

    def delete(self, request):
        """Delete."""


class Book(ViewSet):
    """A book, of which only some actions ask for more."""

    serializer_class = BackupCodesResponse

    def get_permissions(self):
        asks = self.action in {"create", "burn"}
        return [IsAuthenticated(), *[Within()] * asks]

    def list(self, request):
        """List."""

    def create(self, request):
        """Create."""

    @extend_schema(operation_id="burn", request=None, responses={204: None})
    @action(methods=["post"], detail=False)
    def burn(self, request):
        """Burn."""

    @action(methods=["post"], detail=False, permission_classes=[HasSecondFactor])
    def read(self, request):
        """Read."""


class Chosen(Book):
    """Its permissions are those of the class, or of the action."""

    get_permissions = APIView.get_permissions


class Odd(APIView):
    def get_permissions(self):
        return [Within()] if self.request.tenant else []  # which no middleware has set

    @extend_schema(auth=[], request=None, responses=OpenApiTypes.STR)
    def get(self, request):
        """Of a tenant. Whoever says nothing of ``auth`` has its permissions looked at."""


@extend_schema(tags=["own"])
class Told(Notes):
    @extend_schema(responses={200: BackupCodesResponse, 401: OpenApiTypes.STR})
    def get(self, request):
        """List."""


RAW = {"operationId": "raw", "responses": {"200": {"description": "Raw."}}}


class Raw(Notes):
    @extend_schema(operation=RAW)
    def get(self, request):
        """List."""

    @extend_schema(exclude=True)
    def delete(self, request):
        """Delete."""


@extend_schema(request=None, responses=OpenApiTypes.STR)
@api_view(["POST"])
@permission_classes([IsAuthenticated & HasSecondFactor])
def function(request):
    """Do."""


def described(**views):
    """Return the operations of views, and the schema: ``get`` of ``name`` is ``name_get``."""
    urls = [path(f"{name}/", view) for name, view in views.items()]
    settings = {"ROOT_URLCONF": type("urls", (), {"urlpatterns": urls})}
    with override_settings(**settings):
        schema = generate()
    return schema, {
        f"{url.strip('/').replace('/', '_')}_{method}": operation
        for url, methods in schema["paths"].items()
        for method, operation in methods.items()
    }


def told_of(schema, operation, status):
    """Return the examples of an answer to an operation, once they are seen to fit."""
    content = operation["responses"][status]["content"]["application/json"]
    values = {name: example["value"] for name, example in content["examples"].items()}
    for value in values.values():
        validate(schema, content["schema"], value)
    return values


def test_a_guarded_view_says_what_it_asks_for(settings):
    schema, operations = described(notes=Notes.as_view())
    for operation in operations.values():
        unauthorized = told_of(schema, operation, "401")
        assert unauthorized["HasRecentSecondFactor"]["max_age"] == 300
        assert "NotAuthenticated" in unauthorized
        forbidden = told_of(schema, operation, "403")
        assert forbidden["EnrollmentRequired"]["code"] == "enrollment_required"
        assert forbidden["HasRecentSecondFactor"] == unauthorized["HasRecentSecondFactor"]
        assert "WWW-Authenticate" in operation["responses"]["401"]["headers"]
    assert operations["notes_get"]["description"] == "List."
    assert "200" in operations["notes_get"]["responses"]
    assert "204" in operations["notes_delete"]["responses"]


@pytest.mark.parametrize(
    ("permissions", "expected"),
    [
        ([HasSecondFactor], {"HasSecondFactor": None}),
        ([Within], {"Within": 5}),
        ([IsAuthenticated, Within], {"Within": 5}),
        ([IsAuthenticated & Within], {"Within": 5}),
        ([IsAdminUser | (IsAuthenticated & Within)], {"Within": 5}),
        ([HasSecondFactor, Within], {"HasSecondFactor": None, "Within": 5}),
        ([IsAuthenticated], {}),
        ([], {}),
    ],
)
def test_each_of_its_permissions_says_it(permissions, expected):
    schema, operations = described(notes=Notes.as_view(permission_classes=permissions))
    operation = operations["notes_get"]
    if not expected:
        assert set(operation["responses"]) == {"200"}
        return
    told = told_of(schema, operation, "401")
    told.pop("NotAuthenticated")
    assert {name: body.get("max_age") for name, body in told.items()} == expected


def test_an_action_has_permissions_of_its_own():
    router = DefaultRouter()
    router.register("book", Book, basename="book")
    router.register("chosen", Chosen, basename="chosen")
    schema, operations = described(api=include(router.urls))
    guarded = {name for name, one in operations.items() if "401" in one["responses"]}
    assert guarded == {"api_book_post", "api_book_burn_post", "api_chosen_read_post"}
    assert told_of(schema, operations["api_book_burn_post"], "401")["Within"]["max_age"] == 5
    assert operations["api_book_burn_post"]["operationId"] == "burn"
    assert "204" in operations["api_book_burn_post"]["responses"]


def test_what_a_project_says_itself_stands():
    views = {"told": Told.as_view(), "raw": Raw.as_view(), "odd": Odd.as_view()}
    schema, operations = described(**views, function=function)
    assert operations["told_get"]["tags"] == operations["told_delete"]["tags"] == ["own"]
    own = operations["told_get"]["responses"]["401"]["content"]["application/json"]
    assert own == {"schema": {"type": "string"}}
    assert "headers" not in operations["told_get"]["responses"]["401"]
    assert "403" in operations["told_get"]["responses"]
    assert operations["raw_get"] == RAW
    assert "raw_delete" not in operations
    assert set(operations["odd_get"]["responses"]) == {"200"}
    assert "HasSecondFactor" in told_of(schema, operations["function_post"], "401")


def test_guarded_views_are_described_without_a_warning(settings):
    router = DefaultRouter()
    router.register("book", Book, basename="book")
    urls = [path("", include(router.urls)), path("notes/", Notes.as_view())]
    urls += [path("told/", Told.as_view()), path("function/", function)]
    settings.ROOT_URLCONF = type("urls", (), {"urlpatterns": urls})
    assert len(written()["paths"]) == 6


def test_our_authentication_has_the_scheme_of_simplejwt():
    ours = Notes.as_view(authentication_classes=[JWTAuthentication])
    both = Notes.as_view(authentication_classes=[JWTAuthentication, SimpleJWTAuthentication])
    schema, operations = described(ours=ours, both=both)
    assert operations["ours_get"]["security"] == [{"jwtAuth": []}]
    scheme = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    assert schema["components"]["securitySchemes"] == {"jwtAuth": scheme}


class ByProperty(Notes):
    """Its permissions are not to be had from the class."""

    @property
    def permission_classes(self):
        return [HasSecondFactor]


def test_a_view_whose_permissions_are_a_property_is_described():
    schema, operations = described(notes=ByProperty.as_view())
    assert told_of(schema, operations["notes_get"], "401")["HasSecondFactor"]


def test_a_method_that_is_described_does_what_it_did():
    assert _guarded(lambda view, value: value, Notes)(Notes(), "done") == "done"
