"""Which sections the report of a command has, and how one is added."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest
from report_samples import home_router

from nattools.model.report import Command, Report
from nattools.report.document import MOST_ROWS, Cell, Prose, Section, Table, View, bounded
from nattools.report.html import render_html
from nattools.report.markdown import render_markdown
from nattools.report.sections import contents as module
from nattools.report.sections.contents import GENERAL, SECTIONS, Entry, contents
from nattools.report.terminal import render_text


def test_every_command_has_sections_and_a_last_line() -> None:
    for command in get_args(Command):
        report = msgspec.structs.replace(home_router(), command=command)
        sections = contents(report).sections
        assert "nattools 0.1.0" in sections[-1].blocks[-1].text  # type: ignore[union-attr]
    assert set(SECTIONS) <= set(get_args(Command))


@pytest.mark.parametrize("command", ["diagnose", *SECTIONS])
def test_more_detail_never_takes_a_section_away_but_for_a_fuller_one(command: str) -> None:
    report = msgspec.structs.replace(home_router(), command=command)
    titles = [{each.title for each in contents(report, detail=detail).sections} for detail in (0, 1, 2)]
    assert titles[0] - {"This side's network"} <= titles[1] <= titles[2]


def neighbours(report: Report, view: View) -> list[Section]:
    """As an author of a new section writes it (CONTRIBUTING.md)."""
    rows = ((Cell("fe80::1"), Cell("printer", "good")),)
    return [Section("Neighbours", (Table(("neighbour", "what it is"), rows, (0, 1)),))]


def test_a_new_section_is_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GENERAL", (*GENERAL, Entry(neighbours, 1)))
    report = home_router()
    assert "NEIGHBOUR" not in render_text(report)
    assert "NEIGHBOUR  WHAT IT IS" in render_text(report, detail=1)
    assert "| fe80::1 | printer |" in render_markdown(report)
    assert '<td class="good" data-t="What it is">printer</td>' in render_html(report)


def test_a_table_without_end_is_cut_and_says_so() -> None:
    rows = tuple((Cell(str(number)),) for number in range(MOST_ROWS + 7))
    whole = Section("Long", (Table(("number",), rows, (0,)), Prose("behind")))
    table, more, behind = bounded(whole).blocks
    assert isinstance(table, Table)
    assert len(table.rows) == MOST_ROWS
    assert more == Prose("and 7 more: the JSON has them all.")
    assert behind == Prose("behind")
    short = Section("Short", (Table(("number",), rows[:3], (0,)),))
    assert bounded(short) is short
