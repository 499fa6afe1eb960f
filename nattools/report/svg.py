"""Figures as inline SVG: no script, nothing loaded, coloured by the classes of the page's style sheet."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape as escaped
from itertools import count

from nattools.report.document import BarChart, EventChart, Figure, GridChart, Mood, PathChart
from nattools.report.safetext import untied, width

LETTER = 7.3
"""Width of a letter at the size that the style sheet sets, on the average, in pixels."""
_STRONG = 1.17
_ROW = 26
_LABEL_MOST = 320
_WIDE = 760
STYLE = """
svg { width: 100%; height: auto; max-width: 60rem; font: 13px system-ui, sans-serif; }
svg text { fill: var(--ink); } svg .end { text-anchor: end; } svg .middle { text-anchor: middle; }
svg line, svg path { stroke: var(--line); stroke-width: 1.5; fill: none; }
svg rect, svg circle { fill: var(--mark); stroke: none; }
svg .box { fill: none; stroke: var(--line); stroke-width: 1.5; }
svg rect.good, svg circle.good { fill: var(--good); } svg rect.bad, svg circle.bad { fill: var(--bad); }
svg rect.unsure, svg circle.unsure { fill: var(--unsure); } svg rect.quiet { fill: var(--line); }
svg .cell { opacity: .25; } svg text.quiet { fill: var(--quiet); } svg text.strong { font-weight: 600; }
""".strip()


class Drawing:
    """An SVG in the making; `words` say for those who do not see it what it shows."""

    def __init__(self, caption: str, words: list[str]) -> None:
        self._caption = caption
        self._words = words
        self._parts: list[str] = []

    def text(self, x: float, y: float, text: str, kind: str = "") -> None:
        """Words at a place; `kind`: classes."""
        self._parts.append(f'<text x="{x:.0f}" y="{y:.0f}" class="{kind}">{_escape(text)}</text>')

    def rectangle(self, x: float, y: float, size: tuple[float, float], kind: str, hint: str = "") -> None:
        """A rectangle with rounded corners, and a hint for the pointer."""
        w, h = size
        title = f"<title>{_escape(hint)}</title>" if hint else ""
        place = f'x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" rx="3"'
        self._parts.append(f'<rect {place} class="{kind}">{title}</rect>')

    def circle(self, x: float, y: float, kind: str, hint: str) -> None:
        """A mark, and a hint for the pointer."""
        self._parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" class="{kind}"><title>{_escape(hint)}</title></circle>'
        )

    def line(self, x1: float, y1: float, x2: float, y2: float) -> None:
        """A straight line."""
        self._parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>')

    def done(self, w: float, h: float) -> str:
        """The SVG, of that width and height."""
        words = _escape(f"{self._caption}: {'; '.join(self._words)}")
        return (
            f'<svg viewBox="0 0 {w:.0f} {h:.0f}" role="img" aria-label="{words}">'
            f"<title>{_escape(self._caption)}</title>{''.join(self._parts)}</svg>"
        )


def render_svg(figure: Figure) -> str:
    """The figure as one `<svg>` element."""
    match figure:
        case BarChart():
            return _bars(figure)
        case EventChart():
            return _events(figure)
        case GridChart():
            return _grid(figure)
        case PathChart():
            return _path(figure)


def _escape(text: str) -> str:
    return escaped(untied(text))


def _pixels(text: str, strong: bool = False) -> float:
    return width(text) * LETTER * (_STRONG if strong else 1.0)


def _bars(chart: BarChart) -> str:
    drawing = Drawing(chart.caption, [f"{bar.label} {bar.text}" for bar in chart.bars])
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


def _events(chart: EventChart) -> str:
    """A lane for each side, a mark for each event, and seconds below."""
    shown = [event for event in chart.events if abs(event.at_s) < 1e6]
    drawing = Drawing(chart.caption, [f"{each.at_s:.2f} s, {each.lane}: {each.text.text}" for each in shown])
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


def _grid(chart: GridChart) -> str:
    words = [f"{name}: {', '.join(cell.text for cell in cells if cell.text)}" for name, cells in chart.rows]
    drawing = Drawing(chart.caption, words)
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


def _path(chart: PathChart) -> str:
    drawing = Drawing(chart.caption, [f"{node.name} {node.detail}" for node in chart.nodes])
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
