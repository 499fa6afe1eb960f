"""What an attempt stands on once both sides have introduced themselves."""

from __future__ import annotations

from dataclasses import dataclass

from nattools.engine.punch.local_side import LocalSide
from nattools.engine.punch.signaling import Signaling
from nattools.engine.punch.timeline import Timeline
from nattools.traversal.steps import Plan


@dataclass(frozen=True, slots=True)
class Footing:
    """`number`: which attempt it is; `leads`: the part of this side; `known_at`: the loop's time at which
    both sides' candidates were known."""

    own: LocalSide
    partner: Signaling
    number: int
    timeline: Timeline
    plan: Plan
    leads: bool
    known_at: float
