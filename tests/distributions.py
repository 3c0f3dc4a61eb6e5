"""What is in the wheel and in the sdist: ``python tests/distributions.py FOLDER``.

It needs nothing but Python, and is run in a checkout.
"""

import re
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "src/django_totp/"
RELATIVE = re.compile(r"\]\((?!https?:|#)[^)]*\)")
NOT_FOR_USERS = {".gitignore", ".ci/run"}


def main(folder: Path) -> int:
    """Print what is wrong, and return the exit status."""
    [wheel], [sdist] = folder.glob("*.whl"), folder.glob("*.tar.gz")
    problems = [*_of_wheel(wheel), *_of_sdist(sdist)]
    print(*problems or [f"{wheel.name} and {sdist.name} hold what they should."], sep="\n")
    return bool(problems)


def _of_wheel(path: Path) -> list[str]:
    wanted = {name.removeprefix("src/") for name in tracked() if name.startswith(PACKAGE)}
    wanted = {name for name in wanted if not name.endswith(".po")}
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        [metadata] = (name for name in names if name.endswith(".dist-info/METADATA"))
        told = message_from_bytes(archive.read(metadata))
    there = {name for name in names if ".dist-info/" not in name}
    return [*_differences(path, wanted, there), *_of_metadata(told)]


def _of_sdist(path: Path) -> list[str]:
    with tarfile.open(path) as archive:
        files = [member.name for member in archive.getmembers() if member.isfile()]
    there = {name.partition("/")[2] for name in files} - {"PKG-INFO"}
    return _differences(path, tracked() - NOT_FOR_USERS, there - NOT_FOR_USERS)


def _of_metadata(told: Message) -> list[str]:
    problems = [f"the README has a link to nowhere: {one}" for one in RELATIVE.findall(_text(told))]
    if "# django-totp" not in _text(told):
        problems.append("the description is not the README")
    for name in ("Summary", "License-Expression", "Requires-Python", "Keywords", "Author"):
        if not told[name]:
            problems.append(f"the metadata has no {name}")
    return problems


def _text(told: Message) -> str:
    payload = told.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode()


def _differences(path: Path, wanted: set[str], there: set[str]) -> list[str]:
    problems = [f"{path.name} lacks {name}" for name in sorted(wanted - there)]
    return problems + [f"{path.name} has {name} too much" for name in sorted(there - wanted)]


def tracked() -> set[str]:
    """Return the files that are committed, as paths from the root of the checkout."""
    command = ["git", "ls-files", "--cached", "-z"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return {name for name in done.stdout.split("\0") if name and (ROOT / name).exists()}


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
