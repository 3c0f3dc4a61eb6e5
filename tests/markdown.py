"""The documentation as data: pages, sections, tables, code blocks, links."""

import linecache
import re
import textwrap
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<code>.*?)^(?P=indent)```$", re.M | re.S
)
HEADING = re.compile(r"^(#+) (.+)$", re.M)
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")


def pages() -> list[Path]:
    """Return all pages of the documentation."""
    return sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def read(page: str | Path) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    """Return the code blocks of ``language`` in ``text``, without their indentation."""
    return [
        textwrap.dedent(block["code"])
        for block in FENCE.finditer(text)
        if block["language"] == language
    ]


def prose(text: str) -> str:
    """Return ``text`` without its code blocks, in lines as long as they come."""
    return FENCE.sub("", text)


def sentences(page: str | Path) -> str:
    """Return the text of ``page`` in one line, so that a line break hides no words."""
    return " ".join(read(page).split())


def sections(text: str, level: int) -> dict[str, str]:
    """Return what stands under each heading of ``level``, up to the next one or a higher one."""
    found = [match for match in HEADING.finditer(_blanked(text)) if len(match[1]) <= level]
    ends = [*(match.start() for match in found), len(text)][1:]
    return {
        match[2]: text[match.end() : end]
        for match, end in zip(found, ends, strict=True)
        if len(match[1]) == level
    }


def rows(text: str) -> list[list[str]]:
    """Return the cells of the first table in ``text``, without its head."""
    lines = iter(prose(text).splitlines())
    table = []
    for line in lines:
        if line.startswith("|"):
            table.append([cell.strip() for cell in line.strip("|").split("|")])
        elif table:
            break
    return table[2:]


def code(cell: str) -> list[str]:
    """Return what stands in backquotes in ``cell``."""
    return re.findall(r"`([^`]+)`", cell)


def run(example: str, **names: Any) -> dict[str, Any]:
    """Run a Python example and return the names that it has then.

    Its functions have a source, which Django 5.0 looks at to hide variables of asynchronous ones.
    """
    name = f"<example {zlib.crc32(example.encode())}>"
    linecache.cache[name] = (len(example), None, example.splitlines(keepends=True), name)
    exec(compile(example, name, "exec"), names)  # noqa: S102 - our own documentation
    return names


def anchors(page: str | Path) -> set[str]:
    """Return the anchors that a page's headings have where repositories are shown."""
    return {_slug(match[2]) for match in HEADING.finditer(_blanked(read(page)))}


def links(page: Path) -> Iterator[str]:
    """Return the targets of the links of ``page``."""
    return (match[1] for match in LINK.finditer(prose(read(page))))


def _blanked(text: str) -> str:
    """Return ``text`` with the code blocks blanked out: a comment there is no heading."""
    return FENCE.sub(lambda block: " " * len(block[0]), text)


def _slug(heading: str) -> str:
    kept = re.sub(r"[^\w\- ]", "", heading.lower())
    return kept.replace(" ", "-")
