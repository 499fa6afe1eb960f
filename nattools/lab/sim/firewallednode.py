"""A simulated host with a firewall of its own: answers come in, and nothing else."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from nattools.lab.nat.engine import NatEngine
from nattools.lab.nat.firewallreply import refusal
from nattools.lab.scenario import FirewallSpec, HostFirewall
from nattools.lab.sim.nodes import Node
from nattools.lab.sim.stack import Stack
from nattools.lab.sim.topology import NextHop, NodePlan
from nattools.protocols.packet import Packet

if TYPE_CHECKING:
    from nattools.lab.sim.simnet import SimNet


class FirewalledNode(Node):
    """What leaves opens the firewall for its answers; what else arrives is dropped or refused, once it has
    come to the interface."""

    __slots__ = ("_engine", "_how")

    def __init__(self, net: SimNet, plan: NodePlan, how: HostFirewall) -> None:
        super().__init__(net, plan)
        self._how = how
        self._engine = NatEngine(
            FirewallSpec(), inside="", outside_address="", inside_address="", rng=random.Random(0)
        )

    @property
    def stack(self) -> Stack:
        """The node's own sockets, whose packets the firewall sees."""
        new = self._stack is None
        found = super().stack
        if new:
            found.depart = self._leave
        return found

    def _leave(self, hop: NextHop, packet: Packet) -> None:
        self._engine.leave(packet, self.net.loop.now)
        self.net.depart(hop, packet)

    def _guard(self, packet: Packet) -> bool:
        return self._engine.enter(packet, self.net.loop.now) is not None

    def _take(self, packet: Packet) -> None:
        if packet.destination not in self.owns:
            return
        self.note_arrival(packet)
        if self._guard(packet):
            self.net.loop.queue.append((self.input, packet))
            return
        answer = refusal(packet, self._how, packet.destination)
        if answer is not None:
            self.send(answer)
