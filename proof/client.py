"""Requests that leave at the same moment."""

import http.client
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Call:
    """One request: a path below ``/api/``, a JSON body, headers."""

    path: str
    body: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any
    headers: dict[str, str]


class Volley:
    """Fires several requests at one moment: every thread is connected before any one sends."""

    def __init__(self, port: int, most: int) -> None:
        self.port = port
        self.pool = ThreadPoolExecutor(most)

    def __enter__(self) -> "Volley":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.pool.shutdown()

    def fire(self, calls: list[Call]) -> list[Answer]:
        start = threading.Barrier(len(calls))
        futures = [self.pool.submit(self._send, call, start) for call in calls]
        return [future.result() for future in futures]

    def send(self, path: str, body: dict[str, Any] | None = None, **headers: str) -> Answer:
        """Send one request by itself."""
        return self._send(Call(path, body or {}, headers), threading.Barrier(1))

    def _send(self, call: Call, start: threading.Barrier) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_SECONDS)
        try:
            connection.connect()
            start.wait(TIMEOUT_SECONDS)
            headers = {"Content-Type": "application/json", **call.headers}
            connection.request("POST", f"/api/{call.path}", json.dumps(call.body), headers)
            response = connection.getresponse()
            text = response.read()
            body = json.loads(text) if text.startswith((b"{", b"[")) else text
            return Answer(response.status, body, dict(response.getheaders()))
        finally:
            connection.close()
