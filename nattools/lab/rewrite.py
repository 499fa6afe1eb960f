"""Packets made out of other packets: with other addresses, and a router's own answers."""

from __future__ import annotations

from nattools.lab.packet import ACK, RST, SYN, Packet

ECHO_REQUESTS = (8, 128)
ECHO_REPLIES = (0, 129)


def readdressed(
    packet: Packet, source: str, source_port: int, destination: str, destination_port: int
) -> Packet:
    """A copy with these addresses; all arguments positional, since this runs for every packet."""
    return Packet(
        packet.protocol,
        source,
        source_port,
        destination,
        destination_port,
        packet.payload,
        packet.ttl,
        packet.dont_fragment,
        packet.flags,
        packet.seq,
        packet.ack,
        packet.window,
        packet.options,
        packet.icmp_type,
        packet.icmp_code,
        packet.icmp_rest,
        packet.about,
    )


def answer(packet: Packet) -> Packet | None:
    """What a machine says to a packet for a port on which it has no service; None: nothing."""
    if packet.protocol == "udp":
        return _port_unreachable(packet)
    if packet.protocol == "tcp":
        return None if packet.flags & RST else _reset(packet)
    asks = packet.about is None and packet.icmp_type in ECHO_REQUESTS
    return _echo_reply(packet) if asks else None


def _port_unreachable(packet: Packet) -> Packet:
    """RFC 1122, section 4.1.3.1; RFC 4443, section 3.1."""
    error = Packet("icmp", packet.destination, 0, packet.source, 0, about=packet)
    error.icmp_type, error.icmp_code = (1, 4) if ":" in packet.destination else (3, 3)
    return error


def _reset(packet: Packet) -> Packet:
    """RFC 9293, section 3.5.2: the RST that answers a segment to a closed port."""
    reset = Packet("tcp", packet.destination, packet.destination_port, packet.source, packet.source_port)
    reset.window = 0
    if packet.flags & ACK:
        reset.flags, reset.seq = RST, packet.ack
    else:
        reset.flags = RST | ACK
        reset.ack = (packet.seq + len(packet.payload) + bool(packet.flags & SYN)) & 0xFFFFFFFF
    return reset


def _echo_reply(packet: Packet) -> Packet:
    port = packet.source_port
    reply = readdressed(packet, packet.destination, port, packet.source, port)
    reply.icmp_type = 129 if ":" in packet.destination else 0
    reply.ttl = 64
    return reply
