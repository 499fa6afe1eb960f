"""A scenario's wires and routes, worked out once and shared by all simulators of the scenario.

Pure: it knows who is joined to whom and which way a packet leaves a node, and nothing of packets or time.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable
from functools import cached_property
from ipaddress import ip_address, ip_network
from string import ascii_letters
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

from nattools.lab.impairment import Impairment
from nattools.lab.layout import Layout, Port, Segment, plan
from nattools.lab.linkqueue import is_queued
from nattools.lab.names import names_at, texts_at
from nattools.lab.scenario import NodeKind, Scenario
from nattools.lab.sim.loop import SimLoop
from nattools.lab.sim.portplan import ETHERNET_MTU, Network, PortPlan
from nattools.model.endpoint import BROADCAST, Family, family_of
from nattools.model.host import Gateway, Interface
from nattools.net.addresses import is_public
from nattools.net.base import SendFailure
from nattools.protocols.packet import Packet

# the largest IP and transport headers that this simulator sends: IPv6 and TCP with 20 bytes of options
LARGEST_HEADERS = 80
CACHED_DESTINATIONS = 20_000
CACHED_TOPOLOGIES = 64

Fate = Literal["wire", "local", "nobody", "no-route", "multicast", "prohibited"]


class UplinkLane(NamedTuple):
    """One direction of the uplink of `node` to a segment, with a bounded rate or bursts of losses. All wires
    that lead over it share its queue."""

    segment: str
    node: str
    up: bool
    impairment: Impairment


class Wire(msgspec.Struct, frozen=True):
    """One direction between two interfaces: to interface `port` of node `to` (indices).

    `plain`: delay alone, the same for both families. A transport payload of up to `room` bytes fits whatever
    its headers are."""

    number: int
    to: int
    port: int
    delay_s: float
    jitter_s: float
    loss: float
    reorder: float
    mtu: int
    room: int
    plain: bool
    more_delay6_s: float = 0.0
    lanes: tuple[UplinkLane, ...] = ()


class NextHop(msgspec.Struct, frozen=True):
    """What a node does with a destination: send on `wire` out of its interface `port`, with `source` as the
    address of packets of its own.

    `express` leads to the node after the next one, where that is a mere router at which nothing can happen to
    a packet but the loss of 1 of its TTL.
    Without a wire: "local" (an address of its own), "nobody" (nothing comes back: no machine on the
    connected network has that address, or the internet has not given it out), "multicast" (everybody on the
    segment of `port`), "prohibited" (by the node's own firewall) or "no-route".
    """

    fate: Fate
    wire: Wire | None = None
    port: int = -1
    source: str = ""
    express: Wire | None = None


class Routes(NamedTuple):
    """The routes of a socket: a cache by destination, and what to ask when it misses."""

    table: dict[str, NextHop]
    find: Callable[[str], NextHop]


class BoundAddress(NamedTuple):
    """Where a socket is bound: `host` is an own address, or the wildcard; `shown` is what `local` says."""

    host: str
    shown: str
    routes: Routes


class SocketOwner(Protocol):
    """What a socket needs of its node's stack."""

    loop: SimLoop
    rng: random.Random

    def depart(self, hop: NextHop, packet: Packet, /) -> None:
        """Send a packet on its way down the hop's wire."""

    def send_by(self, routes: Routes, packet: Packet) -> SendFailure | None:
        """Send a packet of the node's own by these routes."""

    def send_without_wire(self, packet: Packet, hop: NextHop) -> SendFailure | None:
        """A packet for the node itself, or for nobody."""

    def forget(self, socket: Any) -> None:
        """The socket is closed, or the connection over."""


NO_ROUTE = NextHop("no-route")
NOBODY = NextHop("nobody")


def _apart(segment: Segment, one: str, other: str) -> bool:
    """Does the network keep these two apart? Everybody reaches the router."""
    return segment.lan.isolated and segment.ports[0].node not in (one, other)


class NodePlan:
    """A node with its interfaces and its (cached) routes."""

    def __init__(self, topology: Topology, index: int, name: str, kind: NodeKind) -> None:
        self.topology = topology
        self.index = index
        self.name = name
        self.kind = kind
        self.ports: list[PortPlan] = []
        self.owns: dict[str, int] = {}
        self.table: dict[str, NextHop] = {}
        self.places: dict[tuple[Family, str | None, str | None], BoundAddress] = {}
        self.port_tables: dict[int, dict[str, NextHop]] = {}

    @cached_property
    def interfaces(self) -> tuple[Interface, ...]:
        """All interfaces, loopback first."""
        loopback = Interface(name="lo", kind="loopback", mtu=65536, addresses=("127.0.0.1", "::1"))
        return loopback, *(port.described for port in self.ports)

    @cached_property
    def gateways(self) -> tuple[Gateway, ...]:
        """Default routes, IPv4 first."""
        families: tuple[Family, Family] = (4, 6)
        found = [
            route
            for family in families
            for index, port in enumerate(self.ports)
            for route in port.default_routes(family, 100 * (1 + index))
        ]
        return tuple(sorted(found, key=lambda each: (each.family, each.metric)))

    def plug(self, port: int, *, link: bool) -> None:
        """A cable is put in or taken out: addresses and routes of that interface come and go."""
        whole, wired = self.wired[port], self.ports[port]
        wired.layout = whole if link else msgspec.structs.replace(whole, link=False, uplink=False)
        wired.networks = tuple(ip_network(a.network) for a in whole.addresses) if link else ()
        for table in (self.table, *self.port_tables.values()):
            table.clear()
        self.places.clear()
        for name in ("interfaces", "gateways", "ipv6_setup"):
            self.__dict__.pop(name, None)

    @cached_property
    def wired(self) -> tuple[Port, ...]:
        """The interfaces as the scenario has them."""
        return tuple(port.layout for port in self.ports)

    def hop(self, destination: str) -> NextHop:
        """The way to a destination by the main table."""
        return self._cached(self.table, destination, range(len(self.ports)))

    def hop_by(self, port: int, destination: str) -> NextHop:
        """The way to a destination out of one interface alone."""
        return self._cached(self.table_by(port), destination, (port,))

    def table_by(self, port: int) -> dict[str, NextHop]:
        """The cache behind `hop_by`, for the fast path: on a miss, call that."""
        return self.port_tables.setdefault(port, {})

    def _cached(self, table: dict[str, NextHop], destination: str, ports: range | tuple[int, ...]) -> NextHop:
        found = table.get(destination)
        if found is None:
            if len(table) >= CACHED_DESTINATIONS:
                table.clear()
            found = table[destination] = self._find(destination, ports)
        return found

    def _find(self, destination: str, ports: range | tuple[int, ...]) -> NextHop:
        if destination in self.owns:
            return NextHop("local", port=self.owns[destination], source=destination)
        try:
            address = ip_address(destination)
        except ValueError:
            return NO_ROUTE
        if address.is_loopback:
            return NextHop("local", source=destination)
        if address.is_multicast or destination == BROADCAST:
            return self._multicast(family_of(destination), ports)
        if address.is_link_local:
            return NO_ROUTE
        for port in ports:
            if any(address in network for network in self.ports[port].networks):
                return self._towards(port, destination)
        hop = self._by_static_route(destination, ports) or self._by_default(destination, ports)
        return msgspec.structs.replace(hop, express=self.topology.express(hop.wire, destination))

    def _multicast(self, family: Family, ports: range | tuple[int, ...]) -> NextHop:
        """Out of the preferred interface alone, a router's inside one, and no further than its segment."""
        router = self.kind in ("nat", "firewall")
        for port in sorted(ports, key=lambda port: router and self.ports[port].layout.uplink):
            source = self.ports[port].address(family)
            if source is not None:
                return NextHop("multicast", port=port, source=source)
        return NO_ROUTE

    def _by_static_route(self, destination: str, ports: range | tuple[int, ...]) -> NextHop | None:
        address = ip_address(destination)
        fitting = [(n, via) for n, via in self.topology.static_routes(self.name) if address in n]
        for _, via in sorted(fitting, key=lambda found: -found[0].prefixlen):
            for port in ports:
                if any(ip_address(via) in network for network in self.ports[port].networks):
                    return self._towards(port, via)
        return None

    def _by_default(self, destination: str, ports: range | tuple[int, ...]) -> NextHop:
        family = family_of(destination)
        for port in ports:
            gateway = self.ports[port].gateway(family) if self.ports[port].layout.uplink else None
            if gateway is not None:
                return self._towards(port, gateway)
        if self.kind == "internet" and is_public(destination):
            return NOBODY
        return NO_ROUTE

    def _towards(self, port: int, neighbour: str) -> NextHop:
        wire = self.topology.wire(self, port, neighbour)
        source = self.ports[port].address(family_of(neighbour))
        if source is None:
            return NO_ROUTE
        if not self.ports[port].layout.lets_out:
            return NextHop("prohibited", None, port, source)
        return NextHop("nobody" if wire is None else "wire", wire, port, source)


class Topology:
    """All nodes of a scenario. Nodes and interfaces are known by index."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.layout: Layout = plan(scenario)
        self.nodes = [
            NodePlan(self, i, name, kind) for i, (name, kind) in enumerate(self.layout.nodes.items())
        ]
        self.by_name = {node.name: node for node in self.nodes}
        self._owners: dict[tuple[str, str], tuple[NodePlan, int]] = {}
        self._wires: dict[tuple[int, int, int, int], Wire] = {}
        self._names: dict[str, dict[str, tuple[str, ...]]] = {}
        ports = [(port, segment) for segment in self.layout.segments for port in segment.ports]
        # a host's first interface is preferred, whatever the order of the routers it is behind
        for port, segment in sorted(ports, key=lambda found: self._preference(found[0])):
            self._add_port(port, segment)

    @cached_property
    def addresses(self) -> dict[str, tuple[str, ...]]:
        """All addresses of each node, in the layout's order."""
        return {node.name: tuple(a for p in node.ports for a in p.addresses) for node in self.nodes}

    def names(self, node: str) -> dict[str, tuple[str, ...]]:
        """What the names of the nodes resolve to, on one of them."""
        if node not in self._names:
            self._names[node] = names_at(self.scenario, node, self.addresses)
        return self._names[node]

    def texts(self, node: str) -> dict[str, tuple[str, ...]]:
        """The TXT records that there are for one of them."""
        return texts_at(self.scenario, node, self.layout)

    def static_routes(self, node: str) -> list[tuple[Network, str]]:
        """(network, via) of a node."""
        return self._static_routes.get(node, [])

    def wire(self, node: NodePlan, port: int, neighbour: str) -> Wire | None:
        """From a node's interface to the neighbour with that address on its segment; None: nobody has it."""
        segment = node.ports[port].segment
        owner = self._owners.get((segment.name, neighbour))
        if owner is None or _apart(segment, node.name, owner[0].name):
            return None
        other, other_port = owner
        key = (node.index, port, other.index, other_port)
        if key not in self._wires:
            self._wires[key] = self._lay(len(self._wires), segment, (node.name, other.name), owner)
        return self._wires[key]

    def neighbours(self, node: NodePlan, port: int) -> list[Wire]:
        """The wires to everybody else on the segment of a node's interface."""
        segment = node.ports[port].segment
        others = [each.addresses[0].ip for each in segment.ports if each.node != node.name and each.addresses]
        return [wire for address in others if (wire := self.wire(node, port, address)) is not None]

    def hearing(self, node: NodePlan, port: int, destination: str) -> list[Wire]:
        """The wires to everybody who gets what is sent to a group, or to all."""
        wires, segment = self.neighbours(node, port), node.ports[port].segment
        router = segment.ports[0].node
        if destination == BROADCAST or segment.lan.multicast != "dropped" or node.name == router:
            return wires
        return [wire for wire in wires if self.nodes[wire.to].name == router]

    def express(self, wire: Wire | None, destination: str) -> Wire | None:
        """This wire and the next one in one, if the internet's router is all that lies between."""
        if wire is None or self.nodes[wire.to].kind != "internet":
            return None
        onward = self.nodes[wire.to].hop(destination).wire
        if onward is None or not (wire.plain and onward.plain):
            return None
        mtu = min(wire.mtu, onward.mtu)
        return msgspec.structs.replace(
            onward, delay_s=wire.delay_s + onward.delay_s, mtu=mtu, room=mtu - LARGEST_HEADERS
        )

    @cached_property
    def _static_routes(self) -> dict[str, list[tuple[Network, str]]]:
        found: dict[str, list[tuple[Network, str]]] = {}
        for route in self.layout.routes:
            found.setdefault(route.node, []).append((ip_network(route.network), route.via))
        return found

    def _preference(self, port: Port) -> int:
        digits = port.interface.lstrip(ascii_letters)
        return int(digits) if self.layout.nodes[port.node] == "host" and digits.isdigit() else 0

    def _add_port(self, port: Port, segment: Segment) -> None:
        node = self.by_name[port.node]
        index = len(node.ports)
        node.ports.append(PortPlan(port, segment))
        for address in port.addresses:
            node.owns[address.ip] = index
            self._owners[segment.name, address.ip] = (node, index)

    def _lay(self, number: int, segment: Segment, ends: tuple[str, str], to: tuple[NodePlan, int]) -> Wire:
        """A wire suffers what the uplinks at both its ends do."""
        impairments: list[Impairment] = [
            segment.impairments[end] for end in ends if end in segment.impairments
        ]
        arriving = 1.0
        for impairment in impairments:
            arriving *= 1 - impairment.loss
        loss, jitter = 1 - arriving, sum(impairment.jitter_ms for impairment in impairments) / 1000
        reorder = max((impairment.reorder for impairment in impairments), default=0.0)
        more_delay6 = sum(impairment.more_delay6_ms for impairment in impairments)
        lanes = tuple(
            UplinkLane(segment.name, end, end == ends[0], segment.impairments[end])
            for end in ends
            if end in segment.impairments and is_queued(segment.impairments[end])
        )
        mtu = min((impairment.mtu or ETHERNET_MTU for impairment in impairments), default=ETHERNET_MTU)
        return Wire(
            number=number,
            to=to[0].index,
            port=to[1],
            delay_s=sum(impairment.delay_ms for impairment in impairments) / 1000,
            jitter_s=jitter,
            loss=loss,
            reorder=reorder,
            mtu=mtu,
            room=mtu - LARGEST_HEADERS,
            plain=not (loss or jitter or reorder or more_delay6 or lanes),
            more_delay6_s=more_delay6 / 1000,
            lanes=lanes,
        )


_known: OrderedDict[int, Topology] = OrderedDict()


def topology_of(scenario: Scenario) -> Topology:
    """The scenario's topology, made once per scenario object. UsageError if it cannot be built."""
    if scenario.event:
        return Topology(scenario)  # it will change
    found = _known.get(id(scenario))
    # the topology holds its scenario, so that the id cannot have passed to another one
    if found is None or found.scenario is not scenario:
        found = _known[id(scenario)] = Topology(scenario)
        if len(_known) > CACHED_TOPOLOGIES:
            _known.popitem(last=False)
    return found
