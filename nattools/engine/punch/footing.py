"""What an attempt stands on once both sides have introduced themselves."""

from __future__ import annotations

from dataclasses import dataclass

from nattools.engine.punch.own import Own
from nattools.engine.punch.partner import Partner
from nattools.engine.punch.timeline import Timeline
from nattools.traversal.steps import Plan


@dataclass(frozen=True, slots=True)
class Footing:
    """`number`: which attempt it is; `leads`: the part of this side; `known_at`: the loop's time at which
    both sides' candidates were known."""

    own: Own
    partner: Partner
    number: int
    timeline: Timeline
    plan: Plan
    leads: bool
    known_at: float
