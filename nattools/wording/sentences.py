"""Fills templates in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from string import Formatter
from typing import Any

from nattools.model.statement import Statement
from nattools.wording import punch

TABLES: tuple[Mapping[str, str], ...] = (punch.SENTENCES,)
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
        if format_spec == "and":
            return " and ".join(map(str, value))
        if format_spec == "then":
            return ", then ".join(map(str, value))
        if format_spec == "span":
            return _span(value)
        return str(format(value, format_spec))


def _span(seconds: float) -> str:
    """In the largest unit that it is a whole number of."""
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        count, rest = divmod(seconds, size)
        if count and not rest:
            return f"{count:.0f} {unit}" + ("s" if count > 1 else "")
    return f"{seconds:.0f} s"


def is_known(statement: Statement) -> bool:
    """Has this version a sentence for it?"""
    return any(statement.code in table for table in TABLES)


def text_of(statements: Iterable[Statement]) -> str:
    """Several statements, one sentence after the other."""
    return " ".join(map(sentence, statements))


def sentence(statement: Statement) -> str:
    """The statement in words. A code that this version does not know is shown as it is, with its values."""
    for table in TABLES:
        template = table.get(statement.code)
        if template is not None:
            try:
                return _Words().format(template, **statement.values)
            except (ArithmeticError, LookupError, TypeError, ValueError):
                break
    values = ", ".join(f"{name} {value}" for name, value in statement.values.items())
    return f"{statement.code}: {values}" if values else statement.code
