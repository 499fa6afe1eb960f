"""What comes to a simulated host's interfaces, before any firewall of its own."""

from __future__ import annotations

from typing import Literal

from nattools.lab.sim.nodes import Node
from nattools.protocols.packet import ACK, ECHO_REQUESTS, SYN, Packet


class SimArrivals:
    """`nattools.net.base.ArrivalWatch`."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._seen: set[tuple[str, str, int]] = set()
        node.watchers.append(self._note)

    def saw(self, source: str, transport: Literal["udp", "tcp", "icmp"], port: int) -> bool:
        """See `ArrivalWatch.saw`."""
        return (source, transport, port) in self._seen

    def close(self) -> None:
        """Idempotent."""
        if self._note in self._node.watchers:
            self._node.watchers.remove(self._note)

    def _note(self, packet: Packet) -> None:
        if packet.protocol == "tcp" and packet.flags & (SYN | ACK) != SYN:
            return
        if packet.protocol == "icmp" and (packet.about is not None or packet.icmp_type not in ECHO_REQUESTS):
            return
        port = 0 if packet.protocol == "icmp" else packet.destination_port
        self._seen.add((packet.source, packet.protocol, port))
