"""Figures: as tables of characters, for a terminal, plain text and Markdown; and as inline SVG without
scripts, coloured by the classes of the page's style sheet."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from nattools.report.document import (
    BarChart,
    Block,
    Cell,
    EventChart,
    Figure,
    GridChart,
    Mood,
    PathChart,
    Prose,
    Table,
)
from nattools.report.safetext import untied, width

ROOMY = 150
LONGEST_BAR = 40
SHORTEST_BAR = 8
_MARGINS = 8
_LINK = " --- "
LETTER = 7.3
"""Width of a letter at the size that the style sheet sets, on the average, in pixels."""
_STRONG = 1.17
_ROW = 26
_LABEL_MOST = 320
_WIDE = 760
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"})
SVG_STYLE = """
svg { width: 100%; height: auto; max-width: 60rem; font: 13px system-ui, sans-serif; }
svg text { fill: var(--ink); } svg .end { text-anchor: end; } svg .middle { text-anchor: middle; }
svg line, svg path { stroke: var(--line); stroke-width: 1.5; fill: none; }
svg rect, svg circle { fill: var(--mark); stroke: none; }
svg .box { fill: none; stroke: var(--line); stroke-width: 1.5; }
svg rect.good, svg circle.good { fill: var(--good); } svg rect.bad, svg circle.bad { fill: var(--bad); }
svg rect.unsure, svg circle.unsure { fill: var(--unsure); } svg rect.quiet { fill: var(--line); }
svg .cell { opacity: .25; } svg text.quiet { fill: var(--quiet); } svg text.strong { font-weight: 600; }
""".strip()


def without_figures(block: Block, columns: int) -> Table | Prose:
    """Any block in characters, for so many columns."""
    return block if isinstance(block, Table | Prose) else as_table(block, columns)


def as_table(figure: Figure, columns: int) -> Table:
    """A figure as a table that fits into `columns` where it can."""
    match figure:
        case BarChart():
            return _bars_table(figure, columns)
        case EventChart():
            return _events_table(figure)
        case GridChart():
            return _grid_table(figure, columns)
        case PathChart():
            return _path_table(figure, columns)


def _bars_table(chart: BarChart, columns: int) -> Table:
    taken = max((width(bar.label) + width(bar.text) for bar in chart.bars), default=0) + _MARGINS
    room = max(min(columns - taken, LONGEST_BAR), SHORTEST_BAR)
    most = max((bar.value for bar in chart.bars if bar.value is not None), default=0.0)
    rows = tuple(
        (Cell(bar.label), Cell(bar.text, bar.mood), Cell(_bar(bar.value, most, room), bar.mood))
        for bar in chart.bars
    )
    return Table((*chart.titles, ""), rows, (1, 0, 0))


def _bar(value: float | None, most: float, room: int) -> str:
    """A value above 0 has at least one character."""
    if value is None or value <= 0:
        return ""
    return "#" * max(1, round(room * value / most))


def _events_table(chart: EventChart) -> Table:
    rows = [
        (
            Cell(_time(event.at_s), "quiet"),
            Cell(event.lane, "plain" if event.lane == chart.lanes[0] else "quiet"),
            Cell(event.step),
            event.outcome,
            event.text,
        )
        for event in chart.events
    ]
    if chart.more:
        rows.append((Cell(""), Cell(""), Cell(""), Cell(""), Cell(f"and {chart.more} more")))
    return Table(("at s", "side", "step", "", "what happened"), tuple(rows), (0, 0, 0, 0, 1))


def _time(at_s: float) -> str:
    return f"{at_s:.2f}" if abs(at_s) < 1e6 else "?"


def _grid_table(chart: GridChart, columns: int) -> Table:
    """A row for each row where there is room, else two: what a place says, and below it the rest."""
    rows: list[tuple[Cell, ...]] = []
    for name, cells in chart.rows:
        if columns >= ROOMY:
            texts = tuple(Cell(f"{cell.text} {cell.below}".strip(), cell.mood) for cell in cells)
            rows.append((Cell(name, "strong"), *texts))
            continue
        rows.append((Cell(name, "strong"), *(Cell(cell.text, cell.mood) for cell in cells)))
        rows.append((Cell(""), *(Cell(cell.below, cell.mood) for cell in cells)))
    return Table((chart.corner, *chart.columns), tuple(rows), (1, *(0 for _ in chart.columns)))


def _path_table(chart: PathChart, columns: int) -> Table:
    """Beside each other, joined by lines, if that fits; else one below the other."""
    sizes = [max(width(node.name), width(node.detail)) for node in chart.nodes]
    if sum(sizes) + len(_LINK) * (len(sizes) - 1) > columns - _MARGINS:
        rows = tuple((Cell(node.name, "strong"), Cell(node.detail, node.mood)) for node in chart.nodes)
        return Table(("", ""), rows, (0, 1))
    last = len(sizes) - 1
    names = "".join(
        node.name + ("" if place == last else f" {'-' * (size - width(node.name) + len(_LINK) - 2)} ")
        for place, (node, size) in enumerate(zip(chart.nodes, sizes, strict=True))
    )
    details = "".join(
        node.detail + " " * (size - width(node.detail) + len(_LINK))
        for node, size in zip(chart.nodes, sizes, strict=True)
    )
    tied = (text.rstrip().replace(" ", "\u00a0") for text in (names, details))
    moods: tuple[Mood, Mood] = ("strong", "plain")
    return Table(("",), tuple((Cell(text, mood),) for text, mood in zip(tied, moods, strict=True)), (0,))


class _Svg:
    """An SVG in the making. `words` describe it to those who do not see it; `kind` are classes; the pointer
    shows a `hint`."""

    def __init__(self, caption: str, words: list[str]) -> None:
        self._caption = caption
        self._words = words
        self._parts: list[str] = []

    def text(self, x: float, y: float, text: str, kind: str = "") -> None:
        self._parts.append(f'<text x="{x:.0f}" y="{y:.0f}" class="{kind}">{escape(text)}</text>')

    def rectangle(self, x: float, y: float, size: tuple[float, float], kind: str, hint: str = "") -> None:
        w, h = size
        title = f"<title>{escape(hint)}</title>" if hint else ""
        place = f'x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" rx="3"'
        self._parts.append(f'<rect {place} class="{kind}">{title}</rect>')

    def circle(self, x: float, y: float, kind: str, hint: str) -> None:
        self._parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" class="{kind}"><title>{escape(hint)}</title></circle>'
        )

    def line(self, x1: float, y1: float, x2: float, y2: float) -> None:
        self._parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>')

    def done(self, w: float, h: float) -> str:
        words = escape(f"{self._caption}: {'; '.join(self._words)}")
        return (
            f'<svg viewBox="0 0 {w:.0f} {h:.0f}" role="img" aria-label="{words}">'
            f"<title>{escape(self._caption)}</title>{''.join(self._parts)}</svg>"
        )


def render_svg(figure: Figure) -> str:
    """The figure as one `<svg>` element."""
    match figure:
        case BarChart():
            return _bars_svg(figure)
        case EventChart():
            return _events_svg(figure)
        case GridChart():
            return _grid_svg(figure)
        case PathChart():
            return _path_svg(figure)


def escape(text: str) -> str:
    """Text that HTML and SVG show as it is, also within an attribute."""
    return untied(text).translate(_ENTITIES)


def _pixels(text: str, strong: bool = False) -> float:
    return width(text) * LETTER * (_STRONG if strong else 1.0)


def _bars_svg(chart: BarChart) -> str:
    drawing = _Svg(chart.caption, [f"{bar.label} {bar.text}" for bar in chart.bars])
    label = min(max((_pixels(bar.label) for bar in chart.bars), default=0), _LABEL_MOST) + 12
    value = max((_pixels(bar.text) for bar in chart.bars), default=0) + 12
    room = _WIDE - label - value
    most = max((bar.value or 0.0 for bar in chart.bars), default=0.0) or 1.0
    for number, bar in enumerate(chart.bars):
        y = number * _ROW
        drawing.text(label - 12, y + 17, bar.label, "end")
        long = room * max(bar.value or 0.0, 0.0) / most
        drawing.rectangle(label, y + 5, (max(long, 2.0), _ROW - 10), bar.mood, f"{bar.label}: {bar.text}")
        drawing.text(label + long + 8, y + 17, bar.text)
    return drawing.done(_WIDE, max(len(chart.bars), 1) * _ROW)


def _events_svg(chart: EventChart) -> str:
    """A lane for each side, a mark for each event, and seconds below."""
    shown = [event for event in chart.events if abs(event.at_s) < 1e6]
    drawing = _Svg(chart.caption, [f"{each.at_s:.2f} s, {each.lane}: {each.text.text}" for each in shown])
    first = min((each.at_s for each in shown), default=0.0)
    last = max((each.at_s for each in shown), default=0.0)
    left = max(_pixels(lane) for lane in chart.lanes) + 16
    scale = (_WIDE - left - 40) / (last - first or 1.0)
    bottom = len(chart.lanes) * 44
    for number, lane in enumerate(chart.lanes):
        y = number * 44 + 22
        drawing.text(left - 12, y + 4, lane, "end")
        drawing.line(left, y, _WIDE - 20, y)
        for event in (each for each in shown if each.lane == lane):
            hint = f"{event.at_s:.2f} s, {event.step}: {event.text.text}"
            drawing.circle(left + 10 + (event.at_s - first) * scale, y, event.outcome.mood, hint)
    for tick in _ticks(first, last):
        drawing.text(left + 10 + (tick - first) * scale, bottom + 12, f"{tick:g} s", "middle quiet")
    return drawing.done(_WIDE, bottom + 20)


def _ticks(first: float, last: float) -> Iterator[float]:
    """About six round numbers."""
    span = last - first
    step = next(each for each in _steps() if span / each <= 6)
    for number in count(int(first // step)):
        tick = round(number * step, 6)
        if tick > last:
            return
        if tick >= first:
            yield tick


def _steps() -> Iterator[float]:
    for power in count(-3):
        for digit in (1, 2, 5):
            yield digit * 10.0**power


def _grid_svg(chart: GridChart) -> str:
    words = [f"{name}: {', '.join(cell.text for cell in cells if cell.text)}" for name, cells in chart.rows]
    drawing = _Svg(chart.caption, words)
    left = min(max((_pixels(name, strong=True) for name, _ in chart.rows), default=0), _LABEL_MOST) + 12
    wide = max((_WIDE - left) / max(len(chart.columns), 1), 44.0)
    for number, title in enumerate(chart.columns):
        drawing.text(left + (number + 0.5) * wide, 14, title, "middle quiet")
    for row, (name, cells) in enumerate(chart.rows):
        y = row * 40 + 22
        drawing.text(left - 12, y + 22, name, "end strong")
        for number, cell in enumerate(cells):
            if not cell.text:
                continue
            x = left + number * wide
            hint = f"{cell.hint or name}: {cell.text} {cell.below}".strip()
            drawing.rectangle(x + 2, y + 2, (wide - 4, 36), f"cell {_filled(cell.mood)}", hint)
            drawing.text(x + wide / 2, y + 17, cell.text, "middle")
            drawing.text(x + wide / 2, y + 32, cell.below, "middle quiet")
    return drawing.done(left + wide * len(chart.columns), len(chart.rows) * 40 + 24)


def _filled(mood: Mood) -> str:
    return "quiet" if mood == "plain" else mood


def _path_svg(chart: PathChart) -> str:
    drawing = _Svg(chart.caption, [f"{node.name} {node.detail}" for node in chart.nodes])
    x = 1.0
    for number, node in enumerate(chart.nodes):
        wide = max(_pixels(node.name, strong=True), _pixels(node.detail), 70.0) + 20
        if number:
            drawing.line(x, 28, x + 36, 28)
            x += 36
        drawing.rectangle(x, 2, (wide, 52), "box", f"{node.name}: {node.detail}")
        drawing.text(x + wide / 2, 24, node.name, "middle strong")
        drawing.text(x + wide / 2, 42, node.detail, "middle quiet")
        x += wide
    return drawing.done(max(x + 2, _WIDE), 58)
