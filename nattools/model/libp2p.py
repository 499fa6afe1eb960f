"""What libp2p makes of this network: peers, addresses, relays, and whether two meet directly."""

from __future__ import annotations

from typing import Literal

import msgspec

from nattools.model.statement import Reason

Dcutr = Literal["possible", "birthday only", "impossible", "unknown"]


class Libp2pPeer(msgspec.Struct, frozen=True, kw_only=True):
    """A peer that was asked, at `address`. `identified`: it said who it is; `agent`: its program. `observed`:
    from where it sees this machine. `autonat`, `relay`: does it offer AutoNAT v2, and relay (v2)? `quic`: a
    QUIC port of it answered (None: not tried, or silent, which proves nothing). `why`, the text of `reason`:
    why it could not be asked."""

    address: str
    identified: bool = False
    observed: tuple[str, ...] = ()
    agent: str = ""
    peer: str | None = None
    rtt_ms: float | None = None
    autonat: bool | None = None
    relay: bool | None = None
    quic: bool | None = None
    why: str = ""
    reason: Reason = ()
    evidence: tuple[int, ...] = ()


class Libp2pAddress(msgspec.Struct, frozen=True, kw_only=True):
    """An own address as others see it. `reachable`: can peers connect to it that it has never written to?
    `by`: the peer by whose dial that is known. `false_positive`: AutoNAT would call it reachable, though only
    those get in whom this machine has written to. `why` is the text of `reason`."""

    address: str
    reachable: bool | None = None
    by: str = ""
    false_positive: bool = False
    why: str = ""
    reason: Reason = ()
    evidence: tuple[int, ...] = ()


class Libp2pRelay(msgspec.Struct, frozen=True, kw_only=True):
    """A relay that was asked for a place. `carries`: a connection through it was made, with a round trip of
    `rtt_ms`. The limits are of one connection through it, 0: none. `why` is the text of `reason`."""

    address: str
    reserved: bool | None = None
    limit_s: float | None = None
    limit_bytes: int | None = None
    carries: bool | None = None
    rtt_ms: float | None = None
    why: str = ""
    reason: Reason = ()
    evidence: tuple[int, ...] = ()


class DcutrKind(msgspec.Struct, frozen=True, kw_only=True):
    """How libp2p connects with a peer behind a NAT of this kind: "direct" by itself or by DCUtR, or through a
    relay. `why` is the text of `reason`."""

    kind: str
    path: Literal["direct", "relay", "unknown"]
    why: str = ""
    reason: Reason = ()


class Libp2pUpgrade(msgspec.Struct, frozen=True, kw_only=True):
    """A peer that was met through a relay. `role`: who called whom. `direct`: did the connection become a
    direct one? None: the peer did not try. `attempts`: how often both ends called each other at once (0: one
    of them just connected). `elapsed_s`: since there was a relayed connection. `why` is the text of
    `reason`."""

    peer: str
    relay: str
    role: Literal["caller", "called"]
    relayed: bool
    direct: bool | None = None
    attempts: int = 0
    local: str | None = None
    remote: str | None = None
    rtt_ms: float | None = None
    relayed_rtt_ms: float | None = None
    elapsed_s: float | None = None
    why: str = ""
    reason: Reason = ()
    evidence: tuple[int, ...] = ()


class Libp2p(msgspec.Struct, frozen=True, kw_only=True):
    """`relay_reserved`: did one of the relays give a reservation? `dcutr`: can this machine and another one
    behind a NAT upgrade a relayed connection to a direct one ("birthday only": not by libp2p, which does not
    guess ports)? `names`: do names of libp2p's (`/dnsaddr`, TXT records) lead to addresses; None: none was
    asked. `why` is the text of `reason`."""

    peers: tuple[Libp2pPeer, ...] = ()
    names: bool | None = None
    autonat: tuple[Libp2pAddress, ...] = ()
    relays: tuple[Libp2pRelay, ...] = ()
    relay_reserved: bool | None = None
    dcutr: Dcutr = "unknown"
    dcutr_with: tuple[DcutrKind, ...] = ()
    upgrades: tuple[Libp2pUpgrade, ...] = ()
    why: str = ""
    reason: Reason = ()
