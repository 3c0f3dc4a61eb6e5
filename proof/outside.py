"""Services of the proof's own, which it may stop: a PostgreSQL cluster and a Redis server."""

import contextlib
import getpass
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass

from proof.server import free_port


class Missing(Exception):
    """This machine cannot run the service; the message says why."""


class Failed(Exception):
    """A program of the service ended with an error."""


@dataclass(frozen=True)
class Cluster:
    """A running PostgreSQL cluster."""

    port: int
    folder: pathlib.Path
    programs: pathlib.Path
    become: tuple[str, ...]

    def stop(self, mode: str) -> None:
        """Stop it ``fast``, which rolls back, or ``immediate``, which is a crash."""
        self._control("stop", f"--mode={mode}")

    def start(self) -> None:
        options = f"-p {self.port} -h 127.0.0.1 -k {self.folder}"
        log = str(self.folder / "log")
        self._control("start", "--log", log, "--options", options)

    def _control(self, *arguments: str) -> None:
        program = [*self.become, str(self.programs / "pg_ctl"), "--wait", "--silent"]
        data = f"--pgdata={self.folder / 'data'}"
        _run(*program, data, *arguments)


@contextlib.contextmanager
def cluster() -> Iterator[Cluster]:
    """Make a PostgreSQL cluster, run it, and remove it. Raise Missing."""
    programs, become = _programs(), _become()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="proof-"))
    try:
        made = Cluster(free_port(), folder, programs, become)
        _make(made)
        try:
            yield made
        finally:
            with contextlib.suppress(Failed):  # a scenario that failed may have left it stopped
                made.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _make(new: Cluster) -> None:
    try:
        if new.become:
            shutil.chown(new.folder, "postgres")
        initdb = [*new.become, str(new.programs / "initdb"), "--auth=trust", "--username=postgres"]
        _run(*initdb, "--no-sync", f"--pgdata={new.folder / 'data'}")
        new.start()
    except (Failed, LookupError) as error:
        raise Missing(str(error)) from error


@contextlib.contextmanager
def redis() -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """Run a Redis server that keeps nothing; yield its URL and process. Raise Missing."""
    program = shutil.which("redis-server")
    if program is None:
        raise Missing("there is no redis-server")
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
        try:
            _wait_for_redis(port)
            yield f"redis://127.0.0.1:{port}/0", process
        finally:
            process.kill()
            process.wait()


def _wait_for_redis(port: int) -> None:
    from redis import ConnectionError, Redis

    with Redis(port=port) as client:
        for _ in range(100):
            with contextlib.suppress(ConnectionError):
                client.ping()
                return
            time.sleep(0.05)
    raise Missing("redis-server did not start")


def _programs() -> pathlib.Path:
    found = shutil.which("pg_ctl")
    installed = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    if not found and not installed:
        raise Missing("there is no pg_ctl")
    return pathlib.Path(found or installed[-1]).resolve().parent


def _become() -> tuple[str, ...]:
    """Return the command that another one is run with: PostgreSQL refuses to run as root."""
    if os.geteuid():
        return ()
    if shutil.which("runuser") is None:
        raise Missing(f"PostgreSQL does not run as {getpass.getuser()}, and there is no runuser")
    return ("runuser", "-u", "postgres", "--")


def _run(*command: str) -> None:
    # Output goes to a file: the server would keep a pipe open.
    with tempfile.TemporaryFile() as out:
        done = subprocess.run(command, stdout=out, stderr=out, cwd="/")
        out.seek(0)
        text = out.read().decode(errors="replace")
    if done.returncode:
        raise Failed(f"{' '.join(command)}: {text.strip()}")
