"""What a program of the proof says: one line for each promise, and the exit status."""

import os
import platform
import sys
from importlib.metadata import version

CI = os.environ.get("CI", "").lower() in {"1", "true"}


class Report:
    """Prints what was seen, promise by promise, and remembers what was broken or left out."""

    def __init__(self) -> None:
        self.broken: list[str] = []
        self.left_out: list[str] = []

    def check(self, promise: str, saw: object, *, fine: bool) -> None:
        """Print one line. ``saw`` is a number or a sentence from this very run."""
        if not fine:
            self.broken.append(promise)
        print(f"{'ok' if fine else 'BROKEN':<7}{promise}: {saw}", flush=True)

    def leave_out(self, promise: str, reason: str) -> None:
        """Say aloud that something was not tried. Under CI that is a failure."""
        self.left_out.append(promise)
        print(f"{'LEFT OUT':<9}{promise}: {reason}", flush=True)

    def close(self) -> int:
        """Print the verdict and return the exit status."""
        if self.left_out:
            print(f"Left out: {', '.join(self.left_out)}.")
        print("No promise was broken." if not self.broken else "PROMISES WERE BROKEN: see above.")
        return int(bool(self.broken or (CI and self.left_out)))


def machine() -> str:
    """Return what the numbers of a run depend on, as one line."""
    names = ("django", "djangorestframework", "djangorestframework-simplejwt", "gunicorn")
    packages = ", ".join(f"{name} {version(name)}" for name in names)
    python = platform.python_version()
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {python}, {packages}"


def heading(text: str) -> None:
    print(f"\n{text}", file=sys.stdout, flush=True)
