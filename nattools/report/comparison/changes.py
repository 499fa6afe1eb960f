"""What a comparison finds, and how two values are held against each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from nattools.model.statement import Statement, Value, statement

Area = Literal["network", "verdicts", "behaviour", "figures", "connection", "warnings"]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is different. `what` names it as the report does, such as `nat.udp4.mapping` or a
    technique; `better`: more works than before, or less (None: neither)."""

    area: Area
    what: str
    before: Value
    after: Value
    better: bool | None = None
    says: Statement


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """`meaning`: what the changes come from, in one statement. `unknown`: what only one of the reports knows,
    which is no change. `limits`: what could not be held against each other at all."""

    changes: tuple[Change, ...]
    meaning: Statement
    unknown: tuple[Statement, ...] = ()
    limits: tuple[Statement, ...] = ()

    @property
    def same(self) -> bool:
        """Is there no change?"""
        return not self.changes


def is_known(value: object) -> bool:
    """Was it measured?"""
    return value not in (None, "unknown", "skipped", ())


def one_sided(what: str, before: Value, after: Value) -> Iterator[Statement]:
    """What one of two reports knows and the other does not, or nothing."""
    if is_known(before) and not is_known(after):
        yield statement("diff-unknown-now", what=what, before=said(before))
    elif is_known(after) and not is_known(before):
        yield statement("diff-known-now", what=what, after=said(after))


def said(value: Value) -> str:
    """A value in words."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, float):
        return f"{value:.3g}"
    return str(value) if value is not None else "not known"
