"""A report as Markdown that reads well in a bug report, as source and drawn (GitHub's dialect)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nattools.model.report import Report
from nattools.report.document import Block, Cell, Document, PathChart, Prose, Section, Table, without_figures
from nattools.report.safetext import untied
from nattools.report.sections.contents import contents

COLUMNS = 200
_SPECIAL = re.compile(r"([\\`*_\[\]|~#$]|:(?=//)|(?<=www)\.)", re.IGNORECASE)
# What GitHub looks for in the text as it is drawn, where no backslash is left: people, issues, pictures
_REFERENCE = re.compile(
    r"@|#(?=\d)|GH-(?=\d)|:(?=(?:(?=[a-z+-])[a-z0-9_+-]*[g-z_+-][a-z0-9_+-]*|100|1234|a|b|ab|abc|abcd|bee|cd):)",
    re.IGNORECASE,
)
_START = re.compile(r"^(?:(\d+)([.)])|([-+=]))")


def render_markdown(report: Report) -> str:
    """The whole report with every detail, the details folded away; ends in a newline."""
    return markdown_page(contents(report, detail=2, columns=COLUMNS))


def markdown_page(document: Document) -> str:
    """Any document as Markdown; ends in a newline."""
    lines = [f"## {escape(document.title)}", ""]
    for section in document.sections:
        lines += _section(section)
    return "\n".join(lines).rstrip() + "\n"


def escape(text: str) -> str:
    """Text that Markdown shows as it is: no markup, no HTML, no links, no mention of people or issues."""
    unlinked = _REFERENCE.sub("\\g<0>\u200b", untied(text))
    entities = unlinked.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", entities)


def _section(section: Section) -> Iterator[str]:
    if section.collapsed:
        yield from (f"<details><summary>{escape(section.title)}</summary>", "")
    elif section.title:
        yield from (f"### {escape(section.title)}", "")
    if section.note:
        yield from (f"{escape(section.note[:1].upper() + section.note[1:])}.", "")
    for block in section.blocks:
        yield from _block(block)
    if section.collapsed:
        yield from ("</details>", "")


def _block(block: Block) -> Iterator[str]:
    # Markdown does not keep columns of spaces, so a path goes down the page
    drawn = without_figures(block, 0 if isinstance(block, PathChart) else COLUMNS)
    yield from (_table(drawn) if isinstance(drawn, Table) else _prose(drawn))
    yield ""


def _prose(prose: Prose) -> Iterator[str]:
    text = _START.sub(r"\1\\\2\3", escape(prose.text).strip())
    if prose.mood == "strong":
        yield f"**{text}**"
    elif prose.label:
        label = f"**{escape(prose.label)}:** " if prose.label.strip() else ""
        yield f"- {label}{text}"
    else:
        yield text


def _table(table: Table) -> Iterator[str]:
    yield _row(tuple(Cell(escape(title)) for title in table.titles))
    yield "|" + " --- |" * len(table.titles)
    for row in table.rows:
        yield _row(tuple(Cell(escape(cell.text)) for cell in row))


def _row(cells: tuple[Cell, ...]) -> str:
    return "| " + " | ".join(cell.text for cell in cells) + " |"
