"""mkdocs.yml and docs/site_hook.py: every page is on the site, and no foreign host is asked.

The build itself, which knows the links, is the nox session ``docs``.
"""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from tests import markdown

DOCS = markdown.ROOT / "docs"


class Loader(yaml.SafeLoader):
    """Reads the file without what it asks Python for."""


Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, tag, node: tag)
CONFIG = yaml.load(markdown.read("mkdocs.yml"), Loader)  # noqa: S506 - a safe one


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("site_hook", DOCS / "site_hook.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def entries(nav: Any) -> Iterator[str]:
    """Return the pages of the navigation, in its order."""
    for entry in nav:
        for target in entry.values() if isinstance(entry, dict) else [entry]:
            yield from [target] if isinstance(target, str) else entries(target)


def test_each_page_is_in_the_navigation_once(hook: ModuleType) -> None:
    there = [path.relative_to(DOCS).as_posix() for path in DOCS.glob("**/*.md")]
    assert sorted(entries(CONFIG["nav"])) == sorted([*there, *hook.PAGES.values()])


def test_the_pages_from_elsewhere_exist_and_hide_none(hook: ModuleType) -> None:
    for name, page in hook.PAGES.items():
        assert (markdown.ROOT / name).is_file()
        assert not (DOCS / page).exists()


def test_no_link_leads_to_what_the_site_leaves_out(hook: ModuleType) -> None:
    """MkDocs takes such a link for no fault."""
    left_out = CONFIG["exclude_docs"].split()
    assert {Path(name).suffix for name in left_out} == hook.NO_PAGES
    names = [*(f"docs/{path.relative_to(DOCS)}" for path in DOCS.glob("**/*.md")), *hook.PAGES]
    for name in names:
        text = hook.as_on_site(markdown.read(name), name)
        targets = {link["target"].partition("#")[0] for link in hook.LINK.finditer(text)}
        assert not {f"/{target}" for target in targets} & set(left_out), name


def test_the_navigation_tells_apart_what_is_looked_for() -> None:
    parts = [title for part in CONFIG["nav"] for title in part]
    assert parts == ["Start", "How to", "Operating", "Reference", "Assurance"]


def test_the_site_is_built_strictly() -> None:
    assert CONFIG["strict"] is True
    for kind in CONFIG["validation"].values():
        assert set(kind.values()) == {"warn"}


def test_what_the_site_is_made_of_is_here(hook: ModuleType) -> None:
    for name in CONFIG["hooks"]:
        assert (markdown.ROOT / name).is_file()
    for name in [*CONFIG["extra_css"], *CONFIG.get("extra_javascript", [])]:
        assert not hook.foreign_in_style((DOCS / name).read_text(encoding="utf-8"))
    assert CONFIG["theme"]["font"] is False


def test_no_page_shows_a_picture_of_another_host(hook: ModuleType) -> None:
    for page in markdown.pages():
        text = markdown.prose(page.read_text(encoding="utf-8"))
        assert not re.search(r"!\[[^\]]*\]\((https?:)?//", text), page.name
        assert not hook.foreign(text), page.name
    for picture in DOCS.glob("**/*.svg"):
        assert not hook.foreign_in_style(picture.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "html",
    [
        '<script src="https://cdn.example.com/x.js"></script>',
        '<script src="//cdn.example.com/x.js"></script>',
        '<link rel="stylesheet" href="https://fonts.example.com/css">',
        '<img alt="" src="http://example.com/x.png">',
        "<style>@import 'https://example.com/x.css';</style>",
        '<p style="background: url(https://example.com/x.png)">',
        '<iframe src="https://example.com/"></iframe>',
    ],
)
def test_what_asks_another_host_is_found(hook: ModuleType, html: str) -> None:
    assert len(hook.foreign(html)) == 1


@pytest.mark.parametrize(
    "html",
    [
        '<a href="https://example.com/">a link is not fetched</a>',
        '<script src="../x.js"></script><link rel="icon" href="/x.png">',
        '<img alt="" src="data:image/png;base64,AAAA">',
        '<style>a { background: url("data:image/svg+xml,http://www.w3.org/2000/svg") }</style>',
    ],
)
def test_what_asks_none_is_left_alone(hook: ModuleType, html: str) -> None:
    assert hook.foreign(html) == []


@pytest.mark.parametrize(
    ("name", "link", "there"),
    [
        ("docs/security.md", "[x](../SECURITY.md)", "[x](security-policy.md)"),
        ("docs/security.md", "[x](proof.md#races)", "[x](proof.md#races)"),
        ("docs/security.md", "[x](#error-reports)", "[x](#error-reports)"),
        ("docs/security.md", "[x](https://example.com/)", "[x](https://example.com/)"),
        ("docs/benchmarks.md", "[x](../benchmarks/floor/models.py)", "x"),
        ("docs/benchmarks.md", "![x](benchmarks/scale.svg)", "![x](benchmarks/scale.svg)"),
        ("CHANGELOG.md", "[x](docs/security.md#races)", "[x](security.md#races)"),
        ("CONTRIBUTING.md", "[x](CHANGELOG.md)", "[x](changelog.md)"),
        ("CONTRIBUTING.md", "[x](LICENSE)", "x"),
        ("CONTRIBUTING.md", "\n```text\n[x](LICENSE)\n```\n", "\n```text\n[x](LICENSE)\n```\n"),
    ],
)
def test_links_lead_to_where_files_are_on_the_site(
    hook: ModuleType, name: str, link: str, there: str
) -> None:
    assert hook.as_on_site(f"one {link} two {link}", name) == f"one {there} two {there}"


def test_a_style_sheet_that_asks_another_host_is_found(hook: ModuleType) -> None:
    style = "@font-face { src: url(https://fonts.example.com/x.woff2) }"
    assert hook.foreign_in_style(style) == ["https://fonts.example.com/x.woff2"]
    assert hook.foreign_in_style("a { background: url(../x.png) }") == []


def test_lists_are_indented_as_the_site_reads_them() -> None:
    """Python-Markdown nests what has four spaces before it; three end the list."""
    for page in markdown.pages():
        if page.parent != DOCS:
            continue
        for block in markdown.FENCE.finditer(page.read_text(encoding="utf-8")):
            assert len(block["indent"]) % 4 == 0, f"{page.name}: {block['code']}"
