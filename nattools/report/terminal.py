"""A report on a terminal: the same lines as the plain text, with colour where the terminal wants it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, TextIO

from nattools.model.report import Report
from nattools.report.contents import Detail, contents
from nattools.report.document import Mood
from nattools.report.layout import Line, lay_out, plain
from nattools.report.screen import MAX_COLUMNS, terminal_columns, wants_colour

if TYPE_CHECKING:
    from rich.text import Text

STYLES: dict[Mood, str] = {
    "plain": "",
    "good": "green",
    "bad": "red",
    "unsure": "yellow",
    "quiet": "dim",
    "strong": "bold",
}


def print_report(report: Report, stream: TextIO | None = None, *, detail: Detail = 0) -> None:
    """Write a report for a person: in colour on a capable terminal, else as plain text."""
    out = stream or sys.stdout
    columns = terminal_columns(out)
    write_lines(lay_out(contents(report, detail=detail, columns=columns), columns), out)


def write_lines(lines: Iterable[Line], stream: TextIO) -> None:
    """Write lines that are laid out: in colour on a capable terminal, else as plain text."""
    if wants_colour(stream):
        _print_styled(lines, stream)
    else:
        stream.writelines(f"{plain(line)}\n" for line in lines)


def _print_styled(lines: Iterable[Line], stream: TextIO) -> None:
    from rich.console import Console

    console = Console(file=stream, width=MAX_COLUMNS, highlight=False, markup=False, emoji=False)
    for line in lines:
        console.print(_styled(line), soft_wrap=True)


def _styled(line: Line) -> Text:
    from rich.text import Text

    text = Text()
    for span in line:
        text.append(span.text, STYLES[span.mood])
    text.rstrip()
    return text
