"""What the benchmarks print, and how it gets into a page of the documentation.

In the page, what was measured stands below the heading that it was printed under, up to a line
with ``END``. Everything else there is written by hand.
"""

import argparse
import os
import platform
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

NONE = "–"
END = "<!-- measured above -->"

printed: dict[str, list[str]] = defaultdict(list)
under = ""


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table in Markdown, its columns as wide as what is in them."""
    lines = [list(head), ["---"] * len(head), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    )


def heading(text: str) -> None:
    """Print a heading, below which all that is said stands."""
    global under
    under = text
    print(f"\n### {text}\n", flush=True)


def say(text: str) -> None:
    """Print a paragraph or a table, and keep it for a page."""
    printed[under].append(text)
    print(text, end="\n\n", flush=True)


def item(text: str) -> None:
    """Say something as one item of a list."""
    said = printed[under]
    if said and said[-1].startswith("- "):
        said[-1] += f"\n- {text}"
    else:
        said.append(f"- {text}")
    print(f"- {text}", flush=True)


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser for a program whose results may be put into a page."""
    made = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    made.add_argument("--page", type=Path, help="a page to put the results into")
    return made


def write(page: Path | None) -> None:
    """Put what was said into the page, in the place of what stands there."""
    if page is None:
        return
    text = page.read_text(encoding="utf-8")
    for title, said in printed.items():
        place = re.compile(rf"(?<=^### {re.escape(title)}\n\n).*?(?=^{END}$)", re.M | re.S)
        new = "\n\n".join(said) + "\n\n"
        text, places = place.subn(lambda _, new=new: new, text, count=1)
        if not places:
            print(f"{page} has no place for {title!r}.")
    page.write_text(text, encoding="utf-8")


def machine() -> str:
    """Return what the numbers depend on beside the versions, as a sentence."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{date.today()}, {_processor()}, {os.cpu_count()} cores, {memory:.0f} GB, "
        f"{platform.system()} {platform.release()}, load average {os.getloadavg()[0]:.1f}"
    )


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
