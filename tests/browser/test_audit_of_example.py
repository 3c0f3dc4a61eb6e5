"""The audit of side doors, on the example: every way in asks for the second factor."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import DEMO

pytestmark = pytest.mark.browser  # which is where the example's own needs are installed

MIDDLEWARE = "django_totp.middleware.SecondFactorMiddleware"
OPEN = f"""
from project.settings import *
MIDDLEWARE.remove({MIDDLEWARE!r})
"""


def manage(data_dir: Path, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(DEMO.with_name("manage.py")), command],
        env=os.environ
        | {"DEMO_DATA_DIR": str(data_dir), "DJANGO_SETTINGS_MODULE": "project.settings"}
        | environment,
        capture_output=True,
        text=True,
    )


def test_every_way_in_asks(tmp_path):
    done = manage(tmp_path, "totp_audit")
    assert done.stdout == (
        "Every way in that was found asks for the second factor, or is allowed.\n"
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_it_is_the_middleware_that_closes_the_admin(tmp_path):
    (tmp_path / "without.py").write_text(OPEN)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = manage(tmp_path, "totp_audit", PYTHONPATH=path, DJANGO_SETTINGS_MODULE="without")
    assert done.returncode == 1
    assert done.stdout.startswith("/admin/login/\n")


def test_nothing_is_allowed_and_no_check_complains(tmp_path):
    settings = (DEMO.parent / "project/settings.py").read_text()
    assert "TOTP_AUDIT_ALLOWED" not in settings
    assert "TOTP_EXEMPT_BACKENDS" not in settings
    done = manage(tmp_path, "check")
    assert (done.returncode, done.stderr) == (0, "")
