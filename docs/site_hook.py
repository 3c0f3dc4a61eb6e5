"""What MkDocs does beside its own for the site: pages from outside docs/, and no foreign host.

The pages are written for the repository, where a link may lead to any file of it. On the site
such a file is a page of its own, or a name without a link.
"""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[1]
# Files at the top of the repository that are pages of the site as well.
PAGES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security-policy.md",
}
NO_PAGES = {".py", ".toml"}  # in docs/, as exclude_docs has them
FENCE = re.compile(r"^( *)```.*?^\1```$", re.M | re.S)
LINK = re.compile(r"\[(?P<text>[^\]]+)\]\((?P<target>[^)\s]+)\)")
FETCHED = {"audio", "embed", "iframe", "img", "link", "object", "script", "source", "video"}
URL = re.compile(r"url\(\s*[\"']?([^\"')]+)|@import\s+[\"']([^\"']+)")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that do not lie in docs/."""
    from mkdocs.structure.files import File  # the tests of the functions below do without MkDocs

    for name, page in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Any, **kwargs: Any) -> str:
    """Lead the links of a page to where their files are on the site."""
    source = page.file.src_uri
    name = next((name for name, there in PAGES.items() if there == source), f"docs/{source}")
    return as_on_site(markdown, name)


def on_post_page(output: str, page: Any, **kwargs: Any) -> str:
    """Refuse a page that makes a browser ask another host for something."""
    if found := foreign(output):
        _refuse(page.file.src_uri, found)
    return output


def on_post_build(config: Any, **kwargs: Any) -> None:
    """Refuse a style sheet, or a page of the theme, that asks another host for something."""
    for path in sorted(Path(config.site_dir).rglob("*")):
        if path.suffix in {".css", ".html", ".svg"}:
            text = path.read_text(encoding="utf-8")
            found = foreign(text) if path.suffix == ".html" else foreign_in_style(text)
            if found:
                _refuse(path.name, found)


def as_on_site(markdown: str, name: str) -> str:
    """Return the text of the file ``name``, with links as they are on the site."""
    done, end = [], 0
    for block in FENCE.finditer(markdown):
        done += [_linked(markdown[end : block.start()], name), block[0]]
        end = block.end()
    return "".join([*done, _linked(markdown[end:], name)])


def foreign(html: str) -> list[str]:
    """Return what a browser that shows ``html`` asks other hosts for."""
    parser = _Parser()
    parser.feed(html)
    return [url for url in parser.urls if urlsplit(url).netloc]


def foreign_in_style(text: str) -> list[str]:
    """Return what a style sheet asks other hosts for."""
    urls = [first or second for first, second in URL.findall(text)]
    return [url for url in urls if urlsplit(url).netloc and not url.startswith("data:")]


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if tag in FETCHED and name in {"data", "href", "poster", "src"}:
                self.urls.append(value or "")
            elif name == "style":
                self.urls += foreign_in_style(value or "")

    def handle_data(self, data: str) -> None:
        if self.lasttag == "style":
            self.urls += foreign_in_style(data)


def _linked(text: str, name: str) -> str:
    return LINK.sub(lambda link: _link(link, (ROOT / name).parent), text)


def _link(link: re.Match[str], folder: Path) -> str:
    target, _, anchor = link["target"].partition("#")
    if not target or urlsplit(target).scheme:
        return link[0]
    path = (folder / target).resolve()
    if path.is_relative_to(ROOT / "docs") and path.suffix not in NO_PAGES:
        there = str(path.relative_to(ROOT / "docs"))
    elif path.parent == ROOT and path.name in PAGES:
        there = PAGES[path.name]
    else:
        return link["text"]  # a file of the repository that is no page here
    return f"[{link['text']}]({there}{'#' * bool(anchor)}{anchor})"


def _refuse(name: str, found: list[str]) -> None:
    from mkdocs.exceptions import PluginError

    raise PluginError(f"{name} asks other hosts for {', '.join(found)}")
