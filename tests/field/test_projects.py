"""Runs each project in a process of its own: its settings and packages are nobody else's."""

from pathlib import Path

import pytest

from tests import services
from tests.field.projects import PROJECTS
from tests.projects import run_cases

FOLDER = Path(__file__).parent
MISSING = services.missing("field")
# The packages warn; what this package does must not.
WARNINGS = "filterwarnings=ignore\nerror:::django_totp"

pytestmark = pytest.mark.slow


def name_of(value: object) -> str:
    return "-".join(value.values()) if isinstance(value, dict) else str(value)


@pytest.mark.skipif(bool(MISSING), reason=MISSING)
@pytest.mark.parametrize(("cases", "environment"), PROJECTS, ids=name_of)
def test_a_project_that_is_not_ours(cases, environment):
    run_cases(FOLDER / f"cases_{cases}.py", environment, "-o", WARNINGS)


def test_every_project_is_run():
    """A file that nobody lists would be a promise that nobody keeps."""
    there = {path.stem.removeprefix("cases_") for path in FOLDER.glob("cases_*.py")}
    settings = {path.stem.removeprefix("settings_") for path in FOLDER.glob("settings_*.py")}
    listed = {cases for cases, _ in PROJECTS}
    assert there == listed == settings - {"base"}


@pytest.mark.parametrize("cases", sorted({cases for cases, _ in PROJECTS}))
def test_every_project_takes_the_journey(cases):
    assert "test_journey" in (FOLDER / f"cases_{cases}.py").read_text(encoding="utf-8")
