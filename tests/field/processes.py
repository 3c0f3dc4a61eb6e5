"""Programs that a test starts on the loopback, and ends by their process id."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
START_SECONDS = 30


def free_ports(number: int) -> list[int]:
    """Return ports that nothing listens at now."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(number)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


@contextlib.contextmanager
def running(
    command: list[str], port: int, folder: Path, env: dict[str, str] | None = None
) -> Iterator[int]:
    """Run a program until it listens at ``port``, give the port, and end the program."""
    log = folder / f"{port}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=out, stderr=out)
    try:
        _wait_until_open(port, process, log)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=30)


@contextlib.contextmanager
def served(command: list[str], settings: str, database: str) -> Iterator[int]:
    """Serve a project by a server of Python's, and give the port, ``{port}`` in ``command``."""
    [port] = free_ports(1)
    env = os.environ | {
        "DJANGO_SETTINGS_MODULE": settings,
        "FIELD_DATABASE": database,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
    }
    filled = [sys.executable, "-m", *(part.format(port=port) for part in command)]
    with tempfile.TemporaryDirectory() as folder, running(filled, port, Path(folder), env):
        yield port


def _wait_until_open(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    said = log.read_text(errors="replace")
    raise RuntimeError(f"{process.args!r} does not listen at {port}:\n{said}")
