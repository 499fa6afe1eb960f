"""What to ask, of whom, and what can run side by side. Pure: decided from what the probes say that they need,
from the options, and from what the servers turned out to be able to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from nattools.engine.analysis.findings import main_family
from nattools.model.endpoint import Family, Transport
from nattools.model.nat import Nat
from nattools.model.observation import AnyObservation, Gap, Hop, Opener
from nattools.probes.birthday import BirthdayPlan
from nattools.probes.target import Lane, Target
from nattools.probes.udppunch import PunchPlan
from nattools.traversal.odds import odds
from nattools.traversal.side import Side, side_of
from nattools.traversal.udp_strategies import PROBES, PROBES_PER_S

FAMILIES: tuple[Family, ...] = (4, 6)


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


@dataclass(frozen=True, slots=True)
class PlannedProbe(Generic[P]):
    """One probe with the servers it is put to, the most able one first."""

    probe: P
    targets: tuple[Target, ...]


def lanes(families: Sequence[Family]) -> list[Lane]:
    """UDP and TCP over each family that has a route."""
    return [Lane(transport, family) for family in families for transport in ("udp", "tcp")]


def ranked(targets: Sequence[Target]) -> list[Target]:
    """The most able server first; among equals the order in which the user named them."""

    def ability(target: Target) -> int:
        if target.two_addresses:
            return 0 if target.nattools else 1
        return 2 if target.other is not None else 3

    return sorted(targets, key=ability)


def steps(probes: Iterable[P], lane: Lane, targets: Sequence[Target]) -> list[PlannedProbe[P]]:
    """The probes of a lane that these servers can serve. All of them may run side by side: those that need
    what others find wait for it."""
    return _steps((probe for probe in probes if not probe.last), lane, targets)


def last_steps(probes: Iterable[P], reached: Sequence[Target]) -> list[tuple[Lane, PlannedProbe[P]]]:
    """What comes one by one when all else is over."""
    last = [probe for probe in probes if probe.last]
    found = []
    for lane in lanes(FAMILIES):
        of_lane = [target for target in reached if (target.transport, target.family) == lane.key]
        found += [(lane, step) for step in _steps(last, lane, of_lane)]
    return found


def _steps(probes: Iterable[P], lane: Lane, targets: Sequence[Target]) -> list[PlannedProbe[P]]:
    best = ranked(targets)
    asked = [(probe, tuple(probe.servers(best))) for probe in probes if probe.transport == lane.transport]
    return [PlannedProbe(probe, servers) for probe, servers in asked if servers]


def gaps(probes: Iterable[P], lane: Lane, targets: Sequence[Target]) -> list[Gap]:
    """The questions of a lane that these servers cannot answer, and who could."""
    of_lane = [probe for probe in probes if probe.transport == lane.transport]
    return [gap for probe in of_lane if (gap := probe.gap(lane, targets)) is not None]


MOST_SOCKETS = 256
_SOCKETS = (32, 64, 128, MOST_SOCKETS)
_WANTED = 0.999
"""The odds that the first half of the tries is to have; with 256 ports and the widest pool 98% have to do,
and 99.97% for both halves."""

_WHY_NOT = {
    "in a block": "the port of a new mapping is drawn from a block, and cannot be predicted",
    "at random": "the port of a new mapping is drawn at random, and cannot be predicted",
    "somehow": "how the port of a new mapping is chosen is not known",
}


def plan_punch(nat: Nat | None, target: Target, seen: Iterable[AnyObservation]) -> PunchPlan | str:
    """How to punch towards the target's second address, or why no port can be predicted."""
    side = side_of(nat)
    if nat is None or side is None:
        return "how the NAT maps ports is not known"
    if side.moves in _WHY_NOT:
        return _WHY_NOT[side.moves]
    step = side.step if side.moves == "predictably" and not side.keeps else 0
    seen = tuple(seen)
    sure = any(isinstance(each, Opener) and each.opened and each.ttl == side.ttl for each in seen)
    return PunchPlan(_ttls(nat, side, target, seen), sure, step)


def plan_birthday(found: Mapping[tuple[Transport, Family], Nat], family: Family) -> BirthdayPlan | None:
    """How to meet the ports that the NAT draws at random; None where it does not, and in the family that the
    verdicts are not about. As few of the router's mappings as will do."""
    if main_family(found.get(("udp", 4)), found.get(("udp", 6))) != family:
        return None
    side = side_of(found.get(("udp", family)))
    if side is None or side.moves not in ("in a block", "at random"):
        return None
    sockets = next((n for n in _SOCKETS if odds(n, PROBES, side.size) >= _WANTED), MOST_SOCKETS)
    sockets = max(1, min(sockets, side.size // 2))
    return BirthdayPlan(side.pool, sockets, min(2 * PROBES, side.size), PROBES, PROBES_PER_S, side.ttl)


def _ttls(nat: Nat, side: Side, target: Target, seen: tuple[AnyObservation, ...]) -> tuple[int, ...]:
    """To behind the outermost NAT. Without a NAT, to the last router that is known before the server: it has
    passed every firewall then."""
    if side.ttl is not None:
        return (side.ttl,)
    if nat.present is not False:
        return ()
    way = str(target.endpoint.host)
    hops = [hop.ttl for hop in seen if isinstance(hop, Hop) and _towards(hop, way)]
    return (max(hops),) if hops else ()


def _towards(hop: Hop, host: str) -> bool:
    return hop.destination.rpartition(":")[0].strip("[]") == host
