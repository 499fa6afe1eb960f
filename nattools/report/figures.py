"""Figures as tables of characters, for a terminal, plain text and Markdown."""

from __future__ import annotations

from nattools.report.document import (
    BarChart,
    Cell,
    EventChart,
    Figure,
    GridChart,
    Mood,
    PathChart,
    ReachChart,
    Table,
)
from nattools.report.safetext import width

ROOMY = 150
LONGEST_BAR = 40
SHORTEST_BAR = 8
_MARGINS = 8
_LINK = " --- "
ENTERS: dict[bool | None, tuple[str, Mood]] = {
    True: ("yes", "good"),
    False: ("no", "bad"),
    None: ("not known", "unsure"),
}


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
        case ReachChart():
            return _reach_table(figure)


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
    return "#" * max(1, round(room * (value / most)))


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


def _reach_table(chart: ReachChart) -> Table:
    rows = tuple((Cell(case.who), Cell(case.sees), Cell(*ENTERS[case.enters])) for case in chart.cases)
    return Table(("who sends", "where they see you", "gets in"), rows, (1, 1, 0))
