"""A document as lines of text of a given width. No line is longer than the width."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from nattools.report.document import Cell, Document, Mood, Prose, Section, Table
from nattools.report.safetext import width, wrap

MARGIN = 2
GAP = 2
MIN_COLUMNS = 40
WIDE = 120
MIN_LABEL = 11
BULLET = "- "


class Span(NamedTuple):
    """A run of text in one mood."""

    text: str
    mood: Mood = "plain"


Line = tuple[Span, ...]


def plain(line: Line) -> str:
    """A line without moods, and without spaces at its end."""
    return "".join(span.text for span in line).rstrip()


def lay_out(document: Document, columns: int) -> Iterator[Line]:
    """The lines of a document, none wider than `columns` (taken as at least 40)."""
    inside = max(columns, MIN_COLUMNS) - MARGIN
    indent = Span(" " * MARGIN)
    yield ()
    for section in document.sections:
        for line in _section(section, inside):
            yield (indent, *line) if line else ()
        yield ()


def _section(section: Section, columns: int) -> Iterator[Line]:
    """A titled table needs no heading of its own: its column titles say what it is."""
    first = section.blocks[0] if section.blocks else None
    titled = isinstance(first, Table) and any(first.titles)
    if section.title and (section.note or not titled):
        yield from _heading(section, columns)
    label = _label_width(section)
    for block in section.blocks:
        yield from (
            _table(block, columns, label) if isinstance(block, Table) else _prose(block, columns, label)
        )


def _label_width(section: Section) -> int:
    """Labels of paragraphs and of tables without titles take the same width throughout a section."""
    labels = [width(block.label) for block in section.blocks if isinstance(block, Prose)]
    for block in section.blocks:
        if isinstance(block, Table) and not any(block.titles):
            labels += [width(row[0].text) for row in block.rows]
    return max([MIN_LABEL, *labels])


def _heading(section: Section, columns: int) -> Iterator[Line]:
    title = section.title.upper()
    if not section.note:
        yield (Span(title, "strong"),)
        return
    room = columns - width(title) - GAP
    for number, text in enumerate(wrap(section.note, max(room, 10))):
        head = title if number == 0 else " " * width(title)
        yield (Span(head, "strong"), Span(" " * GAP), Span(text))


def _prose(prose: Prose, columns: int, label: int) -> Iterator[Line]:
    if not prose.label:
        bullet = BULLET if prose.text.startswith(BULLET) else ""
        for number, text in enumerate(
            wrap(prose.text.removeprefix(bullet), min(columns, WIDE) - len(bullet))
        ):
            yield (Span((bullet if number == 0 else " " * len(bullet)) + text, prose.mood),)
        return
    for number, text in enumerate(wrap(prose.text, min(columns, WIDE) - label - GAP)):
        head = prose.label if number == 0 else ""
        yield (Span(_padded(head, label), "strong"), Span(" " * GAP), Span(text, prose.mood))


def _table(table: Table, columns: int, label: int) -> Iterator[Line]:
    widths = _widths(table, columns, label)
    if any(table.titles):
        yield from _row(tuple(Cell(title.upper(), "strong") for title in table.titles), widths)
    for row in table.rows:
        yield from _row(row, widths)


def _widths(table: Table, columns: int, label: int) -> list[int]:
    """Widths of the columns; those with a share give way until the table fits."""
    natural = [
        max([width(title), *(width(row[column].text) for row in table.rows)])
        for column, title in enumerate(table.titles)
    ]
    if not any(table.titles):
        natural[0] = max(natural[0], label)
    room = columns - GAP * (len(natural) - 1)
    fixed = [0 if share else size for size, share in zip(natural, table.shares, strict=True)]
    if sum(fixed) > room * 2 // 3:
        fixed = [min(size, room // 4) for size in fixed]
    flexible = [column for column, share in enumerate(table.shares) if share]
    return _shared_out(natural, table.shares, fixed, flexible, room - sum(fixed))


def _shared_out(
    natural: list[int], shares: tuple[int, ...], widths: list[int], flexible: list[int], room: int
) -> list[int]:
    """Columns that need less than their share leave the rest to the others."""
    while flexible:
        total = sum(shares[column] for column in flexible)
        modest = [c for c in flexible if natural[c] <= room * shares[c] // total]
        if not modest:
            for column in flexible:
                widths[column] = max(room * shares[column] // total, 2)
            return widths
        widths[modest[0]] = natural[modest[0]]
        room -= natural[modest[0]]
        flexible = [c for c in flexible if c != modest[0]]
    return widths


def _row(row: tuple[Cell, ...], widths: list[int]) -> Iterator[Line]:
    cells = [wrap(cell.text, size) if size else [""] for cell, size in zip(row, widths, strict=True)]
    for number in range(max(len(lines) for lines in cells)):
        spans: list[Span] = []
        for column, lines in enumerate(cells):
            text = lines[number] if number < len(lines) else ""
            last = column == len(cells) - 1
            spans.append(
                Span(
                    text if last else _padded(text, widths[column] + GAP),
                    row[column].mood if text else "plain",
                )
            )
        yield tuple(spans)


def _padded(text: str, columns: int) -> str:
    return text + " " * (columns - width(text))
