"""The simulated internet: its links, and all nodes on one loop.

A packet walks through nodes and links without delay in one go; a link with a delay costs one event. What
arrives at its destination is put into the loop's queue, so that no handler ever runs inside `send`.
"""

from __future__ import annotations

import random
from heapq import heappush

from nattools.lab.linkqueue import LinkQueue
from nattools.lab.sim.firewallednode import FirewalledNode
from nattools.lab.sim.loop import SimLoop
from nattools.lab.sim.natrouter import NatRouter
from nattools.lab.sim.nodes import CoreRouter, Node, fits
from nattools.lab.sim.topology import NextHop, NodePlan, Topology, Wire
from nattools.protocols.packet import Packet

# a packet that is held back so that later ones pass it
HELD_BACK_S = (0.001, 0.010)


class SimNet:
    """All nodes of one simulation, on one loop; everything random comes from `rng`."""

    __slots__ = ("_heap", "_last", "_number", "_queues", "entries", "loop", "nodes", "rng", "topology")

    def __init__(self, topology: Topology, loop: SimLoop, rng: random.Random) -> None:
        self.topology = topology
        self.loop = loop
        self.rng = rng
        self._heap, self._number = loop.heap, loop.number
        self._last: dict[int, float] = {}
        self._queues: dict[tuple[str, str, bool], LinkQueue] = {}
        self.nodes = [self._node(node) for node in topology.nodes]
        # where a packet goes in at the end of a wire, by node and interface
        self.entries = [[node.entry(port) for port in range(len(node.plan.ports))] for node in self.nodes]

    def close(self) -> None:
        """The simulation is over. What a run leaves behind is freed at once, and not when garbage is next
        looked for, which takes longer than all else that is done here."""
        for node in self.nodes:
            node.close()
        self.nodes.clear()
        self.entries.clear()

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

    def listen(self, name: str, port: int, link: bool) -> None:
        """Take what arrives at an interface, or lose it."""
        node = self.node(name)
        self.entries[node.plan.index][port] = node.entry(port) if link else _lost

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
        left_s = self._left(wire, packet)
        if left_s is None or (wire.loss and draw() < wire.loss):
            return
        delay = wire.delay_s
        if wire.more_delay6_s and ":" in packet.source:
            delay += wire.more_delay6_s
        if wire.jitter_s:
            delay = max(0.0, delay + wire.jitter_s * (2 * draw() - 1))
        when = left_s + delay
        if wire.reorder and draw() < wire.reorder:
            shortest, longest = HELD_BACK_S
            when += shortest + (longest - shortest) * draw()
        elif wire.jitter_s:
            when = self._last[wire.number] = max(when, self._last.get(wire.number, 0.0))
        self.loop.post(when, self.entries[wire.to][wire.port], packet)

    def _left(self, wire: Wire, packet: Packet) -> float | None:
        """When a packet that goes down this wire now has left the queues of its uplinks; None: it is lost."""
        at_s = self.loop.now
        for lane in wire.lanes:
            key = (lane.segment, lane.node, lane.up)
            queue = self._queues.get(key)
            if queue is None:
                queue = self._queues[key] = LinkQueue(lane.impairment, self.rng, up=lane.up)
            left_s = queue.carry(packet.size, at_s)
            if left_s is None:
                return None
            at_s = left_s
        return at_s

    def flood(self, plan: NodePlan, port: int, packet: Packet) -> None:
        """Send a multicast packet to everybody on the segment of a node's interface, and no further."""
        for wire in self.topology.hearing(plan, port, packet.destination):
            draw = self.rng.random
            left_s = self._left(wire, packet)
            if left_s is not None and not (wire.loss and draw() < wire.loss):
                delay = wire.delay_s + wire.jitter_s * (2 * draw() - 1) if wire.jitter_s else wire.delay_s
                self.loop.post(left_s + max(0.0, delay), self._heard, (wire.to, packet))

    def _heard(self, what: tuple[int, Packet]) -> None:
        index, packet = what
        self.nodes[index].hear(packet)

    def _node(self, plan: NodePlan) -> Node:
        if plan.kind in ("nat", "firewall"):
            return NatRouter(self, plan)
        host = self.topology.scenario.host.get(plan.name)
        if host is not None and host.firewall is not None:
            return FirewalledNode(self, plan, host.firewall)
        return CoreRouter(self, plan) if plan.kind == "internet" else Node(self, plan)


def _lost(_: Packet) -> None:
    """Where packets go that arrive at a node that is cut off."""
