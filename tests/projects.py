"""How a test runs the cases of a project of another kind: in a process with its settings."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SECONDS = 300


def run_cases(cases: Path, environment: dict[str, str], *options: str) -> None:
    """Run ``cases_NAME.py`` with the ``settings_NAME.py`` beside it. Fail if anything fails."""
    inherited = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    inherited["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    package = ".".join(cases.parent.relative_to(ROOT).parts)
    settings = f"{package}.{cases.stem.replace('cases_', 'settings_', 1)}"
    chosen = [f"--ds={settings}", "-m", "not browser", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", cases, *chosen, *options],
        env=inherited | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout
