"""Values that are made on the first run and kept in a file that git ignores."""

import os
from collections.abc import Callable
from pathlib import Path


def kept(path: Path, make: Callable[[], str]) -> str:
    """Return the text that the file at ``path`` keeps. On the first run, make it.

    Only the owner may read the file. A real project takes such values from its environment or
    from a secret store.
    """
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        value = make()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode=0o600)
    with open(descriptor, "w") as file:
        file.write(f"{value}\n")
    return value
