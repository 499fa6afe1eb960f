"""NAT behaviour in the terms of RFC 4787, and RFC 3489's old names for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from nattools.model.droppedat import DroppedAt
from nattools.model.statement import Reason

MappingBehaviour = Literal[
    "none", "endpoint-independent", "address-dependent", "address-and-port-dependent", "unknown"
]
FilteringBehaviour = Literal[
    "endpoint-independent", "address-dependent", "address-and-port-dependent", "unknown"
]
PortAllocation = Literal["preserving", "sequential", "random", "unknown"]
QuotedChecksumKind = Literal["restored", "translated", "removed", "unclear", "unknown"]
Pooling = Literal["paired", "arbitrary", "per-destination", "unknown"]
Classic = Literal[
    "open internet",
    "symmetric firewall",
    "full cone",
    "restricted cone",
    "port-restricted cone",
    "symmetric",
    "udp blocked",
    "unknown",
]


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """One hop on the way out, nearest first. `address` None: it did not answer."""

    hops: int
    address: str | None
    role: Literal["router", "nat", "carrier-nat", "internet", "unknown"]


class Nat(msgspec.Struct, frozen=True, kw_only=True):
    """What stands between this machine and the internet, for one transport and address family.

    `mapping_depends_on_port`: does the destination's port make a difference? One address of a server tells,
    not all of `mapping`. `port_range` is the lowest and highest external port that is known or
    inferred, `port_block` True when the NAT draws from a block of that range. `port_mask` (mask, value): only
    ports with `port & mask == value` were seen, as where customers share an address by MAP-E (RFC 7597 5.1);
    None: no such pattern. `binding_lifetime_bounds_s`:
    the longest idle time that a mapping survived and the shortest that it did not (None: not tested that
    far). `distance_hops`: how many hops away the outermost NAT stands (1: the router next to us).
    `pooling`: which of several external addresses a mapping gets (RFC 4787 4.1): the same for all of this
    machine's, any, or one for each destination, as where two uplinks share the load.
    `quoted_checksum`: which checksum ICMP errors from beyond quote of a datagram once they are here: the one
    that it was sent with, the one that the NAT gave it (with which its outside port is known), none, or one
    that is neither; None: there is no NAT, or it was not asked.
    `dropped_at`: who stops what nobody asked for; None: nothing is stopped, as far as is known, or the NAT is
    reason enough. `reachable`: False when nothing came back at all. `hairpinning_confidence` is the share of
    repeated tests that agree. `unknowns` says why a field is not known, in the text of `unknown_reasons`.
    `evidence` are observation ids.
    """

    reachable: bool | None = None
    present: bool | None = None
    mapping: MappingBehaviour = "unknown"
    mapping_depends_on_port: bool | None = None
    filtering: FilteringBehaviour = "unknown"
    dropped_at: DroppedAt | None = None
    port_allocation: PortAllocation = "unknown"
    port_step: int | None = None
    port_range: tuple[int, int] | None = None
    port_block: bool | None = None
    port_mask: tuple[int, int] | None = None
    hairpinning: bool | None = None
    hairpinning_confidence: float | None = None
    quoted_checksum: QuotedChecksumKind | None = None
    binding_lifetime_s: float | None = None
    binding_lifetime_bounds_s: tuple[float | None, float | None] | None = None
    refreshed_by_inbound: bool | None = None
    external: tuple[str, ...] = ()
    pooling: Pooling = "unknown"
    cgnat: bool | None = None
    double_nat: bool | None = None
    distance_hops: int | None = None
    layers: tuple[Layer, ...] = ()
    classic: Classic = "unknown"
    blocked_ports: tuple[int, ...] = ()
    open_ports: tuple[int, ...] = ()
    loss: float | None = None
    rtt_ms: float | None = None
    unknowns: dict[str, str] = {}
    unknown_reasons: dict[str, Reason] = {}
    evidence: dict[str, tuple[int, ...]] = {}

    @property
    def shows_addresses(self) -> bool:
        """Has each peer the same port, at one of several addresses, as where two uplinks share the load?"""
        kept = self.port_allocation == "preserving" and self.mapping == "address-dependent"
        return kept and self.pooling == "per-destination"


def _kind(
    mapping: MappingBehaviour = "endpoint-independent",
    filtering: FilteringBehaviour = "address-and-port-dependent",
    allocation: PortAllocation = "unknown",
    block: tuple[int, int] | None = None,
) -> Nat:
    return Nat(
        reachable=True,
        present=mapping != "none",
        mapping=mapping,
        filtering=filtering,
        port_allocation=allocation,
        port_range=block,
        port_block=None if block is None else True,
    )


NAT_KINDS: dict[str, Nat] = {
    "open internet": _kind("none", "endpoint-independent"),
    "firewall": _kind("none"),
    "full cone": _kind(filtering="endpoint-independent"),
    "address-restricted": _kind(filtering="address-dependent"),
    "port-restricted": _kind(),
    "symmetric sequential": _kind("address-and-port-dependent", allocation="sequential"),
    "symmetric random": _kind("address-and-port-dependent", allocation="random"),
    "symmetric block": _kind("address-and-port-dependent", allocation="random", block=(2048, 2559)),
    "udp blocked": Nat(reachable=False),
}
"""Common kinds of networks as they show over UDP: what peers are assumed to be behind, and labs draw."""


class NatByTransport(msgspec.Struct, frozen=True, kw_only=True):
    """None: not measured at all (no address of that family, or not asked for)."""

    udp4: Nat | None = None
    udp6: Nat | None = None
    tcp4: Nat | None = None
    tcp6: Nat | None = None

    def over_ipv4(self) -> Nat | None:
        """What stands in the way of IPv4: as UDP found, or as TCP did where UDP does not tell."""
        return self.udp4 if self.udp4 is not None and self.udp4.present is not None else self.tcp4

    def over_ipv6(self) -> Nat | None:
        """What came of IPv6: of UDP, or of TCP where that alone was answered or measured."""
        reached = self.tcp6 is not None and self.tcp6.reachable is True
        return self.tcp6 if self.udp6 is None or (self.udp6.reachable is False and reached) else self.udp6

    def external(self) -> set[str]:
        """The addresses seen from outside, over all transports and families."""
        lanes = (self.udp4, self.udp6, self.tcp4, self.tcp6)
        return {host for nat in lanes if nat is not None for host in nat.external}

    def each(self, change: Callable[[Nat], Nat]) -> NatByTransport:
        """`change` applied to each lane that was measured."""
        found = {name: nat and change(nat) for name, nat in msgspec.structs.asdict(self).items()}
        return NatByTransport(**found)


class Requirement(msgspec.Struct, frozen=True, kw_only=True):
    """One requirement of RFC 4787 (UDP), RFC 5382 (TCP) or RFC 5508 (ICMP), held against what was seen.
    `why` is the text of `reason`."""

    rfc: Literal[4787, 5382, 5508]
    number: str
    title: str
    status: Literal["met", "not met", "untested"]
    why: str = ""
    evidence: tuple[int, ...] = ()
    reason: Reason = ()


class PeerKind(msgspec.Struct, frozen=True, kw_only=True):
    """How this machine connects to a peer behind a NAT of this kind.

    `odds` in 0..1 and `seconds` are for the strategy named; `why` is the text of `reason`. `relay_rtt_ms`: a
    round trip through the best relay that was tried, where the way is a relay.
    """

    kind: str
    path: Literal["direct", "relay", "unknown"]
    strategy: str
    odds: float | None = None
    seconds: float | None = None
    relay_rtt_ms: float | None = None
    why: str = ""
    reason: Reason = ()
