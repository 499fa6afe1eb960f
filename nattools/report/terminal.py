"""A document on a terminal and as plain text: the same lines, with colour where the terminal wants it.

No line is wider than the terminal, none ends in spaces, and what is tied (`wording.terms.TIE`) is not broken.
Why rich does not lay them out: docs/design/0003.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TextIO

from nattools.model.report import Report
from nattools.report.document import Cell, Detail, Document, Mood, Prose, Section, Table, without_figures
from nattools.report.safetext import untied, width, wrap

MAX_COLUMNS = 240
MARGIN = 2
GAP = 2
MIN_COLUMNS = 40
WIDE = 120
MIN_LABEL = 11
BULLETS = ("- ", "+ ", "* ")
"""How an item of a list begins; lines after its first are indented."""
SGR: dict[Mood, str] = {"plain": "", "good": "32", "bad": "31", "unsure": "33", "quiet": "2", "strong": "1"}
"""Parameters of the escape sequence "select graphic rendition" (ECMA-48)."""

Line = list[Cell]


def _wants_colour(stream: TextIO) -> bool:
    """A terminal that is not dumb, and NO_COLOR is not set (https://no-color.org)."""
    return is_live(stream) and not os.environ.get("NO_COLOR")


def is_live(stream: TextIO) -> bool:
    """A terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown")


def terminal_columns(stream: TextIO) -> int:
    """Columns to use: COLUMNS if set, else the terminal's width; 80 where there is no terminal."""
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and int(told):
        return min(int(told), MAX_COLUMNS)
    try:
        # of this stream, for the one that Python began with may be gone
        return min(os.get_terminal_size(stream.fileno()).columns or 80, MAX_COLUMNS)
    except (OSError, ValueError, AttributeError):
        return 80


def print_report(report: Report, stream: TextIO | None = None, *, detail: Detail = 0) -> None:
    """Write a report for a person: in colour on a capable terminal, else as plain text."""
    from nattools.report.sections.contents import contents

    out = stream or sys.stdout
    columns = terminal_columns(out)
    write_lines(lay_out(contents(report, detail=detail, columns=columns), columns), out)


def render_text(report: Report, *, columns: int = 80, detail: Detail = 0) -> str:
    """A report as lines of at most `columns` columns (at least 40), ending in a newline."""
    from nattools.report.sections.contents import contents

    return plain_text(contents(report, detail=detail, columns=columns), columns)


def answer_line(report: Report) -> str:
    """The first line of a report: what was asked, answered."""
    from nattools.report.sections.contents import contents

    proses = [
        each for section in contents(report).sections for each in section.blocks if isinstance(each, Prose)
    ]
    strong = [prose.text for prose in proses if prose.mood == "strong"]
    return untied((strong or [prose.text for prose in proses] or [""])[0])


def plain_text(document: Document, columns: int) -> str:
    """A document as lines of at most `columns` columns (at least 40), ending in a newline."""
    return "".join(f"{plain(line)}\n" for line in lay_out(document, columns))


def plain(line: Line) -> str:
    """A line without its colours."""
    return "".join(cell.text for cell in line)


def write_lines(lines: Iterable[Line], stream: TextIO) -> None:
    """Write lines that are laid out: in colour on a capable terminal, else as plain text."""
    if not _wants_colour(stream):
        stream.writelines(f"{plain(line)}\n" for line in lines)
    elif os.name == "nt":  # where not every console understands escape sequences
        from rich.console import Console
        from rich.text import Text

        text = "".join(f"{_coloured(line)}\n" for line in lines)
        Console(file=stream, width=MAX_COLUMNS).print(Text.from_ansi(text), soft_wrap=True)
    else:
        stream.writelines(f"{_coloured(line)}\n" for line in lines)


def _coloured(line: Line) -> str:
    return "".join(f"\x1b[{SGR[mood]}m{text}\x1b[0m" if SGR[mood] else text for text, mood in line)


def lay_out(document: Document, columns: int) -> Iterator[Line]:
    """The lines of a document, none wider than `columns` (taken as at least 40)."""
    yield []
    for section in document.sections:
        for line in _section(section, max(columns, MIN_COLUMNS) - MARGIN):
            yield [Cell(" " * MARGIN), *line] if line else []
        yield []


def _section(section: Section, columns: int) -> Iterator[Line]:
    """A titled table needs no heading of its own: its column titles say what it is."""
    blocks = [without_figures(block, columns) for block in section.blocks]
    titled = bool(blocks) and isinstance(blocks[0], Table) and any(blocks[0].titles)
    if section.title and (section.note or not titled):
        yield from _rows([(Cell(section.title.upper(), "strong"), Cell(section.note))], columns)
    label = _label_width(blocks)
    for block in blocks:
        if isinstance(block, Table):
            yield from _table(block, columns, label)
        else:
            yield from _prose(block, min(columns, WIDE), label)


def _label_width(blocks: Sequence[Table | Prose]) -> int:
    """Labels of paragraphs and of tables without titles take the same width throughout a section."""
    labels = [width(block.label) for block in blocks if isinstance(block, Prose)]
    for block in blocks:
        if isinstance(block, Table) and not any(block.titles) and len(block.titles) > 1:
            labels += [width(row[0].text) for row in block.rows]
    return max([MIN_LABEL, *labels])


def _prose(prose: Prose, columns: int, label: int) -> Iterator[Line]:
    if prose.label:
        row = (Cell(prose.label, "strong"), Cell(prose.text, prose.mood))
        return _rows([row], columns, label=label)
    if prose.text.startswith(BULLETS):
        row = (Cell(prose.text[0], prose.mood), Cell(prose.text[2:], prose.mood))
        return _rows([row], columns, gap=1)
    return _rows([(Cell(prose.text, prose.mood),)], columns, unbroken=())


def _table(table: Table, columns: int, label: int) -> Iterator[Line]:
    titled = any(table.titles)
    titles = [tuple(Cell(title.upper(), "strong") for title in table.titles)] if titled else []
    least = 0 if titled or len(table.titles) == 1 else label
    return _rows([*titles, *table.rows], columns, label=least, unbroken=_unbroken(table, columns))


def _unbroken(table: Table, columns: int) -> tuple[int, ...]:
    """The columns that do not wrap: those without a share, unless they leave too little to the others."""
    whole = [number for number, share in enumerate(table.shares) if not share]
    needed = sum(
        max([width(table.titles[number]), *(width(row[number].text) for row in table.rows)])
        for number in whole
    )
    room = columns - GAP * (len(table.titles) - 1)
    return tuple(whole) if needed <= (room if len(whole) == len(table.shares) else room * 2 // 3) else ()


def _rows(
    rows: Sequence[tuple[Cell, ...]],
    columns: int,
    *,
    label: int = 0,
    gap: int = GAP,
    unbroken: Sequence[int] = (0,),
) -> Iterator[Line]:
    """Rows under one another. The first column takes at least `label`; where the rows are too wide, the
    widest of the columns that are not `unbroken` gives way."""
    sizes = [max(width(cell.text) for cell in column) + gap for column in zip(*rows, strict=True)]
    sizes[0] = max(sizes[0], label + gap)
    sizes[-1] -= gap
    breakable = [number for number in range(len(sizes)) if number not in unbroken]
    while (excess := sum(sizes) - columns) > 0 and breakable:
        widest, *others = sorted(breakable, key=sizes.__getitem__, reverse=True)
        above = sizes[widest] - max((sizes[number] for number in others), default=0)
        sizes[widest] -= min(excess, max(above, 1))
    for row in rows:
        yield from _row(row, sizes, gap)


def _row(row: tuple[Cell, ...], sizes: Sequence[int], gap: int) -> Iterator[Line]:
    last = len(row) - 1
    texts = [
        wrap(cell.text, max(size - (gap if number < last else 0), 2))
        for number, (cell, size) in enumerate(zip(row, sizes, strict=True))
    ]
    for number in range(max(map(len, texts))):
        line: Line = []
        blank = 0
        for cell, lines, size in zip(row, texts, sizes, strict=True):
            text = lines[number] if number < len(lines) else ""
            if text:
                line += [Cell(" " * blank), Cell(text, cell.mood)] if blank else [Cell(text, cell.mood)]
                blank = 0
            blank += size - width(text)
        yield line
