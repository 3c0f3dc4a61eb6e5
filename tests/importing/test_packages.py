"""Runs the cases of each source that is installed, in a process with its settings.

The packages cannot be installed together: three of them share an app label, and some need an old
PyOTP. So each has an environment of its own, and ``SOURCE`` names the one that must be there.
"""

import importlib.metadata
import os
import tomllib
from pathlib import Path

import pytest

from tests import markdown
from tests.importing.sources import SOURCES
from tests.projects import run_cases

FOLDER = Path(__file__).parent
CHOSEN = os.environ.get("SOURCE", "")
# The packages warn; what this package does must not.
WARNINGS = "filterwarnings=ignore\nerror:::django_totp"


@pytest.mark.slow
@pytest.mark.skipif(not CHOSEN, reason="Each has an environment of its own: make matrix")
def test_a_move():
    importlib.metadata.version(SOURCES[CHOSEN])  # or it is the tables of another package
    run_cases(FOLDER / f"cases_{CHOSEN}.py", {}, "-o", WARNINGS)


def test_every_source_is_run():
    there = {path.stem.removeprefix("cases_") for path in FOLDER.glob("cases_*.py")}
    settings = {path.stem.removeprefix("settings_") for path in FOLDER.glob("settings_*.py")}
    groups = tomllib.loads(markdown.read("pyproject.toml"))["dependency-groups"]
    ours = {name.removeprefix("import-") for name in groups if name.startswith("import-")}
    assert there == set(SOURCES) == settings - {"base"} == ours
