"""The way to the internet, and who gets in, as inline SVG: across on a screen, down on a telephone."""

from __future__ import annotations

from nattools.report.document import OutsidePeer, PathChart, PathNode, ReachChart
from nattools.report.figures import ENTERS
from nattools.report.svgcanvas import LINE, NARROW, WIDE, Canvas, broken

_LINK = 28
_PAD = 10
_LEAST_BOX = 108.0
_CASE = 62
_LABELS = {True: "gets in", False: "kept out", None: "not known"}


def _texts(node: PathNode, room: float) -> tuple[list[str], list[str], list[str]]:
    """Name, address and deeds of a station, in lines."""
    does = [line for deed in node.does for line in broken(deed, room)]
    return broken(node.name, room / 1.17), broken(node.detail, room), does


def _draw_station(drawing: Canvas, node: PathNode, x: float, y: float, size: tuple[float, float]) -> None:
    name, detail, does = _texts(node, size[0] - 2 * _PAD)
    drawing.rectangle(x, y, size, f"box {node.mood}", f"{node.name}: {node.detail}")
    middle, at = x + size[0] / 2, y + 22
    drawing.lines(middle, at, name, "middle strong")
    drawing.lines(middle, at + len(name) * LINE, detail, "middle quiet")
    drawing.lines(middle, at + (len(name) + len(detail)) * LINE + 4, does, "middle")


def _described(chart: PathChart) -> list[str]:
    return [" ".join(filter(None, (node.name, node.detail, *node.does))) for node in chart.nodes]


def _tall(node: PathNode, room: float) -> float:
    return sum(map(len, _texts(node, room))) * LINE + 20


def path_wide(chart: PathChart) -> str:
    """Station beside station."""
    count = max(len(chart.nodes), 1)
    box = max((WIDE - 2 - (count - 1) * _LINK) / count, _LEAST_BOX)
    high = max((_tall(node, box - 2 * _PAD) for node in chart.nodes), default=40.0)
    drawing = Canvas(chart.caption, _described(chart))
    x = 1.0
    for number, node in enumerate(chart.nodes):
        if number:
            drawing.path(_arrow(x, 1 + high / 2, x + _LINK), "mark")
            x += _LINK
        _draw_station(drawing, node, x, 1, (box, high))
        x += box
    return drawing.done(max(x + 1, WIDE), high + 2)


def path_narrow(chart: PathChart) -> str:
    """Station below station."""
    drawing = Canvas(chart.caption, _described(chart))
    y, middle = 1.0, NARROW / 2
    for number, node in enumerate(chart.nodes):
        if number:
            drawing.path(f"M{middle:.0f} {y:.1f}v18m-5 -6l5 6l5 -6", "mark")
            y += 20
        high = _tall(node, NARROW - 2 - 2 * _PAD)
        _draw_station(drawing, node, 1, y, (NARROW - 2, high))
        y += high
    return drawing.done(NARROW, y + 1)


def _arrow(x1: float, y: float, x2: float) -> str:
    """A line from x1 to x2 with a head, as an SVG path."""
    back = 6 if x2 > x1 else -6
    return f"M{x1:.1f} {y:.1f}H{x2:.1f}m{-back} -5l{back} 5l{-back} 5"


def _said(case: OutsidePeer) -> str:
    return f"{case.who}, who sees you at {case.sees}: {_LABELS[case.enters]}"


def reach_wide(chart: ReachChart) -> str:
    """This machine at the left, the gate in the middle, and those who send at the right."""
    drawing = Canvas(chart.caption, [_said(case) for case in chart.cases])
    high = max(len(chart.cases), 1) * _CASE
    drawing.rectangle(1, 1, (118, high), "box strong")
    drawing.lines(60, high / 2, broken(chart.inside, 100), "middle strong")
    drawing.rectangle(216, 1, (84, high), "box")
    drawing.lines(258, 20, broken(chart.gate, 76), "middle strong")
    for number, case in enumerate(chart.cases):
        y = number * _CASE + _CASE / 2 + 8
        mood = ENTERS[case.enters][1]
        if case.enters:
            drawing.path(_arrow(410, y, 122), mood, _said(case))
        else:
            drawing.path(_arrow(410, y, 304), mood, _said(case))
            _stop(drawing, 290, y, case)
        drawing.text(357, y - 7, _LABELS[case.enters], f"middle {mood}")
        drawing.text(420, y - 4, _first(case.who), "strong")
        drawing.text(420, y + 14, _first(f"sees you at {case.sees}"), "quiet")
    return drawing.done(WIDE, high + 2)


def _first(text: str) -> str:
    """What fits on one line; the description has all of it."""
    lines = broken(text, WIDE - 420)
    return lines[0] if len(lines) == 1 else f"{lines[0]} ..."


def _stop(drawing: Canvas, x: float, y: float, case: OutsidePeer) -> None:
    if case.enters is False:
        drawing.cross(x, y)
    else:
        drawing.text(x, y + 5, "?", "middle strong unsure")


def reach_narrow(chart: ReachChart) -> str:
    """Each of those who send in a row of its own: the gate at the left, what happens there, who it is."""
    drawing = Canvas(chart.caption, [_said(case) for case in chart.cases])
    y = 20.0
    drawing.text(0, 13, f"{chart.inside}, behind: {chart.gate}", "quiet")
    top = y
    for case in chart.cases:
        who = broken(case.who, NARROW - 110)
        sees = broken(f"sees you at {case.sees}", NARROW - 110)
        middle = y + 18
        mood = ENTERS[case.enters][1]
        drawing.path(_arrow(100, middle, 8 if case.enters else 40), mood)
        if not case.enters:
            _stop(drawing, 30, middle, case)
        drawing.text(66, middle - 9, _LABELS[case.enters], f"middle {mood}")
        drawing.lines(110, y + 14, who, "strong")
        drawing.lines(110, y + 14 + len(who) * LINE, sees, "quiet")
        y += max((len(who) + len(sees)) * LINE + 12, 44)
    drawing.path(f"M20 {top:.0f}V{y:.0f}", "mark")
    return drawing.done(NARROW, y + 2)
