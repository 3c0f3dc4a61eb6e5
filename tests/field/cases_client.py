"""A client that openapi-python-client has generated from the schema logs in."""

import importlib
import json
import subprocess
import sys
from typing import Any

import pytest
from drf_spectacular.generators import SchemaGenerator

from tests.field.journey import test_journey  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)
PACKAGE = "generated_totp_client"


@pytest.fixture
def generated(tmp_path, monkeypatch):
    """Return a function that imports a module of the client."""
    schema = tmp_path / "schema.json"
    schema.write_text(json.dumps(SchemaGenerator().get_schema(public=True), default=str))
    settings = tmp_path / "config.json"
    settings.write_text(json.dumps({"post_hooks": []}))  # nobody will read it
    options = [f"--path={schema}", f"--config={settings}", f"--output-path={PACKAGE}"]
    program = [sys.executable, "-m", "openapi_python_client", "generate", "--meta=none"]
    done = subprocess.run(
        [*program, *options, "--fail-on-warning"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    monkeypatch.syspath_prepend(tmp_path)
    return lambda name: importlib.import_module(f"{PACKAGE}.{name}")


def test_logs_in(generated, live_server, enrolled_user, password, secret, otp):
    client = generated("client").Client(base_url=live_server.url)
    models = generated("models")

    def send(name: str, model: str, **body: str) -> Any:
        module = generated(f"api.jwt.{name}")
        return module.sync(client=client, body=getattr(models, model)(**body))

    name = enrolled_user.get_username()
    first = send("jwt_create", "JWTCreateRequest", username=name, password=password)
    assert isinstance(first, models.TotpChallengeResponse)

    def verify(code: str) -> Any:
        body = {"totp_challenge_token": first.totp_challenge_token, "otp_code": code}
        return send("jwt_totp_verify", "JWTTotpVerifyRequest", **body)

    assert verify("1").code == "invalid_totp_code"
    pair = verify(otp(secret))
    assert isinstance(pair, models.TotpSecondFactorResponse)
    renewed = send("jwt_refresh", "JWTRefreshRequest", refresh=pair.refresh)
    assert renewed.access
    signed_in = generated("client").AuthenticatedClient(live_server.url, token=renewed.access)
    assert generated("api.totp.totp_status").sync(client=signed_in).is_totp_enabled is True
