"""Which way leads to a peer behind each kind of NAT, given our own side.

The rules are `nattools.traversal`'s, which also make the plan for two measured machines; whether a given
peer is of that kind is for its own diagnosis to say.
"""

from __future__ import annotations

from collections.abc import Mapping

from nattools.model.endpoint import Transport
from nattools.model.nat import Nat, PeerKind
from nattools.model.portmapping import PortMapping
from nattools.traversal.side import KINDS, Side, side_of
from nattools.traversal.steps import Step
from nattools.traversal.tcp_strategies import restricted, tcp_steps
from nattools.traversal.udp_strategies import udp_steps

_WHOSE = ("our", "its")


def peer_kinds(
    udp: Nat | None, tcp: Nat | None, mapped: Mapping[Transport, PortMapping] | None = None
) -> tuple[PeerKind, ...]:
    """A row for each kind of peer. `mapped`: port mappings that are proven from outside, by transport."""
    own = side_of(udp)
    rows = (_row(kind, own, peer, tcp) for kind, peer in KINDS.items())
    return tuple(_through(row, KINDS[row.kind], mapped or {}) for row in rows)


def _through(row: PeerKind, peer: Side, mapped: Mapping[Transport, PortMapping]) -> PeerKind:
    """The same row where the router has opened a port: everybody can write or connect to that."""
    if row.strategy == "host" or not mapped:
        return row
    if "udp" in mapped and peer.reachable:
        return _mapped(row.kind, "It writes to the port that your router opens for everybody.")
    if "tcp" in mapped:
        why = "Over TCP: it connects to the port that your router opens for everybody."
        return _mapped(row.kind, why)
    return row


def _mapped(kind: str, why: str) -> PeerKind:
    return PeerKind(kind=kind, path="direct", strategy="mapped", why=why)


def _row(kind: str, own: Side | None, peer: Side, tcp: Nat | None) -> PeerKind:
    if own is None:
        return _unknown(kind, "Not known, since this network's own mapping behaviour is not.")
    if not own.reachable or not peer.reachable:
        return _over_tcp(kind, own, peer, tcp)
    steps = udp_steps(own, peer, _WHOSE)
    if steps:
        return _direct(kind, steps[0])
    if "somehow" in (own.moves, peer.moves):
        return _unknown(kind, "How our NAT chooses ports is not known; more fresh ports would settle it.")
    return _relay(
        kind, "Both outside ports change, one of them among all: it would take minutes and many packets."
    )


def _over_tcp(kind: str, own: Side, peer: Side, tcp: Nat | None) -> PeerKind:
    """UDP is blocked on one side or both."""
    if tcp is None or tcp.reachable is not True:
        if own.reachable:
            return _unknown(kind, "UDP does not pass on one side, and our TCP was not measured.")
        return _relay(kind, "Neither UDP nor TCP gets out.")
    ports = restricted(tcp)
    if ports is not None:
        return _relay(kind, f"TCP leaves this network only to certain ports ({ports}); a relay there works.")
    side = side_of(tcp) or Side(moves="somehow")
    # what blocks UDP says nothing of TCP: taken for an ordinary router there
    steps = tcp_steps(side, peer if peer.reachable else Side(), _WHOSE)
    if steps:
        return _direct(kind, steps[0])
    return _relay(kind, "UDP does not pass on one side; a relay over TCP or TLS does.")


def _direct(kind: str, step: Step) -> PeerKind:
    """Odds and time are told where chance has a part in it."""
    told = step.odds is not None and step.odds < 1.0
    return PeerKind(
        kind=kind,
        path="direct",
        strategy=step.strategy,
        odds=step.odds if told or step.strategy == "birthday" else None,
        seconds=step.seconds if told or step.strategy == "birthday" else None,
        why=step.why,
    )


def _relay(kind: str, why: str) -> PeerKind:
    return PeerKind(kind=kind, path="relay", strategy="relay", why=why)


def _unknown(kind: str, why: str) -> PeerKind:
    return PeerKind(kind=kind, path="unknown", strategy="", why=why)
