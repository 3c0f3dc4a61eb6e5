"""Programs that a test starts on the loopback, and ends by their process id."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

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


def _wait_until_open(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    said = log.read_text(errors="replace")
    raise RuntimeError(f"{process.args!r} does not listen at {port}:\n{said}")
