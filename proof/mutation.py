"""Mutation testing: does a test fail for every small change of the code?

    python -m proof.mutation [module ...]

Cosmic Ray makes the mutants. Each is run in a process of its own that imports the mutant in the
place of the module; no file is changed. A mutant that no test of the first list notices meets the
second. One that survives both must be among the equivalents in ``proof/equivalents.toml``.
"""

import argparse
import ast
import collections
import contextlib
import difflib
import importlib
import importlib.machinery
import importlib.util
import io
import itertools
import os
import signal
import sys
import time
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from cosmic_ray import mutating, plugins

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "django_totp"
MODULES = (
    *("oath", "encryption", "backup_code_utils", "factor", "totp", "auth", "throttle"),
    *("compiled", "accounts", "policy", "assurance", "reauthentication"),
    *("tokens", "authentication", "permissions"),
    *("devices", "device_cookie", "recovery", "trail"),
    *("notices.sending", "notices.letters", "notices.sentences"),
)
TESTS = {"totp": ("totp", "replacement"), "factor": ("totp", "replacement")}
WIDER = ("tests/test_secrets.py", "tests/views", "tests/test_contract.py")
NEED_ARGUMENTS = ("VariableInserter", "VariableReplacer")
SECONDS, WIDER_SECONDS = 20, 300  # after which a mutant counts as killed: it loops, or waits
SLOWER = 4  # as many times as the tests take without a mutant, if that is longer
# What each process would import again: nothing of the package, and nothing that needs its models.
PRELOADED = (
    *("cryptography.fernet", "django.db.backends.sqlite3.base", "django.db.models", "django.test"),
    *("hypothesis.stateful", "jwt", "PIL.Image", "pyotp", "pytest_cov.plugin"),
    *("pytest_django.plugin", "redis", "segno", "time_machine", "uritemplate", "xdist", "yaml"),
    *("zxingcpp", "rest_framework.serializers", "rest_framework.renderers"),
)


class Mutant(NamedTuple):
    """A changed module: its source, and the change as a person reads it."""

    module: str
    source: str
    before: str
    after: str


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("modules", nargs="*", default=MODULES, metavar="module", help=f"{MODULES}")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--own", action="store_true", help="the tests of each module only")
    arguments = parser.parse_args()
    wider = () if arguments.own else WIDER
    _preload()
    known = _equivalents()
    print(f"{'module':<20}{'mutants':>8}{'killed':>8}{'equivalent':>12}{'survived':>10}")
    survived = 0
    for module in arguments.modules:
        seconds = max(SECONDS, SLOWER * _check_that_tests_pass(module, wider))
        mutants = list(_mutants(module))
        alive = _alive(mutants, _tests(module), seconds, arguments.processes)
        if wider:
            alive = _alive(alive, wider, WIDER_SECONDS, arguments.processes)
        new = [mutant for mutant in alive if (module, mutant.before, mutant.after) not in known]
        survived += len(new)
        numbers = (len(mutants), len(mutants) - len(alive), len(alive) - len(new), len(new))
        print(f"{module:<20}{numbers[0]:>8}{numbers[1]:>8}{numbers[2]:>12}{numbers[3]:>10}")
        for mutant in new:
            print(f"    - {mutant.before}\n    + {mutant.after}", flush=True)
    print(f"cosmic-ray {version('cosmic-ray')}, Python {sys.version.split()[0]}")
    return int(survived > 0)


def _file(module: str) -> Path:
    return SOURCE / f"{module.replace('.', '/')}.py"


def _tests(module: str) -> tuple[str, ...]:
    """Return the tests of ``module``, or of the package that it is in."""
    names = TESTS.get(module, (module.partition(".")[0],))
    return tuple(f"tests/test_{name}.py" for name in names)


def _equivalents() -> set[tuple[str, str, str]]:
    rows = tomllib.loads((ROOT / "proof" / "equivalents.toml").read_text())["mutant"]
    return {(row["module"], row["before"], row["after"]) for row in rows}


# --- The mutants ---


def _mutants(module: str) -> Iterator[Mutant]:
    """Yield each mutant of ``module`` once, without those that differ in annotations only."""
    original = _file(module).read_text()
    seen = {_meaning(original)}
    for name in plugins.operator_names():
        if name.startswith(tuple(f"core/{operator}" for operator in NEED_ARGUMENTS)):
            continue
        for source in _changed(original, plugins.get_operator(name)()):
            meaning = _meaning(source)
            if meaning and meaning not in seen:
                seen.add(meaning)
                yield Mutant(module, source, *_difference(original, source))


def _changed(source: str, operator: Any) -> Iterator[str]:
    for occurrence in itertools.count():
        try:
            changed = mutating.mutate_code(source, operator, occurrence)
        except AttributeError:
            continue  # an exception with a dotted name: Cosmic Ray only replaces plain ones
        if changed is None:
            return
        yield changed


def _meaning(source: str) -> str:
    """Return what ``source`` does: annotations are no behaviour. An empty string is no Python."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return ""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.FunctionDef):
            node.returns = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
    return ast.dump(tree)


def _difference(before: str, after: str) -> tuple[str, str]:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    changed = collections.defaultdict(list)
    for line in list(lines)[2:]:
        changed[line[0]].append(line[1:].strip())
    return " ".join(filter(None, changed["-"])), " ".join(filter(None, changed["+"]))


# --- The tests, in processes of their own ---


def _preload() -> None:
    """Import once, for all processes, what takes long."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    os.environ["DATABASE"] = "sqlite"
    for name in PRELOADED:
        importlib.import_module(name)


def _alive(
    mutants: list[Mutant], tests: tuple[str, ...], seconds: int, processes: int
) -> list[Mutant]:
    """Return the mutants with which ``tests`` pass."""
    waiting, alive = list(reversed(mutants)), []
    running: dict[int, tuple[Mutant, float]] = {}
    while waiting or running:
        while waiting and len(running) < processes:
            mutant = waiting.pop()
            running[_start(mutant, tests)] = mutant, time.monotonic() + seconds
        for pid, (mutant, deadline) in list(running.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del running[pid]
                alive += [mutant] if os.waitstatus_to_exitcode(status) == 0 else []
            elif time.monotonic() > deadline:
                os.killpg(pid, signal.SIGKILL)
        time.sleep(0.01)
    return sorted(alive, key=mutants.index)


def _check_that_tests_pass(module: str, wider: tuple[str, ...]) -> float:
    """End the program if the tests fail with the module as it is: then they kill no mutant.

    Return how many seconds those of the module take.
    """
    unchanged = Mutant(module, _file(module).read_text(), "", "")
    started, taken = time.monotonic(), []
    for tests in filter(None, (_tests(module), wider)):
        if not _alive([unchanged], tests, WIDER_SECONDS, processes=1):
            sys.exit(f"These tests fail without a mutant: {' '.join(tests)}")
        taken.append(time.monotonic() - started)
    return taken[0]


def _start(mutant: Mutant, tests: tuple[str, ...]) -> int:
    """Start the tests beside ``mutant`` and return the process id."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        os.setpgid(0, 0)
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
            with contextlib.redirect_stdout(io.StringIO()):
                status = _test(mutant, tests)
    finally:
        os._exit(status)


def _test(mutant: Mutant, tests: tuple[str, ...]) -> int:
    import hypothesis
    import pytest
    from django.conf import settings

    name = f"/tmp/django_totp_mutant_{os.getpid()}.sqlite3"  # noqa: S108
    settings.DATABASES["default"]["TEST"] = {"NAME": name}
    hypothesis.settings.register_profile("ci", database=None, derandomize=True, deadline=None)
    sys.meta_path.insert(0, Finder(mutant))
    options = ["-x", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", "-m", "not browser"]
    options += ["--assert=plain", "--no-migrations", f"--rootdir={ROOT}"]
    try:
        return int(pytest.main([*options, *tests]))
    finally:
        Path(name).unlink(missing_ok=True)


class Finder:
    """Find the mutant where the module is asked for."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant
        self.name = f"django_totp.{mutant.module}"

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != self.name:
            return None
        file = str(_file(self.mutant.module))
        return importlib.util.spec_from_file_location(name, file, loader=Loader(name, file, self))


class Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, finder: Finder) -> None:
        super().__init__(name, path)
        self.source = finder.mutant.source

    def get_code(self, fullname: str) -> Any:
        return compile(self.source, self.path, "exec")


if __name__ == "__main__":
    sys.exit(main())
