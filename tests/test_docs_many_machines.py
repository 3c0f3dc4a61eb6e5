"""docs/many-machines.md: its settings are those of the projects that are tried with them."""

import re

from tests import markdown
from tests.field import settings_pgbouncer, settings_serializable
from tests.field.projects import PROJECTS

PAGE = markdown.read("docs/many-machines.md")
SECTIONS = markdown.sections(PAGE, 2)


def settings_of(section):
    """Return the database that an example makes of one with nothing in it."""
    [example] = markdown.blocks(SECTIONS[section], "python")
    return markdown.run(example, DATABASES={"default": {}})["DATABASES"]["default"]


def test_pgbouncer():
    tried = settings_pgbouncer.DATABASES["default"]
    for name, value in settings_of("PgBouncer").items():
        assert name == "PORT" or tried[name] == value


def test_serializable():
    assert (
        settings_of("SERIALIZABLE")["OPTIONS"]
        == (settings_serializable.DATABASES["default"]["OPTIONS"])
    )


def test_what_the_page_names_is_tried():
    tried = {cases for cases, _ in PROJECTS}
    assert {"pgbouncer", "serializable", "cluster", "cache_down", "servers", "asgi"} <= tried


def test_the_plan_is_arithmetic():
    """Cores and rates are those of a login, times so many: see ``benchmarks.load``."""
    plan = SECTIONS["How much of it"].partition("### A plan")[2]
    rows = {cells[0]: cells[1:] for cells in markdown.rows(plan)}
    a_second = 100_000 / 60
    for name in ("CPU: the password hasher", "CPU: all else in the workers"):
        milliseconds, cores = (float(re.sub("[^0-9.]", "", cell)) for cell in rows[name])
        assert abs(cores - a_second * milliseconds / 1000 / 0.6) <= 1 + cores / 50
    for name in ("transactions of PostgreSQL", "commands of Redis"):
        each, rate = (float(re.sub("[^0-9.]", "", cell)) for cell in rows[name])
        assert abs(rate - a_second * each) <= rate / 50
