"""How a router treats IPv6: it filters, silently or not, translates, lets everything through, or nothing."""

from __future__ import annotations

import random
from ipaddress import IPv6Network, ip_address
from typing import Protocol

from msgspec.structs import replace

from nattools.lab.nat.bindings import Forwards
from nattools.lab.nat.engine import Emitted, NatEngine
from nattools.lab.nat.firewallreply import Refusing, refusal
from nattools.lab.scenario import FirewallSpec, NatSpec
from nattools.protocols.packet import Packet

_MOST_INVITED = 65536
_REFUSING: dict[str, Refusing] = {"rejecting": "reject", "prohibiting": "prohibit"}


class Ipv6Engine(Protocol):
    """`NatEngine`'s interface, as far as a router needs it for IPv6. `forwards` None: nothing is filtered."""

    @property
    def outside_addresses(self) -> tuple[str, ...]:
        """The router's own."""

    @property
    def forwards(self) -> Forwards | None:
        """What was opened on request."""

    def from_inside(self, packet: Packet, now: float) -> Emitted:
        """A packet that came in from the inside network."""

    def from_outside(self, packet: Packet, now: float) -> Emitted:
        """A packet that came in from the outside network."""

    def forget(self) -> None:
        """Lose all flows."""


class PassEngine:
    """Lets in everything but what is for the router itself.

    `egress` says what inside hosts may begin; answers to what came in leave in any case.
    """

    forwards: Forwards | None = None

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

    def forget(self) -> None:
        """Nothing is remembered but whom answers may go to."""
        self._invited.clear()

    def _invite(self, packet: Packet) -> None:
        if len(self._invited) >= _MOST_INVITED:
            del self._invited[next(iter(self._invited))]
        here = (packet.destination, packet.destination_port)
        self._invited[(packet.protocol, *here, packet.source, packet.source_port)] = None


class DeadEngine:
    """Passes nothing on, and says nothing: a router whose provider has no IPv6 any more."""

    forwards: Forwards | None = None

    def __init__(self, outside_address: str) -> None:
        self.outside_addresses = (outside_address,)

    def from_inside(self, packet: Packet, now: float) -> Emitted:
        """Dropped."""
        return []

    def from_outside(self, packet: Packet, now: float) -> Emitted:
        """Dropped."""
        return []

    def forget(self) -> None:
        """There is nothing to forget."""


class RefusingEngine:
    """A firewall that answers to what it does not let in."""

    def __init__(self, engine: NatEngine, how: Refusing, outside_address: str) -> None:
        self.outside_addresses = engine.outside_addresses
        self.forwards: Forwards | None = engine.forwards
        self.forget = engine.forget
        self.from_inside = engine.from_inside
        self._engine = engine
        self._how = how
        self._own = outside_address

    def from_outside(self, packet: Packet, now: float) -> Emitted:
        """In, or refused."""
        emitted = self._engine.from_outside(packet, now)
        if emitted or packet.destination in self.outside_addresses:
            return emitted
        answer = refusal(packet, self._how, self._own)
        return [] if answer is None else [("outside", answer)]


class PrefixEngine:
    """NPTv6 (RFC 6296) as Linux does it, behind a stateful firewall: the prefix is another one outside, the
    rest of the address stays, and checksums are mended."""

    def __init__(self, firewall: NatEngine, inside: str, outside: str) -> None:
        self.outside_addresses = firewall.outside_addresses
        self.forwards: Forwards | None = firewall.forwards
        self.forget = firewall.forget
        self._firewall = firewall
        self._inside, self._outside = IPv6Network(inside), IPv6Network(outside)

    def from_inside(self, packet: Packet, now: float) -> Emitted:
        """Out, under the outside prefix."""
        return self._firewall.from_inside(self._moved(packet, self._inside, self._outside), now)

    def from_outside(self, packet: Packet, now: float) -> Emitted:
        """In, if the firewall lets it."""
        emitted = self._firewall.from_outside(packet, now)
        return [
            (side, self._moved(each, self._outside, self._inside) if side == "inside" else each)
            for side, each in emitted
        ]

    def _moved(self, packet: Packet, old: IPv6Network, new: IPv6Network) -> Packet:
        about = None if packet.about is None else self._moved(packet.about, old, new)
        source, destination = _under(packet.source, old, new), _under(packet.destination, old, new)
        return replace(packet, source=source, destination=destination, about=about)


def _under(address: str, old: IPv6Network, new: IPv6Network) -> str:
    found = ip_address(address)
    if found not in old:
        return address
    return str(new[int(found) - int(old.network_address)])


def ipv6_engine(
    spec: NatSpec | FirewallSpec,
    *,
    inside: str,
    outside_address: str,
    inside_address: str,
    outside: str | None = None,
    forwards: Forwards | None = None,
    rng: random.Random,
) -> Ipv6Engine:
    """The engine for IPv6 of a router with `ipv6` set, by `lab.scenario.Ipv6Treatment`. What inside hosts may
    begin is as for IPv4. `outside`: the prefix that inside addresses have outside, where that is another
    one. `forwards`: what was opened on request before."""
    kind = NatSpec if spec.ipv6 == "nat66" else FirewallSpec
    rules = kind(udp=spec.udp, open_ports=spec.open_ports, lifetime_s=spec.lifetime_s)
    engine = NatEngine(
        rules, inside=inside, outside_address=outside_address, inside_address=inside_address, rng=rng
    )
    if forwards is not None:
        engine.forwards = forwards
    if spec.ipv6 in ("dead", "ula"):
        return DeadEngine(outside_address)
    if spec.ipv6 in _REFUSING:
        return RefusingEngine(engine, _REFUSING[spec.ipv6], outside_address)
    if outside is not None:
        return PrefixEngine(engine, inside, outside)
    if spec.ipv6 != "open":
        return engine
    limited = spec.udp == "blocked" or spec.open_ports is not None
    return PassEngine(outside_address, engine if limited else None)
