"""Run all programs of the proof, one after the other, and say at the end how each came out."""

import argparse
import os
import subprocess
import sys
import time

from proof import database, interleavings
from proof.report import CI
from tests import services

QUICK = {
    "guessing": [],
    "hostile": ["--requests=600", "--examples=3"],
    "faults": ["--rounds=3"],
    "races": ["--rounds=2"],
    "sessions": ["--rounds=1", "--quick"],
    "thieves": ["--rounds=1"],
    "interleavings": ["--pairs", "--only=pending"],
}
FULL = {
    "guessing": [],
    "hostile": [],
    "faults": [],
    "timing": [],
    "races": ["--rounds=60"],
    "sessions": [],
    "thieves": [],
    "interleavings": [],
}
SERVICES = {"sqlite-wal": "sqlite"}  # what a database needs, if it has another name


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer of all, for every change")
    quick = parser.parse_args().quick
    missing = {name: services.missing(SERVICES.get(name, name)) for name in database.ALL}
    answering = [name for name, reason in missing.items() if not reason]
    if quick:
        answering.remove("sqlite-wal")  # the other programs run on it
    programs = {**(QUICK if quick else FULL)}
    for name in ("races", "sessions", "thieves"):
        programs[name] = [*programs[name], "--database", *answering]
    programs["interleavings"] = [
        *(*programs["interleavings"], "--database"),
        *(name for name in answering if name in interleavings.DATABASES),
    ]
    outcomes = {name: _run(name, options) for name, options in programs.items()}
    return _close(outcomes, {name: reason for name, reason in missing.items() if reason})


def _run(name: str, options: list[str]) -> str:
    """Return an empty string if the program was content."""
    command = [sys.executable, "-m", f"proof.{name}", *options]
    print(f"\n== {' '.join(command[1:])}", flush=True)
    started = time.monotonic()
    status = subprocess.run(command, env=os.environ).returncode
    print(f"== {name} took {time.monotonic() - started:.0f} s", flush=True)
    return f"exit status {status}" if status else ""


def _close(outcomes: dict[str, str], missing: dict[str, str]) -> int:
    print("\nIn short:")
    for name, outcome in outcomes.items():
        print(f"{name}: {outcome or 'no promise was broken'}")
    for name, reason in missing.items():
        print(f"races, sessions and thieves on {name} were left out. {reason}")
    print(flush=True)
    return int(any(outcomes.values()) or (CI and bool(missing)))


if __name__ == "__main__":
    sys.exit(main())
