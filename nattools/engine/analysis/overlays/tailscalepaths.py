"""Which pairs of networks Tailscale connects directly, by its own means.

Its client sends from one port to every address at which the peer was seen, and the peer does the same once it
is told to by a message through the relay (CallMeMaybe). There is no port prediction and no birthday probing:
a NAT that gives another port to each peer is met only by peers that let an address in whatever its port.
Held to tailscaled 1.102 in `tests/interop/test_tailscale.py`.
"""

from __future__ import annotations

from msgspec.structs import replace

from nattools.engine.analysis.findings import Findings
from nattools.engine.analysis.obstacles import true_mappings
from nattools.model.nat import Nat
from nattools.model.tailscale import TailscaleWay
from nattools.traversal.plan.side import KINDS, Side, only_services, side_of


def connects_directly(one: Side, other: Side) -> bool:
    """Do pings get through, so that a direct path comes about? Symmetric."""
    if not one.reachable or not other.reachable:
        return False
    return _arrives(one, other) or _arrives(other, one)


def _arrives(sender: Side, receiver: Side) -> bool:
    """Does what one sends to the address where the other was seen get in, and an answer get back?

    Who has been seen at a port that stays has sent to the sender's address, too, but not to a port of it
    that nobody knows."""
    if receiver.moves != "not":
        # the port at which it was seen is for the STUN server alone, and answers leave by another one
        return receiver.accepts == "all" and sender.accepts in ("all", "address")
    if receiver.accepts == "port":
        return sender.moves == "not"
    return receiver.accepts == "all" or sender.addresses == 1


def direct_with(findings: Findings) -> dict[str, TailscaleWay]:
    """For each kind of network that a peer may be behind. Where no relay works "relay" is no answer: what
    will be there once one works is unknown."""
    nat = findings.nat("udp", findings.main)
    ways = ways_with_kinds(nat, mapped="udp" in true_mappings(findings))
    if not _no_relay(findings):
        return ways
    return {kind: "unknown" if way == "relay" else way for kind, way in ways.items()}


def _no_relay(findings: Findings) -> bool:
    """Were DERP servers tried, and none of them reached?"""
    tried = [row for row in findings.relays if row.kind == "derp"]
    return bool(tried) and all(row.works is False and row.direct_rtt_ms is None for row in tried)


def ways_with_kinds(nat: Nat | None, *, mapped: bool = False) -> dict[str, TailscaleWay]:
    """For each kind of network that a peer may be behind. `mapped`: the router has opened a port that was
    verified from outside, which Tailscale asks it for as well."""
    return {kind: _way(nat, peer, mapped) for kind, peer in KINDS.items()}


def _way(nat: Nat | None, peer: Side, mapped: bool) -> TailscaleWay:
    if not peer.reachable or (nat is not None and nat.reachable is False) or only_services(nat):
        return "relay"
    if mapped:
        return "direct"
    found = {connects_directly(own, peer) for own in _possible(nat)}
    if len(found) != 1:
        return "unknown"
    return "direct" if found.pop() else "relay"


def _possible(nat: Nat | None) -> list[Side]:
    """The sides that this may be, as far as it is known."""
    if nat is None or nat.reachable is None:
        return [Side(accepts="all"), Side(moves="somehow"), Side(reachable=False)]
    known = side_of(nat)
    sides = [Side(), Side(moves="somehow")] if known is None else [known]
    if nat.filtering != "unknown" or nat.classic == "symmetric firewall":
        return sides
    return [*sides, *(replace(side, accepts="all") for side in sides)]
