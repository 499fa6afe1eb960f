"""What a report says, before it is text, Markdown or HTML: sections of prose, tables and figures.

Every renderer draws the same document, so that none can say more or less than another. All text in a
document is safe to print (`report.safetext`); renderers add the escaping of their own format.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Mood = Literal["plain", "good", "bad", "unsure", "quiet", "strong"]
Detail = Literal[0, 1, 2]
"""0 the answer and its reasons, 1 figures, servers and RFC requirements, 2 all observations."""


class View(NamedTuple):
    """How much of a report is wanted, and how many columns a table may take."""

    detail: Detail = 0
    columns: int = 80


class Cell(NamedTuple):
    """Text, and a mood that a renderer may show as colour. The mood only repeats what the text says."""

    text: str
    mood: Mood = "plain"


class Table(NamedTuple):
    """Rows under column titles (empty titles: no header line is drawn).

    `shares`, one number for each column: where the table is too wide, columns with 0 keep the width of their
    text as long as that is possible, and the others wrap.
    """

    titles: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    shares: tuple[int, ...]


class Prose(NamedTuple):
    """A paragraph, with an optional label that stands before it."""

    text: str
    label: str = ""
    mood: Mood = "plain"


class Bar(NamedTuple):
    """A value of a bar chart and the text for it, its unit included; None: there is no value."""

    label: str
    value: float | None
    text: str
    mood: Mood = "plain"


class BarChart(NamedTuple):
    """Values side by side, none negative. `titles` of the labels and of the values."""

    caption: str
    titles: tuple[str, str]
    bars: tuple[Bar, ...]


class TimelineEvent(NamedTuple):
    """Something that happened at `at_s` seconds on one of the lanes."""

    at_s: float
    lane: str
    step: str
    outcome: Cell
    text: Cell


class EventChart(NamedTuple):
    """Events of several sides over time, in order. `more`: so many have been left out."""

    caption: str
    lanes: tuple[str, ...]
    events: tuple[TimelineEvent, ...]
    more: int = 0


class GridCell(NamedTuple):
    """One place of a grid: two short texts, one above the other where there is no room beside it. `heat` in
    0..1: how strong a picture colours it."""

    text: str
    below: str = ""
    mood: Mood = "plain"
    hint: str = ""
    heat: float = 1.0


class GridChart(NamedTuple):
    """Rows by columns. `corner` names what the rows are."""

    caption: str
    corner: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[GridCell, ...]], ...]


class PathNode(NamedTuple):
    """A station on the way: what it is, its address or what is known of it, and what it `does` to packets,
    which only a picture has room for."""

    name: str
    detail: str
    mood: Mood = "plain"
    does: tuple[str, ...] = ()


class PathChart(NamedTuple):
    """The way from here to there, station by station."""

    caption: str
    nodes: tuple[PathNode, ...]


class OutsidePeer(NamedTuple):
    """Somebody outside: at which port they see this machine, and whether what they send gets in (None: not
    known)."""

    who: str
    sees: str
    enters: bool | None


class ReachChart(NamedTuple):
    """Who gets in to `inside` past the `gate`."""

    caption: str
    inside: str
    gate: str
    cases: tuple[OutsidePeer, ...]


Figure = BarChart | EventChart | GridChart | PathChart | ReachChart
Block = Table | Prose | BarChart | EventChart | GridChart | PathChart | ReachChart


def without_figures(block: Block, columns: int) -> Table | Prose:
    """Any block in characters, for so many columns."""
    if isinstance(block, Table | Prose):
        return block
    from nattools.report.figures import as_table  # few documents have any

    return as_table(block, columns)


class Section(NamedTuple):
    """Blocks under a title. `note` stands beside the title; `collapsed`: a page may fold it away."""

    title: str
    blocks: tuple[Block, ...]
    note: str = ""
    collapsed: bool = False


MOST_ROWS = 10_000


def bounded(section: Section) -> Section:
    """With tables of at most `MOST_ROWS` rows: a report from a stranger may have any number of anything."""
    if not any(isinstance(block, Table) and len(block.rows) > MOST_ROWS for block in section.blocks):
        return section
    blocks: list[Block] = []
    for block in section.blocks:
        if isinstance(block, Table) and len(block.rows) > MOST_ROWS:
            blocks += [
                block._replace(rows=block.rows[:MOST_ROWS]),
                Prose(f"and {len(block.rows) - MOST_ROWS:,} more: the JSON has them all."),
            ]
        else:
            blocks.append(block)
    return section._replace(blocks=tuple(blocks))


class Document(NamedTuple):
    """A whole report. `title` is for formats that need one (HTML, Markdown), `facts` for a page that begins
    with what a helpdesk asks first, labels with what is known; `mood` is that of its first line."""

    title: str
    sections: tuple[Section, ...]
    facts: tuple[tuple[str, Cell], ...] = ()
    mood: Mood = "plain"
