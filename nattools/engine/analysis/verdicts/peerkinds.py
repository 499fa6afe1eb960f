"""Which way leads to a peer behind each kind of NAT, given our own side.

The rules are `nattools.traversal`'s, which also make the plan for two measured machines; whether a given
peer is of that kind is for its own diagnosis to say.
"""

from __future__ import annotations

from collections.abc import Mapping

from nattools.model.endpoint import Transport
from nattools.model.nat import Nat, PeerKind
from nattools.model.portmapping import PortMapping
from nattools.model.statement import Statement, statement
from nattools.traversal.plan.side import KINDS, Side, only_services, side_of
from nattools.traversal.plan.steps import Step
from nattools.traversal.plan.tcpstrategies import restricted, tcp_steps
from nattools.traversal.plan.udpstrategies import udp_steps

_WHOSE = ("our", "its")


def peer_kinds(
    udp: Nat | None, tcp: Nat | None, mapped: Mapping[Transport, PortMapping] | None = None
) -> tuple[PeerKind, ...]:
    """A row for each kind of peer. `mapped`: port mappings that are verified from outside, by transport."""
    own = Side(reachable=False) if only_services(udp) else side_of(udp)
    rows = (_row(kind, own, peer, tcp) for kind, peer in KINDS.items())
    return tuple(_through(row, KINDS[row.kind], mapped or {}) for row in rows)


def _through(row: PeerKind, peer: Side, mapped: Mapping[Transport, PortMapping]) -> PeerKind:
    """The same row where the router has opened a port: everybody can write or connect to that."""
    if row.strategy == "host" or not mapped:
        return row
    if "udp" in mapped and peer.reachable:
        return _mapped(row.kind, statement("peer-mapped-udp"))
    if "tcp" in mapped:
        return _mapped(row.kind, statement("peer-mapped-tcp"))
    return row


def _mapped(kind: str, why: Statement) -> PeerKind:
    return PeerKind(kind=kind, path="direct", strategy="mapped", reason=(why,))


def _row(kind: str, own: Side | None, peer: Side, tcp: Nat | None) -> PeerKind:
    if own is None:
        return _unknown(kind, statement("peer-own-mapping-unknown"))
    if not own.reachable or not peer.reachable:
        return _over_tcp(kind, own, peer, tcp)
    steps = udp_steps(own, peer, _WHOSE)
    if steps:
        return _direct(kind, steps[0])
    if "somehow" in (own.moves, peer.moves):
        return _unknown(kind, statement("peer-own-allocation-unknown"))
    return _relay(kind, statement("peer-both-random"))


def _over_tcp(kind: str, own: Side, peer: Side, tcp: Nat | None) -> PeerKind:
    """UDP is blocked on one side or both."""
    if tcp is None or tcp.reachable is not True:
        if own.reachable:
            return _unknown(kind, statement("peer-tcp-not-measured"))
        return _relay(kind, statement("peer-nothing-passes"))
    ports = restricted(tcp)
    if ports is not None:
        return _relay(kind, statement("peer-tcp-ports", ports=ports))
    side = side_of(tcp) or Side(moves="somehow")
    # what blocks UDP says nothing of TCP: taken for an ordinary router there
    steps = tcp_steps(side, peer if peer.reachable else Side(), _WHOSE)
    if steps:
        return _direct(kind, steps[0])
    return _relay(kind, statement("peer-udp-blocked"))


def _direct(kind: str, step: Step) -> PeerKind:
    """Odds and time are given where chance plays a part."""
    by_chance = step.odds is not None and step.odds < 1.0
    return PeerKind(
        kind=kind,
        path="direct",
        strategy=step.strategy,
        odds=step.odds if by_chance or step.strategy == "birthday" else None,
        seconds=step.seconds if by_chance or step.strategy == "birthday" else None,
        reason=(step.reason,),
    )


def _relay(kind: str, why: Statement) -> PeerKind:
    return PeerKind(kind=kind, path="relay", strategy="relay", reason=(why,))


def _unknown(kind: str, why: Statement) -> PeerKind:
    return PeerKind(kind=kind, path="unknown", strategy="", reason=(why,))
