"""A project with Sentry, told the one line of docs/security.md. What would be sent is kept."""

import warnings
from typing import Any

import sentry_sdk
from sentry_sdk.transport import Transport

from django_totp.sentry import before_send
from tests.settings import *  # noqa: F403

SENT: list[dict[str, Any]] = []


class Kept(Transport):
    def capture_envelope(self, envelope: Any) -> None:
        SENT.extend(item.payload.json for item in envelope.items if item.payload.json)


TELL_ALL = {
    "dsn": "https://public@sentry.invalid/1",
    "transport": Kept,
    "send_default_pii": True,
    "attach_stacktrace": True,
    "traces_sample_rate": 1.0,
    "max_request_body_size": "always",
    "_experiments": {"record_sql_params": True},
}


def tell(**options: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # releases rename these options
        sentry_sdk.init(**TELL_ALL, **options)


tell(before_send=before_send, before_send_transaction=before_send)
