"""What a report says, before it is words: a stable code, and the values that the sentence is made with."""

from __future__ import annotations

import msgspec

Value = str | int | float | bool | None | tuple[str, ...]


class Statement(msgspec.Struct, frozen=True):
    """One thing to say. `code` is stable and documented; `values` hold what differs from case to case, such
    as addresses, counts and times in seconds, by the names that the sentence uses. No value is baked into a
    sentence, so a report can be redacted, merged and translated: `nattools.wording.sentence` makes the text
    last."""

    code: str
    values: dict[str, Value] = {}


def statement(code: str, **values: Value) -> Statement:
    """The same, written shorter."""
    return Statement(code, values)
