"""How a router treats IPv6: it never translates; it filters, or lets everything through."""

from __future__ import annotations

import random

from nattools.lab.nat.engine import Emitted, NatEngine
from nattools.lab.scenario import FirewallSpec, NatSpec
from nattools.protocols.packet import Packet

_MOST_INVITED = 65536


class PassEngine:
    """Lets in everything but what is for the router itself, with `NatEngine`'s interface.

    `egress` says what inside hosts may begin; answers to what came in leave in any case.
    """

    def __init__(self, outside_address: str, egress: NatEngine | None = None) -> None:
        self.outside_addresses = (outside_address,)
        self._egress = egress
        self._invited: dict[tuple[str, str, int, str, int], None] = {}

    def from_inside(self, packet: Packet, now: float) -> Emitted:
        """Out, if `egress` lets it or it answers what came in."""
        key = (
            packet.protocol,
            packet.source,
            packet.source_port,
            packet.destination,
            packet.destination_port,
        )
        if self._egress is None or key in self._invited or packet.about is not None:
            return [("outside", packet)]
        return self._egress.from_inside(packet, now)

    def from_outside(self, packet: Packet, now: float) -> Emitted:
        """In."""
        if packet.destination in self.outside_addresses:
            return []
        if self._egress is not None:
            self._invite(packet)
        return [("inside", packet)]

    def _invite(self, packet: Packet) -> None:
        if len(self._invited) >= _MOST_INVITED:
            del self._invited[next(iter(self._invited))]
        here = (packet.destination, packet.destination_port)
        self._invited[(packet.protocol, *here, packet.source, packet.source_port)] = None


def ipv6_engine(
    spec: NatSpec | FirewallSpec,
    *,
    inside: str,
    outside_address: str,
    inside_address: str,
    rng: random.Random,
) -> NatEngine | PassEngine:
    """The engine for IPv6 of a router with `ipv6` set: "firewall" lets in only answers (RFC 6092, section 3),
    "open" lets in everything. What inside hosts may begin is as for IPv4."""
    firewall = FirewallSpec(udp=spec.udp, open_ports=spec.open_ports, lifetime_s=spec.lifetime_s)
    engine = NatEngine(
        firewall, inside=inside, outside_address=outside_address, inside_address=inside_address, rng=rng
    )
    if spec.ipv6 != "open":
        return engine
    limited = spec.udp == "blocked" or spec.open_ports is not None
    return PassEngine(outside_address, engine if limited else None)
