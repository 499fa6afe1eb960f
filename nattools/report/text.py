"""A report as plain text."""

from __future__ import annotations

from nattools.model.report import Report
from nattools.report.contents import Detail, contents
from nattools.report.layout import lay_out, plain


def render_text(report: Report, *, columns: int = 80, detail: Detail = 0) -> str:
    """Lines of at most `columns` columns (at least 40), ending in a newline."""
    lines = lay_out(contents(report, detail=detail, columns=columns), columns)
    return "\n".join(plain(line) for line in lines) + "\n"
