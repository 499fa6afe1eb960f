"""IP packets as bytes: IPv4 (RFC 791) and IPv6 (RFC 8200) with UDP, TCP, ICMP or ICMPv6 inside.

`parse` reads one packet and `build` writes one, all checksums included. Fragments and IPv6 extension
headers are refused: nothing here reassembles.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address
from struct import Struct

from nattools.errors import ProtocolError
from nattools.protocols.packet import Packet, Protocol

IPPROTO_ICMP = 1
IPPROTO_TCP = 6
IPPROTO_UDP = 17
IPPROTO_ICMPV6 = 58

_IPV4 = Struct("!BBHHHBBH4s4s")
_IPV6 = Struct("!IHBB16s16s")
_UDP = Struct("!HHHH")
_TCP = Struct("!HHIIBBHHH")
_ICMP = Struct("!BBHI")
_PORTS = Struct("!HH")

DONT_FRAGMENT = 0x4000
_FRAGMENT = 0x3FFF  # "more fragments" and the offset

# Messages about another packet (RFC 792; RFC 4443 2.1: below 128), and those with an identifier
_ERRORS4 = frozenset({3, 4, 5, 11, 12})
_REPLIES4 = frozenset({0, 14, 16, 18})
_QUERIES4 = frozenset({8, 13, 15, 17}) | _REPLIES4
_QUERIES6 = frozenset({128, 129})
_ECHO_REPLY6 = 129
# RFC 1812 4.3.2.3: an error is at most 576 bytes; RFC 4443 2.4 (c): at most the minimum IPv6 MTU
_ERROR_LIMIT4 = 576
_ERROR_LIMIT6 = 1280


def parse(data: bytes) -> Packet:
    """One whole IP packet; what follows its length (padding of the link) is ignored. ProtocolError."""
    return _parse(data, quoted=False)


def parse_quoted(data: bytes) -> Packet:
    """The beginning of an IP packet, as an ICMP error quotes it. What follows its transport header is the
    payload, whatever its length says: an error may quote less than the whole, or append something.
    ProtocolError."""
    return _parse(data, quoted=True)


def _parse(data: bytes, *, quoted: bool) -> Packet:
    if not data:
        raise ProtocolError("an empty IP packet")
    version = data[0] >> 4
    if version == 4:
        return _parse_ipv4(data, quoted)
    if version == 6:
        return _parse_ipv6(data, quoted)
    raise ProtocolError(f"IP version {version}")


def _parse_ipv4(data: bytes, quoted: bool) -> Packet:
    if len(data) < _IPV4.size:
        raise ProtocolError("an IPv4 header cut short")
    first, _tos, length, _id, fragment, ttl, protocol, _sum, source, destination = _IPV4.unpack_from(data)
    header = (first & 15) * 4
    if header < _IPV4.size or len(data) < header or length < header:
        raise ProtocolError("an IPv4 header with a wrong length")
    if fragment & _FRAGMENT:
        raise ProtocolError("an IPv4 fragment")
    if not quoted:
        if length > len(data):
            raise ProtocolError("an IPv4 packet cut short")
        if checksum(data[:header]):
            raise ProtocolError("an IPv4 header with a wrong checksum")
    packet = _parse_transport(protocol, data[header : None if quoted else length], quoted)
    packet.source, packet.destination = _text4(source), _text4(destination)
    packet.ttl = ttl
    packet.dont_fragment = bool(fragment & DONT_FRAGMENT)
    return packet


def _parse_ipv6(data: bytes, quoted: bool) -> Packet:
    if len(data) < _IPV6.size:
        raise ProtocolError("an IPv6 header cut short")
    _flow, length, protocol, hops, source, destination = _IPV6.unpack_from(data)
    end = _IPV6.size + length
    if end > len(data) and not quoted:
        raise ProtocolError("an IPv6 packet cut short")
    packet = _parse_transport(protocol, data[_IPV6.size : None if quoted else end], quoted)
    packet.source, packet.destination = _text6(source), _text6(destination)
    packet.ttl = hops
    packet.dont_fragment = True
    return packet


def _parse_transport(protocol: int, segment: bytes, quoted: bool) -> Packet:
    if len(segment) < 8:
        raise ProtocolError("a transport header cut short")
    if protocol == IPPROTO_UDP:
        return _parse_udp(segment, quoted)
    if protocol == IPPROTO_TCP:
        return _parse_tcp(segment, quoted)
    if protocol == IPPROTO_ICMP:
        return _parse_icmp(segment, quoted, errors=_ERRORS4, queries=_QUERIES4)
    if protocol == IPPROTO_ICMPV6:
        return _parse_icmp(segment, quoted, errors=frozenset(range(128)), queries=_QUERIES6)
    raise ProtocolError(f"transport protocol {protocol}")


def _parse_udp(segment: bytes, quoted: bool) -> Packet:
    source, destination, length, total = _UDP.unpack_from(segment)
    if length < _UDP.size or (length > len(segment) and not quoted):
        raise ProtocolError("a UDP datagram with a wrong length")
    packet = _packet("udp", source, destination, segment[_UDP.size : None if quoted else length])
    packet.checksum = total if quoted else None
    return packet


def _parse_tcp(segment: bytes, quoted: bool) -> Packet:
    if len(segment) < _TCP.size:
        if not quoted:
            raise ProtocolError("a TCP header cut short")
        # an error may quote only 64 bits of the transport header (RFC 792)
        source, destination = _PORTS.unpack_from(segment)
        packet = _packet("tcp", source, destination, b"")
        packet.seq = int.from_bytes(segment[4:8], "big")
        return packet
    source, destination, seq, ack, offset, flags, window, total, _urgent = _TCP.unpack_from(segment)
    header = (offset >> 4) * 4
    if header < _TCP.size or (header > len(segment) and not quoted):
        raise ProtocolError("a TCP header with a wrong length")
    packet = _packet("tcp", source, destination, segment[header:])
    packet.seq, packet.ack, packet.flags, packet.window = seq, ack, flags, window
    packet.options = segment[_TCP.size : header]
    packet.checksum = total if quoted else None
    return packet


def _parse_icmp(segment: bytes, quoted: bool, *, errors: frozenset[int], queries: frozenset[int]) -> Packet:
    icmp_type, code, _sum, rest = _ICMP.unpack_from(segment)
    identifier = rest >> 16 if icmp_type in queries else 0
    packet = _packet("icmp", identifier, identifier, segment[_ICMP.size :])
    packet.icmp_type, packet.icmp_code, packet.icmp_rest = icmp_type, code, rest
    if icmp_type in errors and not quoted:
        packet.about = _parse(packet.payload, quoted=True)
        packet.payload = b""
    return packet


def _packet(protocol: Protocol, source_port: int, destination_port: int, payload: bytes) -> Packet:
    return Packet(protocol, "", source_port, "", destination_port, payload)


def build(packet: Packet) -> bytes:
    """The packet as bytes, with the `checksum` that it has, if any, else the right one. An ICMP error quotes
    as much of `about` as an error may carry.

    An ICMP query's identifier is its source port, a reply's its destination port; the low 16 bits of
    `icmp_rest` are its sequence number. ValueError if an address is none or a field is out of range.
    """
    if ":" in packet.source:
        return _build_ipv6(packet)
    return _build_ipv4(packet)


def _build_ipv4(packet: Packet) -> bytes:
    source, destination = _bytes4(packet.source), _bytes4(packet.destination)
    protocol = {"udp": IPPROTO_UDP, "tcp": IPPROTO_TCP, "icmp": IPPROTO_ICMP}[packet.protocol]
    segment = _build_transport(packet, source, destination, protocol, _ERROR_LIMIT4 - _IPV4.size)
    length = _IPV4.size + len(segment)
    if length > 0xFFFF:
        raise ValueError(f"an IPv4 packet of {length} bytes")
    fragment = DONT_FRAGMENT if packet.dont_fragment else 0
    header = _IPV4.pack(0x45, 0, length, 0, fragment, packet.ttl, protocol, 0, source, destination)
    return header[:10] + checksum(header).to_bytes(2, "big") + header[12:] + segment


def _build_ipv6(packet: Packet) -> bytes:
    source, destination = _bytes6(packet.source), _bytes6(packet.destination)
    protocol = {"udp": IPPROTO_UDP, "tcp": IPPROTO_TCP, "icmp": IPPROTO_ICMPV6}[packet.protocol]
    segment = _build_transport(packet, source, destination, protocol, _ERROR_LIMIT6 - _IPV6.size)
    if len(segment) > 0xFFFF:
        raise ValueError(f"an IPv6 payload of {len(segment)} bytes")
    return _IPV6.pack(6 << 28, len(segment), protocol, packet.ttl, source, destination) + segment


def _build_transport(packet: Packet, source: bytes, destination: bytes, protocol: int, limit: int) -> bytes:
    if protocol == IPPROTO_UDP:
        segment, at = _build_udp(packet), 6
    elif protocol == IPPROTO_TCP:
        segment, at = _build_tcp(packet), 16
    else:
        segment, at = _build_icmp(packet, limit), 2
    covered = segment
    if protocol != IPPROTO_ICMP:
        pseudo = source + destination + len(segment).to_bytes(4, "big") + protocol.to_bytes(4, "big")
        covered = pseudo + segment
    if packet.checksum is not None:
        total = packet.checksum
    else:
        total = checksum(covered)
        if protocol == IPPROTO_UDP and total == 0:
            total = 0xFFFF  # zero would say that there is no checksum (RFC 768)
    return segment[:at] + total.to_bytes(2, "big") + segment[at + 2 :]


def _build_udp(packet: Packet) -> bytes:
    length = _UDP.size + len(packet.payload)
    if length > 0xFFFF:
        raise ValueError(f"a UDP datagram of {length} bytes")
    return _UDP.pack(packet.source_port, packet.destination_port, length, 0) + packet.payload


def _build_tcp(packet: Packet) -> bytes:
    options = packet.options + b"\0" * (-len(packet.options) % 4)
    offset = (_TCP.size + len(options)) // 4
    if offset > 15:
        raise ValueError(f"{len(options)} bytes of TCP options")
    header = _TCP.pack(
        packet.source_port,
        packet.destination_port,
        packet.seq,
        packet.ack,
        offset << 4,
        packet.flags,
        packet.window,
        0,
        0,
    )
    return header + options + packet.payload


def _build_icmp(packet: Packet, limit: int) -> bytes:
    rest, body = packet.icmp_rest, packet.payload
    is_ipv6 = ":" in packet.source
    if packet.about is not None:
        body = build(packet.about)[: limit - _ICMP.size][: packet.about.quoted_size]
    elif packet.icmp_type in (_QUERIES6 if is_ipv6 else _QUERIES4):
        replies = (_ECHO_REPLY6,) if is_ipv6 else _REPLIES4
        identifier = packet.destination_port if packet.icmp_type in replies else packet.source_port
        rest = identifier << 16 | (rest & 0xFFFF)
    return _ICMP.pack(packet.icmp_type, packet.icmp_code, 0, rest) + body


def checksum(data: bytes) -> int:
    """The internet checksum (RFC 1071); 0 over data that carries its own right checksum."""
    if len(data) % 2:
        data += b"\0"
    # a one's complement sum of 16-bit words is the number modulo 0xFFFF, and never 0 unless all is 0
    value = int.from_bytes(data, "big")
    folded = value % 0xFFFF
    if folded == 0 and value:
        folded = 0xFFFF
    return ~folded & 0xFFFF


def udp_checksum(packet: Packet) -> int:
    """What stands in the header of this UDP packet over IPv4."""
    raw = build(packet)
    return int.from_bytes(raw[_IPV4.size + 6 : _IPV4.size + 8], "big")


def moved_checksum(total: int, before: Packet, after: Packet) -> int:
    """The checksum of a UDP or TCP packet over IPv4 whose addresses and ports have changed, by difference
    (RFC 1624), as a NAT has it. 0, no checksum, stays."""
    if total == 0 and before.protocol == "udp":
        return 0
    moved = (~total & 0xFFFF) - _endpoint_sum(before) + _endpoint_sum(after)
    moved = ~(moved % 0xFFFF) & 0xFFFF
    return moved or 0xFFFF


def _endpoint_sum(packet: Packet) -> int:
    """The 16-bit words of both addresses and both ports of an IPv4 packet, added up."""
    words = (_bytes4(packet.source) + _bytes4(packet.destination))[:8]
    added = sum(int.from_bytes(words[at : at + 2], "big") for at in range(0, 8, 2))
    return added + packet.source_port + packet.destination_port


@lru_cache(maxsize=4096)
def _text4(raw: bytes) -> str:
    return ".".join(map(str, raw))


@lru_cache(maxsize=4096)
def _bytes4(text: str) -> bytes:
    raw = bytes(map(int, text.split(".")))
    if len(raw) != 4:
        raise ValueError(f"not an IPv4 address: {text!r}")
    return raw


@lru_cache(maxsize=4096)
def _text6(raw: bytes) -> str:
    return str(IPv6Address(raw))


@lru_cache(maxsize=4096)
def _bytes6(text: str) -> bytes:
    return IPv6Address(text.partition("%")[0]).packed
