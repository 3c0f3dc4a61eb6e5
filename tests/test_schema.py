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
from django.urls import include, path, resolve
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.settings import patched_settings
from drf_spectacular.utils import extend_schema
from rest_framework.authentication import SessionAuthentication
from rest_framework.views import APIView
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import RefreshToken

from django_totp.auth import generate_challenge_token
from django_totp.exceptions import TotpError
from django_totp.views.jwt import JWTCreateView
from tests.endpoints import ENDPOINTS, GET, LOGIN, PATHS, SIGNED_IN, wrong_code

OPERATIONS = {name: ("/api/" + PATHS[name], "get" if name in GET else "post") for name in ENDPOINTS}
REQUESTS = {
    "totp-confirm": {"input_code"},
    "jwt-create": {get_user_model().USERNAME_FIELD, "password"},
    "jwt-totp-verify": {"totp_challenge_token", "otp_code", "backup_code"},
    "jwt-refresh": {"refresh"},
    "jwt-verify": {"token"},
}
PROOFS = {"otp_code", "backup_code", "password"}
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
    assert set(body["properties"]) == set(body["required"]) == {name, "password"}


def test_urls_may_be_included_in_a_namespace_and_alone(settings):
    only_totp = [path("2fa/", include(("django_totp.urls", "two_factor")))]
    settings.ROOT_URLCONF = type("urls", (), {"urlpatterns": only_totp})
    assert set(written()["paths"]) == {f"/2fa/{PATHS[name]}" for name in SIGNED_IN}


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
    for name in SIGNED_IN:
        assert operation(schema, name)["security"] == [{"jwtAuth": []}]
    monkeypatch.setattr(APIView, "authentication_classes", (SessionAuthentication,))
    by_session = generate(SECURITY=[{"projects_own": []}])
    for name in LOGIN:
        assert "security" not in operation(by_session, name)
    for name in SIGNED_IN:
        assert operation(by_session, name)["security"] == [{"cookieAuth": []}, {"projects_own": []}]


@pytest.mark.parametrize("name", ENDPOINTS)
def test_the_body_of_a_request(schema, name):
    if name not in REQUESTS:
        assert "requestBody" not in operation(schema, name)
        return
    assert operation(schema, name)["requestBody"]["required"]
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
        proven = {"totp-disable": PROOFS, "totp-rotate-backup-codes": PROOFS}
        fields = set(told["request_body"]().get_fields())
        assert fields == (REQUESTS | proven)[name]
    else:
        assert name in {"totp-status", "totp-create", "jwt-refresh", "jwt-verify"}


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


@pytest.mark.parametrize("name", ["totp-disable", "totp-rotate-backup-codes"])
def test_a_fresh_proof_is_in_the_schema_of_a_project_that_asks_for_one(settings, name):
    settings.TOTP_REAUTHENTICATE = True
    schema = generate()
    assert "required" not in operation(schema, name)["requestBody"]
    body = followed(schema, json_request(schema, name)["schema"])
    assert set(body["properties"]) == PROOFS
    assert "required" not in body
    codes = {example["value"]["code"] for example in error_examples(schema, name, 403)}
    assert "reauthentication_required" in codes


def test_a_request_has_an_example_that_fits(schema):
    for name in REQUESTS:
        for content in operation(schema, name)["requestBody"]["content"].values():
            [example] = content["examples"].values()
            validate(schema, content["schema"], example["value"])
            assert set(example["value"]) <= REQUESTS[name]


def error_examples(schema, name, status):
    return responses(schema, name)[status]["application/json"].get("examples", {}).values()


def responses(schema, name):
    documented = operation(schema, name)["responses"]
    return {int(status): response.get("content") for status, response in documented.items()}


@pytest.mark.parametrize("name", ENDPOINTS)
def test_the_statuses_of_an_operation(schema, name):
    success = {"totp-create": 201, "totp-disable": 204}.get(name, 200)
    expected = {success, 429}
    expected |= {400, 413} if name not in GET else set()
    expected |= {415} if name in REQUESTS else set()
    expected |= {401} if name != "jwt-totp-verify" else set()
    expected |= {403} if name in SIGNED_IN else set()
    assert set(responses(schema, name)) == expected


@pytest.mark.parametrize("name", ENDPOINTS)
def test_errors_have_examples_that_fit(schema, name):
    for status in set(responses(schema, name)) - {200, 201, 204}:
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
def test_none_and_both_codes_are_examples_as_they_are_answered(schema, api, codes):
    body = {"totp_challenge_token": "a token", **dict.fromkeys(codes, "123456")}
    response = post(api, "jwt-totp-verify", body)
    examples = error_examples(schema, "jwt-totp-verify", 400)
    assert response.json() in [one["value"] for one in examples]


def test_every_error_of_the_services_is_an_example_somewhere(settings):
    settings.TOTP_REAUTHENTICATE = True
    schema = generate()
    codes = {
        example["value"]["code"]
        for name in ENDPOINTS
        for status in set(responses(schema, name)) - {200, 201, 204}
        for example in error_examples(schema, name, status)
    }
    raised = [one for one in TotpError.__subclasses__() if one.__module__ == TotpError.__module__]
    assert {error.code for error in raised} <= codes


@pytest.mark.parametrize("name", ENDPOINTS)
def test_a_wait_is_told_in_a_header(schema, name):
    documented = operation(schema, name)["responses"]
    assert documented["429"]["headers"]["Retry-After"]["schema"]["type"] == "integer"
    assert [status for status in documented if "headers" in documented[status]] == ["429"]


def test_the_two_answers_to_a_password_are_told_apart(schema):
    content = responses(schema, "jwt-create")[200]["application/json"]
    one_of = followed(schema, content["schema"])["oneOf"]
    marks = [followed(schema, part)["properties"]["is_totp_enabled"] for part in one_of]
    assert [followed(schema, mark)["enum"] for mark in marks] == [[True], [False]]
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
    conforms(post(signed_in if name in SIGNED_IN else api, name, body), 400)


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
def test_a_body_that_is_not_read_conforms(conforms, api, signed_in, name):
    client = signed_in if name in SIGNED_IN else api
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


@pytest.mark.usefixtures("enrolled_user")
def test_a_missing_proof_conforms(conforms, signed_in, settings, password):
    settings.TOTP_REAUTHENTICATE = True
    schema = generate()
    conforms(post(signed_in, "totp-disable"), 403, schema)
    conforms(post(signed_in, "totp-disable", {"password": 1}), 400, schema)
    conforms(post(signed_in, "totp-rotate-backup-codes", {"password": password}), 200, schema)
