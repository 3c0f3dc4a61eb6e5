"""The races of ``test_concurrency`` where the database runs transactions one after the other.

PostgreSQL ends one of two that meet then, as distributed PostgreSQLs do (SQLSTATE 40001). It is a
process of its own: the tests before it have a connection of another kind.
"""

import os
import re
import subprocess
import sys

import pytest

from tests import services
from tests.projects import ROOT

RACES = "tests/test_concurrency.py"


@pytest.mark.slow
def test_nobody_who_loses_a_race_sees_an_error_of_the_database():
    if missing := services.missing("postgresql"):
        pytest.skip(missing)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-m",
            "not browser",
            RACES,
        ],
        cwd=ROOT,
        env=os.environ | {"DATABASE": "postgresql", "ISOLATION": "serializable"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    closing = done.stdout.strip().splitlines()[-1]
    assert int(re.match(r"(\d+) passed in", closing)[1]) > 60
