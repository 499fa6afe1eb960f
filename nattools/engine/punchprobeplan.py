"""Which hole to punch: from what is measured so far to a TTL and a port. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nattools.engine.analysis.findings import main_family
from nattools.model.endpoint import Family, Transport, host_of
from nattools.model.nat import Nat
from nattools.model.observation import AnyObservation, Hop, Opener
from nattools.probes.birthday import BirthdayPlan
from nattools.probes.target import Target
from nattools.probes.udppunch import PunchPlan
from nattools.traversal.plan.odds import odds
from nattools.traversal.plan.side import Side, side_of
from nattools.traversal.plan.stepbuilding import PROBES_PER_S
from nattools.traversal.plan.udpstrategies import PROBES

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
    sure = any(
        isinstance(each, Opener) and each.opened and (each.ttl, each.family) == (side.ttl, target.family)
        for each in seen
    )
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
    return host_of(hop.destination) == host.partition("%")[0]
