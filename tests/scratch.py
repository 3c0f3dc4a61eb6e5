"""A project in a folder of its own, to paste documentation into and to run its commands in."""

import os
import subprocess
import sys
from pathlib import Path

import django_totp
from tests import markdown

PACKAGE = Path(django_totp.__file__).parent


def start(directory: Path) -> Path:
    """Make a project fresh from ``startproject``, with stand-ins for ``python`` and ``pip``.

    ``python`` is the interpreter of the tests. ``pip`` only notes what it is asked for: the
    package that is under test is there already.
    """
    _script(directory / "bin" / "python", f'exec "{sys.executable}" "$@"')
    _script(directory / "bin" / "pip", f'echo "$@" >> "{directory}/pip"')
    run(directory, "python -m django startproject mysite .")
    return directory


def _script(path: Path, command: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{command}\n")
    path.chmod(0o755)


def append(directory: Path, name: str, addition: str) -> None:
    """Write ``addition`` at the end of the project's module ``name``."""
    with (directory / "mysite" / f"{name}.py").open("a") as module:
        module.write(f"\n{addition}")


def run(directory: Path, commands: str, *, fails: bool = False) -> str:
    """Return what ``commands`` print, run by one shell that stops at the first failure."""
    site = directory / "site-packages"  # where a test puts a package of its own, that is taken
    environment = {
        "PATH": f"{directory / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONWARNINGS": "error",
        "PYTHONPATH": os.pathsep.join(map(str, [site, PACKAGE.parent, markdown.ROOT])),
    }
    done = subprocess.run(
        ["bash", "-euc", commands], cwd=directory, env=environment, capture_output=True, text=True
    )
    assert (done.returncode != 0) is fails, done.stdout + done.stderr
    return done.stdout + (done.stderr if fails else "")
