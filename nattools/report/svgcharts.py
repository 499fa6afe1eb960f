"""Bars, timelines and grids as inline SVG."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from nattools.report.document import (
    BarChart,
    Cell,
    EventChart,
    Figure,
    GridChart,
    Mood,
    PathChart,
    ReachChart,
    TimelineEvent,
)
from nattools.report.svgcanvas import NARROW, WIDE, Canvas, pixels
from nattools.report.svgpaths import path_narrow, path_wide, reach_narrow, reach_wide

_ROW = 26
_LABEL_MOST = 320
_FAINTEST, _STRONGEST = 0.1, 0.5


def render_svg(figure: Figure) -> str:
    """The figure as one `<svg>` element, for a screen or a sheet of paper."""
    match figure:
        case BarChart():
            return _bars(figure)
        case EventChart():
            return _events(figure)
        case GridChart():
            return _grid(figure)
        case PathChart():
            return path_wide(figure)
        case ReachChart():
            return reach_wide(figure)


def render_narrow_svg(figure: Figure) -> str:
    """The figure for a telephone; empty: it is the same, to be moved sideways."""
    match figure:
        case BarChart():
            return _bars_narrow(figure)
        case PathChart():
            return path_narrow(figure)
        case ReachChart():
            return reach_narrow(figure)
        case _:
            return ""


def _described(chart: BarChart) -> list[str]:
    return [f"{bar.label} {bar.text}" for bar in chart.bars]


def _most(chart: BarChart) -> float:
    return max((bar.value or 0.0 for bar in chart.bars), default=0.0) or 1.0


def _bars(chart: BarChart) -> str:
    drawing = Canvas(chart.caption, _described(chart))
    label = min(max((pixels(bar.label) for bar in chart.bars), default=0), _LABEL_MOST) + 12
    value = max((pixels(bar.text) for bar in chart.bars), default=0) + 12
    room, most = WIDE - label - value, _most(chart)
    for number, bar in enumerate(chart.bars):
        y = number * _ROW
        drawing.text(label - 12, y + 17, bar.label, "end")
        long = room * (max(bar.value or 0.0, 0.0) / most)
        drawing.rectangle(label, y + 5, (max(long, 2.0), _ROW - 10), bar.mood, f"{bar.label}: {bar.text}")
        drawing.text(label + long + 8, y + 17, bar.text)
    return drawing.done(WIDE, max(len(chart.bars), 1) * _ROW)


def _bars_narrow(chart: BarChart) -> str:
    """Each label above its bar."""
    drawing = Canvas(chart.caption, _described(chart))
    value = max((pixels(bar.text) for bar in chart.bars), default=0) + 12
    room, most = max(NARROW - value, 60.0), _most(chart)
    for number, bar in enumerate(chart.bars):
        y = number * (_ROW + 18)
        drawing.text(0, y + 13, bar.label)
        long = room * (max(bar.value or 0.0, 0.0) / most)
        drawing.rectangle(0, y + 20, (max(long, 2.0), _ROW - 10), bar.mood)
        drawing.text(long + 8, y + 33, bar.text)
    return drawing.done(NARROW, max(len(chart.bars), 1) * (_ROW + 18))


def _events(chart: EventChart) -> str:
    """A lane for each side, a mark for each event, and seconds below. The form of a mark says what its colour
    says: full for a success, a cross for a failure, hollow for what is neither."""
    shown = [event for event in chart.events if abs(event.at_s) < 1e6]
    drawing = Canvas(chart.caption, [f"{each.at_s:.2f} s, {each.lane}: {each.text.text}" for each in shown])
    first = min((each.at_s for each in shown), default=0.0)
    last = max((each.at_s for each in shown), default=0.0)
    left = max(pixels(lane) for lane in chart.lanes) + 16
    scale = (WIDE - left - 40) / (last - first or 1.0)
    bottom = len(chart.lanes) * 44
    for number, lane in enumerate(chart.lanes):
        y = number * 44 + 22
        drawing.text(left - 12, y + 4, lane, "end")
        drawing.line(left, y, WIDE - 20, y)
        for event in (each for each in shown if each.lane == lane):
            _mark(drawing, left + 10 + (event.at_s - first) * scale, y, event)
    for tick in _ticks(first, last):
        drawing.text(left + 10 + (tick - first) * scale, bottom + 12, f"{tick:g} s", "middle quiet")
    _legend(drawing, left, bottom + 34)
    return drawing.done(WIDE, bottom + 40)


def _legend(drawing: Canvas, x: float, y: float) -> None:
    """What the forms of marks mean."""
    drawing.circle(x + 10, y - 4, "good")
    drawing.text(x + 22, y, "worked", "quiet")
    drawing.cross(x + 100, y - 4)
    drawing.text(x + 112, y, "failed", "quiet")
    drawing.circle(x + 180, y - 4, "hollow")
    drawing.text(x + 192, y, "neither", "quiet")


def _mark(drawing: Canvas, x: float, y: float, event: TimelineEvent) -> None:
    hint = f"{event.at_s:.2f} s, {event.step}: {event.text.text}"
    outcome: Cell = event.outcome
    if outcome.mood == "bad":
        drawing.cross(x, y, hint)
    else:
        drawing.circle(x, y, outcome.mood if outcome.mood == "good" else "hollow", hint)


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
    """A map of colours: the stronger, the hotter the place is."""
    words = [f"{name}: {', '.join(cell.text for cell in cells if cell.text)}" for name, cells in chart.rows]
    drawing = Canvas(chart.caption, words)
    left = min(max((pixels(name, strong=True) for name, _ in chart.rows), default=0), _LABEL_MOST) + 12
    wide = max((WIDE - left) / max(len(chart.columns), 1), 44.0)
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
            strength = _FAINTEST + (_STRONGEST - _FAINTEST) * min(max(cell.heat, 0.0), 1.0)
            drawing.rectangle(x + 2, y + 2, (wide - 4, 36), _filled(cell.mood), hint, strength)
            drawing.text(x + wide / 2, y + 17, cell.text, "middle")
            drawing.text(x + wide / 2, y + 32, cell.below, "middle")
    return drawing.done(left + wide * len(chart.columns), len(chart.rows) * 40 + 24)


def _filled(mood: Mood) -> str:
    return "quiet" if mood == "plain" else mood
