"""A value with what it rests on, or the reason why there is none."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

T = TypeVar("T", covariant=True)


class Finding(msgspec.Struct, Generic[T], frozen=True):
    """`why` is for a value that is unknown (None or "unknown"): what was seen, and what would settle it.
    `evidence` are observation ids."""

    value: T
    evidence: tuple[int, ...] = ()
    why: str = ""
