"""Run the tests on each database that answers, and say at the end what ran and what did not.

    python -m tests.run [run ...] [-- option of pytest ...]

A run is named for the variables of ``tests/settings.py`` that it sets, like
``mariadb-email-redis``; ``browser`` is the one that drives Chromium, ``sidedoors`` the one that
audits the login views of other packages, and ``field`` the one that puts this package into
projects that are not ours. ``importing-otp``, and so on, moves people here from another package.
"""

import os
import subprocess
import sys

from tests import services
from tests.importing.sources import SOURCES

RUNS = ["sqlite-stock", "postgresql-email", "mariadb-stock", "browser"]
SUBSTITUTES = {"postgresql-email": "sqlite-email"}  # this user model is never left out
VARIABLES = {
    "DATABASE": {"sqlite", "postgresql", "mariadb"},
    "USER_MODEL": {"stock", "email"},
    "CACHE": {"locmem", "redis"},
    "TOKENS": {"plain", "blacklist"},
    "SOURCE": set(SOURCES),
}
FOLDERS = {"browser", "field", "importing", "sidedoors"}
KNOWN = FOLDERS.union(*VARIABLES.values())
PARALLEL = ["--numprocesses=auto", "--maxprocesses=4", "--dist=worksteal"]


def main(arguments: list[str]) -> int:
    """Run what ``arguments`` name, or all, and return the exit status."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    runs, options = arguments[:end] or RUNS, arguments[end + 1 :]
    if unknown := set("-".join(runs).split("-")) - KNOWN:
        sys.exit(f"These are no part of a run: {', '.join(unknown)}. Parts: {', '.join(KNOWN)}.")
    left_out = {run: reason for run in runs if (reason := _missing(run))}
    if left_out and services.CI:
        _report({}, left_out)
        return 1
    results: dict[str, tuple[int, str]] = {}
    for run in (SUBSTITUTES.get(run, run) if run in left_out else run for run in runs):
        if run not in left_out:
            results[run] = _pytest(run, [*_selection(run, is_first=not results), *options])
    _report({run: closing for run, (_, closing) in results.items()}, left_out)
    return int(any(status for status, _ in results.values()))


def _missing(run: str) -> str:
    return next(filter(None, map(services.missing, run.split("-"))), "")


def _selection(run: str, *, is_first: bool) -> list[str]:
    """Return the options of pytest that select tests. Slow ones run once: no database is theirs."""
    if run == "browser":
        return ["tests/browser"]
    folder = run.partition("-")[0]
    if folder in FOLDERS:
        settings = ["--ds=tests.importing.settings_base"] if folder == "importing" else []
        return [f"tests/{folder}", *settings, "-m", "not browser"]
    return ["-m", "not browser" if is_first else "not browser and not slow"]


def _pytest(run: str, options: list[str]) -> tuple[int, str]:
    """Return the exit status of pytest and the line with which it closed."""
    command = [sys.executable, "-m", "pytest", *PARALLEL, *options]
    print(f"\n{run}: {' '.join(command[1:])}", flush=True)
    closing = ""
    with subprocess.Popen(
        command, env=os.environ | _environment(run), stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            closing = line.strip() or closing
    return process.returncode, closing


def _environment(run: str) -> dict[str, str]:
    chosen = set(run.split("-"))
    return {name: value for name, values in VARIABLES.items() for value in values & chosen}


def _report(closing_lines: dict[str, str], left_out: dict[str, str]) -> None:
    print("\nIn short:")
    for run, reason in left_out.items():
        print(f"{run} was left out. {reason}")
    for run, line in closing_lines.items():
        print(f"{run}\n{line}")
    print(flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
