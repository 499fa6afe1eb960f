"""Which way leads to a peer behind each kind of NAT, given our own side.

The strategies are those that were measured to work on such pairs; whether a given peer is of that kind is
for its own diagnosis to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Literal

import msgspec

from nattools.engine.analysis.behaviour import varies
from nattools.model.endpoint import Transport
from nattools.model.nat import Nat, PeerKind
from nattools.model.report import Mapping as PortMapping

SOCKETS = 256
"""Ports that the side with the random mapping opens."""
PROBES = 1024
"""Ports that the other side then tries."""
PROBES_PER_S = 400.0
"""Slow enough for home routers' session tables."""
BLOCK_SOCKETS = 128
RANDOM_PORTS = 64512
"""1024 to 65535."""
USUAL_BLOCK = 512

Moves = Literal["not", "predictably", "in a block", "at random", "somehow"]
Accepts = Literal["all", "address", "port"]


class Side(msgspec.Struct, frozen=True):
    """One end as the other has to deal with it. `moves`: how the outside port changes between destinations;
    `accepts`: who may send in; `udp`: False if UDP does not get through; `pool`: ports that it draws from."""

    moves: Moves = "not"
    accepts: Accepts = "port"
    udp: bool = True
    pool: int = RANDOM_PORTS


_ACCEPTS: dict[str, Accepts] = {"endpoint-independent": "all", "address-dependent": "address"}
KINDS: dict[str, Side] = {
    "open internet": Side(accepts="all"),
    "firewall": Side(),
    "full cone": Side(accepts="all"),
    "address-restricted": Side(accepts="address"),
    "port-restricted": Side(),
    "symmetric sequential": Side("predictably"),
    "symmetric random": Side("at random"),
    "symmetric block": Side("in a block", pool=USUAL_BLOCK),
    "udp blocked": Side(udp=False),
}


@lru_cache(maxsize=64)
def odds(sockets: int, probes: int, ports: int) -> float:
    """The probability that one of `probes` distinct ports is one of `sockets` open ones, of `ports` in all
    (drawing without replacement): 256 sockets and 1,024 probes find each other in 98.35% of cases."""
    missed = 1.0
    for index in range(min(probes, ports)):
        closed = ports - sockets - index
        if closed <= 0:
            return 1.0
        missed *= closed / (ports - index)
    return 1.0 - missed


def side_of(nat: Nat | None) -> Side | None:
    """Our own side; None if not enough is known to say anything. Where only the filtering is unknown, the
    strictest is taken: what works with it works with all."""
    if nat is None:
        return None
    if nat.reachable is False:
        return Side(udp=False)
    moving = varies(nat)
    if moving is None:
        return None
    accepts = _ACCEPTS.get(nat.filtering, "port")
    if not moving:
        return Side("not", accepts)
    if nat.port_allocation in ("sequential", "preserving"):
        return Side("predictably", accepts)
    if nat.port_allocation == "unknown":
        return Side("somehow", accepts)
    pool = RANDOM_PORTS if nat.port_range is None else nat.port_range[1] - nat.port_range[0] + 1
    return Side("in a block" if nat.port_block else "at random", accepts, pool=max(1, pool))


def peers(
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
    if "udp" in mapped and peer.udp:
        return _direct(row.kind, "mapped", "It writes to the port that your router opens for everybody.")
    if "tcp" in mapped:
        why = "Over TCP: it connects to the port that your router opens for everybody."
        return _direct(row.kind, "mapped", why)
    return row


def _row(kind: str, own: Side | None, peer: Side, tcp: Nat | None) -> PeerKind:
    if own is None:
        why = "Not known, since this network's own mapping behaviour is not."
        return PeerKind(kind=kind, path="unknown", strategy="", why=why)
    if not own.udp or not peer.udp:
        return _over_tcp(kind, own, tcp)
    return _over_udp(kind, own)


@lru_cache(maxsize=256)
def _over_udp(kind: str, own: Side) -> PeerKind:
    peer = KINDS[kind]
    if own.moves == "not" and peer.moves == "not":
        return _plain(kind, own, peer)
    if own.moves == "not" or peer.moves == "not":
        return _one_moves(kind, own, peer)
    return _both_move(kind, own, peer)


def _plain(kind: str, own: Side, peer: Side) -> PeerKind:
    if kind == "open internet":
        return _direct(kind, "host", "It accepts packets from anybody: writing to it is enough.")
    if own.accepts == "all":
        return _direct(kind, "reflexive", "It only has to write to our outside address.")
    return _direct(
        kind, "reflexive", "Both sides keep their outside ports: both send, and each opens its own side."
    )


def _one_moves(kind: str, own: Side, peer: Side) -> PeerKind:
    still, moving = (own, peer) if own.moves == "not" else (peer, own)
    whose = "its" if moving is peer else "our"
    if still.accepts != "port":
        if kind == "open internet":
            return _direct(kind, "host", "It accepts packets from anybody: writing to it is enough.")
        return _direct(kind, "reflexive", f"The other side accepts packets whatever {whose} outside port is.")
    if moving.moves == "predictably":
        why = f"The next of {whose} outside ports can be foretold, unless others take it first."
        return _direct(kind, "prediction", why)
    if moving.moves == "somehow":
        why = "How our NAT chooses ports is not known; more fresh ports would settle it."
        return PeerKind(kind=kind, path="unknown", strategy="", why=why)
    return _birthday(kind, moving, whose)


def _birthday(kind: str, moving: Side, whose: str) -> PeerKind:
    sockets, probes = (SOCKETS, PROBES)
    if moving.moves == "in a block":
        sockets, probes = min(BLOCK_SOCKETS, moving.pool), min(PROBES, moving.pool)
    chance = odds(sockets, probes, moving.pool)
    place = f"a block of {moving.pool}" if moving.moves == "in a block" else f"{moving.pool:,}"
    why = f"{sockets} of {whose} ports out of {place}, and {probes:,} tries at {PROBES_PER_S:.0f} a second."
    return _direct(kind, "birthday", why, round(chance, 4), round(probes / PROBES_PER_S, 2))


def _both_move(kind: str, own: Side, peer: Side) -> PeerKind:
    ways = {own.moves, peer.moves}
    if "somehow" in ways:
        why = "How our NAT chooses ports is not known; more fresh ports would settle it."
        return PeerKind(kind=kind, path="unknown", strategy="", why=why)
    if ways == {"predictably"}:
        return _direct(
            kind, "prediction", "Both sides' next ports can be foretold, unless others take them first."
        )
    if "at random" in ways:
        why = "Both outside ports change, one of them among all: it would take minutes and many packets."
        return _relay(kind, why)
    pool = min(side.pool for side in (own, peer) if side.moves == "in a block")
    why = "One side opens all ports of its block but one, the other tries one. It uses the block up a while."
    return _direct(kind, "birthday", why, round((pool - 1) / pool, 4), round(pool / PROBES_PER_S, 2))


def _over_tcp(kind: str, own: Side, tcp: Nat | None) -> PeerKind:
    """UDP is blocked on one side or both."""
    if tcp is None or tcp.reachable is not True:
        why = (
            "UDP does not pass on one side, and our TCP was not measured."
            if own.udp
            else "Neither UDP nor TCP gets out."
        )
        return PeerKind(kind=kind, path="unknown", strategy="", why=why) if own.udp else _relay(kind, why)
    if tcp.blocked_ports:
        ports = ", ".join(map(str, tcp.open_ports)) or "some"
        return _relay(kind, f"TCP leaves this network only to certain ports ({ports}); a relay there works.")
    if not own.udp and KINDS[kind].accepts == "all" and KINDS[kind].udp:
        return _direct(kind, "host", "Over TCP: it accepts connections from anybody.")
    if varies(tcp) is False and tcp.filtering == "endpoint-independent":
        return _direct(kind, "reflexive", "Over TCP: it connects to our outside port, which accepts anybody.")
    if varies(tcp) is False and KINDS[kind].moves == "not":
        why = "Over TCP, both opening at once, where neither network restricts the ports; else by a relay."
        return _direct(kind, "simultaneous-open", why)
    return _relay(kind, "UDP does not pass on one side; a relay over TCP or TLS does.")


def _direct(
    kind: str, strategy: str, why: str, chance: float | None = None, seconds: float | None = None
) -> PeerKind:
    return PeerKind(kind=kind, path="direct", strategy=strategy, odds=chance, seconds=seconds, why=why)


def _relay(kind: str, why: str) -> PeerKind:
    return PeerKind(kind=kind, path="relay", strategy="relay", why=why)
