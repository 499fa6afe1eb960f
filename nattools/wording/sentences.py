"""Fills templates in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from string import Formatter
from typing import Any

from nattools.model.statement import Statement
from nattools.wording import advice, behaviour, verdicts
from nattools.wording.terms import TECHNIQUES

TABLES: dict[str, Mapping[str, str]] = {
    "verdicts": verdicts.SENTENCES,
    "advice": advice.SENTENCES,
    "behaviour": behaviour.SENTENCES,
}
"""The tables of all areas by name; a code stands in one of them. docs/reference/findings.md lists them."""


def _odds(share: float) -> str:
    return "100%" if share >= 1.0 else f"{100 * share:.2f}%" if share > 0.99 else f"{100 * share:.2g}%"


def _joined(names: Any, last: str) -> str:
    *before, final = map(str, names)
    return f"{', '.join(before)} {last} {final}" if before else final


_SPECS: dict[str, Callable[[Any], str]] = {
    "percent": lambda share: f"{100 * share:.0f}%",
    "odds": _odds,
    "seconds": lambda value: f"{value:g} s",
    "list": lambda names: ", ".join(map(str, names)),
    "and": lambda names: _joined(names, "and"),
    "protocols": lambda names: _joined([TECHNIQUES.get(name, name) for name in names], "or"),
    "upper": lambda name: str(name).upper(),
    "protocol": lambda name: TECHNIQUES.get(name, name),
}


class _Words(Formatter):
    """`{share:percent}`, `{wait_s:seconds}`, `{hosts:list}` and the like beside Python's own format
    specifications."""

    def format_field(self, value: Any, format_spec: str) -> str:
        spec = _SPECS.get(format_spec)
        return str(format(value, format_spec)) if spec is None else spec(value)


_WORDS = _Words()


def template(code: str) -> str | None:
    """The sentence of a code, with its placeholders; None for one that this version does not know."""
    return next((table[code] for table in TABLES.values() if code in table), None)


def sentence(statement: Statement) -> str:
    """The statement in words. A code that this version does not know is shown as it is, with its values."""
    found = template(statement.code)
    if found is not None:
        try:
            return _WORDS.vformat(found, (), statement.values) if "{" in found else found
        except (LookupError, TypeError, ValueError):
            pass
    values = ", ".join(f"{name} {value}" for name, value in statement.values.items())
    return f"{statement.code}: {values}" if values else statement.code
