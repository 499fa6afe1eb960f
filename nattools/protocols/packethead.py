"""The head of an IP packet as it lies on a link: from whom, and for which port. Checksums are not looked at:
what a card is yet to check, or a virtual one never does, may have none. Pure.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Literal, NamedTuple

from nattools.errors import ProtocolError
from nattools.protocols.icmp import ECHO_REQUEST
from nattools.protocols.packet import ACK, SYN

_TRANSPORTS: dict[int, Literal["udp", "tcp", "icmp"]] = {17: "udp", 6: "tcp", 1: "icmp", 58: "icmp"}
_FRAGMENT_OFFSET = 0x1FFF


class PacketHead(NamedTuple):
    """`port`: the destination's; 0 of an echo request."""

    source: str
    transport: Literal["udp", "tcp", "icmp"]
    port: int


def read_head(packet: bytes) -> PacketHead | None:
    """Of a datagram, of what asks for a connection, of an echo request; None: it is something else, or one of
    the later fragments. ProtocolError: it is no IP packet, or is cut short."""
    version = packet[0] >> 4 if packet else 0
    if version == 6 and len(packet) >= 40:
        return _head(str(IPv6Address(packet[8:24])), packet[6], packet[40:], ECHO_REQUEST[6])
    if version == 4 and len(packet) >= 20:
        if int.from_bytes(packet[6:8], "big") & _FRAGMENT_OFFSET:
            return None
        rest = packet[4 * (packet[0] & 15) :]
        return _head(str(IPv4Address(packet[12:16])), packet[9], rest, ECHO_REQUEST[4])
    raise ProtocolError("no IP packet, or one cut short")


def _head(source: str, protocol: int, rest: bytes, echo: int) -> PacketHead | None:
    transport = _TRANSPORTS.get(protocol)
    if transport is None:
        return None
    if len(rest) < (14 if transport == "tcp" else 4):
        raise ProtocolError(f"a packet of {transport} cut short")
    if transport == "icmp":
        return PacketHead(source, transport, 0) if rest[0] == echo else None
    if transport == "tcp" and rest[13] & (SYN | ACK) != SYN:
        return None
    return PacketHead(source, transport, int.from_bytes(rest[2:4], "big"))
