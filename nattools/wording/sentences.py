"""Fills templates in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib import import_module
from string import Formatter
from typing import TYPE_CHECKING, Any, NamedTuple

from nattools.wording.terms import IMPOSSIBLE, TECHNIQUES, TIE, seconds

if TYPE_CHECKING:
    from nattools.model.statement import Statement

_MODULES = {
    "verdicts": "nattools.wording.verdicts",
    "advice": "nattools.wording.advice",
    "behaviour": "nattools.wording.behaviour",
    "lan": "nattools.wording.lan",
    "libp2p": "nattools.wording.libp2p",
    "differences": "nattools.wording.differences",
    "ipv6": "nattools.wording.ipv6",
    "punch": "nattools.wording.punch",
    "pwnat": "nattools.wording.pwnat",
    "relays": "nattools.wording.relays",
    "tailscale": "nattools.wording.tailscale",
    "watching": "nattools.wording.watching",
}
"""The areas by name: a code stands in the table of one of them."""
_SELDOM = ("punch", "ipv6", "differences", "watching")
"""Most reports need none of these, and text takes time to read in: a table is, when a code stands in none
before it."""
_unread = [*(area for area in _MODULES if area not in _SELDOM), *_SELDOM]
_templates: dict[str, str] = {}


def _table(area: str) -> Mapping[str, str]:
    table: Mapping[str, str] = import_module(_MODULES[area]).SENTENCES
    return table


def tables() -> dict[str, Mapping[str, str]]:
    """The tables of all areas by name. docs/reference/findings.md lists them."""
    return {area: _table(area) for area in _MODULES}


def _template(code: str) -> str | None:
    while code not in _templates and _unread:
        _templates.update(_table(_unread[0]))
        del _unread[0]
    return _templates.get(code)


def _odds(share: float) -> str:
    return "100%" if share >= 1.0 else f"{100 * share:.2f}%" if share > 0.99 else f"{100 * share:.2g}%"


def joined(names: Iterable[object], last: str) -> str:
    """`a, b and c`; `last` is the word before the last one. There is at least one."""
    *before, final = map(str, names)
    return f"{', '.join(before)} {last} {final}" if before else final


def _span(seconds: float) -> str:
    """In the largest unit that it is a whole number of."""
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        count, rest = divmod(seconds, size)
        if count and not rest:
            return f"{count:.0f} {unit}" + ("s" if count > 1 else "")
    return f"{seconds:.0f} s"


def _compared(field: str) -> str:
    """What a field is called that two reports are compared by."""
    from nattools.wording.comparedfields import name

    return name(field)


_SPECS: dict[str, Callable[[Any], str]] = {
    "about": lambda value: seconds(value).replace(TIE, " "),
    "percent": lambda share: f"{100 * share:.0f}%",
    "odds": _odds,
    "seconds": lambda value: f"{value:g} s",
    "ms": lambda value: f"{value:.3g} ms",
    "span": _span,
    "list": lambda names: ", ".join(map(str, names)),
    "and": lambda names: joined(names, "and"),
    "or": lambda names: joined(names, "or"),
    "then": lambda names: ", then ".join(map(str, names)),
    "capital": lambda text: text[:1].upper() + text[1:],
    "upper": lambda name: str(name).upper(),
    "compared": _compared,
    "kind": lambda why: IMPOSSIBLE.get(why, why),
    "protocol": lambda name: TECHNIQUES.get(name, name),
    "protocols": lambda names: joined([TECHNIQUES.get(name, name) for name in names], "or"),
}


class _Blank(NamedTuple):
    """A place of a template, after some of its text: `{share:percent}`, `{wait_s:seconds}` and the like, one
    of Python's own format specifications, or `{external:or a port}` for a value that may be missing."""

    before: str
    name: str | None
    fill: Callable[[Any], str]


@cache
def _blanks(template: str) -> tuple[_Blank, ...]:
    return tuple(
        _Blank(before, name, _fill(spec or "")) for before, name, spec, _ in Formatter().parse(template)
    )


def _fill(spec: str) -> Callable[[Any], str]:
    if spec.startswith("or "):
        return lambda value: str(value or spec.removeprefix("or "))
    return _SPECS.get(spec) or (lambda value: format(value, spec))


def is_known(statement: Statement) -> bool:
    """Has this version a sentence for it?"""
    return _template(statement.code) is not None


def text_of(statements: Iterable[Statement]) -> str:
    """Several statements, one sentence after the other."""
    return " ".join(map(sentence, statements))


def sentence(statement: Statement) -> str:
    """The statement in words. A code that this version does not know is shown as it is, with its values."""
    template, values = _templates.get(statement.code) or _template(statement.code), statement.values
    if template is not None:
        try:
            blanks = _blanks(template)
            if not values and len(blanks) == 1:
                return blanks[0].before
            return "".join(
                [before if name is None else before + fill(values[name]) for before, name, fill in blanks]
            )
        except (ArithmeticError, LookupError, TypeError, ValueError):
            pass
    known = ", ".join(f"{name} {value}" for name, value in values.items())
    return f"{statement.code}: {known}" if known else statement.code
