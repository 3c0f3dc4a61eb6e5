"""A real server on the loopback: gunicorn with several processes, and threads in each."""

import contextlib
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass

PROCESSES = 4
THREADS = 4
START_SECONDS = 30


@dataclass(frozen=True)
class Server:
    """A running server: where it listens, its process, and the file that its errors go to."""

    port: int
    process: "subprocess.Popen[bytes]"
    log: pathlib.Path

    def errors(self) -> int:
        """Return how many tracebacks the server has logged."""
        return self.log.read_text(errors="replace").count("Traceback (most recent call last)")


@contextlib.contextmanager
def running(env: dict[str, str], *, processes: int = PROCESSES) -> Iterator[Server]:
    """Run gunicorn in the environment ``env`` and end it."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        log = pathlib.Path(folder, "server.log")
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "proof.wsgi", f"--bind=127.0.0.1:{port}",
                 f"--workers={processes}", "--worker-class=gthread", f"--threads={THREADS}",
                 "--timeout=60", "--graceful-timeout=5", "--log-level=error",
                 "--backlog=256"],
                env={**os.environ, **env}, stdout=out, stderr=out,
            )  # fmt: skip
        try:
            wait_until_open(port, process, log)
            yield Server(port, process, log)
        finally:
            process.terminate()
            process.wait(timeout=30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_open(port: int, process: "subprocess.Popen[bytes]", log: pathlib.Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"The server did not start:\n{log.read_text(errors='replace')}")
