"""An environment for each peer, under ``build/benchmarks/``: their dependencies clash."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
CACHE = ROOT / "build" / "benchmarks"
OLDEST = (3, 13)  # django-totp 1.1.3 imports warnings.deprecated
ASK = "import sys; print(sys._base_executable, *sys.version_info[:2])"

Ask = Callable[..., Any]

MEMORY = Path("/dev/shm")  # noqa: S108 - where Linux keeps files in memory
# No other database instead of one that is missing; and SQLite's file where no disk is waited for.
SERVICES = {"CI": "true"} | ({"TMPDIR": str(MEMORY)} if MEMORY.is_dir() else {})

# The versions are named so that a later run compares the same things.
PEERS = {
    "ours": ["--editable", str(ROOT)],
    "released": ["django-totp==1.1.3"],
    "simplejwt": ["djangorestframework-simplejwt==5.5.1"],
    "drf-totp": ["drf-totp[encryption]==0.2.0", "djangorestframework-simplejwt==5.5.1"],
    "django-mfa": ["django-mfa==4.6.1", "cryptography"],
    "allauth": ["django-allauth[headless,mfa]==65.21.1"],
    "allauth-pages": ["django-allauth[mfa]==65.21.1"],
    "two-factor-auth": ["django-two-factor-auth[phonenumberslite]==1.18.1"],
    "dj-rest-auth": [
        "dj-rest-auth[with-mfa]==7.2.0",
        "djangorestframework-simplejwt==5.5.1",
        "qrcode",  # without it, it draws no QR code
    ],
}


def python_of(peer: str) -> Path:
    """Return the interpreter of the environment of ``peer``, which is made if there is none."""
    wanted = [*_common(), *PEERS[peer]]
    digest = hashlib.sha256(" ".join([interpreter(), *wanted]).encode()).hexdigest()
    stamp, folder = CACHE / f"{peer}.stamp", CACHE / peer
    python = folder / "bin" / "python"
    if not stamp.is_file() or stamp.read_text() != digest:
        print(f"Making an environment for {peer} …", file=sys.stderr, flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([interpreter(), "-m", "venv", folder], check=True)
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, *wanted], check=True)
        stamp.write_text(digest)
    return python


def enter(peer: str) -> None:
    """Run this program again in the environment of ``peer``, unless it is there."""
    if Path(sys.prefix) != CACHE / peer:
        python = python_of(peer)
        module = sys.modules["__main__"].__spec__
        assert module
        os.execv(python, [python, "-m", module.name, *sys.argv[1:]])  # noqa: S606


def versions(peer: str, names: list[str]) -> str:
    """Return the versions of those of ``names`` that the environment of ``peer`` holds."""
    ask = (
        "import json, platform; from importlib.metadata import distributions; "
        "print(json.dumps({found.name: found.version for found in distributions()} "
        "| {'Python': platform.python_version()}))"
    )
    held = json.loads(subprocess.check_output([python_of(peer), "-c", ask]))
    held = {name.lower(): version for name, version in held.items()}
    return ", ".join(f"{name} {held[name.lower()]}" for name in names if name.lower() in held)


def interpreter() -> str:
    """Return a Python that all peers run on: this one, or one on the ``PATH``."""
    candidates = [sys.executable, *(f"python3.{minor}" for minor in range(OLDEST[1], 16))]
    for candidate in candidates:
        name = Path(candidate).name.removeprefix("python")
        found = (
            subprocess.run(
                [candidate, "-c", ASK],
                capture_output=True,
                text=True,
                env=os.environ | {"PYENV_VERSION": name} if candidate == f"python{name}" else None,
            )
            if shutil.which(candidate)
            else None
        )
        if found and found.returncode == 0:
            path, *version = found.stdout.rsplit(maxsplit=2)
            if tuple(map(int, version)) >= OLDEST:
                return path
    raise SystemExit(
        "The benchmarks need Python 3.13 or newer on the PATH: django-totp 1.1.3 does."
    )


@contextmanager
def worker(
    peer: str, database: str, program: str = "benchmarks.worker", **settings: Any
) -> Iterator[Ask]:
    """Run the worker of ``peer`` in its own environment, and give what sends it a command."""
    process = subprocess.Popen(
        [python_of(peer), "-m", program, peer, json.dumps(settings)],
        cwd=ROOT,
        env=os.environ | SERVICES | {"DATABASE": database},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout

    def ask(*command: Any) -> Any:
        print(json.dumps(command), file=process.stdin, flush=True)
        answer = process.stdout.readline()
        if not answer:
            raise SystemExit(f"The worker of {peer} failed: see above.")
        return json.loads(answer)

    try:
        yield ask
    finally:
        process.stdin.close()
        process.wait()


def _common() -> list[str]:
    """Return the dependency group ``benchmarks``: what all peers have in common."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return project["dependency-groups"]["benchmarks"]
