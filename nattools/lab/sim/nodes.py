"""The nodes of the simulated internet: hosts and servers, and the router in its midst."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from nattools.lab.sim.stack import Stack
from nattools.lab.sim.topology import NextHop, NodePlan, Wire
from nattools.protocols.packet import Packet

if TYPE_CHECKING:
    from nattools.lab.sim.simnet import SimNet

# ICMP and ICMPv6 (type, code): RFC 792, RFC 1191, RFC 4443
TIME_EXCEEDED = ((11, 0), (3, 0))
NO_ROUTE = ((3, 0), (1, 0))
TOO_BIG = ((3, 4), (2, 0))
Complaint = tuple[tuple[int, int], tuple[int, int]]


Entry = Callable[[Packet], None]


class Node:
    """A host or server: it takes what is for itself and passes nothing on."""

    __slots__ = ("_stack", "input", "net", "owns", "plan", "table", "watchers")

    def __init__(self, net: SimNet, plan: NodePlan) -> None:
        self.net = net
        self.plan = plan
        self.owns = plan.owns
        self.table = plan.table
        self._stack: Stack | None = None
        self.input: Any = self._input
        self.watchers: list[Callable[[Packet], None]] = []

    @property
    def stack(self) -> Stack:
        """The node's own sockets."""
        if self._stack is None:
            self._stack = Stack(self.plan, self.net)
            self.input = self._stack.input
        return self._stack

    def close(self) -> None:
        """The simulation is over: its sockets let go of those who listened to them."""
        self.input = None
        if self._stack is not None:
            self._stack.close()

    def entry(self, port: int) -> Entry:
        """What takes the packets that arrive on an interface."""
        return self._take

    def _take(self, packet: Packet) -> None:
        if packet.destination in self.owns:
            if self.watchers:
                self.note_arrival(packet)
            self.net.loop.queue.append((self.input, packet))

    def note_arrival(self, packet: Packet) -> None:
        """Tell those who watch."""
        for watcher in self.watchers:
            watcher(packet)

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
    """Must a router refuse to send this packet down the wire? Elsewhere it fragments; what is in fragments
    already has small ones."""
    if fits(packet, wire) or packet.form == "fragments":
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
