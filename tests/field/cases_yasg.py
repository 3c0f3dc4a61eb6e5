"""drf-yasg shows what our endpoints read."""

import json

import pytest

from tests.field.journey import test_journey  # noqa: F401

BODIES = {
    "/jwt/create/": {"username", "password", "trusted_device"},
    "/jwt/totp/verify/": {
        *("totp_challenge_token", "otp_code", "backup_code"),
        *("trust_device", "device_name"),
    },
    "/jwt/refresh/": {"refresh"},
    "/jwt/verify/": {"token"},
    "/totp/confirm/": {"input_code", "password"},
}


@pytest.mark.django_db
def test_shows_bodies(client):
    answer = client.get("/schema.json", headers={"Accept": "application/json"})
    document = json.loads(answer.content)
    shown = {}
    for path, operations in document["paths"].items():
        for parameter in operations.get("post", {}).get("parameters", []):
            name = parameter["schema"].get("$ref", "").rpartition("/")[2]
            schema = document["definitions"][name] if name else parameter["schema"]
            shown[document["basePath"].removeprefix("/api") + path] = {
                name for name, field in schema["properties"].items() if not field.get("readOnly")
            }
    assert {path: shown.get(path) for path in BODIES} == BODIES
