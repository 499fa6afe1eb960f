"""A report as one HTML page: no scripts, nothing loaded from elsewhere, light and dark."""

from __future__ import annotations

from collections.abc import Iterator

from nattools.model.report import Report
from nattools.report.document import Block, Cell, EventChart, Prose, Section, Table
from nattools.report.figures import SVG_STYLE, as_table, escape, render_svg
from nattools.report.sections.contents import contents

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #ffffff; --line: #d0d7de; --quiet: #59636e;
  --mark: #57708f; --good: #1a7f37; --bad: #b42318; --unsure: #8a5a00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #0d1117; --line: #30363d;
  --quiet: #9198a1; --mark: #8fa9c8; --good: #4ac26b; --bad: #ff8182; --unsure: #d9a23a; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
  max-width: 60rem; padding: 0 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.3rem; } h2, summary { font-size: 1.05rem; font-weight: 600; margin-top: 1.6rem; }
summary { cursor: pointer; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .25rem .8rem .25rem 0;
  border-bottom: 1px solid var(--line); }
th, td { overflow-wrap: break-word; }
th, td:first-child { overflow-wrap: normal; }
.good { color: var(--good); } .bad { color: var(--bad); } .unsure { color: var(--unsure); }
figure { margin: .6rem 0; } ul { margin: 0; }
.quiet { color: var(--quiet); } .strong { font-weight: 600; }
""".strip()
COLUMNS = 200
BULLET = "- "
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def render_html(report: Report) -> str:
    """The whole report with every detail, the details folded away; ends in a newline."""
    document = contents(report, detail=2, columns=COLUMNS)
    body = "\n".join(line for section in document.sections for line in _section(section))
    title = escape(document.title)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>\n{STYLE}\n{SVG_STYLE}\n</style>\n</head>\n"
        f"<body>\n<h1>{title}</h1>\n{body}\n</body>\n</html>\n"
    )


def _section(section: Section) -> Iterator[str]:
    title = escape(section.title)
    if section.collapsed:
        yield f"<details><summary>{title}</summary>"
    elif title:
        yield f"<section><h2>{title}</h2>"
    else:
        yield "<section>"
    if section.note:
        yield f"<p>{escape(section.note[:1].upper() + section.note[1:])}.</p>"
    for block in section.blocks:
        yield from _block(block)
    yield "</details>" if section.collapsed else "</section>"


def _block(block: Block) -> Iterator[str]:
    if isinstance(block, Table):
        yield from _table(block)
    elif isinstance(block, Prose):
        yield _prose(block)
    else:
        yield f"<figure>{render_svg(block)}</figure>"
        if isinstance(block, EventChart):
            yield from _table(as_table(block, COLUMNS))


def _prose(prose: Prose) -> str:
    if not prose.label and prose.text.startswith(BULLET):
        return f'<ul class="{prose.mood}"><li>{escape(prose.text.removeprefix(BULLET))}</li></ul>'
    label = f"<strong>{escape(prose.label)}:</strong> " if prose.label.strip() else ""
    return f'<p class="{prose.mood}">{label}{escape(prose.text)}</p>'


def _table(table: Table) -> Iterator[str]:
    yield "<table>"
    if any(table.titles):
        titles = "".join(f'<th scope="col">{escape(title.capitalize())}</th>' for title in table.titles)
        yield f"<thead><tr>{titles}</tr></thead>"
    yield "<tbody>"
    for row in table.rows:
        yield "<tr>" + "".join(_cell(cell) for cell in row) + "</tr>"
    yield "</tbody></table>"


def _cell(cell: Cell) -> str:
    return f'<td class="{cell.mood}">{escape(cell.text)}</td>'
