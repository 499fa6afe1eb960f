"""The packet that the NAT engine and the simulator pass around: the one that `protocols.ip` encodes."""

from __future__ import annotations

from nattools.protocols.packet import ACK, FIN, PSH, RST, SYN, Packet, Protocol

__all__ = ["ACK", "FIN", "PSH", "RST", "SYN", "Packet", "Protocol"]
