"""The versions that are promised, each on the databases and with the users that it can meet."""

import shutil
import tempfile
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.reuse_venv = "yes"

PYPROJECT = nox.project.load_toml("pyproject.toml")
NEWEST = "3.13"

# Pairs of Python and Django that support each other. One more is the machine's own Python with
# the newest Django for it: `make test` runs that.
MATRIX = [
    nox.param("3.11", "lowest", ["sqlite-stock", "mariadb-email"], id="3.11-lowest"),
    nox.param("3.12", "5.0", ["postgresql-stock-blacklist"], id="3.12-5.0"),
    nox.param("3.12", "5.2", ["mariadb-email-redis"], id="3.12-5.2"),
    nox.param(
        "3.13",
        "6.1",
        ["postgresql-email-redis", "sqlite-email-blacklist"],
        id="3.13-6.1",
    ),
]
COVERED = {"5.2", "6.1"}  # what these run is counted: it takes twice the time

# The packages that people may come from.
SOURCES = [
    name.removeprefix("import-")
    for name in PYPROJECT["dependency-groups"]
    if name.startswith("import-")
]


def group(*names: str) -> tuple[str, ...]:
    return nox.project.dependency_groups(PYPROJECT, *names)


def versions(django: str) -> list[str]:
    """Return a series of Django, or the lowest version of each direct dependency."""
    if django == "lowest":
        return [name.replace(">=", "==") for name in PYPROJECT["project"]["dependencies"]]
    return [f"django=={django}.*"]


@nox.session
@nox.parametrize("python,django,runs", MATRIX)
def tests(session: nox.Session, django: str, runs: list[str]) -> None:
    """Run the tests and keep what they covered."""
    session.install("--editable", ".", *versions(django), *group("test"))
    session.run("python", "-m", "pip", "list", "--exclude-editable")
    data = Path(f".coverage.{session.python}-{django}").absolute()
    data.unlink(missing_ok=True)
    counted = ["--", "--cov", "--cov-append", "--cov-report="] if django in COVERED else []
    env = {"COVERAGE_FILE": str(data)}
    session.run("python", "-m", "tests.run", *runs, *counted, env=env)


@nox.session
def coverage(session: nox.Session) -> None:
    """Refuse a line or a branch of the package that no session of the matrix has run."""
    session.install("coverage>=7.6,<8")
    session.run("coverage", "combine", "--keep")
    session.run("coverage", "report", "--fail-under=100")


@nox.session(python=NEWEST, default=False)
def browser(session: nox.Session) -> None:
    """Drive the example in Chromium, as `make test` does, on the newest versions."""
    session.install("--editable", ".", *group("test", "browser"))
    session.run("python", "-m", "tests.run", "browser")


@nox.session
@nox.parametrize("python,django", [("3.12", "5.0"), (NEWEST, "6.1")])
def sidedoors(session: nox.Session, django: str) -> None:
    """Audit a project with the login views of Django, allauth, djoser, knox and others."""
    session.install("--editable", ".", *versions(django), *group("sidedoors"))
    session.run("python", "-m", "tests.run", "sidedoors")


@nox.session(python=NEWEST)
def field(session: nox.Session) -> None:
    """Take the journey through projects that are not ours, with their packages."""
    session.install("--editable", ".", *group("field"))
    session.run("python", "-m", "pip", "list", "--exclude-editable")
    session.run("python", "-m", "tests.run", "field")


@nox.session(python="3.12")
@nox.parametrize("source", SOURCES, ids=SOURCES)
def importing(session: nox.Session, source: str) -> None:
    """Let people enroll with another package, and log in here with the same app."""
    session.install("--editable", ".", *versions("5.2"), *group(f"import-{source}"))
    session.run("python", "-m", "pip", "list", "--exclude-editable")
    session.run("python", "-m", "tests.run", f"importing-{source}")


@nox.session(python=NEWEST)
def proof(session: nox.Session) -> None:
    """Attack real servers, in short."""
    session.install("--editable", ".", *group("proof"))
    session.run("python", "-m", "proof", "--quick")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format."""
    session.install(*group("lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session(python=NEWEST)
def docs(session: nox.Session) -> None:
    """Build the site of the docs: no dead link, no page that nothing leads to, no foreign host."""
    session.install(*group("docs"))
    session.run("mkdocs", "build", "--strict", "--site-dir", session.create_tmp())


@nox.session(python=NEWEST)
def types(session: nox.Session) -> None:
    """Check the annotations of the package."""
    session.install("--editable", ".", *group("lint"))
    session.run("mypy")


@nox.session
def imports(session: nox.Session) -> None:
    """Check which module may import which."""
    session.install("--editable", ".", *group("lint"))
    session.run("lint-imports", "--no-cache")


@nox.session(python="3.12", reuse_venv=False)
def wheel(session: nox.Session) -> None:
    """Build the distributions and hold the wheel to the contract, far from the checkout."""
    checkout = Path.cwd()
    session.install(*group("dist", "test"))
    with tempfile.TemporaryDirectory() as directory:
        elsewhere = Path(directory)
        session.run("python", "-m", "build", "--outdir", directory)
        session.run("twine", "check", "--strict", *map(str, elsewhere.iterdir()))
        session.run("python", "tests/distributions.py", directory)
        session.install("--force-reinstall", "--no-deps", *map(str, elsewhere.glob("*.whl")))
        shutil.copy(checkout / "pyproject.toml", elsewhere)
        shutil.copytree(checkout / "tests", elsewhere / "tests")
        session.chdir(elsewhere)
        where = "import django_totp; assert 'site-packages' in django_totp.__file__"
        session.run("python", "-c", where)
        session.run("python", "-m", "pytest", "-m", "not browser", "tests/test_contract.py")
