"""What a report says, before it is text, Markdown or HTML: sections of prose and tables.

Every renderer draws the same document, so that none can say more or less than another. All text in a
document is safe to print (`report.safetext`); renderers add the escaping of their own format.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Mood = Literal["plain", "good", "bad", "unsure", "quiet", "strong"]


class Cell(NamedTuple):
    """Text, and a mood that a renderer may show as colour. The mood only repeats what the text says."""

    text: str
    mood: Mood = "plain"


class Table(NamedTuple):
    """Rows under column titles (empty titles: no header line is drawn).

    `shares` say how the columns divide a width that is too small for all: 0 keeps a column as wide as its
    text, others share what is left in proportion.
    """

    titles: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    shares: tuple[int, ...]


class Prose(NamedTuple):
    """A paragraph, with an optional label that stands before it."""

    text: str
    label: str = ""
    mood: Mood = "plain"


Block = Table | Prose


class Section(NamedTuple):
    """Blocks under a title. `note` stands beside the title; `collapsed`: a page may fold it away."""

    title: str
    blocks: tuple[Block, ...]
    note: str = ""
    collapsed: bool = False


class Document(NamedTuple):
    """A whole report. `title` is for formats that need one (HTML, Markdown)."""

    title: str
    sections: tuple[Section, ...]
