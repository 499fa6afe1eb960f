"""Fills templates in."""

from __future__ import annotations

from collections.abc import Mapping
from string import Formatter
from typing import Any

from nattools.model.statement import Statement

TABLES: tuple[Mapping[str, str], ...] = ()
"""The tables of all areas; a code stands in one of them."""


class _Words(Formatter):
    """`{share:percent}`, `{wait_s:seconds}`, `{hosts:list}` beside Python's own format specifications."""

    def format_field(self, value: Any, format_spec: str) -> str:
        if format_spec == "percent":
            return f"{100 * value:.0f}%"
        if format_spec == "seconds":
            return f"{value:.3g} s"
        if format_spec == "list":
            return ", ".join(map(str, value))
        return str(format(value, format_spec))


def sentence(statement: Statement) -> str:
    """The statement in words. A code that this version does not know is shown as it is, with its values."""
    for table in TABLES:
        template = table.get(statement.code)
        if template is not None:
            try:
                return _Words().format(template, **statement.values)
            except (LookupError, TypeError, ValueError):
                break
    values = ", ".join(f"{name} {value}" for name, value in statement.values.items())
    return f"{statement.code}: {values}" if values else statement.code
