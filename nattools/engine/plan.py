"""What to ask, of whom, and what can run side by side. Pure: decided from what the probes say that they need,
from the options, and from what the servers turned out to be able to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Generic, Protocol, TypeVar

import msgspec

from nattools.model.endpoint import Family, Transport
from nattools.model.observation import Gap
from nattools.probes.target import Lane, Target

FAMILIES: tuple[Family, ...] = (4, 6)
FAR, FAR_S = 4, 0.1
"""So many times the round trip to the nearest server, and so many seconds more, are far."""


class Plannable(Protocol):
    """What the plan asks of a `probes.probe.LaneProbe`."""

    @property
    def transport(self) -> Transport:
        """Its lanes' transport."""

    @property
    def last(self) -> bool:
        """Does it run alone, when all else is over?"""

    def servers(self, ranked: Sequence[Target]) -> Sequence[Target]:
        """Which servers it is put to."""

    def gap(self, lane: Lane, targets: Sequence[Target]) -> Gap | None:
        """What these servers cannot answer."""


P = TypeVar("P", bound=Plannable)


class PlannedProbe(msgspec.Struct, Generic[P], frozen=True):
    """One probe with the servers it is put to, the most able one first."""

    probe: P
    targets: tuple[Target, ...]


def lanes(families: Sequence[Family]) -> list[Lane]:
    """UDP and TCP over each family that has a route."""
    return [Lane(transport, family) for family in families for transport in ("udp", "tcp")]


def ranked(targets: Sequence[Target]) -> list[Target]:
    """The most able server first; among equals those that seem overloaded or far last, else the order in
    which the user named them."""
    nearest_s = min((target.rtt_s for target in targets), default=0.0)

    def ability(target: Target) -> int:
        if target.two_addresses:
            return 0 if target.nattools else 1
        return 2 if target.other is not None else 3

    def strained(target: Target) -> bool:
        return target.lost > 0 or target.rtt_s > FAR * nearest_s + FAR_S

    return sorted(targets, key=lambda target: (ability(target), strained(target)))


def steps(probes: Iterable[P], lane: Lane, targets: Sequence[Target]) -> list[PlannedProbe[P]]:
    """The probes of a lane that these servers can serve. All of them may run side by side: those that need
    what others find wait for it."""
    return _steps((probe for probe in probes if not probe.last), lane, targets)


def last_steps(probes: Iterable[P], reached: Sequence[Target]) -> list[tuple[Lane, PlannedProbe[P]]]:
    """What comes one by one when all else is over: probe after probe as they are registered, each in all its
    lanes."""
    found = []
    for probe in [probe for probe in probes if probe.last]:
        for lane in lanes(FAMILIES):
            of_lane = [target for target in reached if (target.transport, target.family) == lane.key]
            found += [(lane, step) for step in _steps([probe], lane, of_lane)]
    return found


def _steps(probes: Iterable[P], lane: Lane, targets: Sequence[Target]) -> list[PlannedProbe[P]]:
    best = ranked(targets)
    asked = [(probe, tuple(probe.servers(best))) for probe in probes if probe.transport == lane.transport]
    return [PlannedProbe(probe, servers) for probe, servers in asked if servers]


def gaps(probes: Iterable[P], lane: Lane, targets: Sequence[Target]) -> list[Gap]:
    """The questions of a lane that these servers cannot answer, and who could."""
    of_lane = [probe for probe in probes if probe.transport == lane.transport]
    return [gap for probe in of_lane if (gap := probe.gap(lane, targets)) is not None]
