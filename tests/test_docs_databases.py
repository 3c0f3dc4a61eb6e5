"""docs/several-databases.md: what was tried is what it shows. Its first router is a variant."""

import inspect

from tests import markdown
from tests.variants import settings_replica

SECTIONS = markdown.sections(markdown.read("docs/several-databases.md"), 2)


def test_the_router_of_the_replica_is_the_one_that_was_tried() -> None:
    [shown] = markdown.blocks(SECTIONS["A replica to read from"], "python")
    tried = inspect.getsource(settings_replica.Lagging)
    assert body(shown) == body(tried)


def body(code: str) -> list[str]:
    """Return the lines of a class but for its name and what it says of itself."""
    lines = filter(None, code.splitlines())
    return [line for line in lines if not line.startswith("class ") and '"""' not in line]


def test_the_setting_names_the_router_of_the_page() -> None:
    code, setting = markdown.blocks(SECTIONS["Users in a database of their own"], "python")
    [name] = markdown.run(setting)["DATABASE_ROUTERS"]
    assert name.rpartition(".")[2] in markdown.run(code)
