"""Bar charts in SVG, of colours that can be read on white and on black."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

TEXT, GRID = "#768390", "#768390"
COLOURS = ("#2f81f7", "#d29922", "#8b949e")
WIDTH, LABELS, VALUES = 720, 170, 60  # of all, of the names at the left, of the numbers
BAR, GAP, TOP = 14, 12, 64
FONT = "font-family='system-ui, sans-serif' font-size='13'"

Row = tuple[str, Sequence[float]]


def bars(title: str, series: Sequence[str], rows: Sequence[Row], mark: float = 0) -> str:
    """Return a chart with a group of bars for each row, and a line at ``mark``."""
    most = max([mark, *(value for _, values in rows for value in values)])
    scale = (WIDTH - LABELS - VALUES) / most
    shapes = [_text(0, 18, title, weight="bold"), *_legend(series)]
    y = TOP
    for name, values in rows:
        shapes.append(_text(LABELS - 8, y + BAR * len(values) / 2 + 4, name, anchor="end"))
        for number, value in enumerate(values):
            shapes.append(_bar(y, value * scale, COLOURS[number % len(COLOURS)]))
            shapes.append(_text(LABELS + value * scale + 6, y + BAR - 3, f"{value:.2f}"))
            y += BAR
        y += GAP
    if mark:
        shapes.append(_line(LABELS + mark * scale, TOP - 6, y - GAP + 6))
    return _document(title, y, shapes)


def save(page: Path, name: str, svg: str) -> None:
    """Write a chart to where ``page`` shows it."""
    folder = page.parent / page.stem
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.svg").write_text(svg, encoding="utf-8")


def _document(title: str, height: float, shapes: Sequence[str]) -> str:
    lines = "\n".join(shapes)
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height:.0f}' "
        f"width='{WIDTH}' role='img' {FONT}>\n<title>{escape(title)}</title>\n{lines}\n</svg>\n"
    )


def _legend(series: Sequence[str]) -> list[str]:
    shapes, x = [], 0
    for number, name in enumerate(series):
        shapes.append(
            f"<rect x='{x}' y='32' width='12' height='12' fill='{COLOURS[number]}'/>",
        )
        shapes.append(_text(x + 18, 43, name))
        x += 40 + 7 * len(name)
    return shapes


def _text(x: float, y: float, text: str, anchor: str = "start", weight: str = "normal") -> str:
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' fill='{TEXT}' text-anchor='{anchor}' "
        f"font-weight='{weight}'>{escape(text)}</text>"
    )


def _bar(y: float, width: float, colour: str) -> str:
    return f"<rect x='{LABELS}' y='{y}' width='{width:.1f}' height='{BAR - 2}' fill='{colour}'/>"


def _line(x: float, top: float, bottom: float) -> str:
    return (
        f"<line x1='{x:.1f}' x2='{x:.1f}' y1='{top}' y2='{bottom}' stroke='{GRID}' "
        "stroke-dasharray='4 3'/>"
    )
