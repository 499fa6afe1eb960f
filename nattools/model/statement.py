"""What a report says, before it is words: a stable code, and the values that the sentence is made with."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

Value = str | int | float | bool | None | tuple[str, ...]


class Statement(msgspec.Struct, frozen=True):
    """One thing to say. `code` is stable and documented; `values` hold what differs from case to case, such
    as addresses, counts and times in seconds, by the names that the sentence uses. No value is baked into a
    sentence, so a report can be redacted, merged and translated: `nattools.wording.sentence` makes the text
    last."""

    code: str
    values: dict[str, Value] = {}


Reason = tuple[Statement, ...]
"""Sentences in their order; empty where there is nothing to say."""


def statement(code: str, /, **values: Value) -> Statement:
    """`Statement(code, values)` as it is written where conclusions are drawn."""
    return Statement(code, values)


def unique(statements: Iterable[Statement]) -> tuple[Statement, ...]:
    """Each once, in the order in which they first came."""
    found: list[Statement] = []
    for each in statements:
        if each not in found:
            found.append(each)
    return tuple(found)
