"""Fills templates in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from string import Formatter
from typing import Any, NamedTuple

from nattools.model.statement import Statement
from nattools.wording import (
    advice,
    behaviour,
    comparedfields,
    differences,
    ipv6,
    lan,
    libp2p,
    punch,
    pwnat,
    relays,
    tailscale,
    verdicts,
    watching,
)
from nattools.wording.terms import IMPOSSIBLE, TECHNIQUES, TIE, seconds

TABLES: dict[str, Mapping[str, str]] = {
    "verdicts": verdicts.SENTENCES,
    "advice": advice.SENTENCES,
    "behaviour": behaviour.SENTENCES,
    "lan": lan.SENTENCES,
    "libp2p": libp2p.SENTENCES,
    "differences": differences.SENTENCES,
    "ipv6": ipv6.SENTENCES,
    "punch": punch.SENTENCES,
    "pwnat": pwnat.SENTENCES,
    "relays": relays.SENTENCES,
    "tailscale": tailscale.SENTENCES,
    "watching": watching.SENTENCES,
}
"""The tables of all areas by name; a code stands in one of them. docs/reference/findings.md lists them."""
_TEMPLATES = {code: template for table in TABLES.values() for code, template in table.items()}


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
    "compared": comparedfields.name,
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
    return statement.code in _TEMPLATES


def text_of(statements: Iterable[Statement]) -> str:
    """Several statements, one sentence after the other."""
    return " ".join(map(sentence, statements))


def sentence(statement: Statement) -> str:
    """The statement in words. A code that this version does not know is shown as it is, with its values."""
    template, values = _TEMPLATES.get(statement.code), statement.values
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
