"""The simulated internet: its links, and its nodes that pass packets on.

A packet walks through nodes and links without delay in one go; a link with a delay costs one event. What
arrives at its destination is put into the loop's queue, so that no handler ever runs inside `send`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from heapq import heappush
from typing import Any

from nattools.lab.nat.bindings import Forwards
from nattools.lab.nat.engine import Emitted, NatEngine, Side
from nattools.lab.nat.ipv6 import PassEngine, ipv6_engine
from nattools.lab.nat.nat64translation import IPV6_HEADER_MORE, Translator
from nattools.lab.nat.portalpage import engine_of
from nattools.lab.scenario import NatSpec, routers, ttl_beyond
from nattools.lab.sim.loop import SimLoop
from nattools.lab.sim.stack import Stack
from nattools.lab.sim.topology import NextHop, NodePlan, Topology, Wire
from nattools.model.endpoint import Family
from nattools.protocols.nat64 import parse_prefix
from nattools.protocols.packet import Packet

# a packet that is held back so that later ones pass it
HELD_BACK_S = (0.001, 0.010)

# so much payload fits every link: RFC 1122 3.3.3
ALWAYS_FITS = 500

# ICMP and ICMPv6 (type, code): RFC 792, RFC 1191, RFC 4443
TIME_EXCEEDED = ((11, 0), (3, 0))
NO_ROUTE = ((3, 0), (1, 0))
TOO_BIG = ((3, 4), (2, 0))
Complaint = tuple[tuple[int, int], tuple[int, int]]


Entry = Callable[[Packet], None]


class SimNet:
    """All nodes of one simulation, on one loop; everything random comes from `rng`."""

    __slots__ = ("_heap", "_last", "_number", "entries", "loop", "nodes", "rng", "topology")

    def __init__(self, topology: Topology, loop: SimLoop, rng: random.Random) -> None:
        self.topology = topology
        self.loop = loop
        self.rng = rng
        self._heap, self._number = loop.heap, loop.number
        self._last: dict[int, float] = {}
        self.nodes = [self._node(node) for node in topology.nodes]
        # where a packet goes in at the end of a wire, by node and interface
        self.entries = [[node.entry(port) for port in range(len(node.plan.ports))] for node in self.nodes]

    def node(self, name: str) -> Node:
        """The node of that name; KeyError."""
        return self.nodes[self.topology.by_name[name].index]

    def cut(self, name: str) -> None:
        """From now on what arrives at that node is lost; of a router, so is what it would pass on."""
        node = self.node(name)
        self.entries[node.plan.index] = [_lost for _ in node.plan.ports]

    def mend(self, name: str) -> None:
        """Undo a cut."""
        node = self.node(name)
        self.entries[node.plan.index] = [node.entry(port) for port in range(len(node.plan.ports))]

    def depart(self, hop: NextHop, packet: Packet) -> None:
        """Send a packet on its way from a node whose hop has a wire, past a mere router if one is next."""
        wire = hop.express
        if wire is not None and packet.ttl > 1 and (len(packet.payload) <= wire.room or fits(packet, wire)):
            packet.ttl -= 1
        else:
            wire = hop.wire
            if wire is None:
                return
        if not wire.plain:
            self._depart_badly(wire, packet)
        elif wire.delay_s:
            # what `loop.post` does, without the call: every packet comes here
            entry = self.entries[wire.to][wire.port]
            heappush(self._heap, (self.loop.now + wire.delay_s, self._number(), entry, packet))
        else:
            self.entries[wire.to][wire.port](packet)

    def _depart_badly(self, wire: Wire, packet: Packet) -> None:
        """Down a wire that loses, delays or reorders. Jitter is uniform around the delay and keeps the order;
        `reorder` is the probability that a packet is held back so that later ones pass it."""
        draw = self.rng.random
        if wire.loss and draw() < wire.loss:
            return
        delay = wire.delay_s
        if wire.jitter_s:
            delay = max(0.0, delay + wire.jitter_s * (2 * draw() - 1))
        when = self.loop.now + delay
        if wire.reorder and draw() < wire.reorder:
            shortest, longest = HELD_BACK_S
            when += shortest + (longest - shortest) * draw()
        elif wire.jitter_s:
            when = self._last[wire.number] = max(when, self._last.get(wire.number, 0.0))
        self.loop.post(when, self.entries[wire.to][wire.port], packet)

    def flood(self, plan: NodePlan, port: int, packet: Packet) -> None:
        """Send a multicast packet to everybody on the segment of a node's interface, and no further."""
        for wire in self.topology.neighbours(plan, port):
            draw = self.rng.random
            if not (wire.loss and draw() < wire.loss):
                delay = wire.delay_s + wire.jitter_s * (2 * draw() - 1) if wire.jitter_s else wire.delay_s
                self.loop.post(self.loop.now + max(0.0, delay), self._heard, (wire.to, packet))

    def _heard(self, what: tuple[int, Packet]) -> None:
        index, packet = what
        self.nodes[index].hear(packet)

    def _node(self, plan: NodePlan) -> Node:
        if plan.kind in ("nat", "firewall"):
            return NatRouter(self, plan)
        return CoreRouter(self, plan) if plan.kind == "internet" else Node(self, plan)


def _lost(_: Packet) -> None:
    """Where packets go that arrive at a node that is cut off."""


class Node:
    """A host or server: it takes what is for itself and passes nothing on."""

    __slots__ = ("_stack", "input", "net", "owns", "plan", "table")

    def __init__(self, net: SimNet, plan: NodePlan) -> None:
        self.net = net
        self.plan = plan
        self.owns = plan.owns
        self.table = plan.table
        self._stack: Stack | None = None
        self.input: Any = self._input

    @property
    def stack(self) -> Stack:
        """The node's own sockets."""
        if self._stack is None:
            self._stack = Stack(self.plan, self.net)
            self.input = self._stack.input
        return self._stack

    def entry(self, port: int) -> Entry:
        """What takes the packets that arrive on an interface."""
        return self._take

    def _take(self, packet: Packet) -> None:
        if packet.destination in self.owns:
            self.net.loop.queue.append((self.input, packet))

    def hear(self, packet: Packet) -> None:
        """A multicast packet arrives."""
        if self._stack is not None:
            self._stack.hear(packet)

    def send(self, packet: Packet) -> None:
        """Send a packet of the node's own by its main routes; without one it is dropped."""
        hop = self.hop(packet.destination)
        if hop.wire is not None:
            self.net.depart(hop, packet)
        elif hop.fate == "local":
            self.net.loop.soon(self.input, packet)

    def hop(self, destination: str) -> NextHop:
        """The way to a destination."""
        return self.table.get(destination) or self.plan.hop(destination)

    def _input(self, packet: Packet) -> None:
        self.stack.input(packet)

    def _complain(self, packet: Packet, port: int, complaint: Complaint, mtu: int = 0) -> None:
        """Send an ICMP error about a packet that arrived on `port`; never about an error (RFC 1122 3.2.2)."""
        if packet.about is not None:
            return
        six = ":" in packet.source
        source = self.plan.ports[port].address(6 if six else 4)
        if source is None:
            return
        error = Packet("icmp", source, 0, packet.source, 0, about=packet, icmp_rest=mtu)
        error.icmp_type, error.icmp_code = complaint[six]
        self.send(error)


def fits(packet: Packet, wire: Wire) -> bool:
    """Is the packet, headers included, within the wire's MTU?"""
    return len(packet.payload) <= wire.room or packet.size <= wire.mtu


def too_big(packet: Packet, wire: Wire) -> bool:
    """Must a router refuse to send this packet down the wire? (Elsewhere it fragments: not modelled, the
    packet passes whole.)"""
    if fits(packet, wire):
        return False
    return packet.dont_fragment or ":" in packet.source


class CoreRouter(Node):
    """The internet's core: one router that reaches everything public.

    It answers for destinations that it has no route to (private addresses) with ICMP, and is silent about
    public addresses that nobody has.
    """

    __slots__ = ()

    def entry(self, port: int) -> Entry:
        return partial(self._pass, port)

    def _pass(self, port: int, packet: Packet) -> None:
        """Pass a packet on, or take it."""
        destination = packet.destination
        if destination in self.owns:
            self.net.loop.queue.append((self.input, packet))
            return
        if packet.ttl <= 1:
            self._complain(packet, port, TIME_EXCEEDED)
            return
        packet.ttl -= 1
        hop = self.table.get(destination) or self.plan.hop(destination)
        wire = hop.wire
        if wire is None:
            if hop.fate == "no-route":
                self._complain(packet, port, NO_ROUTE)
        elif len(packet.payload) > wire.room and too_big(packet, wire):
            self._complain(packet, port, TOO_BIG, wire.mtu)
        else:
            self.net.depart(hop, packet)


class NatRouter(Node):
    """A router with a NAT or a firewall; of IPv6, only the addresses of a NAT64 are translated."""

    __slots__ = ("_answers_ttl", "_engine4", "_engine6", "_inside", "_odd", "_outside", "_translator", "_ttl")

    def __init__(self, net: SimNet, plan: NodePlan) -> None:
        super().__init__(net, plan)
        spec = routers(net.topology.scenario)[plan.name]
        self._outside = next(i for i, port in enumerate(plan.ports) if port.layout.uplink)
        self._inside = 1 - self._outside
        inside, outside = plan.ports[self._inside], plan.ports[self._outside]
        nat = spec if isinstance(spec, NatSpec) else NatSpec()
        self._answers_ttl, self._ttl = nat.answers_ttl, nat.ttl
        self._odd = nat.ttl != "lowered" or nat.portal is not None
        self._translator = None if nat.nat64 is None else Translator(parse_prefix(nat.nat64.prefix))
        self._engine4 = engine_of(
            spec,
            inside=inside.prefixes[4],
            outside_address=outside.address(4) or "",
            inside_address=inside.address(4) or "",
            rng=net.rng,
        )
        topology = net.topology
        self._engine4.forwards.everything = topology.layout.dmz_address(topology.scenario, plan.name)
        self._engine6: NatEngine | PassEngine | None = None
        if spec.ipv6 is not None and 6 in inside.prefixes:
            self._engine6 = ipv6_engine(
                spec,
                inside=inside.prefixes[6],
                outside_address=outside.address(6) or "",
                inside_address=inside.address(6) or "",
                rng=net.rng,
            )

    def forget(self) -> None:
        """Restart: all bindings and flows are lost. Forwardings stay."""
        self._engine4.forget()
        if isinstance(self._engine6, NatEngine):
            self._engine6.forget()

    def forwards(self, family: Family) -> Forwards | None:
        """The forwardings of its NAT or firewall; None where nothing is filtered."""
        engine = self._engine6 if family == 6 else self._engine4
        return engine.forwards if isinstance(engine, NatEngine) else None

    def entry(self, port: int) -> Entry:
        return self._from_inside if port == self._inside else self._from_outside

    def _from_inside(self, packet: Packet) -> None:
        destination = packet.destination
        hop = self.table.get(destination) or self.plan.hop(destination)
        wire = hop.wire
        if (
            wire is None
            or hop.port != self._outside
            or packet.ttl <= 1
            or self._odd
            or len(packet.payload) > wire.room
            or ":" in destination
            or destination in self.owns
        ):
            self._from_inside_unusually(packet, hop)
            return
        packet.ttl -= 1
        out = self._engine4.leave(packet, self.net.loop.now)
        if out is not None:
            self.net.depart(hop, out)

    def _from_inside_unusually(self, packet: Packet, hop: NextHop) -> None:
        """IPv6, what is for the router itself or for another inside host, what is too big or expires here."""
        destination, wire = packet.destination, hop.wire
        if self._translator is not None and self._translator.inner(destination) is not None:
            self._through_nat64(packet, self._translator)
            return
        engine = self._engine6 if ":" in destination else self._engine4
        if engine is None:
            return
        if destination in self.owns and destination not in engine.outside_addresses:
            self.net.loop.queue.append((self.input, packet))
            return
        if packet.ttl <= 1 and self._ttl != "kept":
            self._expired(packet, self._inside)
            return
        packet.ttl = ttl_beyond(self._ttl, packet.ttl)
        if wire is not None and too_big(packet, wire):
            self._complain(packet, self._inside, TOO_BIG, wire.mtu)
        elif hop.port == self._inside:
            self.send(packet)
        else:
            for side, out in engine.from_inside(packet, self.net.loop.now):
                self._emit(side, out)

    def _through_nat64(self, packet: Packet, translator: Translator) -> None:
        if packet.ttl <= 1:
            self._expired(packet, self._inside)
            return
        translated = translator.to_ipv4(packet)
        translated.ttl -= 1
        wire = self.hop(translated.destination).wire
        if wire is not None and too_big(translated, wire):
            self._complain(packet, self._inside, TOO_BIG, wire.mtu + IPV6_HEADER_MORE)
            return
        for side, out in self._engine4.from_inside(translated, self.net.loop.now):
            self._emit(side, out)

    def _from_outside(self, packet: Packet) -> None:
        if packet.destination not in self._engine4.outside_addresses or packet.ttl <= 1:
            self._from_outside_unusually(packet)
            return
        now = self.net.loop.now
        out = self._engine4.enter(packet, now)
        if out is None:
            for side, reply in self._engine4.unsolicited(packet, now):
                self._emit(side, reply)
            return
        out.ttl = packet.ttl - 1
        if len(out.payload) <= ALWAYS_FITS or not self._too_big_inside(packet, out):
            self._emit("inside", out)

    def _from_outside_unusually(self, packet: Packet) -> None:
        """IPv6, what is for hosts behind a firewall, what expires here."""
        destination = packet.destination
        engine = self._engine6 if ":" in destination else self._engine4
        if engine is None or (destination in self.owns and destination not in engine.outside_addresses):
            return
        emitted = engine.from_outside(packet, self.net.loop.now)
        if packet.ttl <= 1:
            self._last_hop(packet, emitted)
            return
        for side, out in emitted:
            if side == "inside":
                out.ttl = packet.ttl - 1
                if self._too_big_inside(packet, out):
                    continue
            self._emit(side, out)

    def _last_hop(self, packet: Packet, emitted: Emitted) -> None:
        """The TTL ends here. What is for the router itself still arrives, and what the filter drops gets no
        answer, so that a filter cannot be told from its silence."""
        for side, out in emitted:
            if side == "outside":
                self._emit(side, out)
            else:
                self._expired(packet, self._outside)

    def _too_big_inside(self, packet: Packet, translated: Packet) -> bool:
        wire = self.hop(translated.destination).wire
        if wire is None or not too_big(translated, wire):
            return False
        self._complain(packet, self._outside, TOO_BIG, wire.mtu)
        return True

    def _expired(self, packet: Packet, port: int) -> None:
        if self._answers_ttl:
            self._complain(packet, port, TIME_EXCEEDED)

    def _emit(self, side: Side, packet: Packet) -> None:
        if self._translator is not None and side == "inside" and ":" not in packet.source:
            packet = self._translator.to_ipv6(packet)
        hop = self.table.get(packet.destination) or self.plan.hop(packet.destination)
        wanted = self._inside if side == "inside" else self._outside
        if hop.wire is not None and hop.port == wanted:
            self.net.depart(hop, packet)
