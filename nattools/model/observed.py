"""What every observation has."""

from __future__ import annotations

import msgspec


class Observation(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """`id` is unique within a report and counts from 1; `probe` names the probe that recorded it."""

    id: int = 0
    probe: str = ""
    at_s: float = 0.0
