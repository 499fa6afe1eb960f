"""A document on a terminal and as plain text: the same lines, with colour where the terminal wants it.

rich lays them out. No line is wider than the terminal, none ends in spaces, and what is tied (`safetext.TIE`)
is not broken.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TextIO

from rich.console import Console, RenderableType
from rich.constrain import Constrain
from rich.segment import Segment, Segments
from rich.style import Style
from rich.table import Table as Grid
from rich.text import Text

from nattools.model.report import Report
from nattools.report.document import Block, Cell, Detail, Document, Mood, Prose, Section, Table
from nattools.report.figures import without_figures
from nattools.report.safetext import width
from nattools.report.screen import MAX_COLUMNS, terminal_columns, wants_colour
from nattools.report.sections.contents import contents
from nattools.wording.terms import TIE

MARGIN = 2
GAP = 2
MIN_COLUMNS = 40
WIDE = 120
MIN_LABEL = 11
BULLET = "- "
STYLES: dict[Mood, str] = {
    "plain": "",
    "good": "green",
    "bad": "red",
    "unsure": "yellow",
    "quiet": "dim",
    "strong": "bold",
}
_HEIGHT = 25
"""Of no consequence, but without it rich takes a dumb terminal to be 80 columns wide."""
_TIED = "\ue000"
"""A space to the reader and a letter to rich, which breaks lines at TIE; no safe text contains it."""

Line = list[Segment]


def print_report(report: Report, stream: TextIO | None = None, *, detail: Detail = 0) -> None:
    """Write a report for a person: in colour on a capable terminal, else as plain text."""
    out = stream or sys.stdout
    columns = terminal_columns(out)
    write_lines(lay_out(contents(report, detail=detail, columns=columns), columns), out)


def render_text(report: Report, *, columns: int = 80, detail: Detail = 0) -> str:
    """A report as lines of at most `columns` columns (at least 40), ending in a newline."""
    return plain_text(contents(report, detail=detail, columns=columns), columns)


def plain_text(document: Document, columns: int) -> str:
    """A document as lines of at most `columns` columns (at least 40), ending in a newline."""
    return "".join(f"{plain(line)}\n" for line in lay_out(document, columns))


def plain(line: Line) -> str:
    """A line without its colours."""
    return "".join(segment.text for segment in line)


def write_lines(lines: Iterable[Line], stream: TextIO) -> None:
    """Write lines that are laid out: in colour on a capable terminal, else as plain text."""
    if not wants_colour(stream):
        stream.writelines(f"{plain(line)}\n" for line in lines)
        return
    console = Console(file=stream, width=MAX_COLUMNS, height=_HEIGHT)
    for line in lines:
        console.print(Segments([*line, Segment.line()]), soft_wrap=True, end="")


def lay_out(document: Document, columns: int) -> Iterator[Line]:
    """The lines of a document, none wider than `columns` (taken as at least 40)."""
    inside = max(columns, MIN_COLUMNS) - MARGIN
    yield []
    for section in document.sections:
        yield from lines_of(_section(section, inside), inside)
        yield []


def lines_of(renderables: Iterable[RenderableType], columns: int) -> Iterator[Line]:
    """What rich makes of them, behind the margin, without spaces at the ends of lines."""
    console = Console(
        width=columns, height=_HEIGHT, color_system="truecolor", legacy_windows=False, force_terminal=True
    )
    for renderable in renderables:
        for line in console.render_lines(renderable, pad=False):
            yield _trimmed(line)


def line_of(*cells: Cell) -> Line:
    """One line, made of pieces that each have their mood."""
    return [Segment(cell.text, Style.parse(STYLES[cell.mood])) for cell in cells]


def _trimmed(line: Line) -> Line:
    kept = [each._replace(text=each.text.replace(_TIED, " ")) for each in line]
    while kept and not kept[-1].text.rstrip():
        kept.pop()
    if not kept:
        return []
    kept[-1] = kept[-1]._replace(text=kept[-1].text.rstrip())
    return [Segment(" " * MARGIN), *kept]


def text_of(text: str, mood: Mood = "plain") -> Text:
    """Words in a mood, with their ties kept."""
    return Text(text.replace(TIE, _TIED), STYLES[mood], overflow="fold")


def _section(section: Section, columns: int) -> Iterator[RenderableType]:
    """A titled table needs no heading of its own: its column titles say what it is."""
    blocks = [without_figures(block, columns) for block in section.blocks]
    titled = bool(blocks) and isinstance(blocks[0], Table) and any(blocks[0].titles)
    if section.title and (section.note or not titled):
        yield _rows([(text_of(section.title.upper(), "strong"), text_of(section.note))])
    label = _label_width(blocks)
    for labelled, group in groupby(blocks, key=lambda block: isinstance(block, Prose) and bool(block.label)):
        if labelled:
            proses = [
                (text_of(each.label, "strong"), text_of(each.text, each.mood)) for each in _proses(group)
            ]
            yield Constrain(_rows(proses, label), min(columns, WIDE))
            continue
        for block in group:
            yield _table(block, columns, label) if isinstance(block, Table) else _prose(block, columns)


def _proses(blocks: Iterable[Block]) -> Iterator[Prose]:
    return (block for block in blocks if isinstance(block, Prose))


def _label_width(blocks: Sequence[Table | Prose]) -> int:
    """Labels of paragraphs and of tables without titles take the same width throughout a section."""
    labels = [width(block.label) for block in blocks if isinstance(block, Prose)]
    for block in blocks:
        if isinstance(block, Table) and not any(block.titles) and len(block.titles) > 1:
            labels += [width(row[0].text) for row in block.rows]
    return max([MIN_LABEL, *labels])


def _prose(prose: Prose, columns: int) -> RenderableType:
    room = min(columns, WIDE)
    if not prose.text.startswith(BULLET):
        return Constrain(text_of(prose.text, prose.mood), room)
    row = (text_of("-", prose.mood), text_of(prose.text.removeprefix(BULLET), prose.mood))
    return Constrain(_rows([row], gap=1), room)


def _rows(rows: Iterable[tuple[Text, Text]], label: int = 0, gap: int = GAP) -> Grid:
    grid = Grid.grid(padding=(0, gap, 0, 0), pad_edge=False)
    grid.add_column(min_width=label, no_wrap=True)
    grid.add_column(overflow="fold")
    for row in rows:
        grid.add_row(*row)
    return grid


def _table(table: Table, columns: int, label: int) -> Grid:
    titled = any(table.titles)
    grid = Grid(box=None, show_header=titled, header_style="bold", pad_edge=False, padding=(0, GAP, 0, 0))
    kept = _kept_whole(table, columns)
    for number, title in enumerate(table.titles):
        least = label if number == 0 and not titled and len(table.titles) > 1 else None
        grid.add_column(text_of(title.upper()), min_width=least, no_wrap=number in kept, overflow="fold")
    for row in table.rows:
        grid.add_row(*(text_of(*cell) for cell in row))
    return grid


def _kept_whole(table: Table, columns: int) -> frozenset[int]:
    """The columns that do not wrap: those without a share, unless they leave too little to the others."""
    whole = [number for number, share in enumerate(table.shares) if not share]
    needed = sum(_natural(table, number) for number in whole)
    room = columns - GAP * (len(table.titles) - 1)
    fits = needed <= (room if len(whole) == len(table.shares) else room * 2 // 3)
    return frozenset(whole) if fits else frozenset()


def _natural(table: Table, number: int) -> int:
    cells: list[Cell] = [row[number] for row in table.rows]
    return max([width(table.titles[number]), *(width(cell.text) for cell in cells)])
