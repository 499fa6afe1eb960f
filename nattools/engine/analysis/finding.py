"""A value with what it rests on, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T", covariant=True)


@dataclass(frozen=True, slots=True)
class Finding(Generic[T]):
    """`why` is for a value that is unknown (None or "unknown"): what was seen, and what would settle it.
    `evidence` are observation ids."""

    value: T
    evidence: tuple[int, ...] = ()
    why: str = ""
