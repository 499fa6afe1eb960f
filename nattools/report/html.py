"""A report as one HTML page: no scripts, nothing loaded from elsewhere, light and dark, for any width."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from nattools.model.report import Report
from nattools.report.document import Block, Cell, Document, EventChart, Figure, Prose, Section, Table
from nattools.report.figures import as_table
from nattools.report.pagestyle import STYLE
from nattools.report.sections.contents import contents
from nattools.report.svgcanvas import escape
from nattools.report.svgcharts import render_narrow_svg, render_svg

COLUMNS = 200
BULLET = "- "
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def render_html(report: Report) -> str:
    """The whole report with every detail, the details folded away; ends in a newline."""
    return html_page(contents(report, detail=2, columns=COLUMNS))


def html_page(document: Document) -> str:
    """Any document as a page; ends in a newline."""
    body = "\n".join(_page(document))
    title = escape(document.title)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{title}</title>\n<style>\n{STYLE}\n</style>\n</head>\n"
        f"<body>\n<header><h1>{title}</h1></header>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _page(document: Document) -> Iterator[str]:
    """The answer, the facts, and everything else."""
    answered = False
    for section in document.sections:
        blocks = section.blocks
        if not answered and (found := _answer(blocks)) is not None:
            answered, (place, text) = True, found
            yield from (_prose(each) for each in blocks[:place] if isinstance(each, Prose))
            yield f'<p class="verdict {document.mood}">{escape(text)}</p>'
            if document.facts:
                yield _list(document.facts, "facts")
            section = section._replace(blocks=blocks[place + 1 :])
        if section.blocks:
            yield from _section(section)


def _answer(blocks: Sequence[Block]) -> tuple[int, str] | None:
    """The first line of a report and where it stands, if it is among these."""
    for number, each in enumerate(blocks):
        if isinstance(each, Prose) and each.mood == "strong":
            return number, each.text
    return None


def _section(section: Section) -> Iterator[str]:
    title = escape(section.title)
    if section.collapsed:
        yield f"<details><summary>{title}</summary>"
    elif title:
        yield f"<section><h2>{title}</h2>"
    else:
        yield "<div>"
    if section.note:
        yield f"<p>{escape(section.note[:1].upper() + section.note[1:])}.</p>"
    for kind, blocks in groupby(section.blocks, _kind):
        yield from _blocks(kind, list(blocks))
    yield "</details>" if section.collapsed else "</section>" if title else "</div>"


def _kind(block: Block) -> str:
    """Paragraphs that belong together become one list."""
    if not isinstance(block, Prose):
        return "other"
    return "labelled" if block.label else "bullet" if block.text.startswith(BULLET) else "plain"


def _blocks(kind: str, blocks: list[Block]) -> Iterator[str]:
    proses = [each for each in blocks if isinstance(each, Prose)]
    if kind == "labelled":
        yield _list([(each.label, Cell(each.text, each.mood)) for each in proses])
    elif kind == "bullet":
        items = (f'<li class="{each.mood}">{escape(each.text.removeprefix(BULLET))}</li>' for each in proses)
        yield f"<ul>{''.join(items)}</ul>"
    else:
        for block in blocks:
            yield from _block(block)


def _block(block: Block) -> Iterator[str]:
    if isinstance(block, Table):
        yield from _table(block)
    elif isinstance(block, Prose):
        yield _prose(block)
    else:
        yield _figure(block)
        if isinstance(block, EventChart):
            yield from _table(as_table(block, COLUMNS))


def _figure(figure: Figure) -> str:
    """Drawn for each width, or to be moved sideways, also with the keyboard."""
    narrow = render_narrow_svg(figure)
    if narrow:
        return (
            f'<figure><div class="wide">{render_svg(figure)}</div><div class="narrow">{narrow}</div></figure>'
        )
    label = escape(figure.caption)
    named = f'class="scrolls" tabindex="0" role="group" aria-label="{label}"'
    return f"<figure {named}>{render_svg(figure)}</figure>"


def _prose(prose: Prose) -> str:
    return f'<p class="{prose.mood}">{escape(prose.text)}</p>'


def _list(entries: Sequence[tuple[str, Cell]], kind: str = "") -> str:
    """Labels with what belongs to them; an entry without a label goes on with the one before."""
    parts: list[str] = []
    for number, (label, cell) in enumerate(entries):
        if label.strip() or number == 0:
            parts.append(f"<dt>{escape(label)}</dt>")
        parts.append(f'<dd class="{cell.mood}">{escape(cell.text)}</dd>')
    classes = f' class="{kind}"' if kind else ""
    return f"<dl{classes}>{''.join(parts)}</dl>"


def _table(table: Table) -> Iterator[str]:
    titles = [title[:1].upper() + title[1:] for title in table.titles]
    yield "<table>" if any(titles) else '<table class="rows">'
    if any(titles):
        heads = "".join(f'<th scope="col">{escape(title)}</th>' if title else "<td></td>" for title in titles)
        yield f"<thead><tr>{heads}</tr></thead>"
    yield "<tbody>"
    for row in table.rows:
        yield "<tr>" + "".join(_cells(row, titles)) + "</tr>"
    yield "</tbody></table>"


def _cells(row: Sequence[Cell], titles: Sequence[str]) -> Iterator[str]:
    """The first heads its row, where there are several. A telephone shows the titles beside the others."""
    for number, (cell, title) in enumerate(zip(row, titles, strict=True)):
        if number == 0 and len(row) > 1:
            yield f'<th scope="row" class="{cell.mood}">{escape(cell.text)}</th>'
            continue
        named = f' data-t="{escape(title)}"' if title and cell.text else ""
        yield f'<td class="{cell.mood}"{named}>{escape(cell.text)}</td>'
