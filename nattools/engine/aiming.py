"""Which hole to punch: from what is measured so far to a TTL and a port. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from nattools.model.nat import Nat
from nattools.model.observation import AnyObservation, Hop, Opener
from nattools.probes.aim import Aim
from nattools.probes.target import Target
from nattools.traversal.side import Side, side_of

_WHY_NOT = {
    "in a block": "the port of a new mapping is drawn from a block, and cannot be foretold",
    "at random": "the port of a new mapping is drawn at random, and cannot be foretold",
    "somehow": "how the port of a new mapping is chosen is not known",
}


def aim_at(nat: Nat | None, target: Target, seen: Iterable[AnyObservation]) -> Aim | str:
    """How to punch towards the target's second address, or why there is nothing to aim at."""
    side = side_of(nat)
    if nat is None or side is None:
        return "how the NAT maps ports is not known"
    if side.moves in _WHY_NOT:
        return _WHY_NOT[side.moves]
    step = side.step if side.moves == "predictably" and not side.keeps else 0
    seen = tuple(seen)
    sure = any(isinstance(each, Opener) and each.opened and each.ttl == side.ttl for each in seen)
    return Aim(_ttls(nat, side, target, seen), sure, step)


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
