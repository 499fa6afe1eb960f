"""A report on a terminal: the same lines as the plain text, with colour where the terminal wants it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

from nattools.model.report import Report
from nattools.report.contents import Detail, contents
from nattools.report.document import Mood
from nattools.report.layout import Line, lay_out
from nattools.report.screen import terminal_columns, wants_colour
from nattools.report.text import render_text

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
    if wants_colour(out):
        _print_styled(report, out, columns, detail)
    else:
        out.write(render_text(report, columns=columns, detail=detail))


def _print_styled(report: Report, stream: TextIO, columns: int, detail: Detail) -> None:
    from rich.console import Console

    console = Console(file=stream, width=max(columns, 40), highlight=False, markup=False, emoji=False)
    for line in lay_out(contents(report, detail=detail, columns=columns), columns):
        console.print(_styled(line), soft_wrap=True)


def _styled(line: Line) -> Text:
    from rich.text import Text

    text = Text()
    for span in line:
        text.append(span.text, STYLES[span.mood])
    text.rstrip()
    return text
