"""An IP packet as the NAT engine and the simulator see it."""

from __future__ import annotations

from typing import Literal

import msgspec

from nattools.model.packetform import PacketForm

Protocol = Literal["udp", "tcp", "icmp"]

FIN = 0x01
SYN = 0x02
RST = 0x04
PSH = 0x08
ACK = 0x10


class Packet(msgspec.Struct, gc=False):
    """Addresses in canonical text form. For "icmp", `source_port` and `destination_port` are both the
    identifier of a query (echo), or 0 for an error; an error carries the packet it is about in `about`.

    TCP: `flags`, `seq`, `ack`, `window` and raw `options`. `payload` is the transport payload. `checksum`: of
    a quoted UDP or TCP packet, what stands in its header; None: the right one for these addresses.
    `quoted_size`: so many bytes of it an error quotes; None: as many as it may. `form`: does it travel in
    fragments, or with an extension header?
    """

    protocol: Protocol
    source: str
    source_port: int
    destination: str
    destination_port: int
    payload: bytes = b""
    ttl: int = 64
    dont_fragment: bool = False
    flags: int = 0
    seq: int = 0
    ack: int = 0
    window: int = 65535
    options: bytes = b""
    icmp_type: int = 0
    icmp_code: int = 0
    icmp_rest: int = 0
    about: Packet | None = None
    form: PacketForm = "whole"
    checksum: int | None = None
    quoted_size: int | None = None

    @property
    def size(self) -> int:
        """Length in bytes as an IP packet (without IP options)."""
        header = 40 if ":" in self.source else 20
        if self.about is not None:
            return header + 8 + min(self.about.size, 520)
        transport = 8 if self.protocol != "tcp" else 20 + len(self.options)
        return header + transport + len(self.payload)


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
        packet.form,
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
    reply.ttl, reply.form = 64, "whole"
    return reply
